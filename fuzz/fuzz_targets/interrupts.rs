//! The NVMe core under interrupt storms, with every kind of interrupt and synchronisation.
#![cfg_attr(feature = "libfuzzer", no_main)]

lockstorm_fuzz::target!(Interrupts);
lockstorm_fuzz::ignore_compares!();
