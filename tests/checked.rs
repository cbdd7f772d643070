//! The checked layer on the simulated machine: it must find what the machine's own checker finds, but for what only
//! a machine can know.

#![cfg(feature = "host")]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::fs;
use std::path::Path;

use lockstorm::checked::record::{self, RING_BYTES};
use lockstorm::checked::{Checked, CheckedMiniport, Hooks, Watch};
use lockstorm::device::Device;
use lockstorm::device::bare::Bare;
use lockstorm::device::nvme::Nvme as Controller;
use lockstorm::event::Deaf;
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::{Abi, Driver, Machine, Port, Run};
use lockstorm::miniport::nvme::Nvme;
use lockstorm::miniport::puppet::{Puppet, Script};
use lockstorm::rules::Finding;
use lockstorm::scenario::{Scenario, Step, codec, text};
use lockstorm::storport::entry::initialization_data;
use lockstorm::storport::{HwInitializationData, Miniport};
use support::Inputs;

type P = Port<Deaf>;

thread_local! {
    static WATCH: &'static Watch = Box::leak(Box::new(Watch::new()));
    static VIOLATIONS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    static MASKED: Cell<bool> = const { Cell::new(false) };
}

/// The host around the layer: a virtual processor is a thread, because its stack is.
struct Host;

impl Hooks<P> for Host {
    fn thread(port: P) -> usize {
        1 + usize::from(port.processor())
    }

    fn now(_: P) -> u64 {
        0
    }

    fn mask(_: P) -> u8 {
        assert!(!MASKED.replace(true), "the layer nests in itself");
        7
    }

    fn unmask(_: P, masked: u8) {
        assert!(MASKED.replace(false) && masked == 7);
    }

    fn start(_: P, _: *mut c_void) -> Option<&'static Watch> {
        Some(WATCH.with(|watch| *watch))
    }

    fn violation(_: P, finding: &Finding) {
        assert!(!MASKED.get(), "violations are told outside the raw lock");
        VIOLATIONS.with_borrow_mut(|found| found.push(finding.rule.rule().id));
    }
}

fn checked<M: Miniport<Checked<P, Host>>>() -> HwInitializationData {
    initialization_data::<P, CheckedMiniport<M, Host>>()
}

fn data_for(driver: BuiltIn, scenario: &Scenario) -> HwInitializationData {
    let setup = &scenario.setup;
    match (driver, setup.virtual_miniport, setup.legacy_srb) {
        (BuiltIn::Nvme, ..) => checked::<Nvme>(),
        (_, false, false) => checked::<Puppet<false, false>>(),
        (_, false, true) => checked::<Puppet<false, true>>(),
        (_, true, false) => checked::<Puppet<true, false>>(),
        (_, true, true) => checked::<Puppet<true, true>>(),
    }
}

/// Runs a scenario through the layer, on a machine that judges nothing.
fn run_checked(driver: BuiltIn, scenario: &Scenario) -> (Run, Vec<&'static str>) {
    let device: Box<dyn Device> = match driver {
        BuiltIn::Nvme => Box::new(Controller::new()),
        BuiltIn::Puppet => Box::new(Bare::new()),
    };
    let script: Vec<_> = scenario
        .steps
        .iter()
        .filter_map(|step| if let Step::Script(call) = step { Some(*call) } else { None })
        .collect();
    let script = Script::new(&script);
    let context = (&raw const script).cast_mut().cast();
    let driver = Driver { data: data_for(driver, scenario), context, abi: Abi::Host };
    // A run that ends inside the driver leaves its last call where it was.
    MASKED.set(false);
    VIOLATIONS.take();
    WATCH.with(|watch| watch.release());
    // SAFETY: the entry points are this crate's over this machine's port; the script outlives the run.
    let run = unsafe { Machine::new(Deaf, device).run(&driver, scenario) };
    let mut rules = VIOLATIONS.take();
    if scenario.setup.half_duplex {
        rules.retain(|rule| *rule != "duplex.half");
    }
    (run, rules)
}

/// What the layer cannot see, as its documentation says.
const UNSEEN: [(&str, &str); 13] = [
    ("run.deadlock", "the end of a run"),
    ("run.hang", "the end of a run"),
    ("driver.crashed", "the end of a run"),
    ("lock.leaked", "the end of a run"),
    ("request.lost", "the end of a run"),
    ("request.device_owns", "the device"),
    ("request.touched", "the memory of requests"),
    ("data.wrong", "the memory of requests"),
    ("dpc.corrupted", "the kernel's queues"),
    ("time.lock_held", "time of the processor's own"),
    ("time.interrupt", "time of the processor's own"),
    ("time.routine", "time of the processor's own"),
    ("lock.held_at_removal", "what a callback leaves held is lock.held_at_return"),
];

