//! Writes a part as a scenario for the puppet.

use std::collections::BTreeSet;

use super::Before;
use super::fold::{Act, Folded, Invocation, fold, is_question};
use super::slots;
use crate::event::{Adapter, Duplex, Event, Interrupts, Lock, Miniport, Routine};
use crate::miniport::puppet::{
    Call, DPCS, DPCS_INITIALIZED, EXECUTIVE_LOCKS, EXECUTIVE_LOCKS_INITIALIZED, Op, When,
};
use crate::scenario::{Affinity, At, InterruptKind, Perf, Scenario, Setup, Step};

/// The largest gap, as a power of two of microseconds.
const GAP_MAX: u32 = 24;

/// The scenario of these events, with the calm schedule; `None` if a script cannot say them, or no longer one than
/// `steps_max`.
pub(super) fn compose(before: Before, events: &[Event], steps_max: usize) -> Option<Scenario> {
    let folded = fold(before, events);
    let numbers = Numbers::of(&folded)?;
    let slots = slots::assign(&folded.uses());
    let adapter = folded.before.adapter;
    let mut calls = numbers.initialize();
    calls.extend(adapter.and_then(perf));
    for routine in Routine::ALL {
        calls.extend(lines(&folded, routine, |act| numbers.line(act, &slots, routine))?);
    }
    let mut steps: Vec<Step> = calls.into_iter().map(|c| Step::Script(c.canonical())).collect();
    steps.extend(causes(&folded));
    if steps.len() > steps_max {
        return None;
    }
    let mut scenario = Scenario { setup: setup(&folded), steps, ..Scenario::default() };
    scenario.repair();
    Some(scenario)
}

/// The lines of one callback, if [`When`] can tell its runs apart.
fn lines(folded: &Folded, routine: Routine, line: impl Fn(&Act) -> Call) -> Option<Vec<Call>> {
    let of_routine = |run: &&Invocation| run.routine == routine && !is_question(run);
    let runs: Vec<(Vec<Call>, bool)> = folded
        .invocations
        .iter()
        .filter(of_routine)
        .map(|run| (run.acts.iter().map(&line).collect(), run.complete))
        .collect();
    let Some(((first, _), rest)) = runs.split_first() else { return Some(Vec::new()) };
    // One that the record ends in the middle of is like another if what there is of it is.
    let alike = |calls: &[Call], (other, complete): &(Vec<Call>, bool)| {
        if *complete { calls == other } else { calls.starts_with(other) }
    };
    let say = |calls: &[Call], when| calls.iter().map(|c| c.when(when)).collect::<Vec<_>>();
    let empty = |(calls, _): &(Vec<Call>, bool)| calls.is_empty();
    if rest.iter().all(|other| alike(first, other)) {
        return Some(say(first, When::Always));
    }
    if let Some((second, others)) = rest.split_first()
        && others.iter().all(|other| alike(&second.0, other))
        && (others.len() > 1 || !second.0.is_empty() && !others.is_empty())
    {
        return Some([say(first, When::First), say(&second.0, When::AfterFirst)].concat());
    }
    let (even, odd): (Vec<_>, Vec<_>) = runs.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    if odd.iter().all(|(_, run)| empty(run)) && even.iter().all(|(_, run)| alike(first, run)) {
        return Some(say(first, When::EveryOther));
    }
    let three = [When::First, When::Second, When::Third];
    let (said, unsaid) = runs.split_at(runs.len().min(three.len()));
    unsaid
        .iter()
        .all(empty)
        .then(|| said.iter().zip(three).flat_map(|((calls, _), when)| say(calls, when)).collect())
}

/// Steps, with their gaps.
fn causes(folded: &Folded) -> impl Iterator<Item = Step> {
    let mut before = folded.causes.first().map_or(0, |&(time, _)| time);
    folded.causes.iter().map(move |&(time, step)| {
        let waited_us = (time - before) / 1000;
        before = time;
        let gap = waited_us.checked_ilog2().unwrap_or(0).min(GAP_MAX) as u8;
        delayed(step, gap)
    })
}

fn delayed(step: Step, gap: u8) -> Step {
    let later = |at: At| At { gap, ..at };
    match step {
        Step::Io(at, io) => Step::Io(later(at), io),
        Step::Query(at, query) => Step::Query(later(at), query),
        Step::Interrupt(at, message) => Step::Interrupt(later(at), message),
        Step::Reset(at, tier) => Step::Reset(later(at), tier),
        Step::Adapter(at, action) => Step::Adapter(later(at), action),
        Step::Unit(at, action) => Step::Unit(later(at), action),
        Step::FailAllocation(..) | Step::Wait(_) | Step::Script(_) => step,
    }
}

fn setup(folded: &Folded) -> Setup {
    let processors = folded.before.processors.max(1);
    let mut setup = Setup { processors, request_slots: 32, ..Setup::default() };
    setup.early_interrupts = folded.early_interrupts;
    setup.restart_supported = !folded.found_anew;
    if let Some(adapter) = folded.before.adapter {
        setup.virtual_miniport = adapter.miniport == Miniport::Virtual;
        setup.half_duplex = adapter.duplex == Duplex::Half && !setup.virtual_miniport;
        setup.per_message = adapter.interrupts == Interrupts::PerMessage;
        if adapter.interrupts == Interrupts::Line {
            setup.interrupts = InterruptKind::Line;
        }
        setup.messages = adapter.messages.max(1);
        setup.channels = adapter.channels.max(1);
        setup.dump = adapter.dump;
        setup.control_under_interrupt_lock = adapter.control_under_interrupt_lock;
    }
    setup.affinity = affinity(folded, processors, setup.affinity);
    setup
}

