//! The laws of the codec, and that random bytes reach everything.

use std::collections::HashSet;

use super::*;
use crate::event::Routine;
use crate::miniport::puppet::{ARGUMENT_MAX, Call, Context, LockName, Op, SLOTS, When};
use crate::scenario::{
    AdapterAction, Affinity, DeviceOrder, Failures, InterruptKind, Outcome, Query, ResetTier,
    Setup, StartIoMessage, UnitAction,
};

/// Marsaglia's xorshift: the tests need many bytes, not good ones.
pub(in crate::scenario) struct Bytes(pub(in crate::scenario) u64);

impl Bytes {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(in crate::scenario) fn take(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.word() >> 32) as u8).collect()
    }

    /// An input as engines make them: most are short, some longer than any scenario.
    pub(in crate::scenario) fn input(&mut self) -> Vec<u8> {
        let longest = [16, 64, 256, SCENARIO_BYTES_MAX + 40][self.word() as usize % 4];
        let count = self.word() as usize % (longest + 1);
        self.take(count)
    }
}

fn encoded(scenario: &Scenario) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(scenario, &mut bytes);
    bytes
}

#[test]
fn any_bytes_are_a_scenario_and_its_encoding_means_the_same() {
    let mut random = Bytes(1);
    let mut again = Scenario::default();
    for _ in 0..200_000 {
        let input = random.input();
        let scenario = decode(&input);
        let canonical = encoded(&scenario);
        decode_into(&canonical, &mut again);
        assert_eq!(scenario, again, "input {input:?}");
        assert_eq!(canonical, encoded(&again), "input {input:?}");
        assert!(canonical.len() <= SCENARIO_BYTES_MAX);
        assert_eq!(read(&canonical).as_ref(), Ok(&scenario));
    }
}

/// Scenarios whose every number is arbitrary, as a person might write them.
fn written_by_hand(random: &mut Bytes) -> Scenario {
    let mut scenario = decode(&random.input());
    let mut number = |old: &mut u8| {
        if random.word().is_multiple_of(4) {
            *old = random.word() as u8;
        }
    };
    let Setup { processors, messages, channels, request_slots, failures, device, perf, .. } =
        &mut scenario.setup;
    for field in [processors, messages, channels, request_slots, &mut perf.0] {
        number(field);
    }
    number(&mut failures.allocation);
    number(&mut failures.scatter_gather);
    number(&mut device.latency);
    number(&mut device.queue_entries);
    number(&mut device.queue_pairs);
    number(&mut device.queue_creation_fails);
    number(&mut device.spurious_every);
    for step in &mut scenario.steps {
        match step {
            Step::Io(at, io) => {
                for field in [&mut at.processor, &mut at.gap, &mut io.blocks, &mut io.offset] {
                    number(field);
                }
                number(&mut io.answer.slowness);
            }
            Step::Interrupt(at, message) => {
                number(&mut at.gap);
                number(message);
            }
            Step::Script(call) => {
                number(&mut call.slot);
                number(&mut call.argument);
            }
            _ => {}
        }
    }
    scenario
}

#[test]
fn every_repaired_scenario_is_told_exactly_by_its_bytes() {
    let mut random = Bytes(2);
    let mut changed = 0;
    for _ in 0..200_000 {
        let mut scenario = written_by_hand(&mut random);
        let before = scenario.clone();
        scenario.repair();
        changed += u32::from(scenario != before);
        assert_eq!(decode(&encoded(&scenario)), scenario);
        let once = scenario.clone();
        scenario.repair();
        assert_eq!(scenario, once, "repair is idempotent");
    }
    assert!(changed > 100_000, "the test must need repair, it changed {changed}");
}