/// Examples whose schedule has something happen between a release being told of and its being made, and what the
/// layer makes of them.
const IN_BETWEEN: [(&str, &[&str]); 2] = [
    ("interrupt-self-deadlock-broken", &[]),
    ("lock-release-foreign-broken", &["lock.release_unheld"]),
];

fn examples() -> Vec<(String, BuiltIn, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let driver = if name.starts_with("nvme-") { BuiltIn::Nvme } else { BuiltIn::Puppet };
        let scenario = text::read(&fs::read(&path).unwrap()).unwrap();
        (name, driver, scenario)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn it_finds_what_the_machine_finds() {
    let unseen: BTreeSet<_> = UNSEEN.iter().map(|(rule, _)| *rule).collect();
    let mut puppet = Harness::alone(BuiltIn::Puppet);
    let mut nvme = Harness::alone(BuiltIn::Nvme);
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (name, driver, scenario) in examples() {
        let harness = if driver == BuiltIn::Nvme { &mut nvme } else { &mut puppet };
        harness.run(&scenario);
        let expected: Vec<_> = harness.findings().iter().map(|f| f.rule.rule().id).collect();
        let visible: Vec<_> = match IN_BETWEEN.iter().find(|(example, _)| *example == name) {
            Some((_, found)) => found.to_vec(),
            None => expected.iter().copied().filter(|rule| !unseen.contains(rule)).collect(),
        };
        let (_, found) = run_checked(driver, &scenario);
        seen.extend(found.iter().copied());
        if found != visible {
            wrong.push(format!("{name}: the machine {expected:?}, the layer {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() >= 50, "{} rules: {seen:?}", seen.len());
}

#[test]
fn it_leaves_the_run_as_it_was() {
    let mut puppet = Harness::alone(BuiltIn::Puppet);
    let mut nvme = Harness::alone(BuiltIn::Nvme);
    for (name, driver, scenario) in examples() {
        let harness = if driver == BuiltIn::Nvme { &mut nvme } else { &mut puppet };
        let plain = harness.run(&scenario);
        if !harness.findings().is_empty() {
            // The checker ends that run where the layer lets it go on.
            continue;
        }
        let (run, found) = run_checked(driver, &scenario);
        assert!(found.is_empty(), "{name}: {found:?}");
        assert_eq!((run.end, run.decisions), (plain.end, plain.decisions), "{name}");
    }
}

/// Random scenarios of a driver that its machine finds nothing in: the layer must find nothing either.
fn silent_where_the_machine_is(driver: BuiltIn, runs: u32) {
    let mut harness = Harness::alone(driver);
    let mut inputs = Inputs::new(0x5EED);
    let mut compared = 0;
    for _ in 0..runs {
        let bytes = inputs.bytes(300);
        let plain = harness.run_bytes(&bytes);
        if !harness.findings().is_empty() {
            continue;
        }
        compared += 1;
        let scenario = codec::decode(&bytes);
        let (run, found) = run_checked(driver, &scenario);
        assert!(found.is_empty(), "{found:?} in\n{}", text::write(&scenario));
        assert_eq!((run.end, run.decisions), (plain.end, plain.decisions));
    }
    assert!(compared > runs / 20, "{compared} of {runs} compared");
}

#[test]
fn it_raises_no_false_alarm_on_the_nvme_core() {
    silent_where_the_machine_is(BuiltIn::Nvme, 300);
}

#[test]
fn it_raises_no_false_alarm_on_scripts() {
    silent_where_the_machine_is(BuiltIn::Puppet, 1_000);
}

#[test]
fn a_violation_is_in_the_ring() {
    let broken = examples().into_iter().find(|(name, ..)| name == "lock-recursive-broken").unwrap();
    let (_, found) = run_checked(BuiltIn::Puppet, &broken.2);
    assert_eq!(found, ["lock.recursive"]);
    let mut ring = [0; RING_BYTES];
    WATCH.with(|watch| watch.copy_ring(&mut ring));
    let last = record::read(&ring).unwrap().last().unwrap();
    assert_eq!(last.rule_name(), "lock.recursive");
    assert!(
        matches!(last.site(), record::Place::Source(file, line) if file.ends_with(".rs") && line > 0)
    );
}