/// The affinity by which most interrupts come to the processor that the record says.
fn affinity(folded: &Folded, processors: u8, otherwise: Affinity) -> Affinity {
    let agrees = |affinity: Affinity| {
        let target = |message: u8| match affinity {
            Affinity::Spread => message % processors,
            Affinity::SpreadFromOne => (message + processors - 1) % processors,
            Affinity::First => 0,
            Affinity::Last => processors - 1,
        };
        folded.raised.iter().filter(|&&(message, on)| target(message) == on).count()
    };
    let all = Affinity::ALL.into_iter().filter(|&other| other != otherwise);
    all.fold(otherwise, |best, other| if agrees(other) > agrees(best) { other } else { best })
}

/// The options that the adapter was granted, asked for.
fn perf(adapter: Adapter) -> Option<Call> {
    let channels = if adapter.channels > 1 { Perf::CONCURRENT_CHANNELS } else { 0 };
    let completes =
        if adapter.completes_in_start_io { Perf::COMPLETION_DURING_START_IO } else { 0 };
    let call = Call::new(Routine::PassiveInitialize, Op::InitializePerfOpts);
    (channels | completes != 0).then_some(call.argument(channels | completes))
}

/// Which DPC and executive lock of the puppet stands for which of the record.
struct Numbers {
    dpcs: Vec<(u8, u8)>,
    executive: Vec<(u8, u8)>,
    uninitialized: u32,
}

impl Numbers {
    /// `None` if there are more than the puppet has.
    fn of(folded: &Folded) -> Option<Numbers> {
        let (mut dpcs, mut executive) = (BTreeSet::new(), BTreeSet::new());
        for act in folded.invocations.iter().flat_map(|run| &run.acts) {
            match act.object {
                Some(Lock::Dpc(number)) => _ = dpcs.insert(number),
                Some(Lock::Executive(number)) => _ = executive.insert(number),
                _ => {}
            }
        }
        for run in folded.invocations.iter().filter(|run| run.routine == Routine::Dpc) {
            dpcs.insert(run.subject as u8);
        }
        let uninitialized = folded.uninitialized;
        Some(Numbers {
            dpcs: place(&dpcs, 0, (DPCS_INITIALIZED, DPCS))?,
            executive: place(
                &executive,
                uninitialized,
                (EXECUTIVE_LOCKS_INITIALIZED, EXECUTIVE_LOCKS),
            )?,
            uninitialized,
        })
    }

    /// Lines that initialise those that the puppet does not initialise by itself.
    fn initialize(&self) -> Vec<Call> {
        let first =
            |routine, op, number: u8| Call::new(routine, op).argument(number).when(When::First);
        let locks = self.executive.iter().filter(|&&(number, at)| {
            usize::from(at) >= EXECUTIVE_LOCKS_INITIALIZED && self.uninitialized & 1 << number == 0
        });
        let dpcs = self.dpcs.iter().filter(|&&(_, at)| usize::from(at) >= DPCS_INITIALIZED);
        let locks = locks.map(|&(_, at)| first(Routine::FindAdapter, Op::KeInitialize, at));
        locks
            .chain(dpcs.map(|&(_, at)| first(Routine::PassiveInitialize, Op::InitializeDpc, at)))
            .collect()
    }

    /// The line of an act.
    fn line(&self, act: &Act, slots: &[u8], routine: Routine) -> Call {
        let mut call = Call { routine, ..act.call };
        let find = |places: &[(u8, u8)], number: u8| {
            places.iter().find(|place| place.0 == number).map_or(0, |place| place.1)
        };
        if let Some(handle) = act.handle {
            call.slot = slots[handle];
        }
        match (act.object, act.copy) {
            (Some(Lock::Dpc(number)), _) => call.argument = find(&self.dpcs, number),
            (Some(Lock::Executive(number)), _) => call.argument = find(&self.executive, number),
            (Some(Lock::Message(number)), _) => call.argument = number,
            (_, Some(copy)) => call.argument = slots[copy],
            _ => {}
        }
        call.canonical()
    }
}

/// A place for each number: its own if the puppet initialises that one, else the first that is free. What must not be
/// initialised takes the last ones.
fn place(
    numbers: &BTreeSet<u8>,
    uninitialized: u32,
    (initialized, count): (usize, usize),
) -> Option<Vec<(u8, u8)>> {
    let is_uninitialized = |number: u8| uninitialized & 1 << number != 0;
    let keeps = |number: u8| usize::from(number) < initialized && !is_uninitialized(number);
    let mut places: Vec<(u8, u8)> =
        numbers.iter().filter(|&&n| keeps(n)).map(|&number| (number, number)).collect();
    for &number in numbers.iter().filter(|&&number| !keeps(number)) {
        let is_free = |at: &u8| places.iter().all(|place| place.1 != *at);
        let at = if is_uninitialized(number) {
            (initialized as u8..count as u8).rev().find(is_free)
        } else {
            (0..count as u8).find(is_free)
        };
        places.push((number, at?));
    }
    Some(places)
}
