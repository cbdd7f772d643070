//! libFuzzer's loop on anything, in this process: for benchmarks of the search itself. `lockstorm fuzz` has its
//! [workers](super::worker).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::libfuzzer::{self, INPUT_MAX, Mutation};
use crate::coverage::CoverageMap;

/// Runs libFuzzer from `seed` and the inputs in `seeds` on what `make` returns, until that ends the process. Lock-state
/// coverage goes to the map that `make` is given. To be called once in a process.
pub fn fuzz<T: FnMut(&[u8]) + 'static>(
    seed: u32,
    seeds: &Path,
    mutation: Mutation,
    make: impl FnOnce(&'static mut CoverageMap) -> T,
) -> ! {
    let flags = [
        format!("-seed={seed}"),
        format!("-max_len={INPUT_MAX}"),
        "-use_cmp=0".into(),
        "-timeout=0".into(),
        "-reload=0".into(),
    ];
    let argument = |bytes: &[u8]| CString::new(bytes).expect("no zero byte in flags and paths");
    let mut arguments: Vec<_> = flags.iter().map(|flag| argument(flag.as_bytes())).collect();
    arguments.push(argument(seeds.as_os_str().as_bytes()));
    // SAFETY: this process calls this function once, and has no worker.
    let target = make(unsafe { libfuzzer::counters() });
    libfuzzer::fuzz(arguments, mutation, target)
}
