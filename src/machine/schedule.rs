//! Decision points, and what can be chosen at one.
//!
//! Nearly every decision point is passed calmly, so the fast path is two comparisons and three additions.
//! The recorded schedule says after how many points the next departure comes; when it is spent, every choice is
//! calm, but that a processor yields to one that was preempted when its quantum is over. Other policies than the
//! recorded one decide in [`super::policy`].

use super::deferred::{Deferred, Task};
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
    #[inline(always)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Departure {
    /// Deliver this pending interrupt here.
    Interrupt(u8),
    /// Go on with that processor.
    Switch(u8),
    /// The device or timer that is due next does its work now.
    Hasten,
}

/// Interrupts that can be chosen at one decision point, at most.
const INTERRUPTS_MAX: u32 = 4;

/// What can be chosen at a decision point: interrupts and processors, a bit each, and time's leap.
#[derive(Clone, Copy)]
struct Departures {
    interrupts: u64,
    /// How many of them, at most [`INTERRUPTS_MAX`].
    interrupt_count: u8,
    processors: u8,
    hasten: bool,
}

impl Departures {
    /// The one that `choice` names.
    #[inline]
    fn chosen(self, choice: u8) -> Option<Departure> {
        let index = choice.checked_rem(self.count())?;
        Some(match index.checked_sub(self.interrupt_count) {
            None => Departure::Interrupt(nth_bit(self.interrupts, index)),
            Some(nth) => match nth_bit(self.processors.into(), nth) {
                NO_BIT => Departure::Hasten,
                processor => Departure::Switch(processor),
            },
        })
    }

    fn count(self) -> u8 {
        self.interrupt_count + self.processors.count_ones() as u8 + u8::from(self.hasten)
    }

    /// All of them, in the order in which choices number them.
    fn iter(self) -> impl Iterator<Item = Departure> {
        (0..self.count()).filter_map(move |choice| self.chosen(choice))
    }
}

/// No bit's place.
const NO_BIT: u8 = u64::BITS as u8;

/// The place of the bit that has `index` bits below it; [`NO_BIT`] without one.
#[inline]
fn nth_bit(mut bits: u64, index: u8) -> u8 {
    for _ in 0..index {
        bits &= bits.wrapping_sub(1);
    }
    bits.trailing_zeros() as u8
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
    #[inline(never)]
    fn point_slow(self) {
        match self.act(State::decide) {
            None => {}
            Some(Departure::Hasten) => self.act(State::hasten),
            Some(Departure::Interrupt(message)) => self.deliver(message),
            Some(Departure::Switch(_)) => self.suspend(),
        }
        if self.with(|s| s.mutant.waits) {
            self.settle_mutant();
        }
    }
}

impl<S: Sink> State<S> {
    /// Does what is due at a decision point, and says what is chosen there.
    #[inline]
    fn decide(&mut self) -> Option<Departure> {
        if self.time >= self.due {
            self.run_due();
        }
        let account = self.schedule.settle();
        if self.schedule.observed {
            self.tell_point();
        }
        if self.schedule.spent() {
            self.hang();
        }
        match account {
            _ if self.schedule.chooser.priorities().is_some() => self.rank(account),
            Account { departure: Some(choice), .. } => self.depart(choice),
            Account { over: true, .. } => self.yield_to_others(),
            _ => None,
        }
    }

    /// Departs as `choice` says, if anything can be chosen; notes a switch for the drive loop.
    #[inline]
    fn depart(&mut self, choice: u8) -> Option<Departure> {
        let departure = self.departures().chosen(choice)?;
        if let Departure::Switch(processor) = departure {
            self.switch_to(processor);
        }
        Some(departure)
    }

    /// Lets the processor go on that was preempted first, if one was.
    #[cold]
    fn yield_to_others(&mut self) -> Option<Departure> {
        let others = self.departures().processors;
        let other = numbers(others).min_by_key(|&p| self.processors[p].preempted)?;
        self.switch_to(other as u8);
        Some(Departure::Switch(other as u8))
    }

