//! How is one piece of floating-point code compiled for several instruction sets?
//!
//! An [`Operation`] is generic over vectors of floats, [`Lanes`]; [`run`] compiles it once for each
//! instruction set and picks one. Plain loops inside it are vectorised for that instruction set too.

use super::Isa;

/// A vector of single-precision floats.
pub(crate) trait Lanes: Copy {
    /// Floats in it; a divisor of 16.
    const WIDTH: usize;

    fn splat(x: f32) -> Self;

    /// # Safety
    /// There are [`Self::WIDTH`] floats at `from`.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// There is room for [`Self::WIDTH`] floats at `to`.
    unsafe fn store(self, to: *mut f32);

    /// `self · b + c`, rounded once where the processor can.
    fn multiply_add(self, b: Self, c: Self) -> Self;
}

/// Code to be compiled for every instruction set.
pub(crate) trait Operation {
    /// Must be marked `#[inline(always)]`, as everything it calls.
    fn run<L: Lanes>(self);
}

/// Runs `operation` compiled for `isa`.
pub(crate) fn run<Op: Operation>(isa: Isa, operation: Op) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an instruction set is only chosen where the processor has it.
        Isa::Amx | Isa::Avx512 => unsafe { x86::run_avx512(operation) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { x86::run_avx2(operation) },
        _ => operation.run::<Plain>(),
    }
}

/// Eight floats that the compiler may vectorise as it likes.
#[derive(Clone, Copy)]
struct Plain([f32; 8]);

impl Lanes for Plain {
    const WIDTH: usize = 8;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    fn multiply_add(self, b: Self, c: Self) -> Self {
        // Without an instruction for it, rounding once would take a library call for each.
        let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        Self(std::array::from_fn(|i| {
            if fused { self.0[i].mul_add(b.0[i], c.0[i]) } else { self.0[i] * b.0[i] + c.0[i] }
        }))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, Operation};

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn run_avx2<Op: Operation>(operation: Op) {
        operation.run::<Eight>();
    }

    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")]
    pub(super) fn run_avx512<Op: Operation>(operation: Op) {
        operation.run::<Sixteen>();
    }

    macro_rules! lanes {
        ($name:ident, $vector:ty, $width:literal, $splat:ident, $load:ident, $store:ident, $fma:ident) => {
            /// Only used inside the function above that enables its instructions.
            #[derive(Clone, Copy)]
            struct $name($vector);

            impl Lanes for $name {
                const WIDTH: usize = $width;

                #[inline(always)]
                fn splat(x: f32) -> Self {
                    // SAFETY: see the type.
                    Self(unsafe { $splat(x) })
                }

                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: see the type, and the caller's promise.
                    Self(unsafe { $load(from) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: see the type, and the caller's promise.
                    unsafe { $store(to, self.0) }
                }

                #[inline(always)]
                fn multiply_add(self, b: Self, c: Self) -> Self {
                    // SAFETY: see the type.
                    Self(unsafe { $fma(self.0, b.0, c.0) })
                }
            }
        };
    }

    lanes!(Eight, __m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
    lanes!(Sixteen, __m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
}
