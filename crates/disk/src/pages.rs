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
