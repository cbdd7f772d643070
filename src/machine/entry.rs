//! The one place where the machine calls a driver: its functions, in its own calling convention.
//!
//! A core of this process has the host's convention; a compiled driver has that of 64-bit Windows, in which
//! its functions were compiled. The types of `storport` spell the host's, so that they are right on Windows
//! too, where both are one.

use super::port::Port;
use crate::event::Sink;

/// The calling convention of a driver's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// The host's: a core that was compiled into this process.
    Host,
    /// That of 64-bit Windows on x86-64: a compiled driver.
    #[cfg(target_arch = "x86_64")]
    Win64,
}

/// A function of a driver's that takes `Arguments`.
pub(super) trait Entry<Arguments> {
    /// What it returns.
    type Output;

    /// Calls it.
    ///
    /// # Safety
    ///
    /// The function's own contract, and its convention is `abi`.
    unsafe fn call(self, abi: Abi, arguments: Arguments) -> Self::Output;
}

macro_rules! entries {
    ($(($($argument:ident: $kind:ident),+);)+) => {$(
        impl<R, $($kind),+> Entry<($($kind,)+)> for unsafe extern "system-unwind" fn($($kind),+) -> R {
            type Output = R;

            #[inline]
            unsafe fn call(self, abi: Abi, ($($argument,)+): ($($kind,)+)) -> R {
                match abi {
                    // SAFETY: the caller's promise.
                    Abi::Host => unsafe { self($($argument),+) },
                    #[cfg(target_arch = "x86_64")]
                    Abi::Win64 => {
                        type Windows<R, $($kind),+> =
                            unsafe extern "win64-unwind" fn($($kind),+) -> R;
                        // SAFETY: the caller promises that this is the function's real convention; a pointer
                        // to a function has one size whatever the convention.
                        unsafe {
                            let function = std::mem::transmute::<Self, Windows<R, $($kind),+>>(self);
                            function($($argument),+)
                        }
                    }
                }
            }
        }
    )+};
}

entries! {
    (a: A);
    (a: A, b: B);
    (a: A, b: B, c: C);
    (a: A, b: B, c: C, d: D);
    (a: A, b: B, c: C, d: D, e: E);
    (a: A, b: B, c: C, d: D, e: E, f: F);
    (a: A, b: B, c: C, d: D, e: E, f: F, g: G);
}

impl<S: Sink + 'static> Port<S> {
    /// Calls a function of the driver's, in the driver's convention.
    ///
    /// # Safety
    ///
    /// The function's own contract; it is a function of the driver that runs.
    #[inline]
    pub(super) unsafe fn invoke<F: Entry<A>, A>(self, function: F, arguments: A) -> F::Output {
        let abi = self.with(|s| s.abi);
        // SAFETY: the caller's promise.
        unsafe { function.call(abi, arguments) }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    unsafe extern "system-unwind" fn host(a: u32, b: usize, c: u8) -> u64 {
        u64::from(a) + b as u64 * 10 + u64::from(c) * 100
    }

    unsafe extern "win64-unwind" fn windows(
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
        f: usize,
        g: usize,
    ) -> usize {
        [a, b, c, d, e, f, g].into_iter().fold(0, |sum, digit| sum * 10 + digit)
    }

    #[test]
    fn each_convention_passes_every_argument() {
        let entry: unsafe extern "system-unwind" fn(u32, usize, u8) -> u64 = host;
        // SAFETY: the function is the host's and has no contract.
        assert_eq!(unsafe { entry.call(Abi::Host, (1, 2, 3)) }, 321);
        type Seven = unsafe extern "system-unwind" fn(
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
        ) -> usize;
        // SAFETY: a pointer as a compiled driver's would arrive, called in its own convention.
        let sum = unsafe {
            let entry = std::mem::transmute::<*const (), Seven>(windows as *const ());
            entry.call(Abi::Win64, (1, 2, 3, 4, 5, 6, 7))
        };
        assert_eq!(sum, 1_234_567);
    }
}
