//! Versions 1 and 2, field by field: what each byte of a scenario means, and how often random bytes mean it.
//!
//! These tables *are* the format: an entry may be added to none of them, nor moved, without a new version.

use super::coding::{
    Coding, FalseOneIn, Flags, MostlyLow, Nested, Pick, Range, Rare, TrueOneIn, layout,
};
use crate::event::{MESSAGES_MAX, Routine};
use crate::miniport::puppet::{
    ARGUMENT_MAX, Call, Context, FIRST_SHARED_SLOT, LockName, Op, SLOTS, When,
};
use crate::scenario::policy::PACE_MAX;
use crate::scenario::setup::{
    Affinity, DeviceOrder, Failures, InterruptKind, Manner, Perf, Setup, StartIoMessage,
};
use crate::scenario::step::{
    AdapterAction, Answer, At, Outcome, Query, ResetTier, StepKind, UnitAction,
};
use crate::scenario::{Decision, PolicyKind};

/// The favourite kinds, by their byte. Scripts stand for a whole driver, so they come more often.
pub(super) const FAVOURITES: Pick<StepKind> = Pick(&[
    StepKind::Read,
    StepKind::Write,
    StepKind::Script,
    StepKind::Interrupt,
    StepKind::Script,
    StepKind::Query,
    StepKind::Script,
    StepKind::Reset,
    StepKind::Script,
    StepKind::Adapter,
    StepKind::Write,
    StepKind::Unit,
    StepKind::Flush,
    StepKind::Unmap,
    StepKind::Wait,
    StepKind::FailAllocation,
]);
/// How far `after` is shifted, by the pace byte: at 7 the machine departs from the calm choice at nearly every
/// decision point.
pub(super) const PACES: Pick<u8> = Pick(&[0, 4, 2, 6, 3, 5, 1, 7]);

/// Policies, of version 2.
pub(super) const POLICIES: Pick<PolicyKind> =
    Pick(&[PolicyKind::Recorded, PolicyKind::Random, PolicyKind::Pct]);
/// Paces of random policies.
pub(super) const POLICY_PACES: Range = Range { low: 0, high: PACE_MAX, default: 0 };

layout!(Setup {
    processors: Range { low: 1, high: 8, default: 2 },
    interrupts: Pick(&[
        InterruptKind::Messages,
        InterruptKind::Messages,
        InterruptKind::Messages,
        InterruptKind::Line,
    ]),
    messages: MostlyLow { range: Range { low: 1, high: 64, default: 3 }, often: 10 },
    affinity: Pick(&[Affinity::Spread, Affinity::SpreadFromOne, Affinity::First, Affinity::Last]),
    per_message: FalseOneIn::<2>,
    half_duplex: TrueOneIn::<4>,
    virtual_miniport: TrueOneIn::<8>,
    legacy_srb: TrueOneIn::<4>,
    perf: Flags { all: Perf::ALL.0, default: Perf::ALL.0 },
    channels: Range { low: 1, high: 8, default: 2 },
    start_io_message: Pick(&[
        StartIoMessage::OfProcessor,
        StartIoMessage::Zero,
        StartIoMessage::Last,
        StartIoMessage::RoundRobin,
        StartIoMessage::OfProcessor,
        StartIoMessage::Zero,
        StartIoMessage::RoundRobin,
        StartIoMessage::Refused,
    ]),
    early_interrupts: TrueOneIn::<4>,
    dump: TrueOneIn::<16>,
    control_under_interrupt_lock: TrueOneIn::<4>,
    restart_supported: FalseOneIn::<4>,
    request_slots: Range { low: 1, high: 32, default: 16 },
    failures: Nested,
    device: Nested,
});

layout!(Failures {
    allocation: Rare { one_in: 8, high: 255 },
    uncached_extension: TrueOneIn::<16>,
    device_base: TrueOneIn::<16>,
    passive_initialization: TrueOneIn::<16>,
    perf_opts: TrueOneIn::<8>,
    timer_and_worker: TrueOneIn::<16>,
    scatter_gather: Rare { one_in: 16, high: 63 },
});

layout!(Manner {
    order: Pick(&[DeviceOrder::InOrder, DeviceOrder::Reversed, DeviceOrder::ByLatency]),
    latency: Range { low: 0, high: 15, default: 4 },
    queue_entries: MostlyLow { range: Range { low: 2, high: 64, default: 32 }, often: 7 },
    queue_pairs: Range { low: 1, high: 16, default: 8 },
    slow_ready: TrueOneIn::<8>,
    never_ready: TrueOneIn::<32>,
    queue_creation_fails: Rare { one_in: 16, high: 16 },
    answers_after_reset: TrueOneIn::<4>,
    coalesces: TrueOneIn::<2>,
    spurious_every: Rare { one_in: 4, high: 15 },
    garbage_identify: TrueOneIn::<32>,
});

layout!(At {
    processor: Range { low: 0, high: 7, default: 0 },
    gap: MostlyLow { range: Range { low: 0, high: 24, default: 0 }, often: 6 },
});

layout!(Answer {
    outcome: Pick(&[
        Outcome::Success,
        Outcome::MediaError,
        Outcome::Retry,
        Outcome::Silence,
        Outcome::Late,
        Outcome::NoInterrupt,
        Outcome::Twice,
        Outcome::Garbage,
        Outcome::Success,
        Outcome::Success,
        Outcome::Success,
        Outcome::Success,
        Outcome::Success,
        Outcome::Success,
        Outcome::Success,
        Outcome::Success,
    ]),
    slowness: Range { low: 0, high: 7, default: 0 },
});

