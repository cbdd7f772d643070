//! The driver on a bench: a StorPort and a controller, each a few hundred lines, that nothing else uses.

mod bench;
mod model;
mod port;

use bench::{Bench, Setup};
use model::Manner;

use super::state::State;
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::srb::SrbFunction;
use crate::storport::{SpReturn, SrbStatus};

/// Every way in which StorPort can drive the driver.
fn setups() -> Vec<Setup> {
    let mut setups = Vec::new();
    for bits in 0..32_u32 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        for messages in [0, 1, 2, 3, 9] {
            setups.push(Setup {
                processors: if has(0) { 4 } else { 1 },
                messages,
                per_message: has(1),
                half_duplex: has(2),
                channels: has(3),
                passive: has(4),
                ..Setup::default()
            });
        }
    }
    setups.push(Setup { dump: true, messages: 0, ..Setup::default() });
    setups
}

fn started(setup: Setup) -> Box<Bench> {
    let bench = Bench::new(setup, 1);
    assert!(bench.start(), "{setup:?}");
    bench.settle();
    assert_eq!(bench.adapter_state(), State::Running, "{setup:?}");
    bench
}

#[test]
fn what_is_written_is_read_in_every_setup() {
    for setup in setups() {
        let bench = started(setup);
        for (first, blocks) in [(0, 1), (3, 9), (20, 64), (127, 1)] {
            let write = bench.transfer(true, first, blocks, first + 1);
            assert_eq!(bench.perform(write), SrbStatus::SUCCESS, "{setup:?}");
        }
        for (first, blocks) in [(0, 1), (3, 9), (20, 64), (127, 1)] {
            let read = bench.transfer(false, first, blocks, first + 1);
            assert_eq!(bench.perform(read), SrbStatus::SUCCESS);
            let bytes = usize::from(blocks) * 512;
            assert_eq!(bench.data(read, bytes), vec![first + 1; bytes], "{setup:?}");
        }
    }
}

#[test]
fn unmap_zeroes_what_it_names() {
    let bench = started(Setup::default());
    let write = bench.transfer(true, 0, 16, 7);
    assert_eq!(bench.perform(write), SrbStatus::SUCCESS);
    let mut list = vec![0; 8 + 32];
    (list[1], list[3]) = (38, 32);
    (list[8 + 7], list[8 + 11]) = (2, 3);
    (list[24 + 7], list[24 + 11]) = (8, 1);
    let unmap = bench.scsi(&[0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0], 40, &list);
    assert_eq!(bench.perform(unmap), SrbStatus::SUCCESS);
    let zeroed: Vec<_> =
        (0..16).filter(|block| bench.model.borrow().disk[block * 512] == 0).collect();
    assert_eq!(zeroed, [2, 3, 4, 8]);
}

#[test]
fn questions_are_answered_without_the_controller() {
    let bench = started(Setup::default());
    let capacity = bench.scsi(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8, &[]);
    assert_eq!(bench.perform(capacity), SrbStatus::SUCCESS);
    assert_eq!(bench.data(capacity, 8), [0, 0, 0, 127, 0, 0, 2, 0]);
    let inquiry = bench.scsi(&[0x12, 0, 0, 0, 5, 0], 96, &[]);
    assert_eq!(bench.perform(inquiry), SrbStatus::SUCCESS);
    assert_eq!(bench.moved(inquiry), 5);
    let unknown = bench.scsi(&[0xC1, 0, 0, 0, 0, 0], 0, &[]);
    assert_eq!(bench.perform(unknown), SrbStatus::ERROR);
    let beyond = bench.transfer(false, 127, 2, 0);
    assert_eq!(bench.perform(beyond), SrbStatus::ERROR);
    let absent = bench.request(|srb, _| (srb.lun, srb.cdb_length, srb.cdb[0]) = (1, 6, 0x12));
    assert_eq!(bench.perform(absent), SrbStatus::INVALID_LUN);
    let strange = bench.function(SrbFunction::WMI, None);
    assert_eq!(bench.perform(strange), SrbStatus::INVALID_REQUEST);
    let flush = bench.function(SrbFunction::FLUSH, None);
    assert_eq!(bench.perform(flush), SrbStatus::SUCCESS);
}

