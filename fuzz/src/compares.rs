//! What the compiler's tracing of compares and indirect calls comes to in a target that runs a driver: nothing.
//!
//! libFuzzer traces compares to learn values that an input could be made of. What lockstorm compares are its own
//! numbers, most of them the machine's, and its mutator knows what a scenario is made of; half of a
//! run's time went into tracing. `cargo fuzz run --no-trace-compares` leaves the calls out, too; the build script
//! lets those that are left end here.

/// Functions that do nothing. Naked, because the compiler instruments any other.
macro_rules! nothing {
    ($($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            extern "C" fn $name() {
                core::arch::naked_asm!("ret")
            }
        )*
    };
}

nothing! {
    __wrap___sanitizer_cov_trace_cmp1
    __wrap___sanitizer_cov_trace_cmp2
    __wrap___sanitizer_cov_trace_cmp4
    __wrap___sanitizer_cov_trace_cmp8
    __wrap___sanitizer_cov_trace_const_cmp1
    __wrap___sanitizer_cov_trace_const_cmp2
    __wrap___sanitizer_cov_trace_const_cmp4
    __wrap___sanitizer_cov_trace_const_cmp8
    __wrap___sanitizer_cov_trace_switch
    __wrap___sanitizer_cov_trace_pc_indir
}