#[test]
fn repair_clamps_numbers_and_keeps_the_rest() {
    let mut scenario = Scenario::default();
    scenario.setup.processors = 200;
    scenario.setup.messages = 0;
    scenario.setup.device.queue_creation_fails = 99;
    scenario.setup.failures.allocation = 255;
    let at = At { processor: 9, gap: 99 };
    scenario.steps = vec![Step::Wait(at); STEPS_MAX + 5];
    scenario.schedule = vec![Decision { after: 255, choice: 255 }; DECISIONS_MAX + 5];
    scenario.repair();
    assert_eq!(scenario.setup.processors, 8);
    assert_eq!(scenario.setup.messages, 1);
    assert_eq!(scenario.setup.device.queue_creation_fails, 16);
    assert_eq!(scenario.setup.failures.allocation, 255);
    assert_eq!(scenario.steps, vec![Step::Wait(At { processor: 7, gap: 24 }); STEPS_MAX]);
    assert_eq!(scenario.schedule, vec![Decision { after: 255, choice: 255 }; DECISIONS_MAX]);
}

#[test]
fn no_bytes_and_zeroes_are_the_healthy_default() {
    for input in [&[][..], &[0; 5], &[0; HEADER_BYTES], &[VERSION]] {
        assert_eq!(decode(input), Scenario::default(), "{input:?}");
    }
    let default = encoded(&Scenario::default());
    assert_eq!(default[0], VERSION);
    assert_eq!(default[1..], [0; HEADER_BYTES - 1]);
}

#[test]
fn the_first_byte_is_not_judged_when_fuzzing() {
    let mut bytes = encoded(&decode(&Bytes(3).take(300)));
    let scenario = decode(&bytes);
    bytes[0] = 0x77;
    assert_eq!(decode(&bytes), scenario);
    assert_eq!(read(&bytes), Err(FormatError::Version { found: 0x77 }));
}

#[test]
fn a_short_input_has_a_default_tail() {
    let whole = {
        let mut scenario = Scenario::default();
        let io = Io { kind: IoKind::Write, blocks: 3, ..Io::default() };
        scenario.steps = vec![Step::Io(At { processor: 1, gap: 2 }, io); 3];
        scenario.schedule = vec![Decision { after: 5, choice: 6 }; 2];
        encoded(&scenario)
    };
    let cut = |at: usize| decode(&whole[..at]);
    let second = HEADER_BYTES + STEP_BYTES;
    assert_eq!(cut(second).steps.len(), 1, "no byte of the second step");
    assert_eq!(cut(second + 1).steps.len(), 2);
    let io = Io { kind: IoKind::Write, ..Io::default() };
    assert_eq!(cut(second + 1).steps[1], Step::Io(At::default(), io));
    assert_eq!(cut(whole.len() - 1).schedule[1], Decision { after: 5, choice: 0 });
    assert_eq!(cut(whole.len() - 2).schedule.len(), 1);
}

/// The header of an input with these swarm bytes, announcing `steps`.
fn header(swarm: [u8; SWARM_BYTES], steps: u8) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[1 + SETUP_BYTES..HEADER_BYTES - 1].copy_from_slice(&swarm);
    bytes[HEADER_BYTES - 1] = steps;
    bytes
}

#[test]
fn the_swarm_bytes_leave_kinds_out_and_favour_one() {
    let kinds_of = |swarm| {
        let mut bytes = header(swarm, 24);
        for kind in (0..12).chain(244..=255) {
            bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        }
        let scenario = decode(&bytes);
        scenario.steps.iter().map(Step::kind).collect::<Vec<_>>()
    };
    let plain = kinds_of([0, 0, 0, 0]);
    assert_eq!(plain[..12], StepKind::ALL);
    assert_eq!(plain[12..], [StepKind::Read; 12]);

    // Without reads (bit 0) and scripts (bit 11), favourite 1 (write).
    let some = kinds_of([0b0000_0001, 0b0000_1000, 1, 0]);
    assert_eq!(some[0], StepKind::Write);
    assert_eq!(some[11], StepKind::Write, "round the end, past reads");
    assert_eq!(some[1..11], StepKind::ALL[1..11]);
    assert_eq!(some[12..], [StepKind::Write; 12]);

    // Without anything: the favourite stays.
    assert_eq!(kinds_of([255, 255, 2, 0]), [StepKind::Script; 24]);
}