layout!(Call {
    routine: Pick(&ROUTINES),
    when: Pick(&WHENS),
    op: Pick(&OPS),
    lock: Pick(&LOCKS),
    context: Pick(&CONTEXTS),
    slot: Pick(&USED_SLOTS),
    argument: ARGUMENTS,
});

layout!(Decision { after: ANY, choice: ANY });

/// Any number.
pub(super) const ANY: Range = Range { low: 0, high: 255, default: 0 };
/// Arguments of script lines: as large as flags, messages and milliseconds need, mostly the number of
/// something that exists and is initialised.
const ARGUMENTS: MostlyLow =
    MostlyLow { range: Range { low: 0, high: ARGUMENT_MAX, default: 0 }, often: 4 };
/// Routines of script lines: the busy ones more often.
const ROUTINES: [Routine; 32] = {
    let busy = [
        Routine::BuildIo,
        Routine::StartIo,
        Routine::Interrupt,
        Routine::MessageInterrupt,
        Routine::Dpc,
    ];
    let mut all = [Routine::StartIo; 32];
    let mut place = 0;
    while place < all.len() {
        let rest = place.wrapping_sub(Routine::ALL.len());
        all[place] =
            if place < Routine::ALL.len() { Routine::ALL[place] } else { busy[rest % busy.len()] };
        place += 1;
    }
    all
};
/// Invocations of script lines: mostly all.
const WHENS: [When; 12] = [
    When::Always,
    When::First,
    When::Second,
    When::Third,
    When::AfterFirst,
    When::EveryOther,
    When::Always,
    When::Always,
    When::Always,
    When::Always,
    When::Always,
    When::Always,
];
/// Slots of script lines: few more often, so that lines meet.
const USED_SLOTS: [u8; 16] = {
    let mut slots = [0; 16];
    let mut place = 0;
    while place < SLOTS {
        slots[place] = place as u8;
        place += 1;
    }
    // Of the rest, most use the first of the stack and some the second and the first shared one.
    slots[SLOTS] = 1;
    slots[SLOTS + 1] = FIRST_SHARED_SLOT as u8;
    slots
};
/// Kinds of locks of script lines: the three that every adapter has more often.
const LOCKS: [LockName; 64] = {
    let busy = [LockName::StartIo, LockName::Interrupt, LockName::Dpc];
    let mut locks = [LockName::StartIo; 64];
    let mut place = 0;
    while place < locks.len() {
        let known = place < LockName::ALL.len();
        locks[place] = if known { LockName::ALL[place] } else { busy[place % busy.len()] };
        place += 1;
    }
    locks
};
/// Contexts of script lines: mostly the proper one.
const CONTEXTS: [Context; 32] = {
    let mut contexts = [Context::Proper; 32];
    let mut place = 0;
    while place < Context::ALL.len() {
        contexts[place] = Context::ALL[place];
        place += 1;
    }
    contexts[place] = Context::Own;
    contexts
};
/// Ops of script lines: each once, then those that scripts are made of. Releases are not among those:
/// what undoes an earlier line has bytes of its own, see [`super::script`].
const OPS: [Op; 192] = {
    let busy = [
        Op::Acquire,
        Op::AcquireEx,
        Op::AcquireMsi,
        Op::Synchronize,
        Op::Acquire,
        Op::KeAcquire,
        Op::KeAcquireAtDpcLevel,
        Op::KeAcquireQueued,
        Op::Acquire,
        Op::IssueDpc,
        Op::Keep,
        Op::CompleteOldest,
        Op::Acquire,
        Op::SendMessage,
        Op::StallMicroseconds,
        Op::QueueWorkItem,
        Op::RequestTimerCall,
        Op::CopyHandle,
        Op::Release,
    ];
    let mut ops = [Op::Acquire; 192];
    let mut place = 0;
    while place < ops.len() {
        let rest = place.wrapping_sub(Op::ALL.len());
        ops[place] = if place < Op::ALL.len() { Op::ALL[place] } else { busy[rest % busy.len()] };
        place += 1;
    }
    ops
};
/// Information requests.
pub(super) const QUERIES: Pick<Query> = Pick(&Query::ALL);
/// Resets.
pub(super) const TIERS: Pick<ResetTier> = Pick(&ResetTier::ALL);
/// Adapter controls; a removal ends the adapter, so it comes seldom.
pub(super) const ADAPTER_ACTIONS: Pick<AdapterAction> = Pick(&[
    AdapterAction::StopAndRestart,
    AdapterAction::PowerCycle,
    AdapterAction::SurpriseRemoval,
    AdapterAction::TracingEnabled,
    AdapterAction::QuerySupported,
    AdapterAction::StopAndRestart,
    AdapterAction::PowerCycle,
    AdapterAction::StopAndRestart,
    AdapterAction::PowerCycle,
    AdapterAction::TracingEnabled,
]);
/// Unit controls; a removal ends the unit, so it comes seldom.
pub(super) const UNIT_ACTIONS: Pick<UnitAction> = Pick(&[
    UnitAction::Start,
    UnitAction::Usage,
    UnitAction::Power,
    UnitAction::Remove,
    UnitAction::SurpriseRemoval,
    UnitAction::Start,
    UnitAction::Usage,
    UnitAction::Power,
    UnitAction::Start,
    UnitAction::Power,
]);
/// First blocks.
pub(super) const BLOCKS: MostlyLow =
    MostlyLow { range: Range { low: 1, high: 48, default: 1 }, often: 9 };
/// Offsets of buffers, in units of 512 bytes.
pub(super) const OFFSETS: Range = Range { low: 0, high: 7, default: 0 };
/// Messages.
pub(super) const MESSAGES: Range = Range { low: 0, high: MESSAGES_MAX as u8 - 1, default: 0 };
