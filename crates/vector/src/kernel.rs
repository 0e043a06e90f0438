//! How is a product of codes, or of vectors, computed on this processor? One of three ways, with the same result.
//!
//! A code is a list of bytes, each a number from -127 to 127 plus 128; their sums are of integers. Sums of
//! floats run over [`LANES`] columns in one order. So every instruction set gives the same bits.
#![allow(unsafe_code)]

use half::f16;

/// Codes are as long as a multiple of this: a cache line, and a register of AVX-512.
pub(crate) const LINE: usize = 64;

/// Columns in which products of floats are added up, so that additions need not wait for one another.
const LANES: usize = 32;

/// The instruction set in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Kernel {
    /// The best that this processor has.
    pub(crate) fn best() -> Self {
        Self::all().last().copied().unwrap_or(Self::Portable)
    }

    /// All that this processor has, slowest first.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
                all.push(Self::Avx2);
            }
            let vnni = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
            if vnni && all.len() == 2 {
                all.push(Self::Avx512Vnni);
            }
        }
        all
    }

    /// Dot product of `a` and the numbers of 16 bits, little endian, in `b`, as many as `a` has.
    pub(crate) fn halves(self, a: &[f32], b: &[u8]) -> f32 {
        assert!(a.len() * 2 == b.len());
        let whole = a.len() / LANES * LANES;
        let ((a, rest_a), (b, rest_b)) = (a.split_at(whole), b.split_at(whole * 2));
        let sums = match self {
            Self::Portable => portable_halves(a, b),
            // SAFETY: these are named only where the processor has AVX2 and F16C; `b` has two bytes for each
            // number of `a`, which has a multiple of LANES.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::Avx512Vnni => unsafe { x86::halves(a, b) },
        };
        let rest = rest_a.iter().zip(rest_b.as_chunks().0).map(|(a, &b)| a * f16::from_le_bytes(b).to_f32());
        sums.into_iter().sum::<f32>() + rest.sum::<f32>()
    }

    /// Sum of `a[i] · (b[i] − 128)`: that of the coded numbers plus 128 times the sum of those of `b`.
    /// Both have to be equally long, a multiple of [`LINE`].
    #[inline]
    pub(crate) fn dot(self, a: &[u8], b: &[u8]) -> i32 {
        assert!(a.len() == b.len() && a.len().is_multiple_of(LINE));
        match self {
            Self::Portable => portable(a, b),
            // SAFETY: `all` names an instruction set only where the processor has it; the lengths are equal
            // and a multiple of what one step reads, as asserted above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { x86::avx2(a, b) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => unsafe { x86::avx512(a, b) },
        }
    }
}

/// Asks for `bytes` to be brought into the cache.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(LINE) {
        // SAFETY: a hint about an address inside a slice; it reads nothing that the program sees.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast());
        };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

fn portable_halves(a: &[f32], b: &[u8]) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(2 * LANES)) {
        for ((sum, a), &b) in sums.iter_mut().zip(a).zip(b.as_chunks().0) {
            *sum += a * f16::from_le_bytes(b).to_f32();
        }
    }
    sums
}