#[test]
fn a_reset_completes_what_the_controller_never_answers() {
    for setup in setups().into_iter().filter(|setup| !setup.dump) {
        let bench = started(setup);
        let stuck: Vec<_> = (0..4).map(|first| bench.transfer(false, first, 1, 0)).collect();
        stuck.iter().for_each(|&number| bench.send(number));
        assert_eq!(bench.model.borrow().flight.len(), 4, "{setup:?}");
        let reset = bench.function(SrbFunction::RESET_DEVICE, None);
        bench.send(reset);
        let busy = bench.transfer(false, 0, 1, 0);
        bench.send(busy);
        // The controller answers nothing until it is disabled.
        while bench.model.borrow().flight.len() == 4 {
            assert!(bench.run_dpc() || bench.fire_timer());
        }
        bench.settle();
        let ended = |number| bench.status(number).unwrap();
        assert!(stuck.iter().all(|&number| ended(number) == SrbStatus::BUS_RESET), "{setup:?}");
        assert_eq!((ended(reset), ended(busy)), (SrbStatus::SUCCESS, SrbStatus::BUSY));
        assert_eq!(bench.adapter_state(), State::Running);
        let read = bench.transfer(false, 0, 1, 0);
        assert_eq!(bench.perform(read), SrbStatus::SUCCESS);
    }
}

#[test]
fn an_abort_ends_its_victim_and_nothing_else() {
    let bench = started(Setup::default());
    let (victim, other) = (bench.transfer(false, 0, 1, 0), bench.transfer(false, 1, 1, 0));
    bench.send(victim);
    bench.send(other);
    let abort = bench.function(SrbFunction::ABORT_COMMAND, Some(victim));
    bench.send(abort);
    assert_eq!(bench.model.borrow().flight.len(), 3);
    bench.model.borrow_mut().execute(2);
    bench.settle();
    assert_eq!(bench.status(victim), Some(SrbStatus::ABORTED));
    assert_eq!(bench.status(other), Some(SrbStatus::SUCCESS));
    assert_eq!(bench.status(abort), Some(SrbStatus::SUCCESS));
    let late = bench.function(SrbFunction::ABORT_COMMAND, Some(victim));
    assert_eq!(bench.perform(late), SrbStatus::ABORT_FAILED);
}

#[test]
fn completions_that_answer_nothing_are_ignored() {
    let bench = started(Setup { processors: 1, ..Setup::default() });
    for number in 0..70 {
        let read = bench.transfer(false, 0, 1, 0);
        bench.send(read);
        let identifier = (bench.model.borrow().flight[0].command.dword0 >> 16) as u16;
        let mut model = bench.model.borrow_mut();
        // Invented, stale by a generation, and one that is no slot.
        model.post(1, identifier.wrapping_add(1), 0x281, 0);
        model.post(1, identifier.wrapping_sub(64), 0x281, 0);
        model.post(1, 0xFFFF, 0x281, 0);
        model.execute(0);
        model.post(1, identifier, 0x281, 0);
        drop(model);
        bench.settle();
        assert_eq!(bench.status(read), Some(SrbStatus::SUCCESS), "{number}");
    }
}

#[test]
fn a_full_queue_is_busy_and_the_smallest_has_one_entry() {
    for (entries, most) in [(2, 1), (3, 2), (64, 31)] {
        let manner = Manner { entries, ..Manner::default() };
        let bench = started(Setup { processors: 1, channels: false, manner, ..Setup::default() });
        let sent: Vec<_> = (0..40).map(|_| bench.transfer(false, 0, 1, 0)).collect();
        sent.iter().for_each(|&number| bench.send(number));
        bench.settle();
        let ended = |status| sent.iter().filter(|&&at| bench.status(at) == Some(status)).count();
        assert_eq!((ended(SrbStatus::SUCCESS), ended(SrbStatus::BUSY)), (most, 40 - most));
    }
}

#[test]
fn fewer_queues_than_wanted_are_enough() {
    for (pairs, creation_fails) in [(1, 0), (8, 3), (8, 6), (8, 4), (2, 0)] {
        let manner = Manner { pairs, creation_fails, ..Manner::default() };
        let bench = started(Setup { processors: 4, messages: 4, manner, ..Setup::default() });
        for first in 0..16 {
            let write = bench.transfer(true, first, 1, 9);
            assert_eq!(bench.perform(write), SrbStatus::SUCCESS);
        }
    }
}

#[test]
fn a_first_queue_that_fails_is_tried_again() {
    for creation_fails in [1, 2] {
        let manner = Manner { creation_fails, ..Manner::default() };
        started(Setup { manner, ..Setup::default() });
    }
}

#[test]
fn a_controller_that_never_becomes_ready_is_given_up() {
    let manner = Manner { never_ready: true, ..Manner::default() };
    for setup in setups() {
        let bench = Bench::new(Setup { manner, ..setup }, 1);
        let started = bench.start();
        assert!(bench.stalled_us.get() <= 20_000 || setup.dump, "{setup:?}");
        if !started {
            continue;
        }
        let early = bench.transfer(false, 0, 1, 0);
        bench.send(early);
        bench.settle();
        assert_eq!(bench.adapter_state(), State::Failed);
        assert!(matches!(bench.status(early), Some(SrbStatus::BUSY | SrbStatus::NO_DEVICE)));
        let late = bench.transfer(false, 0, 1, 0);
        assert_eq!(bench.perform(late), SrbStatus::NO_DEVICE);
    }
}

