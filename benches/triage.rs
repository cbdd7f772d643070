//! What minimisation and exploration take and give.
//!
//! `cargo bench --bench triage` prints the sizes of twelve planted mistakes before and after minimisation, with the runs
//! that it took, and the schedules of one small lock program as lockstorm, Loom and Shuttle explore them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lockstorm::device::bare::Bare;
use lockstorm::event::{Event, Flow, Mark, Pick, Point, Sink};
use lockstorm::explore::{self, Bound, Exploration, Memory, Outcome, Sight, explore};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::{Abi, Driver, Machine, Port};
use lockstorm::rules::Checker;
use lockstorm::scenario::{Decision, Scenario};
use lockstorm::triage::minimise::{Limits, Subject, smallest};
use lockstorm::triage::size::Size;

#[path = "../tests/support/planted.rs"]
mod planted;
#[path = "support/workload.rs"]
#[allow(dead_code, reason = "other benches use more of it")]
mod workload;

use planted::{Fuzzer, MISTAKES};
use workload::Workload;

fn main() {
    minimisation();
    let programs = [(2, 1), (2, 2), (3, 1)];
    for (processors, rounds) in programs {
        exploration(processors, rounds);
    }
    // Last, because its panic hook stays and tells of what Loom unwinds.
    println!();
    for (processors, rounds) in programs {
        println!("{processors} threads, 2 locks, {rounds} rounds");
        tell("shuttle, depth-first, all", shuttle(processors.into(), rounds));
    }
}

/// A harness that can be observed.
struct Observed(Harness);

impl Subject for Observed {
    fn shows(&mut self, scenario: &Scenario, bug: u64) -> bool {
        self.0.run(scenario);
        self.0.findings().iter().any(|finding| finding.bug() == bug)
    }

    fn search(
        &mut self,
        scenario: &Scenario,
        bug: u64,
        departures: usize,
        runs: u64,
    ) -> (Option<Vec<Decision>>, u64) {
        explore::prepare(&mut self.0, true);
        let bound = Bound { departures, schedules: runs, every_point: false };
        let wanted = |finding: &lockstorm::rules::Finding| finding.bug() == bug;
        let exploration = explore(&mut self.0, scenario, bound, &wanted, &mut |_| {});
        explore::prepare(&mut self.0, false);
        let found = match exploration.outcome {
            Outcome::Found(found) => Some(found.scenario.schedule),
            Outcome::Complete | Outcome::Spent => None,
        };
        (found, exploration.schedules)
    }
}

/// Minimises some artifacts of each mistake.
fn minimisation() {
    const ARTIFACTS: usize = 20;
    println!("{ARTIFACTS} artifacts of each mistake, minimised: the largest of each column\n");
    println!(
        "{:24} {:>15} {:>15} {:>15} {:>9} {:>9}",
        "mistake", "steps", "processors", "departures", "runs", "time"
    );
    let mut fuzzer = Fuzzer::new(0xB0B);
    let mut subject = Observed(Harness::alone(BuiltIn::Puppet));
    for (number, (name, _)) in MISTAKES.iter().enumerate() {
        let (mut before, mut after) = (Size::default(), Size::default());
        let (mut runs_most, mut longest) = (0, Duration::ZERO);
        for _ in 0..ARTIFACTS {
            let scenario = fuzzer.artifact(number);
            subject.0.run(&scenario);
            let bug = subject.0.findings().last().expect("an artifact breaks a rule").bug();
            let began = Instant::now();
            let (least, runs, _) = smallest(&mut subject, &scenario, bug, Limits::default())
                .expect("it shows its bug");
            longest = longest.max(began.elapsed());
            runs_most = runs.max(runs_most);
            before = larger(before, Size::of(&scenario));
            after = larger(after, Size::of(&least));
        }
        println!(
            "{name:24} {:>15} {:>15} {:>15} {runs_most:>9} {:>6.1} ms",
            format!("{} -> {}", before.steps, after.steps),
            format!("{} -> {}", before.processors, after.processors),
            format!("{} -> {}", before.departures, after.departures),
            longest.as_secs_f64() * 1e3,
        );
        assert!(after.steps <= 3 && after.departures <= 2, "{name}: {after}");
    }
}

/// The larger of each part.
fn larger(a: Size, b: Size) -> Size {
    Size {
        steps: a.steps.max(b.steps),
        script: a.script.max(b.script),
        processors: a.processors.max(b.processors),
        messages: a.messages.max(b.messages),
        settings: a.settings.max(b.settings),
        departures: a.departures.max(b.departures),
    }
}

/// One program, three explorers: each processor, or thread, takes two locks in order and gives them back.
///
/// The counts do not mean quite the same. Loom counts a preemption where a thread that could go on does not; lockstorm
/// counts a departure, which names who goes on: where a processor waits or is done, who is next is not chosen freely but
/// by the machine's rule, and to have another costs a departure. Loom's partial-order reduction has no sleep sets, so that it runs
/// classes several times (the more threads the more). lockstorm runs each class once, but tells more classes apart: that a processor
/// had to wait for a lock is an event, which rules judge, and so another class than that it came just after the release.
fn exploration(processors: u8, rounds: usize) {
    println!("\n{processors} processors, 2 locks, {rounds} rounds: schedules explored, and time\n");
    for departures in [1, 2, 3, 4, 64] {
        let what = if departures < 64 { format!("at most {departures}") } else { "all".into() };
        let bound = Some(departures).filter(|&departures| departures < 64);
        println!("  preemptions: {what}");
        let reduced = ours(processors, rounds, departures, false);
        tell("lockstorm", reduced);
        tell("lockstorm --every-point", ours(processors, rounds, departures, true));
        tell("loom", loom(processors.into(), rounds, bound));
    }
}

