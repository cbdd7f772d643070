//! Decision points, and what can be chosen at one.
//!
//! Nearly every decision point is passed calmly, so the fast path is two comparisons and three additions.
//! The recorded schedule says after how many points the next departure comes; when it is spent, every choice is
//! calm, but that a processor yields to one that was preempted when its quantum is over. Other policies than the
//! recorded one decide in [`super::policy`].

use super::interrupt::Delivery;
use super::policy::Chooser;
use super::port::Port;
use super::processor::Status;
use super::state::{State, TICK_NS};
use crate::event::{PROCESSORS_MAX, Point, Sink};
use crate::scenario::{DECISIONS_MAX, Decision, Policy};

/// Decision points that one run may pass; a run past it is a hang. Of a million random runs of the NVMe core
/// the longest that becomes quiet passes less than half of this.
pub(super) const DECISION_BUDGET: u64 = 50_000;

/// Points after which a processor yields to one that was preempted, calm or not. On real processors both run at
/// once: code that waits for the other to do something must not wait for ever.
const QUANTUM: u64 = 512;

/// By how much more points a run may pass where accesses to memory are points too: of the NVMe core's points, up to nine
/// in ten are then accesses.
const MEMORY_FACTOR: u64 = 16;

/// The recorded schedule and how far it has come.
#[derive(Debug)]
pub(super) struct Schedule {
    decisions: Vec<Decision>,
    next: usize,
    chooser: Chooser,
    /// What the next departure chooses.
    choice: u8,
    /// Points until the slow path must look.
    fuse: u64,
    /// What `fuse` was set to.
    armed: u64,
    /// Points passed, up to when the fuse was armed.
    passed: u64,
    /// Where the fuse must end for the next decision; `u64::MAX` when the schedule is spent.
    decision_at: u64,
    /// Where it must end for the sake of others.
    yield_at: u64,
    /// Points that the run may pass.
    budget: u64,
    /// The sink is told of every point, which takes the slow path.
    pub(super) observed: bool,
    /// Every point takes the slow path for the sake of a mutation.
    attended: bool,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            decisions: Vec::with_capacity(DECISIONS_MAX),
            next: 0,
            chooser: Chooser::Nobody,
            choice: 0,
            fuse: 0,
            armed: 0,
            passed: 0,
            decision_at: u64::MAX,
            yield_at: QUANTUM,
            budget: DECISION_BUDGET,
            observed: false,
            attended: false,
        }
    }
}

impl Schedule {
    /// A new run; in one with `memory`, accesses to memory are decision points too.
    pub(super) fn power_on(&mut self, decisions: &[Decision], policy: Policy, memory: bool) {
        self.budget = DECISION_BUDGET * if memory { MEMORY_FACTOR } else { 1 };
        self.decisions.clear();
        self.decisions.extend_from_slice(&decisions[..decisions.len().min(DECISIONS_MAX)]);
        (self.next, self.passed, self.yield_at) = (0, 0, QUANTUM);
        self.attended = false;
        self.chooser = Chooser::new(policy);
        self.plan();
        self.arm();
    }

    /// Looks up the next departure.
    fn plan(&mut self) {
        let recorded = self.decisions.get(self.next).copied();
        self.next += usize::from(recorded.is_some());
        self.decision_at = u64::MAX;
        if let Some(decision) = recorded.or_else(|| self.chooser.departure()) {
            self.decision_at = self.passed + u64::from(decision.after) + 1;
            self.choice = decision.choice;
        }
    }

    fn arm(&mut self) {
        let far = self.decision_at.min(self.yield_at).min(self.budget) - self.passed;
        let every = self.observed || self.attended || self.chooser.priorities().is_some();
        self.armed = if every { 1 } else { far };
        self.fuse = self.armed;
    }

    /// Lets every point take the slow path, from the next one on, or no longer.
    pub(super) fn attend(&mut self, on: bool) {
        if on && !self.attended {
            self.passed = self.passed();
            (self.armed, self.fuse) = (1, 1);
        }
        self.attended = on;
    }

    /// Decision points passed in this run.
    pub(super) fn passed(&self) -> u64 {
        self.passed + (self.armed - self.fuse)
    }

    /// Passes one point; `true` if the slow path must look.
    #[inline]
    fn pass(&mut self) -> bool {
        self.fuse -= 1;
        self.fuse == 0
    }

