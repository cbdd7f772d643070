//! What SanitizerCoverage's instrumentation expects of its runtime: the bounds of its two sections, and routines to
//! tell of them. Nobody is told inside Windows; whoever loads the file finds the sections by their names.
//!
//! On Windows the linker sorts the parts of a section by what follows `$`, so `$A` and `$Z` bound `$M`
//! (<https://clang.llvm.org/docs/SanitizerCoverage.html>).

/// A bound: the instrumentation takes the address behind the first, and the address of the last.
macro_rules! bound {
    ($name:ident, $section:literal) => {
        #[used]
        #[unsafe(no_mangle)]
        #[unsafe(link_section = $section)]
        static mut $name: u64 = 0;
    };
}

bound!(__start___sancov_cntrs, ".SCOV$CA");
bound!(__stop___sancov_cntrs, ".SCOV$CZ");
bound!(__start___sancov_pcs, ".SCOVP$A");
bound!(__stop___sancov_pcs, ".SCOVP$Z");

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(_: *mut u8, _: *mut u8) {}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_pcs_init(_: *const usize, _: *const usize) {}
