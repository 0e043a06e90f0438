//! How should the kernel keep this memory?
#![allow(unsafe_code)]

/// Asks for huge pages under a buffer, which makes reading all of it again and again cheaper. A hint: where
/// the system has none to give, nothing changes.
pub fn prefer_huge_pages(bytes: &mut [u8]) {
    #[cfg(target_os = "linux")]
    {
        const HUGE_PAGE: usize = 2 << 20;
        let start = bytes.as_ptr().align_offset(HUGE_PAGE);
        let length = bytes.len().saturating_sub(start) / HUGE_PAGE * HUGE_PAGE;
        if length == 0 {
            return;
        }
        let inner = &mut bytes[start..start + length];
        // SAFETY: whole pages inside a buffer that is exclusively ours; the advice changes no contents.
        let advised = unsafe {
            rustix::mm::madvise(inner.as_mut_ptr().cast(), inner.len(), rustix::mm::Advice::LinuxHugepage)
        };
        // Kernels built without huge pages refuse; there is nothing to be done about it.
        let _ = advised;
    }
}

/// Has the allocator share few arenas among all threads, so that what one of them frees another can use. Call it before
/// there are threads. Only the GNU C library has arenas; elsewhere nothing changes.
pub fn few_arenas() {
    #[cfg(target_env = "gnu")]
    {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let arenas = i32::try_from(cores).unwrap_or(i32::MAX).max(2);
        // SAFETY: sets a parameter of the allocator; no memory is touched.
        let set = unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
        // Refused, it has as many as it likes.
        let _ = set;
    }
}

/// Has the allocator give memory that is free back to the system. Costs some milliseconds.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: only memory that is not in use is given back.
        let given = unsafe { libc::malloc_trim(0) };
        // Whether there was any makes no difference.
        let _ = given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_stay() {
        for size in [0, 100, 5 << 20] {
            let mut bytes = vec![7; size];
            prefer_huge_pages(&mut bytes);
            assert!(bytes.iter().all(|byte| *byte == 7));
        }
    }
}
