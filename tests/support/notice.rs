//! How a test says that it was left out.

use std::io::Write;

/// Says it past the test harness, which keeps what a passing test prints to itself.
pub(crate) fn left_out(test: &str, why: &str) {
    let notice = format!("left out: {test}, for {why}\n");
    // With standard error gone there is nobody to tell.
    let _ = std::io::stderr().write_all(notice.as_bytes());
}