#[test]
fn a_script_line_can_follow_from_earlier_ones() {
    let mut bytes = header([0; 4], 6);
    let op = |op: Op| Op::ALL.iter().position(|&known| known == op).unwrap() as u8;
    let dpc = Routine::Dpc as u8;
    // When::First, then locks as `tables` numbers them: 1 is StartIo, 2 Interrupt.
    bytes.extend([11, dpc, 1, op(Op::Acquire), 1, 0, 3, 0]);
    bytes.extend([11, 128, 0, op(Op::Acquire), 2, 0, 4, 0]);
    bytes.extend([11, 255, 0, op(Op::KeAcquire), 9, 9, 5, 7]);
    bytes.extend([11, 0, 0, 200, 0, 0, 0, 0]);
    bytes.extend([11, 0, 0, 250, 0, 0, 0, 0]);
    bytes.extend([11, 0, 0, 200, 0, 0, 0, 0]);
    let line = |op| Call::new(Routine::Dpc, op).when(When::First);
    let expected = [
        line(Op::Acquire).lock(LockName::StartIo).slot(3),
        line(Op::Acquire).lock(LockName::Interrupt).slot(4),
        line(Op::KeAcquire).slot(5).argument(7),
        line(Op::KeRelease).slot(5).argument(7),
        line(Op::Release).slot(3),
        line(Op::Release).slot(4),
    ];
    assert_eq!(decode(&bytes).steps, expected.map(Step::Script));
}

#[test]
fn the_pace_makes_decisions_denser() {
    let after = |pace| {
        let mut bytes = header([0, 0, 0, pace], 0);
        bytes.extend([200, 1]);
        decode(&bytes).schedule[0]
    };
    assert_eq!(after(0), Decision { after: 200, choice: 1 });
    assert_eq!(after(1), Decision { after: 200 >> 4, choice: 1 });
    assert_eq!(after(7), Decision { after: 1, choice: 1 });
}

/// How many random inputs of 256 bytes reach everything that a scenario can say.
const REACHED_WITHIN: usize = 20_000;

#[test]
fn random_inputs_reach_every_value_of_everything() {
    let mut random = Bytes(4);
    let mut seen = Seen::default();
    for _ in 0..REACHED_WITHIN {
        seen.note(&decode(&random.take(256)));
    }
    seen.check();
}

