//! The formats under test: whatever the bytes are, reading them never fails in an unforeseen way, and every way back
//! leads back.

use crate::scenario::{Scenario, codec, mutate, text};

/// Tries every reader and writer on `bytes`.
///
/// # Errors
///
/// The property that does not hold.
pub(super) fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let scenario = codec::decode(bytes);
    there_and_back(&scenario)?;
    if let Ok(read) = codec::read(bytes)
        && read != scenario
    {
        return Err("a file is read as another scenario than its bytes mean");
    }
    if let Ok(read) = text::read(bytes) {
        there_and_back(&read)?;
    }
    match text::read_either(bytes) {
        Ok(read) => there_and_back(&read)?,
        // A reader is told in a line; making it must not fail.
        Err(error) if error.to_string().is_empty() => return Err("an error says nothing"),
        Err(_) => {}
    }
    mutants(bytes)
}

fn there_and_back(scenario: &Scenario) -> Result<(), &'static str> {
    let mut bytes = Vec::new();
    codec::encode(scenario, &mut bytes);
    if bytes.len() > codec::SCENARIO_BYTES_MAX {
        return Err("a scenario's bytes are more than the most that there can be");
    }
    if codec::read(&bytes).as_ref() != Ok(scenario) {
        return Err("a scenario's bytes mean another one");
    }
    if text::read(text::write(scenario).as_bytes()).as_ref() != Ok(scenario) {
        return Err("a scenario's text means another one");
    }
    let mut repaired = scenario.clone();
    repaired.repair();
    if repaired != *scenario {
        return Err("a scenario that was read needs repair");
    }
    Ok(())
}

/// What the mutator makes of the bytes is a whole file of today's format.
fn mutants(bytes: &[u8]) -> Result<(), &'static str> {
    let mut buffer = vec![0; codec::SCENARIO_BYTES_MAX];
    let size = bytes.len().min(buffer.len());
    buffer[..size].copy_from_slice(&bytes[..size]);
    let seed = bytes.iter().fold(0, |hash: u64, &byte| hash.rotate_left(5) ^ u64::from(byte));
    let size = mutate::mutate(&mut buffer, size, seed);
    if codec::read(&buffer[..size]).is_err() {
        return Err("a mutant is no whole file");
    }
    let mut crossed = vec![0; codec::SCENARIO_BYTES_MAX];
    let size = mutate::cross(bytes, &buffer[..size], &mut crossed, seed);
    if codec::read(&crossed[..size]).is_err() {
        return Err("a crossing is no whole file");
    }
    Ok(())
}
