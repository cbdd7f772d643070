//! Runs random bytes through a built-in driver and counts what was found: a quick look without an engine.
//!
//! `cargo run --release --example survey -- nvme 100000`

use std::collections::BTreeMap;

use lockstorm::harness::{BuiltIn, Harness};

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let driver =
        arguments.next().and_then(|name| BuiltIn::from_name(&name)).unwrap_or(BuiltIn::Nvme);
    let runs: u32 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let mut seed: u64 =
        arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(0x9E37_79B9_7F4A_7C15);
    let mut harness = Harness::alone(driver);
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    let mut found: BTreeMap<u64, (u32, String, Vec<u8>)> = BTreeMap::new();
    let (mut events, mut decisions, mut longest) = (0, 0, 0);
    let began = std::time::Instant::now();
    for _ in 0..runs {
        let length = xorshift(&mut seed) as usize % 400;
        let mut bytes: Vec<u8> = (0..length).map(|_| xorshift(&mut seed) as u8).collect();
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let outcome = harness.run_bytes(&bytes);
        (events, decisions) = (events + outcome.events, decisions + outcome.decisions);
        if outcome.end == lockstorm::machine::End::Quiet {
            longest = longest.max(outcome.decisions);
        }
        if outcome.end != lockstorm::machine::End::Quiet && harness.findings().is_empty() {
            println!("no finding: {outcome:?}");
            if let Ok(folder) = std::env::var("SURVEY_OUT") {
                let mut canonical = Vec::new();
                lockstorm::scenario::codec::encode(
                    &lockstorm::scenario::codec::decode(&bytes),
                    &mut canonical,
                );
                let _ = std::fs::write(format!("{folder}/none-{}.bin", outcome.events), canonical);
            }
        }
        *ends.entry(format!("{:?}", outcome.end)).or_default() += 1;
        for finding in harness.findings() {
            let entry = found
                .entry(finding.id())
                .or_insert_with(|| (0, finding.to_string(), bytes.clone()));
            entry.0 += 1;
            if bytes.len() < entry.2.len() {
                entry.2.clone_from(&bytes);
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{driver:?}: {runs} runs, {:.0} runs/s, {:.1} ns a decision, {} counters; {ends:?}",
        f64::from(runs) / seconds,
        seconds * 1e9 / decisions as f64,
        harness.coverage().covered()
    );
    println!("{events} events, {decisions} decisions, {longest} in the longest quiet run");
    let mut rows: Vec<_> = found.iter().collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.0));
    for (id, (count, text, bytes)) in rows {
        println!("{count:8} {id:016x} {text} ({} bytes)", bytes.len());
        if let Ok(folder) = std::env::var("SURVEY_OUT") {
            let mut canonical = Vec::new();
            lockstorm::scenario::codec::encode(
                &lockstorm::scenario::codec::decode(bytes),
                &mut canonical,
            );
            let _ = std::fs::write(format!("{folder}/{id:016x}.bin"), canonical);
        }
    }
}