    /// What has the highest priority of all that could go on here, if that is not what runs. Where only what runs
    /// could, a change point lets time leap instead.
    #[inline(never)]
    fn rank(&mut self, account: Account) -> Option<Departure> {
        let departures = self.departures();
        let current = self.current;
        let priorities = self.schedule.chooser.priorities()?;
        let change = account.departure.is_some() || account.over;
        if change {
            priorities.lower(current);
        }
        let mut best = (priorities.processor(current), None);
        for departure in departures.iter() {
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
        let can_move = self.locks.movable() | self.idle_with_work();
        let priorities = self.schedule.chooser.priorities()?;
        numbers(can_move).max_by_key(|&p| priorities.processor(p))
    }

    /// Notes a switch to another processor that gets anywhere; `false` if there is none.
    pub(super) fn let_another_rest(&mut self) -> bool {
        let others = self.can_go_on() & !(1 << self.current);
        let other = numbers(others).next();
        if let Some(other) = other {
            self.switch_to(other as u8);
        }
        other.is_some()
    }

    fn switch_to(&mut self, processor: u8) {
        self.order += 1;
        self.processor().preempted = self.order;
        self.schedule_next = Some(processor);
    }

    /// Tells the sink what could be chosen here.
    #[cold]
    fn tell_point(&mut self) {
        let departures = self.departures();
        let mut point = Point {
            time: self.time,
            processor: self.current as u8,
            interrupts: departures.interrupt_count,
            processors: departures.processors,
            due: self.due,
            preempted: 0,
        };
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

    /// What exists now.
    #[inline(always)]
    fn departures(&self) -> Departures {
        let interrupts = self.deliverable(self.current);
        let interrupt_count = match interrupts {
            0 => 0,
            _ => interrupts.count_ones().min(INTERRUPTS_MAX) as u8,
        };
        let processors = self.can_go_on() & !(1 << self.current);
        Departures { interrupts, interrupt_count, processors, hasten: self.due != u64::MAX }
    }

    /// The processors that would get anywhere if they were resumed, a bit each.
    #[inline(always)]
    fn can_go_on(&self) -> u8 {
        let mut can = self.locks.movable() | self.idle_with_work();
        if self.interrupts.any() {
            let waiting = self.under_way & !self.locks.movable();
            can |= self.of(waiting, |s, p| s.deliverable(p) != 0);
        }
        can
    }

    /// The processors that have nothing under way and something to do, a bit each.
    #[inline(always)]
    pub(super) fn idle_with_work(&self) -> u8 {
        let all = (1_u16 << self.processor_count) - 1;
        let idle = all as u8 & !self.under_way;
        let mut work = self.of(idle & self.given, Self::has_work);
        if self.interrupts.any() {
            work |= self.of(idle, |s, p| s.deliverable(p) != 0);
        }
        work
    }

    /// Whether an idle processor was given something that it can do.
    fn has_work(&self, processor: usize) -> bool {
        !self.processors[processor].tasks.is_empty() || self.has_deferred(processor)
    }

    /// Gives a processor work for a thread; `false` if it has too much.
    pub(super) fn assign(&mut self, processor: usize, task: Task) -> bool {
        self.given |= 1 << processor;
        self.processors[processor].tasks.push(task)
    }

    /// Gives a processor work at DISPATCH_LEVEL, unless it has that already.
    pub(super) fn defer(&mut self, processor: usize, work: Deferred) {
        self.given |= 1 << processor;
        self.processors[processor].deferred.push_once(work);
    }

    /// The current processor has done all that it could.
    pub(super) fn rest(&mut self) {
        self.set_status(Status::Idle);
        let p = self.processor();
        if p.tasks.is_empty() && p.deferred.is_empty() {
            self.given &= !(1 << self.current);
        }
    }

    /// Those of some processors of which `holds` holds.
    #[inline]
    fn of(&self, processors: u8, holds: impl Fn(&Self, usize) -> bool) -> u8 {
        let keep = |kept, p| kept | u8::from(holds(self, p)) << p;
        numbers(processors).fold(0, keep)
    }
}

/// The numbers of the processors whose bits are set, lowest first.
#[inline]
pub(super) fn numbers(mut processors: u8) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (processors != 0).then(|| processors.trailing_zeros() as usize)?;
        processors &= processors - 1;
        Some(lowest)
    })
}
