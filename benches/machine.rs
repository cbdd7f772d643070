//! What a DDI call costs, with and without rules and coverage; what a reset costs; schedules a second
//! against Shuttle's random scheduler on the same lock workload.
//!
//! `cargo bench --bench machine` prints every figure, and the ratios that the project promises last.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use lockstorm::coverage::{Coverage, CoverageMap};
use lockstorm::device::bare::Bare;
use lockstorm::event::{Deaf, Event, Flow, Sink};
use lockstorm::machine::{Abi, Driver, Machine, Port};
use lockstorm::rules::Checker;
use lockstorm::scenario::Scenario;

#[path = "support/workload.rs"]
mod workload;

use workload::Workload;

/// Rules and coverage, as in the harness.
struct Watched {
    checker: Checker,
    coverage: Coverage,
}

impl Watched {
    fn new() -> Self {
        let map: &'static mut CoverageMap = Box::leak(Box::default());
        Watched { checker: Checker::new(), coverage: Coverage::new(map) }
    }
}

impl Sink for Watched {
    #[inline(always)]
    fn record(&mut self, event: &Event) -> Flow {
        self.coverage.record(event);
        self.checker.record(event)
    }
}

/// Takes every event and makes nothing of it: the machine with its product, which [`Deaf`] lets the compiler leave
/// out.
#[derive(Default)]
struct Counting(u64);

impl Sink for Counting {
    #[inline(never)]
    fn record(&mut self, event: &Event) -> Flow {
        black_box(event);
        self.0 += 1;
        Flow::Continue
    }
}

impl Reset for Counting {
    fn reset(&mut self) {}
}

/// What must be forgotten between runs.
trait Reset {
    fn reset(&mut self);
}

impl Reset for Deaf {
    fn reset(&mut self) {}
}

impl Reset for Watched {
    fn reset(&mut self) {
        self.checker.reset();
        self.coverage.reset();
    }
}

/// A machine with the workload's driver.
struct Bench<S: Sink + 'static> {
    machine: Machine<S>,
    driver: Driver,
    scenario: Scenario,
}

impl<S: Sink + Reset + 'static> Bench<S> {
    /// `rounds` of lock calls on each of `processors` processors.
    fn new(sink: S, processors: u8, rounds: usize) -> Self {
        let mut scenario = Scenario::default();
        scenario.setup.processors = processors.max(1);
        let data = lockstorm::storport::entry::initialization_data::<Port<S>, Workload>();
        let context = workload::task(processors.into(), rounds);
        Bench {
            machine: Machine::new(sink, Box::new(Bare::new())),
            driver: Driver { data, context, abi: Abi::Host },
            scenario,
        }
    }

    fn run(&mut self) -> u64 {
        self.machine.sink().reset();
        // SAFETY: the workload's entry points over this machine's port.
        let run = unsafe { self.machine.run(&self.driver, &self.scenario) };
        assert_eq!(run.end, lockstorm::machine::End::Quiet);
        run.decisions
    }

    /// A random schedule with so many departures from the calm choice.
    fn shuffle(&mut self, seed: &mut u64, departures: usize) {
        self.scenario.schedule.clear();
        for _ in 0..departures {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            self.scenario.schedule.push(lockstorm::scenario::Decision {
                after: (*seed as u8) % 16,
                choice: (*seed >> 8) as u8,
            });
        }
    }
}

/// Nanoseconds that one more round of a lock pair costs: the difference of a long and a short run, so that the
/// adapter's life cancels out.
fn nanoseconds_a_call<S: Sink + Reset + 'static>(make: impl Fn() -> S) -> f64 {
    const SHORT: usize = 100;
    const LONG: usize = 1_100;
    let time = |rounds| {
        let mut bench = Bench::new(make(), 1, rounds);
        bench.run();
        let best = (0..400).map(|_| {
            let began = Instant::now();
            black_box(bench.run());
            began.elapsed()
        });
        best.min().unwrap_or(Duration::MAX).as_secs_f64() * 1e9
    };
    // A round is four DDI calls: acquire and release of two locks.
    (time(LONG) - time(SHORT)) / (LONG - SHORT) as f64 / 4.0
}

fn ddi_call(c: &mut Criterion) {
    let mut group = c.benchmark_group("4000 DDI calls");
    let mut bare = Bench::new(Deaf, 1, 1_000);
    group.bench_function("bare machine", |b| b.iter(|| bare.run()));
    let mut watched = Bench::new(Watched::new(), 1, 1_000);
    group.bench_function("rules and coverage", |b| b.iter(|| watched.run()));
    group.finish();
    let deaf = nanoseconds_a_call(|| Deaf);
    let bare = nanoseconds_a_call(Counting::default);
    let watched = nanoseconds_a_call(Watched::new);
    println!("DDI call: {deaf:.1} ns without events, {bare:.1} ns with events that nobody reads,");
    println!("    {watched:.1} ns with rules and coverage (at most 20)");
    println!(
        "rules and coverage cost {:.2} times the bare machine (at most 1.5)",
        (watched - bare) / bare
    );
}

fn reset(c: &mut Criterion) {
    let mut group = c.benchmark_group("shortest run");
    let mut bare = Bench::new(Deaf, 0, 0);
    group.bench_function("adapter found, started, stopped; bare", |b| b.iter(|| bare.run()));
    let mut watched = Bench::new(Watched::new(), 0, 0);
    group.bench_function("the same, watched", |b| b.iter(|| watched.run()));
    group.finish();
}

fn schedules(c: &mut Criterion) {
    let mut group = c.benchmark_group("4 processors, 2 locks, 8 rounds");
    let mut seed = 0x9E37_79B9_7F4A_7C15;
    let mut bench = Bench::new(Watched::new(), 4, 8);
    group.bench_function("lockstorm", |b| {
        b.iter(|| {
            bench.shuffle(&mut seed, 8);
            bench.run()
        });
    });
    let mut alone = Bench::new(Counting::default(), 4, 8);
    group.bench_function("the machine alone", |b| {
        b.iter(|| {
            alone.shuffle(&mut seed, 8);
            alone.run()
        });
    });
    group.bench_function("shuttle, random scheduler, 100 schedules", |b| {
        b.iter(|| shuttle::check_random(workload::shuttle_rounds, 100));
    });
    group.finish();
    let began = Instant::now();
    shuttle::check_random(workload::shuttle_rounds, 2_000);
    let theirs = 2_000.0 / began.elapsed().as_secs_f64();
    println!("schedules a second; Shuttle's random scheduler: {theirs:.0}");
    for departures in [4, 8, 24] {
        let alone = schedules_a_second(Counting::default(), departures);
        let watched = schedules_a_second(Watched::new(), departures);
        println!(
            "{departures:3} departures: the machine {alone:.0}, {:.1} times (at least 10); \
             with rules and coverage {watched:.0}, {:.1} times",
            alone / theirs,
            watched / theirs
        );
    }
}

/// Runs of the workload a second under random schedules.
fn schedules_a_second<S: Sink + Reset + 'static>(sink: S, departures: usize) -> f64 {
    let mut seed = 0x9E37_79B9_7F4A_7C15;
    let mut bench = Bench::new(sink, 4, 8);
    let began = Instant::now();
    for _ in 0..20_000 {
        bench.shuffle(&mut seed, departures);
        bench.run();
    }
    20_000.0 / began.elapsed().as_secs_f64()
}

criterion_group!(benches, ddi_call, reset, schedules);
criterion_main!(benches);
