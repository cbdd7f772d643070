//! What the fuzz targets hide from libFuzzer. The two modules are part of the package in `fuzz/`, which needs an engine to
//! build; what they do needs none, and so their tests run with all others.

#[path = "../fuzz/src/known.rs"]
mod known;
#[path = "../fuzz/src/rows.rs"]
mod rows;
