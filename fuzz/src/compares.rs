//! What the compiler's tracing of compares and indirect calls comes to in a target that runs a driver: nothing.
//!
//! libFuzzer traces compares to learn values that an input could be made of, and so does AFL++'s CmpLog. What
//! lockstorm compares are its own numbers, most of them the machine's, and its mutator knows what a scenario is made of.
//! Tracing took most of a run's time, and even calls of functions that do nothing took half of it, for the
//! registers that a caller must save. So the functions are empty, are seen by link-time optimisation (which comes after
//! instrumentation), and leave nothing behind. `cargo fuzz run --no-trace-compares` leaves the calls out to begin with.

/// Ends the tracing of compares and of indirect calls in this target. To be called once in it, and the target to be among
/// the build script's `DRIVERS`, which lets these functions take the place of libFuzzer's; AFL's give way in every target.
#[cfg(all(target_os = "linux", any(coverage_counters, feature = "afl")))]
#[macro_export]
macro_rules! ignore_compares {
    () => {
        $crate::ignore_compares! {
            __sanitizer_cov_trace_cmp1(u8, u8)
            __sanitizer_cov_trace_cmp2(u16, u16)
            __sanitizer_cov_trace_cmp4(u32, u32)
            __sanitizer_cov_trace_cmp8(u64, u64)
            __sanitizer_cov_trace_const_cmp1(u8, u8)
            __sanitizer_cov_trace_const_cmp2(u16, u16)
            __sanitizer_cov_trace_const_cmp4(u32, u32)
            __sanitizer_cov_trace_const_cmp8(u64, u64)
            __sanitizer_cov_trace_switch(u64, *const u64)
            __sanitizer_cov_trace_pc_indir(usize)
        }
    };
    ($($name:ident($($argument:ty),*))*) => {
        $(
            // The compiler instruments no function whose name begins like this.
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) {}
        )*
    };
}

/// Nothing is traced in this build.
#[cfg(not(all(target_os = "linux", any(coverage_counters, feature = "afl"))))]
#[macro_export]
macro_rules! ignore_compares {
    () => {};
}
