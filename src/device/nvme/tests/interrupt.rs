//! Completion queues: phase tags, full rings, messages, the line, coalescing; and order.

use super::*;

#[test]
fn the_phase_tag_turns_with_every_pass_and_the_head_is_reported() {
    let mut rig = Rig::ready(Manner::default());
    for round in 0..40_u16 {
        let cqe = rig.io(read(round, 0, 1));
        assert_eq!((cqe.status, cqe.head), (0, (round + 1) % 8));
    }
}

#[test]
fn a_full_completion_queue_is_never_overwritten() {
    let mut rig = Rig::enabled(Manner::default());
    assert_eq!(rig.create_completion(1, 4, 1).status, 0);
    assert_eq!(rig.create_submission(1, 8, 1).status, 0);
    rig.rings[1].entries = 8;
    for cid in 0..7 {
        rig.push(1, read(cid, 0, 1).data(DATA + 512 * u64::from(cid), 0));
    }
    rig.ring(1);
    rig.rings[1].entries = 4;
    let mut order = Vec::new();
    for (round, posted) in [3, 3, 1, 0].into_iter().enumerate() {
        rig.pass(MILLISECOND);
        let taken: Vec<_> = std::iter::from_fn(|| rig.take(1)).map(|cqe| cqe.cid).collect();
        assert_eq!(taken.len(), posted, "round {round}");
        order.extend(taken);
        let waiting = order.len() as u64;
        if waiting < 7 {
            assert_eq!(rig.device.due(), None, "nothing can be done until there is room");
            assert!(rig.device.owns(DATA + 512 * waiting, 1), "not done yet");
        }
        rig.ring_head(1);
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn another_queue_goes_on_while_one_is_full() {
    let mut rig = Rig::enabled(Manner::default());
    assert_eq!(rig.create_completion(1, 2, 1).status, 0);
    assert_eq!(rig.create_submission(1, 8, 1).status, 0);
    rig.create_pair(2, 8);
    rig.rings[1].entries = 8;
    rig.submit(1, read(1, 0, 1));
    rig.submit(1, read(2, 0, 1));
    rig.submit(2, read(3, 0, 1));
    assert_eq!(rig.answers_after(2, MILLISECOND), [(3, 0)]);
}

#[test]
fn each_queue_sends_its_message_for_each_entry() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit(2, read(1, 0, 1));
    rig.submit(1, read(1, 0, 1));
    rig.submit(1, read(2, 0, 1));
    rig.pass(MILLISECOND);
    assert_eq!(rig.memory.messages, [2, 1, 1]);
}

#[test]
fn a_queue_without_interrupts_sends_none() {
    let mut rig = Rig::enabled(Manner { spurious_every: 1, ..Manner::default() });
    let base = BASE + 0x2000;
    rig.rings[1] = Ring { entries: 8, tail: 0, head: 0, phase: true };
    assert_eq!(rig.admin(queue_command(5, 1, 8, base + 0x1000, 1 << 16 | 1)).status, 0);
    assert_eq!(rig.create_submission(1, 8, 1).status, 0);
    rig.memory.messages.clear();
    assert_eq!(rig.io(read(1, 0, 1)).status, 0);
    assert_eq!((rig.memory.messages.len(), rig.memory.line), (0, false));
}

#[test]
fn the_line_is_a_level_that_falls_when_everything_is_consumed() {
    let mut rig = Rig::ready(Manner::default());
    assert!(!rig.memory.line);
    rig.submit(1, read(1, 0, 1));
    rig.submit(1, read(2, 0, 1));
    rig.submit(2, read(3, 0, 1));
    assert!(!rig.memory.line, "not before the answer");
    rig.pass(MILLISECOND);
    assert!(rig.memory.line);
    rig.take(1);
    rig.ring_head(1);
    assert!(rig.memory.line, "one entry of two consumed");
    rig.reap(1);
    assert!(rig.memory.line, "the other queue has an entry");
    rig.reap(2);
    assert!(!rig.memory.line);
}

#[test]
fn the_mask_holds_the_line_down_and_lets_it_rise_again() {
    let mut rig = Rig::ready(Manner::default());
    rig.write(offset::INTMS, 1);
    assert_eq!((rig.read(offset::INTMS), rig.read(offset::INTMC)), (1, 1));
    rig.submit(1, read(1, 0, 1));
    rig.pass(MILLISECOND);
    assert!(!rig.memory.line);
    assert_eq!(rig.memory.messages, [1], "messages do not know the mask");
    rig.write(offset::INTMC, 2);
    assert!(!rig.memory.line, "another bit");
    rig.write(offset::INTMC, 1);
    assert!(rig.memory.line);
    rig.write(offset::INTMS, 1);
    assert!(!rig.memory.line);
    rig.reap(1);
    rig.write(offset::INTMC, 1);
    assert!(!rig.memory.line, "consumed meanwhile");
}

fn slowed(rig: &mut Rig, cid: u16, slowness: u8) {
    rig.device.expect(Answer { outcome: Outcome::Success, slowness });
    rig.submit(1, read(cid, 0, 1));
}

/// Order of answers to commands of falling latency.
fn order(order: DeviceOrder) -> Vec<(u16, u64)> {
    let mut rig = Rig::ready(Manner { order, latency: 0, ..Manner::default() });
    let start = rig.memory.now;
    for (cid, slowness) in [(1, 2), (2, 1), (3, 3)] {
        slowed(&mut rig, cid, slowness);
    }
    let mut answers = Vec::new();
    while let Some(due) = rig.device.due() {
        rig.pass(due - rig.memory.now);
        let at = (rig.memory.now - start) / MICROSECOND;
        answers.extend(rig.reap(1).iter().map(|cqe| (cqe.cid, at)));
    }
    answers
}

#[test]
fn commands_are_served_in_the_order_of_the_manner() {
    assert_eq!(order(DeviceOrder::InOrder), [(1, 4), (2, 4), (3, 8)]);
    assert_eq!(order(DeviceOrder::ByLatency), [(2, 2), (1, 4), (3, 8)]);
    assert_eq!(order(DeviceOrder::Reversed), [(3, 8), (2, 8), (1, 8)]);
}

#[test]
fn latency_is_the_base_times_the_slowness() {
    for (latency, slowness, microseconds) in
        [(3, 0, 8), (3, 4, 128), (3, 200, 1024), (200, 0, 1 << 15), (15, 7, 1 << 22)]
    {
        let mut rig = Rig::ready(Manner { latency, ..Manner::default() });
        slowed(&mut rig, 1, slowness);
        assert_eq!(rig.device.due(), Some(rig.memory.now + microseconds * MICROSECOND));
    }
}

#[test]
fn the_device_can_be_hurried() {
    let mut rig = Rig::ready(Manner::default());
    assert!(!rig.device.advance_early(&mut rig.memory));
    rig.submit(1, read(1, 0, 1));
    rig.submit_with(1, read(2, 0, 1), Outcome::Late);
    rig.submit_with(1, read(3, 0, 1), Outcome::Silence);
    assert!(rig.device.advance_early(&mut rig.memory));
    assert_eq!(rig.answers_after(1, 0), [(1, 0)]);
    assert!(rig.device.advance_early(&mut rig.memory));
    assert_eq!(rig.answers_after(1, 0), [(2, 0)]);
    assert!(!rig.device.advance_early(&mut rig.memory), "a swallowed command never comes");
}

#[test]
fn coalescing_sends_one_message_for_completions_of_one_window() {
    let mut rig = Rig::ready(Manner { coalesces: true, ..Manner::default() });
    for cid in 0..3 {
        rig.submit(1, read(cid, 0, 1));
        rig.pass(MICROSECOND);
    }
    rig.pass(MILLISECOND);
    assert_eq!(rig.memory.messages, [1]);
    assert_eq!(rig.reap(1).len(), 3);
    assert!(!rig.memory.line);
}

#[test]
fn a_coalesced_interrupt_waits_no_longer_than_its_window() {
    let manner =
        Manner { coalesces: true, latency: 3, order: DeviceOrder::ByLatency, ..Manner::default() };
    let mut rig = Rig::ready(manner);
    // Due 8 and 64 us after now; a third keeps the window from closing early and is itself aborted.
    slowed(&mut rig, 1, 0);
    slowed(&mut rig, 2, 3);
    rig.pass(63 * MICROSECOND);
    assert!(rig.memory.messages.is_empty(), "held for the second");
    assert!(!rig.memory.line);
    rig.pass(2 * MICROSECOND);
    assert_eq!(rig.memory.messages, [1]);
    rig.reap(1);
    // The second is due after the first one's window: nothing to wait for.
    rig.memory.messages.clear();
    slowed(&mut rig, 3, 0);
    slowed(&mut rig, 4, 4);
    rig.pass(9 * MICROSECOND);
    assert_eq!(rig.memory.messages, [1]);
}

#[test]
fn a_coalesced_interrupt_comes_when_what_it_waits_for_does_not() {
    let mut rig = Rig::ready(Manner { coalesces: true, latency: 3, ..Manner::default() });
    slowed(&mut rig, 1, 0);
    slowed(&mut rig, 2, 1);
    rig.pass(9 * MICROSECOND);
    assert!(rig.memory.messages.is_empty());
    // The second is aborted; its answer's interrupt is held as well, until nothing more is due.
    rig.pass(0);
    rig.abort(1, 2);
    assert_eq!(rig.memory.messages.iter().filter(|&&message| message == 1).count(), 1);
}

#[test]
fn the_coalescing_feature_counts_entries() {
    let mut rig = Rig::ready(Manner::default());
    // Two entries, at most 100 us.
    let set = |value| Sqe { opcode: 9, words: [8, value, 0, 0, 0, 0], ..Sqe::default() };
    assert_eq!(rig.admin(set(0x0101)).status, 0);
    rig.memory.messages.clear();
    for cid in 0..5 {
        rig.submit(1, read(cid, 0, 1));
    }
    rig.pass(MILLISECOND);
    assert_eq!(rig.memory.messages, [1, 1, 1], "two, two, and the last alone");
    // Not for a message that is excepted.
    let except = Sqe { opcode: 9, words: [9, 0x1_0002, 0, 0, 0, 0], ..Sqe::default() };
    assert_eq!(rig.admin(except).status, 0);
    rig.memory.messages.clear();
    for cid in 0..3 {
        rig.submit(2, read(cid, 0, 1));
    }
    rig.pass(MILLISECOND);
    assert_eq!(rig.memory.messages, [2, 2, 2]);
    // And for it again.
    let accept = Sqe { words: [9, 2, 0, 0, 0, 0], ..except };
    assert_eq!(rig.admin(accept).status, 0);
    rig.reap(2);
    rig.memory.messages.clear();
    for cid in 0..3 {
        rig.submit(2, read(cid, 0, 1));
    }
    rig.pass(MILLISECOND);
    assert_eq!(rig.memory.messages, [2, 2]);
}

#[test]
fn spurious_interrupts_come_every_so_many_commands() {
    let mut rig = Rig::ready(Manner { spurious_every: 2, ..Manner::default() });
    rig.submit(1, read(1, 0, 1));
    assert!(rig.memory.messages.is_empty());
    rig.submit(2, read(2, 0, 1));
    assert_eq!((rig.memory.messages.as_slice(), rig.memory.line), (&[2][..], true));
    assert_eq!(rig.take(2), None, "nothing behind it");
    rig.pass(2 * MICROSECOND);
    assert!(!rig.memory.line);
    rig.pass(MILLISECOND);
    assert_eq!(rig.memory.messages, [2, 1, 2]);
    rig.reap(1);
    rig.reap(2);
    assert!(!rig.memory.line);
}