fn portable(a: &[u8], b: &[u8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from((b ^ 128) as i8)).sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, LINE};
    use std::arch::x86_64::*;

    /// # Safety
    /// The processor has AVX2; `a` and `b` are equally long, a multiple of [`LINE`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn avx2(a: &[u8], b: &[u8]) -> i32 {
        let flip = _mm256_set1_epi8(i8::MIN);
        let mut sums = [_mm256_setzero_si256(); 2];
        for at in (0..a.len()).step_by(LINE / 2) {
            // SAFETY: 32 bytes from `at` lie in both, whose length is a multiple of 64.
            let (x, y) = unsafe {
                (_mm256_loadu_si256(a.as_ptr().add(at).cast()), _mm256_loadu_si256(b.as_ptr().add(at).cast()))
            };
            let y = _mm256_xor_si256(y, flip);
            // Sixteen bits a number: eight-bit products saturate when added in pairs.
            let low = _mm256_madd_epi16(
                _mm256_cvtepu8_epi16(_mm256_castsi256_si128(x)),
                _mm256_cvtepi8_epi16(_mm256_castsi256_si128(y)),
            );
            let high = _mm256_madd_epi16(
                _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(x)),
                _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(y)),
            );
            sums = [_mm256_add_epi32(sums[0], low), _mm256_add_epi32(sums[1], high)];
        }
        let sum = _mm256_add_epi32(sums[0], sums[1]);
        let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b00_00_11_10>(sum));
        _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32::<1>(sum)))
    }

    /// # Safety
    /// The processor has AVX2 and F16C; `a` has a multiple of [`LANES`] numbers, `b` two bytes for each.
    #[target_feature(enable = "avx2,f16c")]
    pub(super) unsafe fn halves(a: &[f32], b: &[u8]) -> [f32; LANES] {
        let mut sums = [_mm256_setzero_ps(); LANES / 8];
        for at in (0..a.len()).step_by(LANES) {
            for (part, sum) in sums.iter_mut().enumerate() {
                let at = at + part * 8;
                // SAFETY: eight numbers from `at` lie in `a`, whose length is a multiple of LANES, and twice
                // as many bytes from twice that in `b`.
                let (x, y) = unsafe {
                    (_mm256_loadu_ps(a.as_ptr().add(at)), _mm_loadu_si128(b.as_ptr().add(2 * at).cast()))
                };
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(x, _mm256_cvtph_ps(y)));
            }
        }
        let mut lanes = [0.0; LANES];
        for (lanes, sum) in lanes.chunks_exact_mut(8).zip(sums) {
            // SAFETY: there is room for eight numbers.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
        }
        lanes
    }

    /// # Safety
    /// The processor has AVX-512 BW and VNNI; `a` and `b` are equally long, a multiple of [`LINE`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn avx512(a: &[u8], b: &[u8]) -> i32 {
        let flip = _mm512_set1_epi8(i8::MIN);
        let mut sums = [_mm512_setzero_si512(); 2];
        for at in (0..a.len()).step_by(LINE) {
            // SAFETY: 64 bytes from `at` lie in both, whose length is a multiple of 64.
            let (x, y) = unsafe {
                (_mm512_loadu_si512(a.as_ptr().add(at).cast()), _mm512_loadu_si512(b.as_ptr().add(at).cast()))
            };
            let sum = &mut sums[at / LINE % 2];
            *sum = _mm512_dpbusd_epi32(*sum, x, _mm512_xor_si512(y, flip));
        }
        _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn instruction_sets_agree(lines in 0_usize..9, seed in any::<u64>(), extreme in any::<bool>()) {
            let mut state = seed;
            let mut bytes = |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let byte = (state >> 56) as u8;
                if extreme { if byte < 128 { 0 } else { 255 } } else { byte }
            };
            let a: Vec<u8> = (0..lines * LINE).map(&mut bytes).collect();
            let b: Vec<u8> = (0..lines * LINE).map(&mut bytes).collect();
            let expected: i64 = a.iter().zip(&b).map(|(&a, &b)| i64::from(a) * (i64::from(b) - 128)).sum();
            for kernel in Kernel::all() {
                prop_assert_eq!(i64::from(kernel.dot(&a, &b)), expected, "{:?}", kernel);
            }
        }

        #[test]
        fn instruction_sets_agree_on_floats(a in proptest::collection::vec(-1.0_f32..1.0, 0..200), seed in any::<u16>()) {
            let halves: Vec<f16> = (0..a.len() as u16).map(|at| f16::from_f32(f32::from(seed.wrapping_mul(at)) / 7e4)).collect();
            let bytes: Vec<u8> = halves.iter().flat_map(|x| x.to_le_bytes()).collect();
            let expected: f64 = a.iter().zip(&halves).map(|(a, b)| f64::from(*a) * b.to_f64()).sum();
            let found = Kernel::Portable.halves(&a, &bytes);
            prop_assert!((f64::from(found) - expected).abs() < 1e-4, "{} is not {}", found, expected);
            for kernel in Kernel::all() {
                prop_assert_eq!(kernel.halves(&a, &bytes).to_bits(), found.to_bits(), "{:?}", kernel);
            }
        }
    }
}