    /// Settles the account at the slow path: what is due now.
    fn settle(&mut self) -> Account {
        self.passed = self.passed();
        let over = self.quantum_is_over();
        let departure = (self.passed == self.decision_at).then(|| {
            let choice = self.choice;
            self.plan();
            choice
        });
        if self.passed < self.budget {
            self.arm();
        } else {
            // Re-arms at one, so that every further point comes here again.
            (self.armed, self.fuse) = (1, 1);
        }
        Account { departure, over }
    }

    /// Whether the processor has had its time; starts the next one's.
    fn quantum_is_over(&mut self) -> bool {
        let over = self.passed >= self.yield_at;
        if over {
            self.yield_at = self.passed + QUANTUM;
        }
        over
    }

    fn spent(&self) -> bool {
        self.passed >= self.budget
    }
}

/// What is due when the fuse ends.
#[derive(Clone, Copy)]
struct Account {
    /// A decision of the schedule.
    departure: Option<u8>,
    /// The processor's time is over.
    over: bool,
}

/// A departure from the calm choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Departure {
    /// Deliver this pending interrupt here.
    Interrupt(u8),
    /// Go on with that processor.
    Switch(u8),
    /// The device or timer that is due next does its work now.
    #[default]
    Hasten,
}

/// What can be chosen at a decision point; at most one for each message up to a limit, and one a processor.
#[derive(Default)]
struct Departures {
    items: [Departure; 16],
    count: usize,
}

impl Departures {
    /// Adds it if it exists. Written either way: which processors can go on is as good as random, so a branch on it
    /// would be mispredicted half of the time.
    #[inline]
    fn add(&mut self, departure: Departure, exists: bool) {
        if let Some(item) = self.items.get_mut(self.count) {
            *item = departure;
            self.count += usize::from(exists);
        }
    }

    /// The one that `choice` names.
    fn chosen(&self, choice: u8) -> Option<Departure> {
        let index = usize::from(choice).checked_rem(self.count)?;
        self.items.get(index).copied()
    }
}

impl<S: Sink + 'static> Port<S> {
    /// A decision point: time passes, and something else may happen first.
    #[inline]
    pub(super) fn point(self) {
        let slow = self.with(|s| {
            s.time += TICK_NS;
            s.processor().busy += TICK_NS;
            s.schedule.pass() | (s.time >= s.due)
        });
        if slow {
            self.point_slow();
        }
    }

    /// The decision point before an access to memory: something else may happen first, but no time passes, because an
    /// access takes next to none beside a DDI call.
    pub(super) fn memory_point(self) {
        if self.with(|s| s.schedule.pass()) {
            self.point_slow();
        }
    }

    #[cold]
    fn point_slow(self) {
        if self.with(|s| s.mutant.waits) {
            self.settle_mutant();
        }
        let departure = self.act(|s| {
            if s.time >= s.due {
                s.run_due();
            }
            let account = s.schedule.settle();
            if s.schedule.observed {
                s.tell_point();
            }
            if s.schedule.spent() {
                s.hang();
            }
            match account {
                _ if s.schedule.chooser.priorities().is_some() => s.rank(account),
                Account { departure: Some(choice), .. } => s.depart(choice),
                Account { over: true, .. } => s.yield_to_others(),
                _ => None,
            }
        });
        match departure {
            None => {}
            Some(Departure::Hasten) => self.act(State::hasten),
            Some(Departure::Interrupt(message)) => self.deliver(message),
            Some(Departure::Switch(_)) => self.suspend(),
        }
    }
}

impl<S: Sink> State<S> {
    /// Departs as `choice` says, if anything can be chosen; notes a switch for the drive loop.
    fn depart(&mut self, choice: u8) -> Option<Departure> {
        let mut departures = Departures::default();
        self.list(&mut departures);
        let departure = departures.chosen(choice)?;
        if let Departure::Switch(processor) = departure {
            self.switch_to(processor);
        }
        Some(departure)
    }

    /// Lets the processor go on that was preempted first, if one was.
    fn yield_to_others(&mut self) -> Option<Departure> {
        let other = (0..self.processor_count)
            .filter(|&p| p != self.current && self.can_go_on(p))
            .min_by_key(|&p| self.processors[p].preempted)?;
        self.switch_to(other as u8);
        Some(Departure::Switch(other as u8))
    }

