//! What SanitizerCoverage's instrumentation expects of its runtime: the bounds of its two sections, and routines to
//! tell of them. Nobody is told inside Windows; whoever loads the file finds the sections by their names.
//!
//! On Windows the linker sorts the parts of a section by what follows `$`, so `$A` and `$Z` bound `$M`
//! (<https://clang.llvm.org/docs/SanitizerCoverage.html>). The bounds are written in assembly, because the
//! instrumentation declares symbols of the same names in every module.

core::arch::global_asm!(
    ".macro bound name, section, access",
    ".section \\section,\"\\access\"",
    ".globl \\name",
    ".p2align 3",
    "\\name:",
    ".quad 0",
    ".endm",
    "bound __start___sancov_cntrs, .SCOV$CA, dw",
    "bound __stop___sancov_cntrs, .SCOV$CZ, dw",
    "bound __start___sancov_pcs, .SCOVP$A, dr",
    "bound __stop___sancov_pcs, .SCOVP$Z, dr",
    ".text",
);

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(_: *mut u8, _: *mut u8) {}

#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_pcs_init(_: *const usize, _: *const usize) {}

/// The compiler refers to it where a module has floating-point code.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
