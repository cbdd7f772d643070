use super::*;
use crate::harness::{BuiltIn, Harness};
use crate::machine::MemoryWatch;
use crate::record::check;
use crate::scenario::codec;

/// Reads it all.
fn read(text: &str) -> Result<Vec<Event>, ReadError> {
    Reader::new(text.as_bytes())?.collect()
}

fn error(text: &str) -> String {
    let error = read(text).expect_err("a mistake");
    error.to_string()
}

/// Random bytes, the same everywhere.
fn inputs(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut state = seed;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 24
    };
    std::iter::repeat_with(move || {
        let length = codec::HEADER_BYTES + next() as usize % 500;
        (0..length).map(|_| next() as u8).collect()
    })
}

#[test]
fn events_survive_and_the_rules_say_the_same_of_them() {
    let mut broken = 0;
    for driver in BuiltIn::ALL {
        let mut harness = Harness::alone(driver);
        harness.record(true);
        for (number, bytes) in inputs(3).take(150).enumerate() {
            harness.watch_memory(MemoryWatch { events: number % 4 == 0, preempts: false });
            harness.run_bytes(&bytes);
            let heading = Heading::of_run(driver.name(), harness.scenario());
            let text = write(&heading, harness.events());
            let read = read(&text).unwrap();
            assert_eq!(read.len(), harness.events().len());
            for (read, event) in read.iter().zip(harness.events()) {
                let parts = |e: &Event| (e.time, e.site, e.kind, e.processor, e.irql, e.depth);
                assert_eq!(parts(read), parts(event));
            }
            assert_eq!(write(&heading, &read), text);
            let checked = check(Reader::new(text.as_bytes()).unwrap()).unwrap();
            assert_eq!(checked.findings, harness.findings());
            let ids = |findings: &[crate::rules::Finding]| {
                findings.iter().map(crate::rules::Finding::id).collect::<Vec<_>>()
            };
            assert_eq!(ids(&checked.findings), ids(harness.findings()));
            broken += usize::from(!checked.findings.is_empty());
        }
    }
    assert!(broken > 20, "{broken}");
}

#[test]
fn mistakes_are_told_with_their_place() {
    let heading = "{\"lockstorm_events\":1}\n";
    let with = |line: &str| error(&format!("{heading}\n{line}\n"));
    assert!(error("").contains("line 1: the record is empty"));
    assert!(error("{\"lockstorm_events\":7}").contains("version 7, expected 1"));
    assert!(error("{\"lockstorm_events\":1,\"muted\":[\"x\"]}").contains("no rule 'x'"));
    let unknown = with(r#"{"time_ns":0,"processor":0,"irql":0,"event":"Quieting"}"#);
    assert!(unknown.starts_with("line 3, column ") && unknown.contains("Quieting"), "{unknown}");
    assert!(
        with(r#"{"time_ns":0,"processor":9,"irql":0,"event":"Quiescing"}"#).contains("processor 9")
    );
    assert!(
        with(r#"{"time_ns":0,"processor":0,"irql":0,"event":"Quiescing","x":1}"#).contains("`x`")
    );
    assert!(with("{").contains("line 3, column 1"));
    let later = r#"{"time_ns":5,"processor":0,"irql":0,"event":"Quiescing"}"#;
    let back = format!("{later}\n{}", later.replace('5', "4"));
    assert!(with(&back).contains("line 4: time_ns 4 is before 5"));
}

/// The form of version 1, frozen: records that were written once can be read for ever.
#[test]
fn version_1_is_what_it_was() {
    let text = include_str!("../../../tests/data/v1/events.jsonl");
    let events = read(text).unwrap();
    let heading = Reader::new(text.as_bytes()).unwrap().heading().clone();
    assert_eq!(write(&heading, &events), text);
    let checked = check(Reader::new(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(checked.findings[0].rule, RuleId::RunDeadlock);
}
