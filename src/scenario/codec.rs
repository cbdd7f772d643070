//! Scenarios as bytes: the *generator* of lockstorm. Whatever a fuzzing engine makes, these functions say
//! what it means, and what a scenario is in bytes.
//!
//! Version 1:
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 1 | the version, 1; every other value is read as 1 |
//! | [`SETUP_BYTES`] | [`Setup`], field by field as the tables below say |
//! | 2 | swarm: kinds of steps that this input does without, a bit each, little endian |
//! | 1 | swarm: the favourite kind, which is never without |
//! | 1 | swarm: pace, by how many bits [`Decision::after`] is shifted down |
//! | 1 | number of steps, modulo [`STEPS_MAX`] + 1 |
//! | 8 each | steps: kind, then what the kind takes; a kind byte from 128 up means the favourite |
//! | 2 each, to the end | decisions: `after`, `choice` |
//!
//! Decoding is total: input that ends early is continued with zeroes (steps and decisions of which no byte
//! is there are absent), and what is too large is taken modulo. Zeroes mean [`Setup::default`]. The swarm
//! bytes weigh random input: most inputs do without some kinds and have much of one
//! (<https://users.cs.utah.edu/~regehr/papers/swarm12.pdf>). Encoding is the exact inverse: it writes a swarm
//! without preferences and the plain byte of everything, so `decode(encode(s)) == s` for every
//! [repaired](Scenario::repair) scenario.

use std::fmt;

use super::coding::{
    Coding, FalseOneIn, Flags, Input, MostlyLow, Nested, Pick, Range, Rare, Record, TrueOneIn,
    layout,
};
use super::setup::{
    Affinity, DeviceOrder, Failures, InterruptKind, Manner, Perf, Setup, StartIoMessage,
};
use super::step::{
    AdapterAction, Answer, At, Io, IoKind, Outcome, Query, ResetTier, Step, StepKind, UnitAction,
};
use super::{DECISIONS_MAX, Decision, STEPS_MAX, Scenario};
use crate::event::{MESSAGES_MAX, Routine};
use crate::miniport::puppet::{Call, Context, LockName, Op, SLOTS, When};

/// The version that is written.
pub const VERSION: u8 = 1;
/// Bytes of the setup.
pub const SETUP_BYTES: usize = 38;
/// Bytes of the swarm weights.
const SWARM_BYTES: usize = 4;
/// Bytes before the first step: version, setup, swarm, number of steps.
pub const HEADER_BYTES: usize = 1 + SETUP_BYTES + SWARM_BYTES + 1;
/// Bytes of a step.
pub const STEP_BYTES: usize = 8;
/// Bytes of a decision.
pub const DECISION_BYTES: usize = 2;
/// Bytes of the longest scenario; what follows them has no meaning.
pub const SCENARIO_BYTES_MAX: usize =
    HEADER_BYTES + STEPS_MAX * STEP_BYTES + DECISIONS_MAX * DECISION_BYTES;
/// Bytes of the longest file that is read as a scenario: the longest input that fuzzing engines make
/// unless told otherwise is 1 MiB (AFL++), so that what is longer is a file of another kind.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// First kind byte that means the favourite kind.
const FAVOURITE_FROM: u8 = 128;
/// The favourite kinds, by their byte. Scripts stand for a whole driver, so they come more often.
const FAVOURITES: Pick<StepKind> = Pick(&[
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
const PACES: Pick<u8> = Pick(&[0, 4, 2, 6, 3, 5, 1, 7]);

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
    when: Pick(&When::ALL),
    op: Pick(&OPS),
    lock: Pick(&LOCKS),
    context: Pick(&CONTEXTS),
    slot: Range { low: 0, high: SLOTS as u8 - 1, default: 0 },
    argument: ANY,
});

layout!(Decision { after: ANY, choice: ANY });

