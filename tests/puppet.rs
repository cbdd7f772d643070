//! The puppet on the machine: without a script a driver that behaves, with one exactly what it says.

use lockstorm::device::bare::Bare;
use lockstorm::event::{Event, Flow, Kind, Routine, Sink};
use lockstorm::machine::{Driver, End, Machine, Port};
use lockstorm::miniport::puppet::{Call, LockName, Op, Puppet, Script};
use lockstorm::scenario::{At, Io, Scenario, Step, codec};
use lockstorm::storport::entry::initialization_data;

/// Keeps every event.
#[derive(Default)]
struct Record(Vec<Event>);

impl Sink for Record {
    fn record(&mut self, event: &Event) -> Flow {
        self.0.push(*event);
        Flow::Continue
    }
}

struct Stage {
    machine: Machine<Record>,
}

impl Stage {
    fn new() -> Stage {
        Stage { machine: Machine::new(Record::default(), Box::new(Bare::new())) }
    }

    fn play(&mut self, scenario: &Scenario) -> (End, &[Event]) {
        type P = Port<Record>;
        let calls: Vec<Call> = scenario
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Script(call) => Some(*call),
                _ => None,
            })
            .collect();
        let script = Script::new(&calls);
        let setup = &scenario.setup;
        let data = match (setup.virtual_miniport, setup.legacy_srb) {
            (false, false) => initialization_data::<P, Puppet<false, false>>(),
            (false, true) => initialization_data::<P, Puppet<false, true>>(),
            (true, false) => initialization_data::<P, Puppet<true, false>>(),
            (true, true) => initialization_data::<P, Puppet<true, true>>(),
        };
        let driver = Driver { data, context: (&raw const script).cast_mut().cast() };
        self.machine.sink().0.clear();
        // SAFETY: the puppet's entry points over this machine's port; the script outlives the call.
        let run = unsafe { self.machine.run(&driver, scenario) };
        (run.end, &self.machine.sink().0)
    }
}

fn word(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn random_scenario(state: &mut u64) -> Scenario {
    let bytes: Vec<u8> = (0..300).map(|_| (word(state) >> 32) as u8).collect();
    codec::decode(&bytes)
}

#[test]
fn without_a_script_it_behaves() {
    let mut stage = Stage::new();
    let mut state = 7;
    for n in 0..20_000 {
        let mut scenario = random_scenario(&mut state);
        scenario.steps.retain(|step| !matches!(step, Step::Script(_)));
        let (end, events) = stage.play(&scenario);
        let odd: Vec<_> = events.iter().filter(|event| is_odd(&event.kind)).collect();
        assert!(end == End::Quiet && odd.is_empty(), "{n}: {end:?} {odd:#?} {scenario:#?}");
    }
}

/// What a driver that behaves never makes happen.
fn is_odd(kind: &Kind) -> bool {
    use lockstorm::event::{Handle, Owner};
    match kind {
        Kind::Deadlocked { .. }
        | Kind::Hung
        | Kind::Crashed
        | Kind::LockMisused { .. }
        | Kind::LockRefused { .. }
        | Kind::ContextIgnored { .. }
        | Kind::ExecutiveUninitialized { .. }
        | Kind::DpcCorrupted { .. }
        | Kind::RequestTouched { .. }
        | Kind::DataWrong { .. }
        | Kind::RequestTimedOut { .. }
        | Kind::RequestLost { .. }
        | Kind::RequestsCompletedByPort { .. }
        | Kind::ConfigurationWrong { .. } => true,
        Kind::LockReleased { handle, .. } => *handle != Handle::Same,
        Kind::ExecutiveInitialized { again, .. } | Kind::DpcInitialized { again, .. } => *again,
        Kind::RequestCompleted { owner, starting_elsewhere, .. } => {
            *owner != Owner::Miniport || *starting_elsewhere
        }
        _ => false,
    }
}

#[test]
fn any_script_can_be_played() {
    let mut stage = Stage::new();
    let mut state = 9;
    let mut ends = std::collections::BTreeMap::new();
    for _ in 0..100_000 {
        let scenario = random_scenario(&mut state);
        let (end, _) = stage.play(&scenario);
        *ends.entry(format!("{end:?}")).or_insert(0) += 1;
    }
    println!("{ends:?}");
}
