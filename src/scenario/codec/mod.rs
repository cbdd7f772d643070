//! Scenarios as bytes: the *generator* of lockstorm. Whatever a fuzzing engine makes, these functions say
//! what it means, and what a scenario is in bytes.
//!
//! Versions 1 and 2:
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 1 | the version, 1 or 2; every other value is read as 1 |
//! | [`SETUP_BYTES`] | [`Setup`](super::Setup), field by field as `tables` says |
//! | 2 | swarm: kinds of steps that this input does without, a bit each, little endian |
//! | 1 | swarm: the favourite kind, which is never without |
//! | 1 | swarm: pace, by how many bits [`Decision::after`] is shifted down |
//! | [`POLICY_BYTES`] | version 2 only: [`Policy`], as its kind, its seed (little endian), its pace |
//! | 1 | number of steps, modulo [`STEPS_MAX`] + 1 |
//! | 8 each | steps: kind, then what the kind takes; a kind byte from 128 up means the favourite, and bytes of a script line can mean what an earlier line said |
//! | 2 each, to the end | decisions: `after`, `choice` |
//!
//! A scenario is written in the lowest version that can say it: one whose policy is to follow its recorded decisions in
//! version 1, every other in version 2.
//!
//! Decoding is total: input that ends early is continued with zeroes (steps and decisions of which no byte
//! is there are absent), and what is too large is taken modulo. Zeroes mean [`Setup::default`](super::Setup::default). The swarm
//! bytes weigh random input: most inputs do without some kinds and have much of one
//! (<https://users.cs.utah.edu/~regehr/papers/swarm12.pdf>). Encoding is the exact inverse: it writes a swarm
//! without preferences and the plain byte of everything, so `decode(encode(s)) == s` for every
//! [repaired](Scenario::repair) scenario.

mod coding;
mod file;
mod script;
mod tables;
#[cfg(test)]
pub(super) mod tests;

use coding::{Coding, Input, Record};
pub use file::{FormatError, looks_like_text, read};
use script::Lines;
use tables::{
    ADAPTER_ACTIONS, ANY, BLOCKS, FAVOURITES, MESSAGES, OFFSETS, PACES, POLICIES, POLICY_PACES,
    QUERIES, TIERS, UNIT_ACTIONS,
};

use super::step::{Answer, At, Io, IoKind, Step, StepKind};
use super::{DECISIONS_MAX, Decision, Policy, PolicyKind, STEPS_MAX, Scenario};
use crate::event::MESSAGES_MAX;

/// The version that is written for scenarios whose policy is [`Policy::Recorded`].
pub const VERSION: u8 = 1;
/// The version that is written for all others.
pub const VERSION_POLICY: u8 = 2;
/// Bytes of the setup.
pub const SETUP_BYTES: usize = 38;
/// Bytes of the swarm weights.
const SWARM_BYTES: usize = 4;
/// Bytes of the policy, in version 2.
pub const POLICY_BYTES: usize = 4;
/// Bytes before the first step in version 1: version, setup, swarm, number of steps.
pub const HEADER_BYTES: usize = 1 + SETUP_BYTES + SWARM_BYTES + 1;
/// Bytes of a step.
pub const STEP_BYTES: usize = 8;
/// Bytes of a decision.
pub const DECISION_BYTES: usize = 2;
/// Bytes of the longest scenario; what follows them has no meaning.
pub const SCENARIO_BYTES_MAX: usize =
    HEADER_BYTES + POLICY_BYTES + STEPS_MAX * STEP_BYTES + DECISIONS_MAX * DECISION_BYTES;

/// Bytes before the first step in a file of that version.
#[must_use]
pub const fn header_bytes(version: u8) -> usize {
    if version == VERSION_POLICY { HEADER_BYTES + POLICY_BYTES } else { HEADER_BYTES }
}
/// Bytes of the longest file that is read as a scenario: the longest input that fuzzing engines make
/// unless told otherwise is 1 MiB (AFL++), so that what is longer is a file of another kind.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// First kind byte that means the favourite kind.
const FAVOURITE_FROM: u8 = 128;

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

/// Reads a scenario from any bytes into `scenario`, reusing its memory: allocates only the first time.
pub fn decode_into(bytes: &[u8], scenario: &mut Scenario) {
    let mut input = Input::new(bytes);
    let version = input.byte();
    scenario.setup = Record::decode(&mut input);
    let swarm = Swarm::decode(&mut input);
    scenario.policy = match version {
        VERSION_POLICY => decode_policy(&mut input),
        _ => Policy::Recorded,
    };
    let count = usize::from(input.byte()) % (STEPS_MAX + 1);
    let mut lines = Lines::default();
    scenario.steps.clear();
    scenario.steps.reserve(STEPS_MAX);
    while scenario.steps.len() < count
        && let Some([kind, operands @ ..]) = input.chunk::<STEP_BYTES>()
    {
        let kind = swarm.kind(kind);
        scenario.steps.push(match kind {
            StepKind::Script => Step::Script(lines.decode(&operands)),
            _ => decode_step(kind, &operands),
        });
    }
    scenario.schedule.clear();
    scenario.schedule.reserve(DECISIONS_MAX);
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
    let with_policy = scenario.policy != Policy::Recorded;
    output.push(if with_policy { VERSION_POLICY } else { VERSION });
    scenario.setup.encode(output);
    Swarm::encode_plain(output);
    if with_policy {
        encode_policy(scenario.policy, output);
    }
    output.push(steps.len() as u8);
    for step in steps {
        encode_step(step, output);
    }
    for decision in scenario.schedule.iter().take(DECISIONS_MAX) {
        decision.encode(output);
    }
}

fn decode_policy(input: &mut Input<'_>) -> Policy {
    let kind = POLICIES.decode(input);
    let seed = u16::from_le_bytes([input.byte(), input.byte()]);
    let pace = POLICY_PACES.decode(input);
    match kind {
        PolicyKind::Recorded => Policy::Recorded,
        PolicyKind::Random => Policy::Random { seed, pace },
        PolicyKind::Pct => Policy::Pct { seed },
    }
}

fn encode_policy(policy: Policy, output: &mut Vec<u8>) {
    POLICIES.encode(policy.kind(), output);
    let (seed, pace) = match policy {
        Policy::Recorded => (0, 0),
        Policy::Random { seed, pace } => (seed, pace),
        Policy::Pct { seed } => (seed, 0),
    };
    output.extend(seed.to_le_bytes());
    POLICY_PACES.encode(pace, output);
}

fn decode_step(kind: StepKind, operands: &[u8; STEP_BYTES - 1]) -> Step {
    let input = &mut Input::new(operands);
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
