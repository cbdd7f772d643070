//! What the fuzz targets share: the few lines that join [`lockstorm::targets`] to an engine.
//!
//! A target is a line or two, like `lockstorm_fuzz::target!(Nvme);`, in `fuzz_targets/`. Built by `cargo fuzz` it is a
//! libFuzzer target; the package in `afl/` builds the same files for AFL++. Both get the lock-state coverage of the
//! machine beside the compiler's, and mutations that know what a scenario is.

#[cfg(feature = "afl")]
mod aflplusplus;
mod compares;
#[cfg(all(coverage_counters, feature = "libfuzzer"))]
mod known;
#[cfg(feature = "libfuzzer")]
mod libfuzzer;
#[cfg(all(coverage_counters, feature = "libfuzzer"))]
mod rows;
#[cfg(address_sanitizer)]
mod sanitizer;
#[cfg(all(coverage_counters, feature = "libfuzzer"))]
mod subject;

#[cfg(feature = "afl")]
pub use aflplusplus::fuzz;
#[cfg(feature = "libfuzzer")]
pub use libfuzzer::{begin, cross, mutate, step};
#[cfg(feature = "libfuzzer")]
pub use libfuzzer_sys;
pub use lockstorm::targets::Target;
