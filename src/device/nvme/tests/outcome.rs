//! Every outcome that a scenario can decide, and the end of faults.

use super::*;
use crate::device::service::LATE;

/// A rig whose block 0 holds 0xEE, and memory at DATA that holds 0x11.
fn prepared() -> Rig {
    let mut rig = Rig::ready(Manner::default());
    rig.memory.at(DATA, 512).fill(0xEE);
    assert_eq!(rig.io(write(1, 0, 1)).status, 0);
    rig.memory.at(DATA, 512).fill(0x11);
    rig.memory.messages.clear();
    rig
}

#[test]
fn media_errors_move_no_data_and_forbid_a_retry() {
    let mut rig = prepared();
    rig.device.expect(Answer { outcome: Outcome::MediaError, slowness: 0 });
    let cqe = rig.io(read(1, 0, 1));
    assert_eq!((cqe.status, cqe.do_not_retry), (0x281, true));
    assert_eq!(rig.memory.at(DATA, 1)[0], 0x11);
    rig.device.expect(Answer { outcome: Outcome::MediaError, slowness: 0 });
    let cqe = rig.io(write(1, 0, 1));
    assert_eq!((cqe.status, cqe.do_not_retry), (0x280, true));
    rig.io(read(1, 0, 1));
    assert_eq!(rig.memory.at(DATA, 1)[0], 0xEE, "the medium kept what it had");
}

#[test]
fn retry_moves_no_data_and_allows_a_retry() {
    let mut rig = prepared();
    rig.device.expect(Answer { outcome: Outcome::Retry, slowness: 0 });
    let cqe = rig.io(read(1, 0, 1));
    assert_eq!((cqe.status, cqe.do_not_retry), (0x82, false));
    assert_eq!(rig.memory.at(DATA, 1)[0], 0x11);
}

#[test]
fn a_refusal_goes_before_the_outcome() {
    let mut rig = prepared();
    rig.device.expect(Answer { outcome: Outcome::MediaError, slowness: 0 });
    assert_eq!(rig.io(read(1, 128, 1)).status, 0x80);
}

#[test]
fn silence_lasts_until_a_reset_and_keeps_the_memory() {
    let mut rig = prepared();
    rig.submit_with(1, read(1, 0, 1), Outcome::Silence);
    rig.submit(1, read(2, 0, 1).data(DATA + 512, 0));
    assert_eq!(rig.answers_after(1, 100 * SECOND), [(2, 0)], "others are answered");
    assert!(rig.device.owns(DATA, 512) && !rig.device.owns(DATA + 512, 512));
    assert_eq!(rig.device.due(), None);
    rig.write(offset::CC, 0);
    rig.pass(MILLISECOND);
    assert!(!rig.device.owns(DATA, 512));
}

#[test]
fn late_is_late_and_holds_up_no_other() {
    let mut rig = prepared();
    rig.submit_with(1, read(1, 0, 1), Outcome::Late);
    rig.submit(1, read(2, 0, 1).data(DATA + 512, 0));
    assert_eq!(rig.answers_after(1, LATE - MILLISECOND), [(2, 0)]);
    assert!(rig.device.owns(DATA, 1));
    assert_eq!(rig.memory.at(DATA, 1)[0], 0x11);
    assert_eq!(rig.answers_after(1, 2 * MILLISECOND), [(1, 0)]);
    assert_eq!(rig.memory.at(DATA, 1)[0], 0xEE);
}

#[test]
fn no_interrupt_answers_in_silence() {
    let mut rig = prepared();
    rig.submit_with(1, read(1, 0, 1), Outcome::NoInterrupt);
    rig.pass(MILLISECOND);
    assert_eq!((rig.memory.messages.len(), rig.memory.line), (0, false));
    rig.submit(1, read(2, 0, 1));
    rig.pass(MILLISECOND);
    assert_eq!((rig.memory.messages.as_slice(), rig.memory.line), (&[1][..], true));
    assert_eq!(rig.answers_after(1, 0), [(1, 0), (2, 0)], "the next one shows both");
    assert!(!rig.memory.line);
}

#[test]
fn twice_posts_the_same_entry_again() {
    let mut rig = prepared();
    rig.submit_with(1, read(1, 0, 1), Outcome::Twice);
    rig.pass(MILLISECOND);
    let taken = rig.reap(1);
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0], taken[1]);
    assert_eq!(rig.memory.messages, [1]);
    assert!(!rig.device.owns(DATA, 1));
}

#[test]
fn garbage_names_no_command_and_comes_before_the_answer() {
    let mut rig = prepared();
    rig.submit_with(1, read(u16::MAX, 0, 1), Outcome::Silence);
    rig.submit_with(1, read(1, 0, 1), Outcome::Garbage);
    assert_eq!(rig.answers_after(1, MILLISECOND), [(u16::MAX - 1, 0), (1, 0)]);
    rig.submit_with(1, read(u16::MAX - 1, 0, 1), Outcome::Garbage);
    assert_eq!(rig.answers_after(1, MILLISECOND), [(u16::MAX - 2, 0), (u16::MAX - 1, 0)]);
}

