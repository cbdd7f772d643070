//! libFuzzer's loop on anything, in this process: for benchmarks of the search itself. `lockstorm fuzz` has its
//! [workers](super::worker).

use std::ffi::CString;
use std::path::PathBuf;

use super::libfuzzer::{self, INPUT_MAX, Mutation};
use crate::coverage::CoverageMap;

/// Runs libFuzzer from `seed` and the files `seeds` on what `make` returns, until that [ends](end) the process. Lock-state
/// coverage goes to the map that `make` is given. No file is written. To be called once in a process.
pub fn fuzz<T: FnMut(&[u8]) + 'static>(
    seed: u32,
    seeds: &[PathBuf],
    mutation: Mutation,
    make: impl FnOnce(&'static mut CoverageMap) -> T,
) -> ! {
    let paths: Vec<String> = seeds.iter().map(|path| path.display().to_string()).collect();
    let flags = [
        format!("-seed={seed}"),
        format!("-max_len={INPUT_MAX}"),
        "-use_cmp=0".into(),
        "-timeout=0".into(),
        // A folder would be written to.
        format!("-seed_inputs={}", paths.join(",")),
    ];
    let argument = |flag: String| CString::new(flag).expect("no zero byte in flags and paths");
    let arguments = flags.into_iter().map(argument).collect();
    // SAFETY: this process calls this function once, and has no worker.
    let target = make(unsafe { libfuzzer::counters() });
    libfuzzer::fuzz(arguments, mutation, target)
}

/// Ends the process from inside libFuzzer's loop, which would take any other end for a bug of the target.
pub fn end() -> ! {
    // SAFETY: no memory is touched any more.
    unsafe { libc::_exit(0) }
}