/// Schedules, whether those were all, and the time.
type Explored = (u64, bool, Duration);

fn tell(who: &str, (schedules, all, time): Explored) {
    let more = if all { "" } else { " and more" };
    println!("    {who:26} {schedules:>9}{more:9} {:>10.2} ms", time.as_secs_f64() * 1e3);
}

/// Where every explorer gives up.
const SCHEDULES_MAX: u64 = 200_000;

/// What an exploration needs of a run.
struct Watch {
    checker: Checker,
    events: Vec<Event>,
    marks: Vec<(Mark, u32)>,
}

impl Sink for Watch {
    fn record(&mut self, event: &Event) -> Flow {
        self.events.push(*event);
        self.checker.record(event)
    }

    fn passes(&mut self, point: &Point) {
        self.marks.push((Mark::Point(*point), self.events.len() as u32));
    }

    fn picks(&mut self, pick: &Pick) {
        self.marks.push((Mark::Pick(*pick), self.events.len() as u32));
    }
}

struct Program {
    machine: Machine<Watch>,
    driver: Driver,
}

impl explore::Subject for Program {
    fn observe(&mut self, scenario: &Scenario) -> Sight<'_> {
        let watch = self.machine.sink();
        watch.checker.reset();
        watch.events.clear();
        watch.marks.clear();
        // SAFETY: the workload's entry points over this machine's port.
        unsafe { self.machine.run(&self.driver, scenario) };
        let Watch { checker, events, marks } = self.machine.sink();
        Sight { findings: checker.findings(), events, marks }
    }

    fn memory(&self, _: &Scenario) -> Memory {
        // Its DPCs read a number that nobody changes.
        Memory::Nothing
    }
}

fn ours(processors: u8, rounds: usize, departures: usize, every_point: bool) -> Explored {
    let sink = Watch { checker: Checker::new(), events: Vec::new(), marks: Vec::new() };
    let data = lockstorm::storport::entry::initialization_data::<Port<Watch>, Workload>();
    let context = workload::task(processors.into(), rounds);
    let mut machine = Machine::new(sink, Box::new(Bare::new()));
    machine.observe(true);
    let mut program = Program { machine, driver: Driver { data, context, abi: Abi::Host } };
    let mut scenario = Scenario::default();
    scenario.setup.processors = processors;
    let bound = Bound { departures, schedules: SCHEDULES_MAX, every_point };
    let began = Instant::now();
    let Exploration { outcome, schedules, .. } =
        explore(&mut program, &scenario, bound, &|_| true, &mut |_| {});
    (schedules, matches!(outcome, Outcome::Complete), began.elapsed())
}

fn loom(threads: usize, rounds: usize, preemptions: Option<usize>) -> Explored {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    RUNS.store(0, Ordering::Relaxed);
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_permutations = Some(SCHEDULES_MAX as usize);
    let began = Instant::now();
    builder.check(move || {
        use ::loom::sync::{Arc, Mutex};
        RUNS.fetch_add(1, Ordering::Relaxed);
        let locks = Arc::new((Mutex::new(()), Mutex::new(())));
        let work = move |locks: &(Mutex<()>, Mutex<()>)| {
            for _ in 0..rounds {
                let _outer = locks.0.lock();
                let _inner = locks.1.lock();
            }
        };
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let locks = Arc::clone(&locks);
                ::loom::thread::spawn(move || work(&locks))
            })
            .collect();
        work(&locks);
        for thread in others {
            thread.join().expect("the program has no panic");
        }
    });
    let runs = RUNS.load(Ordering::Relaxed);
    (runs, runs < SCHEDULES_MAX, began.elapsed())
}

fn shuttle(threads: usize, rounds: usize) -> Explored {
    let program = move || {
        use ::shuttle::sync::{Arc, Mutex};
        let locks = Arc::new((Mutex::new(()), Mutex::new(())));
        let work = move |locks: &(Mutex<()>, Mutex<()>)| {
            for _ in 0..rounds {
                let _outer = locks.0.lock();
                let _inner = locks.1.lock();
            }
        };
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let locks = Arc::clone(&locks);
                ::shuttle::thread::spawn(move || work(&locks))
            })
            .collect();
        work(&locks);
        for thread in others {
            thread.join().expect("the program has no panic");
        }
    };
    let began = Instant::now();
    let scheduler = ::shuttle::scheduler::DfsScheduler::new(Some(SCHEDULES_MAX as usize), false);
    let runs = ::shuttle::Runner::new(scheduler, ::shuttle::Config::default()).run(program) as u64;
    (runs, runs < SCHEDULES_MAX, began.elapsed())
}