/// Every value met, each set named for what it holds.
#[derive(Default)]
struct Seen {
    numbers: HashSet<(&'static str, u8)>,
    switches: HashSet<(&'static str, bool)>,
    words: HashSet<String>,
}

impl Seen {
    fn note(&mut self, scenario: &Scenario) {
        let Setup { failures, device, .. } = scenario.setup;
        let setup = scenario.setup;
        self.numbers.extend([
            ("processors", setup.processors),
            ("messages", setup.messages),
            ("perf", setup.perf.0),
            ("channels", setup.channels),
            ("request_slots", setup.request_slots),
            ("allocation", failures.allocation),
            ("scatter_gather", failures.scatter_gather),
            ("latency", device.latency),
            ("queue_entries", device.queue_entries),
            ("queue_pairs", device.queue_pairs),
            ("queue_creation_fails", device.queue_creation_fails),
            ("spurious_every", device.spurious_every),
        ]);
        for (name, value) in [
            ("per_message", setup.per_message),
            ("half_duplex", setup.half_duplex),
            ("virtual_miniport", setup.virtual_miniport),
            ("legacy_srb", setup.legacy_srb),
            ("early_interrupts", setup.early_interrupts),
            ("dump", setup.dump),
            ("control_under_interrupt_lock", setup.control_under_interrupt_lock),
            ("restart_supported", setup.restart_supported),
            ("uncached_extension", failures.uncached_extension),
            ("device_base", failures.device_base),
            ("passive_initialization", failures.passive_initialization),
            ("perf_opts", failures.perf_opts),
            ("timer_and_worker", failures.timer_and_worker),
            ("slow_ready", device.slow_ready),
            ("never_ready", device.never_ready),
            ("answers_after_reset", device.answers_after_reset),
            ("coalesces", device.coalesces),
            ("garbage_identify", device.garbage_identify),
        ] {
            self.switches.insert((name, value));
        }
        self.words.extend([
            format!("{:?}", setup.interrupts),
            format!("{:?}", setup.affinity),
            format!("{:?}", setup.start_io_message),
            format!("{:?}", device.order),
        ]);
        for step in &scenario.steps {
            self.note_step(step);
        }
        for decision in &scenario.schedule {
            self.numbers.extend([("after", decision.after), ("choice", decision.choice)]);
        }
    }

    fn note_step(&mut self, step: &Step) {
        self.words.insert(format!("{:?}", step.kind()));
        if let Some(at) = step.at() {
            self.numbers.extend([("processor", at.processor), ("gap", at.gap)]);
        }
        match step {
            Step::Io(_, io) => {
                self.numbers.extend([
                    ("block", io.block),
                    ("blocks", io.blocks),
                    ("offset", io.offset),
                    ("slowness", io.answer.slowness),
                ]);
                self.words.insert(format!("{:?}", io.answer.outcome));
            }
            Step::Query(_, query) => drop(self.words.insert(format!("{query:?}"))),
            Step::Interrupt(_, message) => drop(self.numbers.insert(("message", *message))),
            Step::Reset(_, tier) => drop(self.words.insert(format!("{tier:?}"))),
            Step::Adapter(_, action) => drop(self.words.insert(format!("Adapter {action:?}"))),
            Step::Unit(_, action) => drop(self.words.insert(format!("Unit {action:?}"))),
            Step::FailAllocation(_, nth) => drop(self.numbers.insert(("nth", *nth))),
            Step::Wait(_) => {}
            Step::Script(call) => {
                self.words.extend([
                    format!("in {:?}", call.routine),
                    format!("{:?}", call.when),
                    format!("op {:?}", call.op),
                    format!("{:?} {:?}", call.op, call.lock),
                    format!("{:?} {:?}", call.op, call.context),
                ]);
                self.numbers.extend([("slot", call.slot), ("argument", call.argument)]);
            }
        }
    }

    fn check(&self) {
        let all = |name: &'static str, low: u8, high: u8| {
            for value in low..=high {
                assert!(self.numbers.contains(&(name, value)), "{name} never was {value}");
            }
            let other =
                self.numbers.iter().find(|&&(n, v)| n == name && !(low..=high).contains(&v));
            assert_eq!(other, None, "outside {low} to {high}");
        };
        for (name, low, high) in [
            ("processors", 1, 8),
            ("messages", 1, 64),
            ("perf", 0, 127),
            ("channels", 1, 8),
            ("request_slots", 1, 32),
            ("allocation", 0, 255),
            ("scatter_gather", 0, 63),
            ("latency", 0, 15),
            ("queue_entries", 2, 64),
            ("queue_pairs", 1, 16),
            ("queue_creation_fails", 0, 16),
            ("spurious_every", 0, 15),
            ("after", 0, 255),
            ("choice", 0, 255),
            ("processor", 0, 7),
            ("gap", 0, 24),
            ("block", 0, 255),
            ("blocks", 1, 48),
            ("offset", 0, 7),
            ("slowness", 0, 7),
            ("message", 0, 63),
            ("nth", 0, 255),
            ("slot", 0, SLOTS as u8 - 1),
            ("argument", 0, ARGUMENT_MAX),
        ] {
            all(name, low, high);
        }
        for &(name, value) in &self.switches {
            assert!(self.switches.contains(&(name, !value)), "{name} always was {value}");
        }
        self.check_words();
    }

    fn check_words(&self) {
        let mut words = vec![];
        words.extend(InterruptKind::ALL.map(|v| format!("{v:?}")));
        words.extend(Affinity::ALL.map(|v| format!("{v:?}")));
        words.extend(StartIoMessage::ALL.map(|v| format!("{v:?}")));
        words.extend(DeviceOrder::ALL.map(|v| format!("{v:?}")));
        words.extend(StepKind::ALL.map(|v| format!("{v:?}")));
        words.extend(Outcome::ALL.map(|v| format!("{v:?}")));
        words.extend(Query::ALL.map(|v| format!("{v:?}")));
        words.extend(ResetTier::ALL.map(|v| format!("{v:?}")));
        words.extend(AdapterAction::ALL.map(|v| format!("Adapter {v:?}")));
        words.extend(UnitAction::ALL.map(|v| format!("Unit {v:?}")));
        words.extend(Routine::ALL.map(|v| format!("in {v:?}")));
        words.extend(When::ALL.map(|v| format!("{v:?}")));
        words.extend(Op::ALL.iter().map(|v| format!("op {v:?}")));
        for op in [Op::Acquire, Op::AcquireEx] {
            words.extend(LockName::ALL.map(|v| format!("{op:?} {v:?}")));
            words.extend(Context::ALL.map(|v| format!("{op:?} {v:?}")));
        }
        for word in words {
            assert!(self.words.contains(&word), "no scenario said {word}");
        }
    }
}

#[test]
fn most_random_setups_let_the_adapter_start() {
    let mut random = Bytes(5);
    let healthy = (0..10_000)
        .map(|_| decode(&random.take(256)).setup)
        .filter(|setup| {
            let Failures { uncached_extension, device_base, passive_initialization, .. } =
                setup.failures;
            let fails = uncached_extension || device_base || passive_initialization;
            !fails && !setup.dump && !setup.device.never_ready && !setup.device.garbage_identify
        })
        .count();
    assert!(healthy > 6_500, "only {healthy} of 10000");
}

#[test]
fn unused_operands_have_one_form() {
    let call = Call::new(Routine::Dpc, Op::Release).lock(LockName::Dpc).slot(9).argument(3);
    assert_eq!(call.canonical(), Call::new(Routine::Dpc, Op::Release).slot(1));
    let flush = Io { kind: IoKind::Flush, block: 3, blocks: 9, offset: 2, ..Io::default() };
    assert_eq!(flush.canonical(), Io { kind: IoKind::Flush, ..Io::default() });
}

#[test]
fn a_file_that_is_no_scenario_is_told_what_and_where() {
    let whole = {
        let step = Step::Wait(At::default());
        let scenario = Scenario {
            steps: vec![step; 2],
            schedule: vec![Decision { after: 1, choice: 1 }],
            ..Scenario::default()
        };
        encoded(&scenario)
    };
    assert_eq!(read(&whole), Ok(decode(&whole)));
    let said = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(said(&[]), "empty file, expected a scenario of at least 44 bytes");
    assert_eq!(said(b"MZ\x90"), "byte 0: format version 77, expected 1 or 2");
    assert_eq!(said(&whole[..9]), "byte 9: the file ends inside the setup, which takes 44 bytes");
    assert_eq!(said(&whole[..HEADER_BYTES]), "byte 44: the file ends in step 1 of 2");
    assert_eq!(said(&whole[..HEADER_BYTES + 12]), "byte 56: the file ends in step 2 of 2");
    assert_eq!(said(&whole[..whole.len() - 1]), "byte 61: the file ends inside a decision");
    assert_eq!(said(&vec![1; FILE_BYTES_MAX + 1]), "1048577 bytes, a scenario has at most 1048576");
}

#[test]
fn text_is_told_from_bytes() {
    for text in
        [&b"(version: 1)"[..], b"\n// why\n(", b"/* x */ ()", b"\xEF\xBB\xBF(", b"#![enable("]
    {
        assert!(looks_like_text(text));
    }
    for bytes in [&b""[..], b"\x01\x00", b"MZ", b"\x7FELF"] {
        assert!(!looks_like_text(bytes));
    }
    assert!(!looks_like_text(&encoded(&Scenario::default())));
}

#[test]
fn a_policy_needs_version_2_and_nothing_else_does() {
    let mut bytes = Bytes(9).take(300);
    bytes[0] = VERSION;
    let mut scenario = decode(&bytes);
    assert_eq!(encoded(&scenario)[0], VERSION);
    for policy in [Policy::Random { seed: 0x1234, pace: 7 }, Policy::Pct { seed: 0xFFFE }] {
        scenario.policy = policy;
        let bytes = encoded(&scenario);
        assert_eq!(bytes[0], VERSION_POLICY);
        assert_eq!(read(&bytes).as_ref(), Ok(&scenario));
        // Without version and policy it is what version 1 wrote.
        let mut plain = bytes.clone();
        plain.drain(HEADER_BYTES - 1..HEADER_BYTES - 1 + POLICY_BYTES);
        plain[0] = VERSION;
        scenario.policy = Policy::Recorded;
        assert_eq!(plain, encoded(&scenario));
    }
}