#[test]
fn garbage_from_identify_gives_an_adapter_without_a_disk() {
    let manner = Manner { garbage: true, ..Manner::default() };
    let bench = started(Setup { manner, ..Setup::default() });
    let read = bench.transfer(false, 0, 1, 0);
    assert_eq!(bench.perform(read), SrbStatus::NO_DEVICE);
    let flush = bench.function(SrbFunction::SHUTDOWN, None);
    assert_eq!(bench.perform(flush), SrbStatus::SUCCESS);
}

#[test]
fn stop_and_restart_can_come_again_and_again() {
    for setup in setups().into_iter().filter(|setup| !setup.dump) {
        let bench = started(setup);
        for round in 0..3 {
            bench.control(ScsiAdapterControlType::STOP_ADAPTER);
            bench.control(ScsiAdapterControlType::STOP_ADAPTER);
            bench.settle();
            let stray = bench.transfer(false, 0, 1, 0);
            assert_eq!(bench.perform(stray), SrbStatus::NOT_POWERED);
            if round == 1 {
                assert_eq!(bench.find(), SpReturn::FOUND);
                assert!(bench.initialize());
            } else {
                bench.control(ScsiAdapterControlType::RESTART_ADAPTER);
            }
            bench.settle();
            let write = bench.transfer(true, 1, 1, round + 1);
            assert_eq!(bench.perform(write), SrbStatus::SUCCESS, "{setup:?}");
        }
    }
}

#[test]
fn surprise_removal_ends_everything_at_once() {
    for setup in setups().into_iter().filter(|setup| !setup.dump) {
        let bench = started(setup);
        let stuck: Vec<_> = (0..4).map(|first| bench.transfer(false, first, 1, 0)).collect();
        stuck.iter().for_each(|&number| bench.send(number));
        bench.model.borrow_mut().gone = true;
        bench.control(ScsiAdapterControlType::SURPRISE_REMOVAL);
        let gone = Some(SrbStatus::NO_DEVICE);
        assert!(stuck.iter().all(|&number| bench.status(number) == gone));
        bench.control(ScsiAdapterControlType::STOP_ADAPTER);
        let late = bench.transfer(false, 0, 1, 0);
        assert_eq!(Some(bench.perform(late)), gone);
        let reset = bench.function(SrbFunction::RESET_LOGICAL_UNIT, None);
        assert_eq!(Some(bench.perform(reset)), gone);
    }
}

#[test]
fn an_absent_controller_is_noticed_by_a_reset() {
    let bench = started(Setup::default());
    let stuck = bench.transfer(false, 0, 1, 0);
    bench.send(stuck);
    bench.model.borrow_mut().gone = true;
    bench.reset_bus();
    bench.settle();
    assert_eq!(bench.status(stuck), Some(SrbStatus::NO_DEVICE));
    assert_eq!(bench.adapter_state(), State::Removed);
}

/// Other processors at every call: requests, interrupts, DPCs, timers, resets and aborts, at each other's
/// throats. What must hold is in the bench: every request ends once, none while the device owns its
/// buffer, none is touched afterwards, no lock is taken twice or in the wrong order.
#[test]
fn no_interleaving_breaks_a_promise() {
    for (seed, setup) in (0..).zip(setups().into_iter().cycle()).take(161 * 12) {
        let manner = Manner {
            entries: [2, 3, 8, 64][seed as usize % 4],
            ready_reads: 1 + seed as u32 % 5,
            pairs: 1 + seed as u32 % 8,
            ..Manner::default()
        };
        let bench = Bench::new(Setup { manner, ..setup }, seed);
        bench.interleaving.set(6);
        if !bench.start() {
            continue;
        }
        bench.wild.set(!setup.dump);
        for number in 0..12 {
            let (write, first) = (number % 2 == 0, number * 8);
            bench.send(bench.transfer(write, first, 8, number));
            if number == 7 && seed % 5 == 0 && !setup.dump {
                bench.control(ScsiAdapterControlType::STOP_ADAPTER);
                bench.control(ScsiAdapterControlType::RESTART_ADAPTER);
            }
            if number == 9 && seed % 7 == 0 && !setup.dump {
                bench.model.borrow_mut().gone = true;
                bench.control(ScsiAdapterControlType::SURPRISE_REMOVAL);
            }
        }
        bench.wild.set(false);
        bench.interleaving.set(0);
        bench.settle();
    }
}
