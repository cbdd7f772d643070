//! Recorded lock calls become scripts: the puppet makes the same calls in the same order, and what the record
//! breaks the script breaks.

use std::fs;
use std::path::{Path, PathBuf};

use lockstorm::event::{Event, Kind};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::record::jsonl::{self, Heading};
use lockstorm::rules::Severity;
use lockstorm::scenario::{Scenario, text};
use lockstorm::storport::Irql;
use lockstorm::trace::history::{Played, histories, marks, of_events};
use lockstorm::trace::{Options, open_events};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Scripts of the puppet: the example scenarios and the seeds.
fn scripts() -> Vec<(String, Scenario)> {
    let files = |folder: &str| -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(root().join(folder)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    };
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let scenario = text::read_either(&bytes).unwrap();
        (name, scenario)
    };
    let all = [files("examples/scenarios"), files("corpus/puppet")].concat();
    all.iter().map(read).filter(|(name, _)| !name.starts_with("nvme-")).collect()
}

/// What a run of the puppet says, and the rules that it breaks.
fn run(harness: &mut Harness, scenario: &Scenario) -> (Vec<Event>, Vec<&'static str>) {
    harness.record(true);
    harness.run(scenario);
    let errors = harness.findings().iter().filter(|found| found.severity == Severity::Error);
    let rules = errors.map(|found| found.rule.rule().id).collect();
    (harness.events().to_vec(), rules)
}

/// The events as they come back from a file.
fn written_and_read(scenario: &Scenario, events: &[Event]) -> Vec<Event> {
    let text = jsonl::write(&Heading::of_run("puppet", scenario), events);
    let mut lines = open_events(Box::new(text.as_bytes())).unwrap();
    let mut read = Vec::new();
    while let Some(event) = lines.read_event().unwrap() {
        read.push(event);
    }
    read
}

/// Rules that scripts of this kind cannot break again: what breaks them is no lock call.
const NO_LOCK_CALL: [&str; 1] = ["irql.ddi"];

#[test]
fn a_script_comes_back_from_its_events_with_the_same_lock_calls_and_the_same_verdict() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let (mut count, mut broken, mut wrong) = (0, 0, Vec::new());
    for (name, scenario) in scripts() {
        let (events, rules) = run(&mut harness, &scenario);
        let events = written_and_read(&scenario, &events);
        let wanted = marks(&events);
        if wanted.is_empty() {
            continue;
        }
        count += 1;
        broken += usize::from(!rules.is_empty());
        let (made, matched) = of_events(&mut harness, &events).expect(&name);
        let (again, broken_again) = run(&mut harness, &made);
        let calls =
            |events: &[Event]| marks(events).into_iter().map(|(m, _)| m).collect::<Vec<_>>();
        let same = match rules[..] {
            [rule] if NO_LOCK_CALL.contains(&rule) => matched == wanted.len(),
            _ => calls(&again) == calls(&events) && rules == broken_again,
        };
        if !same {
            wrong.push(format!(
                "{name}: {matched} of {} calls, {rules:?} {broken_again:?}\n{}",
                wanted.len(),
                text::write(&made)
            ));
        }
    }
    println!("{count} scripts with lock calls, {broken} of them break a rule");
    assert!(
        wrong.is_empty() && count > 100 && broken > 25,
        "{count}, {broken}\n{}",
        wrong.join("\n")
    );
}

/// What a driver that watches itself can tell: no requests, no interrupts, no waits, its own level for interrupts.
#[test]
fn a_record_without_requests_and_interrupts_gives_the_same_calls() {
    let scenario = r"(version: 1, setup: (processors: 1), steps: [
        Script(routine: StartIo, op: Acquire, lock: Interrupt),
        Script(routine: StartIo, op: Release),
        Script(routine: StartIo, op: IssueDpc),
        Script(routine: MessageInterrupt, op: KeAcquireAtDpcLevel),
        Script(routine: MessageInterrupt, op: KeReleaseFromDpcLevel),
        Script(routine: Dpc, op: AcquireEx, lock: StartIo),
        Script(routine: Dpc, op: Release),
        Read(), Interrupt(message: 1, gap: 6),
    ])";
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let (events, _) = run(&mut harness, &text::read_either(scenario.as_bytes()).unwrap());
    let tells = |kind: &Kind| {
        !matches!(
            kind,
            Kind::RequestCreated { .. } | Kind::InterruptRaised { .. } | Kind::LockWaited { .. }
        )
    };
    let mut told: Vec<Event> = events.iter().copied().filter(|event| tells(&event.kind)).collect();
    for event in &mut told {
        if event.irql > Irql::DISPATCH {
            event.irql = Irql(9);
        }
    }
    let (made, matched) = of_events(&mut harness, &told).unwrap();
    assert_eq!((matched, marks(&told).len()), (6, 6), "{}", text::write(&made));
}

#[test]
fn a_record_of_another_driver_is_cut_into_parts_that_replay_in_order() {
    let bytes = fs::read(root().join("examples/traces/events.jsonl.gz")).unwrap();
    let mut lines = open_events(Box::new(&bytes[..])).unwrap();
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let made = histories(&mut lines, &mut harness, &Options::default()).unwrap();
    let sum = |of: fn(&Played) -> usize| made.parts.iter().map(of).sum::<usize>();
    let (calls, matched) = (sum(|part| part.calls), sum(|part| part.matched));
    println!("{matched} of {calls} lock calls in {} parts", made.parts.len());
    assert!(made.broken.is_empty(), "{:?}", made.broken);
    assert!(made.seeds.len() >= 3 && made.left_out <= 2, "{} seeds", made.seeds.len());
    assert!(matched * 10 >= calls * 8, "{matched} of {calls}");
    for seed in &made.seeds {
        harness.run_bytes(&seed.bytes);
        assert!(harness.findings().iter().all(|found| found.severity != Severity::Error));
    }
}

#[test]
fn a_record_without_lock_calls_is_refused() {
    let text = "{\"lockstorm_events\":1}\n{\"time_ns\":1,\"processor\":0,\"irql\":0,\"event\":\"Quiescing\"}\n";
    let mut lines = open_events(Box::new(text.as_bytes())).unwrap();
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let error = histories(&mut lines, &mut harness, &Options::default()).unwrap_err();
    assert!(error.message.contains("no lock call of a driver"), "{error}");
}
