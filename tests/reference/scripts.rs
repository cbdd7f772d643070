//! Random scenarios for the puppet: a machine, a script, and what happens to the adapter meanwhile.

use lockstorm::scenario::{
    AdapterAction, Affinity, At, Decision, Failures, InterruptKind, Io, IoKind, Perf, ResetTier,
    Scenario, Setup, StartIoMessage, Step, UnitAction, codec,
};

use crate::idioms;

/// A deterministic source of numbers.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            random.word();
        }
        random
    }

    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((self.word() >> 33) as usize) % limit
    }

    /// True once in `n`.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn byte(&mut self, limit: u8) -> u8 {
        self.below(usize::from(limit)) as u8
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// The next scenario. One in eight is drawn from bytes, as a fuzzer's are, so that none of what a scenario can say is
/// left out.
pub(crate) fn scenario(random: &mut Random) -> Scenario {
    if random.one_in(8) {
        let bytes: Vec<u8> = (0..400).map(|_| random.byte(u8::MAX)).collect();
        return codec::decode(&bytes);
    }
    let setup = setup(random);
    let script = idioms::script(random, &setup);
    let mut steps: Vec<Step> = script.into_iter().map(Step::Script).collect();
    happenings(random, &mut steps);
    let decisions = random.below(16);
    let schedule = (0..decisions)
        .map(|_| Decision { after: random.byte(12), choice: random.byte(8) })
        .collect();
    Scenario { setup, steps, schedule, ..Scenario::default() }
}

fn setup(random: &mut Random) -> Setup {
    Setup {
        processors: 1 + random.byte(4),
        interrupts: if random.one_in(4) { InterruptKind::Line } else { InterruptKind::Messages },
        messages: 1 + random.byte(4),
        affinity: random.of(&Affinity::ALL),
        per_message: !random.one_in(3),
        half_duplex: random.one_in(8),
        virtual_miniport: random.one_in(8),
        legacy_srb: random.one_in(2),
        perf: if random.one_in(3) { Perf(random.byte(128)) } else { Perf::ALL },
        channels: 1 + random.byte(4),
        start_io_message: random.of(&StartIoMessage::ALL),
        early_interrupts: random.one_in(3),
        dump: random.one_in(32),
        control_under_interrupt_lock: random.one_in(3),
        restart_supported: !random.one_in(3),
        request_slots: 1 + random.byte(8),
        failures: Failures {
            allocation: if random.one_in(8) { 255 } else { 0 },
            passive_initialization: random.one_in(32),
            perf_opts: random.one_in(16),
            timer_and_worker: random.one_in(16),
            ..Failures::default()
        },
        ..Setup::default()
    }
}

/// What happens to the adapter.
fn happenings(random: &mut Random, steps: &mut Vec<Step>) {
    for _ in 0..2 + random.below(8) {
        let gap = if random.one_in(2) { 0 } else { random.byte(14) };
        let at = At { processor: random.byte(4), gap };
        let kind = random.of(&IoKind::ALL);
        steps.push(match random.below(16) {
            0..7 => Step::Io(at, Io { kind, ..Io::default() }),
            7..10 => Step::Interrupt(at, random.byte(4)),
            10 => Step::Reset(at, random.of(&ResetTier::ALL)),
            11 => Step::Adapter(at, random.of(&AdapterAction::ALL)),
            12..14 => Step::Unit(at, random.of(&UnitAction::ALL)),
            _ => Step::Wait(at),
        });
    }
}
