//! Shuttle: its schedulers on a program. As a user sets it up who wants it fast: release build, nothing persisted or
//! printed, one runner for a whole hunt, so that stacks are reused.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering as Order};

use shuttle::scheduler::{
    DfsScheduler, PctScheduler, RandomScheduler, RoundRobinScheduler, Schedule, Scheduler, Task,
    TaskId, UrwRandomScheduler,
};
use shuttle::{Config, FailurePersistence, Runner};

use super::hunt::{self, Hunt};

// Of the standard library: looking whether an interrupt is pending is no decision point, so there are not twice as many.
super::threads::world!(shuttle, std::sync::atomic::AtomicBool);

/// Shuttle's ways to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A random thread at every point.
    Random,
    /// Every interleaving equally likely.
    Urw,
    /// Probabilistic concurrency testing of a depth.
    Pct(usize),
    /// Every interleaving, one after another.
    Dfs,
}

impl Way {
    pub(crate) const ALL: [Way; 5] = [Way::Random, Way::Urw, Way::Pct(2), Way::Pct(3), Way::Dfs];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Way::Random => "Shuttle random",
            Way::Urw => "Shuttle URW",
            Way::Pct(2) => "Shuttle PCT, depth 2",
            Way::Pct(_) => "Shuttle PCT, depth 3",
            Way::Dfs => "Shuttle DFS",
        }
    }

    /// Whether a seed makes a difference.
    pub(crate) const fn is_random(self) -> bool {
        !matches!(self, Way::Dfs)
    }
}

/// Executions of this hunt, the warming one not counted.
static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// Hunts until the program fails, for so many executions.
pub(crate) fn hunt<Q: Program>(way: Way, seed: u64, executions: u64) -> Hunt {
    let most = executions as usize;
    match way {
        Way::Random => hunt_by::<Q, _>(RandomScheduler::new_from_seed(seed, most)),
        Way::Urw => hunt_by::<Q, _>(UrwRandomScheduler::new_from_seed(seed, most)),
        Way::Pct(depth) => hunt_by::<Q, _>(PctScheduler::new_from_seed(seed, depth, most)),
        Way::Dfs => hunt_by::<Q, _>(DfsScheduler::new(Some(most), false)),
    }
}

fn hunt_by<Q: Program, S: Scheduler + 'static>(scheduler: S) -> Hunt {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    EXECUTIONS.store(0, Order::Relaxed);
    let runner = Runner::new(Warmed::new(scheduler), config);
    hunt::until_panic(
        || {
            runner.run(|| match EXECUTIONS.load(Order::Relaxed) {
                0 => warm_up::<Q>(),
                _ => run::<Q>(),
            });
        },
        || EXECUTIONS.load(Order::Relaxed),
    )
}

/// As many threads as the program has, which do nothing: their stacks are there when the hunt begins.
fn warm_up<Q: Program>() {
    let count = Q::THREADS - 1 + usize::from(Q::HAS_DPC);
    let threads: Vec<_> = (0..count).map(|_| thread::spawn(|| ())).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A scheduler after an execution that warms up, of which it does not know.
#[derive(Debug)]
struct Warmed<S> {
    before: Option<RoundRobinScheduler>,
    /// Never dropped: after a failure Shuttle's would print how to repeat it.
    scheduler: ManuallyDrop<S>,
}

impl<S> Warmed<S> {
    fn new(scheduler: S) -> Self {
        let before = Some(RoundRobinScheduler::new(1));
        Warmed { before, scheduler: ManuallyDrop::new(scheduler) }
    }
}

impl<S: Scheduler> Scheduler for Warmed<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        if let Some(schedule) = self.before.as_mut().and_then(Scheduler::new_execution) {
            return Some(schedule);
        }
        if self.before.take().is_some() {
            hunt::begins();
        }
        let schedule = self.scheduler.new_execution()?;
        EXECUTIONS.fetch_add(1, Order::Relaxed);
        Some(schedule)
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        match &mut self.before {
            Some(before) => before.next_task(runnable, current, is_yielding),
            None => self.scheduler.next_task(runnable, current, is_yielding),
        }
    }

    fn next_u64(&mut self) -> u64 {
        self.scheduler.next_u64()
    }
}
