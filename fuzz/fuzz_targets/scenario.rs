//! The formats: every reader and writer of scenarios, and the mutator.
#![cfg_attr(feature = "libfuzzer", no_main)]

lockstorm_fuzz::target!(Scenario);
