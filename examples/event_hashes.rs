//! One line: a hash over every event of so many random scenarios of both built-in drivers. The same on
//! every host and in every profile; `tests/determinism.rs` compares.
//!
//! `cargo run --release --example event_hashes -- 10000`

#[path = "../tests/support/mod.rs"]
mod support;

use lockstorm::harness::{BuiltIn, Harness};

fn main() {
    let scenarios = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    println!("{:016x}", hash_of(scenarios));
}

/// The hash over `scenarios` scenarios, half of them each driver's.
fn hash_of(scenarios: u32) -> u64 {
    let mut hash = 0;
    for driver in BuiltIn::ALL {
        let mut harness = Harness::alone(driver);
        harness.hash_events(true);
        let mut inputs = support::Inputs::new(0x5EED);
        for _ in 0..scenarios / 2 {
            let outcome = harness.run_bytes(&inputs.bytes(320));
            hash = u64::rotate_left(hash, 7).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ outcome.hash;
        }
    }
    hash
}
