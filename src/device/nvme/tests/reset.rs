//! Enabling, disabling, shutdown, removal and fatal errors.

use super::*;

const READY: u32 = 1;
const FATAL: u32 = 2;

#[test]
fn ready_follows_enable() {
    let mut rig = Rig::powered(Manner::default());
    rig.configure();
    assert_eq!(rig.csts(), 0);
    rig.write(offset::CC, 0x0046_0001);
    assert_eq!(rig.csts(), 0);
    rig.pass(MILLISECOND);
    assert_eq!(rig.csts(), READY);
    rig.write(offset::CC, 0x0046_0000);
    assert_eq!(rig.csts(), READY, "a reset takes its time");
    rig.pass(MILLISECOND);
    assert_eq!(rig.csts(), 0);
}

#[test]
fn a_slow_controller_takes_60_ms_and_one_that_never_is_ready_never_is() {
    let mut rig = Rig::powered(Manner { slow_ready: true, ..Manner::default() });
    rig.enable();
    rig.pass(58 * MILLISECOND);
    assert_eq!(rig.csts(), 0);
    rig.pass(2 * MILLISECOND);
    assert_eq!(rig.csts(), READY);
    rig.write(offset::CC, 0);
    rig.pass(59 * MILLISECOND);
    assert_eq!(rig.csts(), READY);
    rig.pass(2 * MILLISECOND);
    assert_eq!(rig.csts(), 0);
    let mut rig = Rig::powered(Manner { never_ready: true, ..Manner::default() });
    rig.enable();
    rig.pass(100 * SECOND);
    assert_eq!(rig.csts(), 0);
}

#[test]
fn a_reset_drops_commands_queues_and_interrupts() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit(1, read(1, 0, 1));
    rig.pass(MILLISECOND);
    assert!(rig.memory.line);
    rig.submit(1, read(2, 0, 1));
    rig.write(offset::INTMS, 4);
    rig.write(offset::CC, 0);
    assert!(!rig.memory.line);
    assert!(rig.device.owns(DATA, 1), "transfers end with CSTS.RDY");
    rig.memory.messages.clear();
    rig.pass(SECOND);
    assert!(!rig.device.owns(DATA, 1));
    assert!(rig.memory.messages.is_empty());
    assert_eq!(rig.reap(1).len(), 1, "only the answer from before");
    assert_eq!(rig.read(offset::INTMS), 0);
    assert_eq!(rig.read(offset::AQA), 15 << 16 | 15, "kept");
    rig.enable();
    rig.submit(0, Sqe { opcode: 0x0C, ..Sqe::default() });
    rig.pass(MILLISECOND);
    rig.write(0x1008, 1);
    assert_eq!(rig.take(0).map(|cqe| cqe.result), Some(0x0001_0000), "queue 1 is gone");
}

#[test]
fn enabling_without_waiting_ends_the_reset_at_once() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit_with(1, read(1, 0, 1), Outcome::Silence);
    rig.write(offset::CC, 0x0046_0000);
    assert_eq!(rig.csts(), READY);
    rig.write(offset::CC, 0x0046_0001);
    assert_eq!(rig.csts(), 0);
    assert!(!rig.device.owns(DATA, 1));
    rig.pass(SECOND);
    assert_eq!(rig.csts(), READY);
}

#[test]
fn a_lingering_controller_answers_until_it_is_not_ready() {
    let manner = Manner { answers_after_reset: true, slow_ready: true, ..Manner::default() };
    let mut rig = Rig::powered(manner);
    rig.enable();
    rig.pass(SECOND);
    rig.create_pair(1, 8);
    rig.memory.messages.clear();
    rig.submit(1, read(1, 0, 1));
    rig.submit_with(1, read(2, 0, 1).data(DATA + 512, 0), Outcome::Late);
    rig.write(offset::CC, 0);
    rig.submit(1, read(3, 0, 1));
    assert_eq!(rig.answers_after(1, 40 * MILLISECOND), [(1, 0)], "and not what came later");
    assert_eq!((rig.memory.messages.as_slice(), rig.memory.line), (&[1][..], false));
    assert!(rig.device.owns(DATA + 512, 1));
    rig.pass(SECOND);
    assert_eq!(rig.csts(), 0);
    assert!(!rig.device.owns(DATA + 512, 1));
    assert_eq!(rig.answers_after(1, 100 * SECOND), []);
}

#[test]
fn the_admin_queues_stay_where_they_are_while_enabled() {
    let mut rig = Rig::enabled(Manner::default());
    const QUEUES: [u32; 5] =
        [offset::AQA, offset::ASQ_LOW, offset::ASQ_HIGH, offset::ACQ_LOW, offset::ACQ_HIGH];
    let before = QUEUES.map(|register| rig.read(register));
    for register in QUEUES {
        rig.write(register, 0x1123_4567);
    }
    assert_eq!(QUEUES.map(|register| rig.read(register)), before);
    rig.write(offset::CC, 0);
    for register in QUEUES {
        rig.write(register, 0x1123_4567 + register);
    }
    assert_eq!(
        QUEUES.map(|register| rig.read(register)),
        [0x0123_058B, 0x1123_4000, 0x1123_4593, 0x1123_4000, 0x1123_459B]
    );
}

