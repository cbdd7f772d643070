//! The readers of traces: the first byte says which format, the rest is the file.
#![no_main]

lockstorm_fuzz::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lockstorm::trace::fuzz(bytes));
