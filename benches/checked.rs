//! What the checked layer costs: the same lock workload over the machine alone, and with the layer between.
//!
//! `cargo bench --bench checked` prints nanoseconds for each lock call. Not in it: what Windows takes to mask interrupts,
//! two writes of CR8 for each time that the layer tells something.

use std::ffi::c_void;
use std::hint::black_box;
use std::time::{Duration, Instant};

use lockstorm::checked::{CheckedMiniport, Hooks, Watch};
use lockstorm::device::bare::Bare;
use lockstorm::event::Deaf;
use lockstorm::machine::{Abi, Driver, End, Machine, Port};
use lockstorm::rules::Finding;
use lockstorm::scenario::{Scenario, Setup};
use lockstorm::storport::HwInitializationData;
use lockstorm::storport::entry::initialization_data;

#[expect(dead_code, reason = "the workload is shared with a bench that has Shuttle run it too")]
#[path = "support/workload.rs"]
mod workload;

use workload::Workload;

type P = Port<Deaf>;

/// Lock calls in a run: four in each round.
const ROUNDS: usize = 1_000;

static WATCH: Watch = Watch::new();

struct Host;

impl Hooks<P> for Host {
    fn thread(port: P) -> usize {
        1 + usize::from(port.processor())
    }

    fn now(_: P) -> u64 {
        0
    }

    fn mask(_: P) -> u8 {
        0
    }

    fn unmask(_: P, _: u8) {}

    fn start(_: P, _: *mut c_void) -> Option<&'static Watch> {
        WATCH.release();
        Some(&WATCH)
    }

    fn violation(_: P, finding: &Finding) {
        panic!("the workload is right: {finding}");
    }
}

/// The shortest of several runs.
fn best(data: HwInitializationData) -> Duration {
    let mut machine = Machine::new(Deaf, Box::new(Bare::new()));
    let scenario =
        Scenario { setup: Setup { processors: 1, ..Setup::default() }, ..Scenario::default() };
    let mut run = |rounds| {
        let context = workload::task(1, rounds);
        let driver = Driver { data, context, abi: Abi::Host };
        let began = Instant::now();
        // SAFETY: the entry points are this crate's over this machine's port; the context is a number.
        let run = black_box(unsafe { machine.run(&driver, &scenario) });
        let took = began.elapsed();
        assert_eq!(run.end, End::Quiet);
        took
    };
    let best_of = |rounds: usize, run: &mut dyn FnMut(usize) -> Duration| {
        (0..400).map(|_| run(rounds)).min().unwrap_or_default()
    };
    best_of(ROUNDS, &mut run).saturating_sub(best_of(0, &mut run))
}

fn main() {
    let plain = best(initialization_data::<P, Workload>());
    let checked = best(initialization_data::<P, CheckedMiniport<Workload, Host>>());
    let each = |time: Duration| time.as_nanos() as f64 / (4 * ROUNDS) as f64;
    println!("a lock call on the machine alone        {:6.1} ns", each(plain));
    println!("the same through the checked layer      {:6.1} ns", each(checked));
    println!("the layer, for each lock call           {:6.1} ns", each(checked) - each(plain));
}