#[test]
fn a_configuration_that_does_not_exist_is_fatal() {
    for configuration in [0x0046_0081, 0x0046_0011, 0x0046_0801] {
        let mut rig = Rig::powered(Manner::default());
        rig.configure();
        rig.write(offset::CC, configuration);
        rig.pass(SECOND);
        assert_eq!(rig.csts(), FATAL, "{configuration:#x}");
        rig.write(offset::CC, 0);
        rig.enable();
        assert_eq!(rig.csts(), READY, "a reset helps");
    }
    for (sizes, status) in [(0, FATAL), (1, FATAL), (1 << 16, FATAL), (1 << 16 | 1, READY)] {
        let mut rig = Rig::powered(Manner::default());
        rig.configure();
        rig.write(offset::AQA, sizes);
        rig.write(offset::CC, 0x0046_0001);
        rig.pass(MILLISECOND);
        assert_eq!(rig.csts(), status, "at least two entries: {sizes:#x}");
    }
}

#[test]
fn queues_outside_memory_are_fatal() {
    let mut rig = Rig::powered(Manner::default());
    rig.configure();
    rig.write(offset::ASQ_HIGH, 1);
    rig.write(offset::CC, 0x0046_0001);
    rig.pass(MILLISECOND);
    rig.write(0x1000, 1);
    assert_eq!(rig.csts(), READY | FATAL);

    let mut rig = Rig::ready(Manner { order: DeviceOrder::ByLatency, ..Manner::default() });
    let outside = BASE + BYTES as u64;
    assert_eq!(rig.admin(queue_command(5, 3, 8, outside, 3)).status, 0);
    assert_eq!(rig.create_submission(4, 8, 3).status, 0);
    rig.rings[4] = Ring { entries: 8, ..Ring::default() };
    rig.device.expect(Answer { outcome: Outcome::Success, slowness: 3 });
    rig.submit(1, read(1, 0, 1));
    rig.submit(4, Sqe { nsid: 1, ..Sqe::default() });
    rig.pass(MILLISECOND);
    assert_eq!(rig.csts(), READY | FATAL);
    rig.submit(1, read(2, 0, 1));
    assert_eq!(rig.answers_after(1, SECOND), [], "it has stopped");
    assert!(rig.device.owns(DATA, 1), "and still has what it had");
    rig.write(offset::CC, 0);
    rig.pass(MILLISECOND);
    assert_eq!(rig.csts(), 0);
    assert!(!rig.device.owns(DATA, 1));
}

#[test]
fn shutdown_completes_and_ends_commands() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit_with(1, read(1, 0, 1), Outcome::Silence);
    rig.write(offset::CC, 0x0046_4001);
    assert_eq!(rig.csts(), READY | 1 << 2);
    rig.pass(MILLISECOND);
    assert_eq!(rig.csts(), READY | 2 << 2);
    assert!(!rig.device.owns(DATA, 1));
    rig.submit(1, read(2, 0, 1));
    assert_eq!(rig.answers_after(1, SECOND), []);
    rig.write(offset::CC, 0);
    rig.pass(MILLISECOND);
    assert_eq!(rig.csts(), 0);
    rig.enable();
    assert_eq!(rig.csts(), READY);
}

#[test]
fn a_reset_ends_a_shutdown() {
    let mut rig = Rig::ready(Manner::default());
    rig.write(offset::CC, 0x0046_4001);
    rig.write(offset::CC, 0x0046_0000);
    assert_eq!(rig.csts(), READY);
    rig.pass(MILLISECOND);
    assert_eq!(rig.csts(), 0);
}

#[test]
fn a_shutdown_asked_for_with_a_reset_completes() {
    let mut rig = Rig::ready(Manner::default());
    rig.write(offset::CC, 0x0046_4000);
    rig.pass(MILLISECOND);
    assert_eq!(rig.csts(), 2 << 2);
    rig.enable();
    assert_eq!(rig.csts(), READY);
    rig.create_pair(1, 8);
}

#[test]
fn a_subsystem_reset_is_immediate() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit(1, read(1, 0, 1));
    rig.pass(MILLISECOND);
    rig.submit(1, read(2, 0, 1));
    assert!(rig.memory.line);
    rig.write(offset::NSSR, 0x1234);
    assert_eq!(rig.csts(), READY);
    rig.write(offset::NSSR, 0x4E56_4D65);
    assert_eq!(rig.csts(), 1 << 4);
    assert_eq!((rig.read(offset::CC), rig.read(offset::AQA)), (0, 0));
    assert!(!rig.memory.line);
    assert!(!rig.device.owns(DATA, 1));
    rig.write(offset::CSTS, !(1 << 4));
    assert_eq!(rig.csts(), 1 << 4);
    rig.write(offset::CSTS, 1 << 4);
    assert_eq!(rig.csts(), 0);
    assert_eq!(rig.device.due(), None);
}

#[test]
fn a_removed_device_reads_as_ones_and_does_nothing() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit(1, read(1, 0, 1));
    rig.pass(MILLISECOND);
    assert!(rig.memory.line);
    rig.submit(1, read(2, 0, 1));
    rig.device.remove(&mut rig.memory);
    assert!(!rig.memory.line, "nothing is left to hold the line");
    assert_eq!(rig.csts(), u32::MAX);
    assert_eq!(rig.device.due(), None);
    rig.submit(1, read(3, 0, 1));
    assert!(!rig.device.advance_early(&mut rig.memory));
    rig.memory.now += SECOND;
    rig.device.advance(&mut rig.memory);
    assert_eq!(rig.answers_after(1, 0), [(1, 0)], "what was there before");
    assert!(!rig.device.owns(DATA, 1));
    rig.device.power_on(&Manner::default());
    rig.enable();
    assert_eq!(rig.csts(), READY, "and comes back with the power");
}