    /// What has the highest priority of all that could go on here, if that is not what runs. Where only what runs
    /// could, a change point lets time leap instead.
    fn rank(&mut self, account: Account) -> Option<Departure> {
        let mut departures = Departures::default();
        self.list(&mut departures);
        let current = self.current;
        let priorities = self.schedule.chooser.priorities()?;
        let change = account.departure.is_some() || account.over;
        if change {
            priorities.lower(current);
        }
        let mut best = (priorities.processor(current), None);
        for &departure in &departures.items[..departures.count] {
            let priority = match departure {
                Departure::Interrupt(message) => priorities.message(message),
                Departure::Switch(processor) => priorities.processor(usize::from(processor)),
                Departure::Hasten if change => i16::MIN,
                Departure::Hasten => continue,
            };
            let alone = departure == Departure::Hasten && best.1.is_none();
            if priority > best.0 || alone {
                best = (priority, Some(departure));
            }
        }
        if let Some(Departure::Switch(processor)) = best.1 {
            self.switch_to(processor);
        }
        best.1
    }

    /// The processor of the highest priority among those that can move, if priorities choose.
    pub(super) fn ranked(&mut self) -> Option<usize> {
        self.schedule.chooser.priorities()?;
        let can_move = |s: &Self, p: usize| {
            s.is_movable(p) || (s.processors[p].status == Status::Idle && s.has_work(p))
        };
        let movable: [bool; PROCESSORS_MAX] =
            std::array::from_fn(|p| p < self.processor_count && can_move(self, p));
        let priorities = self.schedule.chooser.priorities()?;
        (0..PROCESSORS_MAX).filter(|&p| movable[p]).max_by_key(|&p| priorities.processor(p))
    }

    fn switch_to(&mut self, processor: u8) {
        self.order += 1;
        self.processor().preempted = self.order;
        self.schedule_next = Some(processor);
    }

    /// Tells the sink what could be chosen here.
    fn tell_point(&mut self) {
        let (time, due) = (self.time, self.due);
        let processor = self.current as u8;
        let mut point = Point { time, due, processor, ..Point::default() };
        let mut departures = Departures::default();
        self.list(&mut departures);
        for departure in &departures.items[..departures.count] {
            match departure {
                Departure::Interrupt(_) => point.interrupts += 1,
                Departure::Switch(processor) => point.processors |= 1 << processor,
                Departure::Hasten => {}
            }
        }
        let mut busy = [(0, 0); PROCESSORS_MAX];
        let mut count = 0;
        for (number, processor) in self.processors[..self.processor_count].iter().enumerate() {
            if processor.status != Status::Idle && number != self.current {
                busy[count] = (processor.preempted, number as u32 + 1);
                count += 1;
            }
        }
        busy[..count].sort_unstable();
        point.preempted =
            busy[..count].iter().rev().fold(0, |order, (_, number)| order << 4 | number);
        self.sink.passes(&point);
    }

    /// Adds what exists now. In place: a table of bytes that is copied just after it was written stalls.
    #[inline]
    fn list(&self, departures: &mut Departures) {
        let mut pending = self.deliverable(self.current);
        for _ in 0..4 {
            let Some(message) = Delivery::first(pending) else { break };
            departures.add(Departure::Interrupt(message), true);
            pending &= pending - 1;
        }
        for processor in 0..self.processor_count {
            let exists = processor != self.current && self.can_go_on(processor);
            departures.add(Departure::Switch(processor as u8), exists);
        }
        departures.add(Departure::Hasten, self.due != u64::MAX);
    }

    /// Whether resuming the processor would get anywhere.
    #[inline]
    pub(super) fn can_go_on(&self, processor: usize) -> bool {
        match self.processors[processor].status {
            Status::Busy => true,
            Status::Waiting(lock) => {
                self.is_granted(processor, lock) || self.deliverable(processor) != 0
            }
            Status::Idle => self.has_work(processor),
        }
    }

    /// Whether an idle processor has something to do.
    #[inline]
    pub(super) fn has_work(&self, processor: usize) -> bool {
        let p = &self.processors[processor];
        !p.tasks.is_empty() || self.has_deferred(processor) || self.deliverable(processor) != 0
    }
}