#[test]
fn garbage_needs_room_for_two() {
    let mut rig = prepared();
    for cid in 1..6 {
        rig.submit(1, read(cid, 0, 1));
    }
    rig.submit_with(1, read(6, 0, 1), Outcome::Success);
    rig.pass(MILLISECOND);
    rig.take(1);
    rig.ring_head(1);
    rig.submit_with(1, read(7, 0, 1), Outcome::Garbage);
    rig.pass(MILLISECOND);
    let cids: Vec<_> = rig.reap(1).iter().map(|cqe| cqe.cid).collect();
    assert_eq!(cids, [2, 3, 4, 5, 6, u16::MAX, 7]);
}

#[test]
fn extra_entries_never_take_the_room_of_true_ones() {
    for outcome in [Outcome::Twice, Outcome::Garbage] {
        let mut rig = prepared();
        for cid in 1..7 {
            rig.submit(1, read(cid, 0, 1));
        }
        rig.submit_with(1, read(7, 0, 1), Outcome::default());
        rig.pass(MILLISECOND);
        // One entry consumed: room for a single one.
        rig.take(1);
        rig.ring_head(1);
        rig.submit_with(1, read(8, 0, 1), outcome);
        rig.pass(MILLISECOND);
        let cids: Vec<_> = rig.reap(1).iter().map(|cqe| cqe.cid).collect();
        assert_eq!(cids, [2, 3, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn answers_go_to_io_commands_in_the_order_of_fetching() {
    let mut rig = prepared();
    for outcome in [Outcome::Retry, Outcome::MediaError] {
        rig.device.expect(Answer { outcome, slowness: 0 });
    }
    let words = [1, 0, 0, 0, 0, 0];
    assert_eq!(
        rig.admin(Sqe { opcode: 6, prp: [ADMIN_DATA, 0], words, ..Sqe::default() }).status,
        0,
        "admin commands take none"
    );
    for cid in 1..4 {
        rig.submit(1, read(cid, 0, 1));
    }
    assert_eq!(rig.answers_after(1, MILLISECOND), [(1, 0x82), (2, 0x281), (3, 0)]);
}

#[test]
fn an_aborted_command_is_answered_again_by_a_device_that_does_so() {
    let manner = Manner { answers_after_reset: true, latency: 12, ..Manner::default() };
    let mut rig = Rig::ready(manner);
    rig.memory.at(DATA, 512).fill(0x11);
    rig.submit(1, read(1, 0, 1));
    rig.submit(1, read(2, 0, 1).data(DATA + 512, 0));
    assert_eq!(rig.abort(1, 1).result, 0);
    assert_eq!(rig.abort(1, 2).result, 0);
    assert_eq!(rig.answers_after(1, 0), [(1, 7), (2, 7)]);
    assert!(!rig.device.owns(DATA, 1));
    // The identifier of the second is in use again when its ghost comes.
    rig.submit_with(1, read(2, 0, 1), Outcome::Late);
    assert_eq!(rig.answers_after(1, SECOND), [(1, 0)]);
    assert_eq!(rig.memory.at(DATA, 1)[0], 0x11, "without data");
}

#[test]
fn a_device_that_behaves_answers_no_aborted_command_again() {
    let manner = Manner { answers_after_reset: true, latency: 12, ..Manner::default() };
    let mut rig = Rig::ready(manner);
    for cid in 1..4 {
        rig.submit(1, read(cid, 0, 1));
    }
    rig.abort(1, 2);
    rig.reap(1);
    rig.device.behave();
    assert_eq!(rig.answers_after(1, SECOND), [(1, 0), (3, 0)]);
    rig.submit(1, read(4, 0, 1));
    rig.abort(1, 4);
    assert_eq!(rig.answers_after(1, SECOND), [(4, 7)]);
}

#[test]
fn behaving_ends_every_fault_but_silence_that_was() {
    let manner = Manner { latency: 15, spurious_every: 1, ..Manner::default() };
    let mut rig = Rig::ready(manner);
    let commands = [Outcome::Silence, Outcome::Late, Outcome::MediaError, Outcome::Twice];
    for (cid, outcome) in commands.into_iter().enumerate() {
        rig.submit_with(1, read(cid as u16, 0, 1), outcome);
    }
    rig.device.expect(Answer { outcome: Outcome::Silence, slowness: 0 });
    rig.memory.messages.clear();
    rig.device.behave();
    rig.submit(1, read(9, 0, 1));
    assert_eq!(rig.answers_after(1, MILLISECOND), [(1, 0), (2, 0), (3, 0), (9, 0)]);
    assert_eq!(rig.memory.messages, [1; 4], "and no spurious one");
    assert_eq!(rig.device.due(), None);
    rig.device.expect(Answer { outcome: Outcome::Silence, slowness: 0 });
    assert_eq!(rig.io(read(9, 0, 1)).status, 0, "answers given later count no more");
}
