//! The machine by itself.
use lockstorm::harness::{BuiltIn, Harness};

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn any_bytes_run_and_end() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.hash_events(true);
    let mut seed = 0x1234_5678_9ABC_DEF1;
    let mut ends = std::collections::BTreeMap::new();
    for n in 0..2000 {
        let length = xorshift(&mut seed) as usize % 400;
        let bytes: Vec<u8> = (0..length).map(|_| xorshift(&mut seed) as u8).collect();
        let first = harness.run_bytes(&bytes);
        let second = harness.run_bytes(&bytes);
        assert_eq!(first, second, "run {n}");
        *ends.entry(format!("{:?}", first.end)).or_insert(0) += 1;
    }
    println!("{ends:?}");
}
