//! The scenarios of `examples/scenarios`: each does what its first line says.
//!
//! `NAME-broken.ron` begins with `// breaks RULE` (or several, in the order in which they are found) and is found
//! to break just that; `NAME-legal.ron`, the nearest scenario that is right, begins with `// keeps RULE` and stays
//! silent, on its own schedule and on every other. Those of the puppet are named for their rule, those of the NVMe
//! core begin with `nvme-`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::End;
use lockstorm::rules::{Family, RuleId};
use lockstorm::scenario::{Decision, Scenario, codec, text};

/// Rules that no script of the puppet breaks, and why.
const WITHOUT_EXAMPLE: [(RuleId, &str); 5] = [
    (RuleId::LockHeldAtRemoval, "what a callback leaves held is lock.held_at_return already"),
    (RuleId::LockLeaked, "what a callback leaves held is lock.held_at_return already"),
    (RuleId::RequestDeviceOwns, "the bare device has no use for a request's buffers"),
    (RuleId::DataWrong, "the bare device transfers no data"),
    (
        RuleId::RaceUnsynchronized,
        "what the puppet remembers is not the memory of the driver under test",
    ),
];

/// Schedules that every legal scenario is tried on, besides its own.
const OTHER_SCHEDULES: usize = 100;

struct Example {
    path: PathBuf,
    driver: BuiltIn,
    /// The first word of its first line.
    verb: String,
    /// The rules that its first line names.
    rules: Vec<String>,
    scenario: Scenario,
}

impl Example {
    fn read(path: PathBuf) -> Example {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let content = fs::read(&path).unwrap();
        let scenario = text::read(&content).unwrap_or_else(|error| panic!("{name}: {error}"));
        let first = String::from_utf8(content).unwrap().lines().next().unwrap().to_owned();
        let claim = first.strip_prefix("// ").unwrap_or_else(|| panic!("{name}: {first}"));
        let (verb, rules) = claim.split_once(' ').unwrap_or_else(|| panic!("{name}: {first}"));
        Example {
            driver: if name.starts_with("nvme-") { BuiltIn::Nvme } else { BuiltIn::Puppet },
            verb: verb.to_owned(),
            rules: rules.split(", ").map(str::to_owned).collect(),
            scenario,
            path,
        }
    }

    fn name(&self) -> &str {
        self.path.file_stem().unwrap().to_str().unwrap()
    }

    /// The rule that it is named for: the last of its first line, after what comes along with it.
    fn rule(&self) -> &str {
        self.rules.last().unwrap()
    }
}

fn all() -> Vec<Example> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(Example::read).collect()
}

/// How the run ends, and the rules that it breaks, in the order in which that is found.
fn replay(harness: &mut Harness, scenario: &Scenario) -> (End, Vec<&'static str>) {
    let end = harness.run(scenario).end;
    (end, harness.findings().iter().map(|finding| finding.rule.rule().id).collect())
}

#[test]
fn each_breaks_what_it_says_and_nothing_else() {
    let mut puppet = Harness::alone(BuiltIn::Puppet);
    for example in all().iter().filter(|example| example.verb == "breaks") {
        let (_, broken) = replay(&mut puppet, &example.scenario);
        assert_eq!(broken, example.rules, "{}", example.name());
    }
}

#[test]
fn each_legal_one_is_silent_on_any_schedule() {
    let mut puppet = Harness::alone(BuiltIn::Puppet);
    let mut nvme = Harness::alone(BuiltIn::Nvme);
    let mut random = 0x9E37_79B9_7F4A_7C15;
    for mut example in all().into_iter().filter(|example| example.verb == "keeps") {
        let harness = if example.driver == BuiltIn::Nvme { &mut nvme } else { &mut puppet };
        let quiet = (End::Quiet, Vec::new());
        assert_eq!(replay(harness, &example.scenario), quiet, "{}", example.name());
        for _ in 0..OTHER_SCHEDULES {
            example.scenario.schedule = schedule(&mut random);
            assert_eq!(
                replay(harness, &example.scenario),
                quiet,
                "{} with {:?}",
                example.name(),
                example.scenario.schedule
            );
        }
    }
}

/// A few departures, most of them soon after one another.
fn schedule(random: &mut u64) -> Vec<Decision> {
    let mut byte = || {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        (*random >> 32) as u8
    };
    (0..1 + byte() % 16)
        .map(|_| {
            let far = byte() % 4 == 0;
            Decision { after: if far { byte() } else { byte() % 16 }, choice: byte() % 8 }
        })
        .collect()
}

#[test]
fn every_rule_has_its_pair() {
    let named = |verb: &str| -> BTreeSet<String> {
        let puppets = all().into_iter().filter(|example| example.driver == BuiltIn::Puppet);
        puppets.filter(|e| e.verb == verb).map(|e| e.rule().to_owned()).collect()
    };
    let excused: BTreeSet<RuleId> = WITHOUT_EXAMPLE.iter().map(|(rule, _)| *rule).collect();
    let expected: BTreeSet<String> = RuleId::ALL
        .iter()
        .filter(|rule| !excused.contains(rule))
        .map(|rule| rule.rule().id.to_owned())
        .collect();
    assert_eq!(named("breaks"), expected);
    assert_eq!(named("keeps"), expected);
    let families: BTreeSet<Family> =
        expected.iter().map(|id| RuleId::from_id(id).expect("a rule").rule().family).collect();
    assert_eq!(families.len(), 11, "{families:?}");
}

#[test]
fn each_is_named_for_its_rule() {
    for example in all() {
        let rule = example.rule().replace(['.', '_'], "-");
        let name = match (example.driver, example.verb.as_str()) {
            (BuiltIn::Puppet, "breaks") => format!("{rule}-broken"),
            (BuiltIn::Puppet, "keeps") => format!("{rule}-legal"),
            (BuiltIn::Nvme, "keeps") => example.name().to_owned(),
            (_, verb) => panic!("{}: {verb}", example.name()),
        };
        assert_eq!(example.name(), name);
    }
}

#[test]
fn each_survives_its_bytes_and_the_legal_ones_are_the_seeds() {
    for example in all() {
        let mut bytes = Vec::new();
        codec::encode(&example.scenario, &mut bytes);
        assert_eq!(codec::decode(&bytes), example.scenario, "{}", example.name());
        if example.verb == "keeps" {
            let name = example.name().trim_end_matches("-legal");
            let seed = format!("corpus/{}/{name}.bin", example.driver.name());
            let found = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(&seed));
            assert!(found.is_ok_and(|seed| seed == bytes), "{seed}: run scripts/seeds");
        }
    }
}