/// Any number.
const ANY: Range = Range { low: 0, high: 255, default: 0 };
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
/// Kinds of locks of script lines: the three that every adapter has more often.
const LOCKS: [LockName; 16] = [
    LockName::Invalid,
    LockName::StartIo,
    LockName::Interrupt,
    LockName::Dpc,
    LockName::ThreadedDpc,
    LockName::StartIo,
    LockName::Interrupt,
    LockName::Dpc,
    LockName::DpcLevel,
    LockName::StartIo,
    LockName::Interrupt,
    LockName::Dpc,
    LockName::Unknown,
    LockName::StartIo,
    LockName::Interrupt,
    LockName::Dpc,
];
/// Contexts of script lines: mostly the proper one.
const CONTEXTS: [Context; 16] = [
    Context::Proper,
    Context::Own,
    Context::Null,
    Context::Dpc,
    Context::Copy,
    Context::Foreign,
    Context::Own,
    Context::Proper,
    Context::Proper,
    Context::Proper,
    Context::Proper,
    Context::Proper,
    Context::Proper,
    Context::Proper,
    Context::Proper,
    Context::Proper,
];
/// Ops of script lines: each once, then those that scripts are made of.
const OPS: [Op; 192] = {
    let busy = [
        Op::Acquire,
        Op::Release,
        Op::AcquireEx,
        Op::Release,
        Op::AcquireMsi,
        Op::ReleaseMsi,
        Op::Synchronize,
        Op::IssueDpc,
        Op::Keep,
        Op::Complete,
        Op::KeAcquire,
        Op::KeRelease,
        Op::Acquire,
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
const QUERIES: Pick<Query> = Pick(&Query::ALL);
/// Resets.
const TIERS: Pick<ResetTier> = Pick(&ResetTier::ALL);
/// Adapter controls; a removal ends the adapter, so it comes seldom.
const ADAPTER_ACTIONS: Pick<AdapterAction> = Pick(&[
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
const UNIT_ACTIONS: Pick<UnitAction> = Pick(&[
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
const BLOCKS: MostlyLow = MostlyLow { range: Range { low: 1, high: 48, default: 1 }, often: 9 };
/// Offsets of buffers, in units of 512 bytes.
const OFFSETS: Range = Range { low: 0, high: 7, default: 0 };
/// Messages.
const MESSAGES: Range = Range { low: 0, high: MESSAGES_MAX as u8 - 1, default: 0 };

impl Coding<Perf> for Flags {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> Perf {
        Perf(Coding::<u8>::decode(self, input))
    }

    fn encode(&self, value: Perf, output: &mut Vec<u8>) {
        Coding::<u8>::encode(self, value.0, output);
    }
}

/// Which kinds of steps an input uses, and how densely it departs from the calm choice.
struct Swarm {
    /// What each plain kind byte, modulo the number of kinds, means in this input.
    kinds: [StepKind; StepKind::ALL.len()],
    favourite: StepKind,
    /// Bits by which [`Decision::after`] is shifted down.
    pace: u8,
}

impl Swarm {
    #[inline]
    fn decode(input: &mut Input<'_>) -> Swarm {
        let without = u16::from_le_bytes([input.byte(), input.byte()]);
        let favourite = FAVOURITES.decode(input);
        let pace = PACES.decode(input);
        let without = without & !(1 << favourite as u16);
        let mut kinds = StepKind::ALL;
        // A kind that is out means the next one that is in, round the end; the favourite always is.
        let mut next = favourite;
        for distance in (1..=kinds.len()).rev() {
            let place = (favourite as usize + distance) % kinds.len();
            if without & (1 << place) == 0 {
                next = StepKind::ALL[place];
            }
            kinds[place] = next;
        }
        Swarm { kinds, favourite, pace }
    }

    /// The swarm without preferences: every byte means what it says.
    fn encode_plain(output: &mut Vec<u8>) {
        output.extend([0; SWARM_BYTES]);
    }

    #[inline]
    fn kind(&self, byte: u8) -> StepKind {
        if byte >= FAVOURITE_FROM {
            self.favourite
        } else {
            self.kinds[usize::from(byte) % self.kinds.len()]
        }
    }
}

/// Reads a scenario from any bytes into `scenario`, reusing its memory.
pub fn decode_into(bytes: &[u8], scenario: &mut Scenario) {
    let mut input = Input::new(bytes);
    let _version = input.byte();
    scenario.setup = Record::decode(&mut input);
    let swarm = Swarm::decode(&mut input);
    let count = usize::from(input.byte()) % (STEPS_MAX + 1);
    scenario.steps.clear();
    scenario.steps.reserve(count);
    while scenario.steps.len() < count
        && let Some([kind, operands @ ..]) = input.chunk::<STEP_BYTES>()
    {
        scenario.steps.push(decode_step(swarm.kind(kind), &operands));
    }
    scenario.schedule.clear();
    while scenario.schedule.len() < DECISIONS_MAX
        && let Some([after, choice]) = input.chunk::<DECISION_BYTES>()
    {
        scenario.schedule.push(Decision { after: after >> swarm.pace, choice });
    }
}

/// Reads a scenario from any bytes.
#[must_use]
pub fn decode(bytes: &[u8]) -> Scenario {
    let mut scenario = Scenario::default();
    decode_into(bytes, &mut scenario);
    scenario
}

/// Appends a scenario's bytes to `output`. What no bytes mean (see [`Scenario::repair`]) is written as the
/// nearest that some mean.
pub fn encode(scenario: &Scenario, output: &mut Vec<u8>) {
    let steps = &scenario.steps[..scenario.steps.len().min(STEPS_MAX)];
    output.push(VERSION);
    scenario.setup.encode(output);
    Swarm::encode_plain(output);
    output.push(steps.len() as u8);
    for step in steps {
        encode_step(step, output);
    }
    for decision in scenario.schedule.iter().take(DECISIONS_MAX) {
        decision.encode(output);
    }
}

fn decode_step(kind: StepKind, operands: &[u8; STEP_BYTES - 1]) -> Step {
    let input = &mut Input::new(operands);
    if kind == StepKind::Script {
        return Step::Script(Call::decode(input).canonical());
    }
    let at = At::decode(input);
    match kind {
        StepKind::Read => Step::Io(at, decode_io(IoKind::Read, input)),
        StepKind::Write => Step::Io(at, decode_io(IoKind::Write, input)),
        StepKind::Flush => Step::Io(at, decode_io(IoKind::Flush, input)),
        StepKind::Unmap => Step::Io(at, decode_io(IoKind::Unmap, input)),
        StepKind::Query => Step::Query(at, QUERIES.decode(input)),
        StepKind::Interrupt => Step::Interrupt(at, MESSAGES.decode(input)),
        StepKind::Reset => Step::Reset(at, TIERS.decode(input)),
        StepKind::Adapter => Step::Adapter(at, ADAPTER_ACTIONS.decode(input)),
        StepKind::Unit => Step::Unit(at, UNIT_ACTIONS.decode(input)),
        StepKind::FailAllocation => Step::FailAllocation(at, ANY.decode(input)),
        StepKind::Wait | StepKind::Script => Step::Wait(at),
    }
}

fn decode_io(kind: IoKind, input: &mut Input<'_>) -> Io {
    let io = Io {
        kind,
        block: ANY.decode(input),
        blocks: BLOCKS.decode(input),
        offset: OFFSETS.decode(input),
        answer: Answer::decode(input),
    };
    io.canonical()
}

fn encode_step(step: &Step, output: &mut Vec<u8>) {
    let start = output.len();
    output.push(step.kind() as u8);
    if let Some(at) = step.at() {
        at.encode(output);
    }
    match *step {
        Step::Io(_, io) => encode_io(io.canonical(), output),
        Step::Query(_, query) => QUERIES.encode(query, output),
        Step::Interrupt(_, message) => output.push(message % MESSAGES_MAX as u8),
        Step::Reset(_, tier) => TIERS.encode(tier, output),
        Step::Adapter(_, action) => ADAPTER_ACTIONS.encode(action, output),
        Step::Unit(_, action) => UNIT_ACTIONS.encode(action, output),
        Step::FailAllocation(_, nth) => output.push(nth),
        Step::Wait(_) => {}
        Step::Script(call) => call.canonical().encode(output),
    }
    output.resize(start + STEP_BYTES, 0);
}

fn encode_io(io: Io, output: &mut Vec<u8>) {
    output.push(io.block);
    BLOCKS.encode(io.blocks, output);
    OFFSETS.encode(io.offset, output);
    io.answer.encode(output);
}

impl Scenario {
    /// Makes of a scenario written by hand one that bytes can say: numbers are brought into their range,
    /// operands that mean nothing get their first value, steps and decisions past the most that there can be
    /// are dropped.
    pub fn repair(&mut self) {
        let mut bytes = Vec::with_capacity(SCENARIO_BYTES_MAX);
        encode(self, &mut bytes);
        decode_into(&bytes, self);
    }
}

impl<'a> arbitrary::Arbitrary<'a> for Scenario {
    /// [`decode`] of all bytes that are left.
    fn arbitrary(bytes: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(decode(bytes.bytes(bytes.len())?))
    }

    fn arbitrary_take_rest(bytes: arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(decode(bytes.take_rest()))
    }

    fn size_hint(_depth: usize) -> (usize, Option<usize>) {
        (0, None)
    }
}

/// Why a file is no scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// It has no bytes.
    Empty,
    /// It was written by another version, or is no scenario at all.
    Version {
        /// Its first byte.
        found: u8,
    },
    /// It is longer than [`FILE_BYTES_MAX`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It ends inside the part before the first step.
    TruncatedHeader {
        /// Its length.
        bytes: usize,
    },
    /// It ends inside or before a step that it announces.
    TruncatedStep {
        /// Which, counted from 1.
        step: usize,
        /// How many it announces.
        of: usize,
        /// Its length.
        bytes: usize,
    },
    /// It ends inside a decision.
    TruncatedDecision {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FormatError::Empty => {
                write!(f, "empty file, expected a scenario of at least {HEADER_BYTES} bytes")
            }
            FormatError::Version { found } => {
                write!(f, "byte 0: format version {found}, expected {VERSION}")
            }
            FormatError::TooLong { bytes } => {
                write!(f, "{bytes} bytes, a scenario has at most {FILE_BYTES_MAX}")
            }
            FormatError::TruncatedHeader { bytes } => {
                write!(
                    f,
                    "byte {bytes}: the file ends inside the setup, which takes {HEADER_BYTES} bytes"
                )
            }
            FormatError::TruncatedStep { step, of, bytes } => {
                write!(f, "byte {bytes}: the file ends in step {step} of {of}")
            }
            FormatError::TruncatedDecision { bytes } => {
                write!(f, "byte {bytes}: the file ends inside a decision")
            }
        }
    }
}

impl std::error::Error for FormatError {}

/// Reads a file that claims to be a scenario. Unlike [`decode`], which takes whatever an engine makes, this
/// tells a file of another kind, or a part of one, from a scenario.
///
/// # Errors
///
/// What is wrong, and at which byte.
pub fn read(bytes: &[u8]) -> Result<Scenario, FormatError> {
    let length = bytes.len();
    if length > FILE_BYTES_MAX {
        return Err(FormatError::TooLong { bytes: length });
    }
    match bytes.first() {
        None => return Err(FormatError::Empty),
        Some(&VERSION) => {}
        Some(&found) => return Err(FormatError::Version { found }),
    }
    if length < HEADER_BYTES {
        return Err(FormatError::TruncatedHeader { bytes: length });
    }
    let of = usize::from(bytes[HEADER_BYTES - 1]) % (STEPS_MAX + 1);
    let rest = length - HEADER_BYTES;
    if rest < of * STEP_BYTES {
        return Err(FormatError::TruncatedStep { step: rest / STEP_BYTES + 1, of, bytes: length });
    }
    if length < SCENARIO_BYTES_MAX && (rest - of * STEP_BYTES) % DECISION_BYTES != 0 {
        return Err(FormatError::TruncatedDecision { bytes: length });
    }
    Ok(decode(bytes))
}

/// Whether a file is a scenario's text rather than its bytes.
#[must_use]
pub fn looks_like_text(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    [&b"("[..], b"//", b"/*", b"#!"].iter().any(|start| bytes.starts_with(start))
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
