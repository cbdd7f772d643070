//! The NVMe core through failing initialisation, resets, stops, removals and failing allocations.
#![cfg_attr(feature = "libfuzzer", no_main)]

lockstorm_fuzz::target!(Lifecycle);
lockstorm_fuzz::ignore_compares!();
