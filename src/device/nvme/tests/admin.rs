//! The admin command set.

use super::*;
use crate::device::service::LATE;

fn identify(rig: &mut Rig, cns: u32, nsid: u32) -> Cqe {
    rig.memory.at(ADMIN_DATA, 4096).fill(0xA5);
    let words = [cns, 0, 0, 0, 0, 0];
    rig.admin(Sqe { opcode: 6, nsid, prp: [ADMIN_DATA, 0], words, ..Sqe::default() })
}

fn set_feature(rig: &mut Rig, id: u32, value: u32) -> Cqe {
    rig.admin(Sqe { opcode: 9, words: [id, value, 0, 0, 0, 0], ..Sqe::default() })
}

fn get_feature(rig: &mut Rig, id: u32, value: u32) -> Cqe {
    rig.admin(Sqe { opcode: 10, words: [id, value, 0, 0, 0, 0], ..Sqe::default() })
}

#[test]
fn registers_say_what_the_controller_is() {
    let mut rig = Rig::powered(Manner { queue_entries: 17, ..Manner::default() });
    // 17 entries, contiguous; ready within a second. Stride 0, subsystem reset, NVM, pages of 4 KiB.
    assert_eq!(rig.read(offset::CAP_LOW), 2 << 24 | 1 << 16 | 16);
    assert_eq!(rig.read(offset::CAP_HIGH), 1 << 5 | 1 << 4);
    assert_eq!(rig.read(offset::VS), 0x0001_0400);
    assert_eq!(rig.device.geometry(), (512, 128));
    assert!(rig.device.register_bytes() >= 0x1000 + 17 * 8);
    for at in [0x18, 0x38, 0x1000, 0x2000, 0x3FFC, u32::MAX] {
        assert_eq!(rig.read(at), 0);
    }
}

#[test]
fn configuration_space_describes_an_nvme_controller() {
    let device = Nvme::new();
    let config = device.config_space();
    assert_eq!(config[9..12], [2, 8, 1], "class code");
    assert_eq!(config[0x10] & 7, 4, "a 64-bit memory range");
    assert_eq!(config[0x3D], 1, "INTA");
    assert_eq!(config[6] & 0x10, 0x10, "there is a list of capabilities");
    let mut capabilities = Vec::new();
    let mut at = usize::from(config[0x34]);
    while at != 0 {
        capabilities.push((config[at], at));
        at = usize::from(config[at + 1]);
    }
    let kinds: Vec<_> = capabilities.iter().map(|capability| capability.0).collect();
    assert_eq!(kinds, [0x01, 0x11, 0x10], "power management, MSI-X, PCI Express");
    let msix = capabilities[1].1;
    let words: Vec<_> = config[msix..msix + 12]
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes")))
        .collect();
    assert_eq!(words[0] >> 16, 63, "64 messages");
    assert_eq!((words[1], words[2]), (0x2000, 0x3000));
}

#[test]
fn identify_controller_and_namespace() {
    let mut rig = Rig::enabled(Manner::default());
    assert_eq!(identify(&mut rig, 1, 0).status, 0);
    let page = rig.memory.at(ADMIN_DATA, 4096).to_vec();
    assert_eq!(page[4..24], *b"LOCKSTORM-0001      ");
    assert_eq!(page[24..48], *b"lockstorm NVMe RAM disk ");
    assert_eq!(page[64..73], *b"1.0     \0", "revision, arbitration burst");
    assert_eq!(page[77], 4, "64 KiB at most");
    assert_eq!(page[80..84], [0, 4, 1, 0], "1.4");
    assert_eq!((page[258], page[259]), (3, 3), "aborts and event requests");
    assert_eq!((page[261], page[512], page[513]), (4, 0x66, 0x44));
    assert_eq!(page[516..522], [1, 0, 0, 0, 0x0C, 0], "namespaces, optional commands");
    assert_eq!(page[525], 7, "volatile write cache");
    assert_eq!(page[768..772], *b"nqn.");
    assert_eq!(identify(&mut rig, 0, 1).status, 0);
    let page = rig.memory.at(ADMIN_DATA, 4096).to_vec();
    assert_eq!(page[0..8], [128, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((page[8], page[16]), (128, 128));
    assert_eq!(page[25..33], [0; 8], "one format, no protection");
    assert_eq!(page[33], 9, "deallocated blocks read as zeros");
    assert_eq!(page[104..128], *b"lockstorm-ns-001lockstrm");
    assert_eq!(page[128..132], [0, 0, 9, 0], "512 bytes, no metadata");
    for nsid in [0, 2, !0] {
        assert_eq!(identify(&mut rig, 0, nsid).status, 0x0B);
        assert_eq!(rig.memory.at(ADMIN_DATA, 1)[0], 0xA5, "nothing transferred");
    }
    assert_eq!(identify(&mut rig, 0x10, 1).status, 0x02);
}

#[test]
fn identify_lists_and_descriptors() {
    let mut rig = Rig::enabled(Manner::default());
    for (after, first) in [(0, 1), (1, 0), (0xFFFF_FFFD, 0)] {
        assert_eq!(identify(&mut rig, 2, after).status, 0);
        assert_eq!(rig.memory.at(ADMIN_DATA, 8), [first, 0, 0, 0, 0, 0, 0, 0]);
    }
    assert_eq!(identify(&mut rig, 2, 0xFFFF_FFFE).status, 0x0B);
    assert_eq!(identify(&mut rig, 3, 1).status, 0);
    let page = rig.memory.at(ADMIN_DATA, 60).to_vec();
    assert_eq!((page[0..2].to_vec(), page[12..14].to_vec()), (vec![1, 8], vec![2, 16]));
    assert_eq!((page[32..34].to_vec(), page[52]), (vec![3, 16], 0));
}

#[test]
fn garbage_identify_is_the_same_each_time_and_never_has_a_plausible_wrong_block_size() {
    for latency in 0..16 {
        let manner = Manner { garbage_identify: true, latency, ..Manner::default() };
        let mut pages = Vec::new();
        for _ in 0..2 {
            let mut rig = Rig::enabled(manner);
            assert_eq!(identify(&mut rig, 0, 1).status, 0);
            let page = rig.memory.at(ADMIN_DATA, 4096).to_vec();
            let format = usize::from(page[26] & 0xF);
            assert!(!(10..=16).contains(&page[130 + 4 * format]));
            pages.push(page);
        }
        assert_eq!(pages[0], pages[1]);
    }
}

#[test]
fn number_of_queues_is_what_is_granted() {
    let mut rig = Rig::enabled(Manner { queue_pairs: 3, ..Manner::default() });
    assert_eq!(get_feature(&mut rig, 7, 0).result, 0x0002_0002);
    assert_eq!(set_feature(&mut rig, 7, 0x0007_0001).result, 0x0002_0001);
    assert_eq!(set_feature(&mut rig, 7, 0x0001_FFFF).status, 0x02);
    assert_eq!(rig.create_completion(3, 8, 0).status, 0);
    assert_eq!(rig.create_completion(4, 8, 0).status, 0x101);
    assert_eq!(rig.create_submission(3, 8, 3).status, 0x101, "two were asked for");
    let mut few = Rig::enabled(Manner { queue_pairs: 3, ..Manner::default() });
    assert_eq!(set_feature(&mut few, 7, 0x0000_0002).result, 0x0000_0002);
    assert_eq!(few.create_completion(2, 8, 0).status, 0x101, "one was asked for");
    assert_eq!(set_feature(&mut rig, 7, 0).status, 0x0C, "queues exist");
}

#[test]
fn features_are_kept_until_a_reset() {
    let mut rig = Rig::enabled(Manner::default());
    assert_eq!(get_feature(&mut rig, 6, 0).result, 1, "write cache on");
    assert_eq!(set_feature(&mut rig, 6, 0).status, 0);
    assert_eq!(set_feature(&mut rig, 8, 0x0503).status, 0);
    assert_eq!(set_feature(&mut rig, 9, 0x1_0002).status, 0);
    assert_eq!(get_feature(&mut rig, 6, 0).result, 0);
    assert_eq!(get_feature(&mut rig, 8, 0).result, 0x0503);
    assert_eq!(get_feature(&mut rig, 9, 2).result, 0x1_0002);
    assert_eq!(get_feature(&mut rig, 9, 4).result, 4);
    assert_eq!(get_feature(&mut rig, 1 << 8 | 6, 0).result, 1, "default");
    assert_eq!(get_feature(&mut rig, 3 << 8 | 6, 0).result, 4, "changeable");
    assert_eq!((set_feature(&mut rig, 2, 0).status, set_feature(&mut rig, 2, 1).status), (0, 2));
    assert_eq!(set_feature(&mut rig, 1 << 31 | 6, 0).status, 0x10D);
    assert_eq!(set_feature(&mut rig, 0x0C, 0).status, 0x02);
    assert_eq!(get_feature(&mut rig, 0, 0).status, 0x02);
    rig.write(offset::CC, 0);
    rig.pass(MILLISECOND);
    rig.enable();
    assert_eq!(get_feature(&mut rig, 6, 0).result, 1);
}

#[test]
fn queues_are_checked() {
    let mut rig = Rig::ready(Manner::default());
    let base = BASE + 0x2_0000;
    let size = 32;
    for (name, command, status) in [
        ("identifier 0", queue_command(5, 0, 8, base, 3), 0x101),
        ("identifier in use", queue_command(5, 1, 8, base, 3), 0x101),
        ("identifier out of range", queue_command(5, 9, 8, base, 3), 0x101),
        ("one entry", queue_command(5, 3, 1, base, 3), 0x102),
        ("too many entries", queue_command(5, 3, size + 1, base, 3), 0x102),
        ("offset", queue_command(5, 3, 8, base + 64, 3), 0x13),
        ("small offset", queue_command(5, 3, 8, base + 1, 3), 0x13),
        ("not contiguous", queue_command(5, 3, 8, base, 2), 0x02),
        ("vector", queue_command(5, 3, 8, base, 64 << 16 | 3), 0x108),
        ("submission in use", queue_command(1, 1, 8, base, 1 << 16 | 1), 0x101),
        ("no completion queue", queue_command(1, 3, 8, base, 3 << 16 | 1), 0x100),
        ("admin completion queue", queue_command(1, 3, 8, base, 1), 0x100),
        ("largest", queue_command(5, 3, size, base, 3), 0),
        ("delete one that feeds", queue_command(4, 1, 1, 0, 0), 0x10C),
        ("delete none", queue_command(4, 5, 1, 0, 0), 0x101),
        ("delete the admin queue", queue_command(0, 0, 1, 0, 0), 0x101),
        ("delete submission", queue_command(0, 1, 1, 0, 0), 0),
        ("then completion", queue_command(4, 1, 1, 0, 0), 0),
        ("gone", queue_command(0, 1, 1, 0, 0), 0x101),
    ] {
        assert_eq!(rig.admin(command).status, status, "{name}");
    }
}

#[test]
fn queues_need_entry_sizes() {
    let mut rig = Rig::powered(Manner::default());
    rig.configure();
    rig.write(offset::CC, 1);
    rig.pass(MILLISECOND);
    assert_eq!(rig.create_completion(1, 8, 0).status, 0x102);
}

#[test]
fn the_scenario_can_fail_the_creation_of_a_queue() {
    let mut rig = Rig::enabled(Manner { queue_creation_fails: 3, ..Manner::default() });
    rig.create_pair(1, 8);
    assert_eq!(rig.create_completion(2, 8, 2).status, 0x06);
    rig.create_pair(2, 8);
}

#[test]
fn deleting_a_queue_ends_its_commands() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit_with(1, read(1, 0, 1), Outcome::Silence);
    rig.submit_with(1, read(2, 0, 1), Outcome::Late);
    rig.submit_with(2, read(1, 0, 1).data(DATA + 512, 0), Outcome::Silence);
    assert_eq!(rig.admin(queue_command(0, 1, 1, 0, 0)).status, 0);
    assert_eq!(rig.reap(1).iter().map(|c| (c.cid, c.status)).collect::<Vec<_>>(), [(1, 8), (2, 8)]);
    assert!(!rig.device.owns(DATA, 512));
    assert!(rig.device.owns(DATA + 512, 512), "the other queue's command is still there");
    assert_eq!(rig.answers_after(1, 2 * LATE), []);
}

#[test]
fn abort_ends_a_command() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit_with(1, read(1, 0, 1), Outcome::Silence);
    assert!(rig.device.owns(DATA, 1));
    assert_eq!(rig.abort(1, 1).result & 1, 0, "aborted");
    assert!(!rig.device.owns(DATA, 1));
    assert_eq!(rig.answers_after(1, 0), [(1, 7)]);
    assert_eq!(rig.abort(1, 1).result & 1, 1, "nothing to abort");
    assert_eq!(rig.abort(300, 1).result & 1, 1, "no such queue");
    assert_eq!(rig.abort(0, 1).result & 1, 1, "nor such an admin command");
}

#[test]
fn an_abort_names_one_command_of_one_queue() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit(0, event_request(1));
    rig.submit_with(1, read(1, 0, 1), Outcome::Silence);
    rig.submit_with(2, read(1, 0, 1).data(DATA + 512, 0), Outcome::Silence);
    assert_eq!(rig.abort(2, 1).result & 1, 0);
    assert!(rig.device.owns(DATA, 512) && !rig.device.owns(DATA + 512, 512));
    rig.submit(0, event_request(1));
    assert_eq!(rig.answers_after(0, MILLISECOND), [(1, 0x03)], "still held");
}

#[test]
fn an_abort_whose_victim_has_no_room_for_an_answer_does_nothing() {
    let mut rig = Rig::ready(Manner::default());
    for cid in 0..6 {
        rig.submit(1, read(cid, 0, 1));
    }
    rig.pass(MILLISECOND);
    rig.submit_with(1, read(6, 0, 1), Outcome::Silence);
    assert_eq!(rig.abort(1, 6).result & 1, 1);
    assert!(rig.device.owns(DATA, 1));
    assert_eq!(rig.reap(1).len(), 6);
    assert_eq!(rig.abort(1, 6).result & 1, 0);
}

#[test]
fn too_many_aborts_at_once() {
    let mut rig = Rig::ready(Manner::default());
    for cid in 0..6 {
        rig.push(0, Sqe { opcode: 8, cid, words: [1, 0, 0, 0, 0, 0], ..Sqe::default() });
    }
    rig.ring(0);
    let statuses: Vec<_> = rig.answers_after(0, MILLISECOND).iter().map(|a| a.1).collect();
    assert_eq!(statuses, [0, 0, 0, 0, 0x103, 0x103]);
}

fn event_request(cid: u16) -> Sqe {
    Sqe { opcode: 0x0C, cid, ..Sqe::default() }
}

fn get_log(rig: &mut Rig, page: u32, dwords: u32, offset: u32) -> Cqe {
    let words = [(dwords - 1) << 16 | page, 0, offset, 0, 0, 0];
    rig.admin(Sqe { opcode: 2, prp: [ADMIN_DATA, 0], words, ..Sqe::default() })
}

#[test]
fn event_requests_are_held_until_a_doorbell_is_written_wrongly() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit(0, event_request(1));
    rig.submit(0, event_request(2));
    assert_eq!(rig.answers_after(0, SECOND), []);
    rig.memory.messages.clear();
    rig.write(0x1000 + 8 * 5, 1);
    assert_eq!(rig.memory.messages, [0]);
    let cqe = rig.take(0).expect("an event");
    assert_eq!((cqe.cid, cqe.result), (1, 0x0001_0000));
    rig.write(0x1000 + 8, 8);
    assert_eq!(rig.take(0), None, "masked until the log is read");
    assert_eq!(get_log(&mut rig, 1, 16, 0).status, 0);
    rig.write(0x1000 + 8, 8);
    let cqe = rig.take(0).expect("another event");
    assert_eq!((cqe.cid, cqe.result), (2, 0x0001_0100));
    assert_eq!(get_log(&mut rig, 1, 16, 0).status, 0);
    rig.write(0x1000 + 8, 8);
    rig.submit(0, event_request(3));
    assert_eq!(rig.answers_after(0, MILLISECOND), [(3, 0)], "an event that came before");
}

#[test]
fn an_event_waits_for_room() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit(0, event_request(1));
    rig.pass(MILLISECOND);
    for cid in 100..115 {
        rig.submit(0, Sqe { opcode: 10, cid, words: [6, 0, 0, 0, 0, 0], ..Sqe::default() });
        rig.pass(MILLISECOND);
    }
    rig.write(0x1000 + 8 * 5, 1);
    let cids: Vec<_> = rig.reap(0).iter().map(|cqe| cqe.cid).collect();
    assert_eq!(cids, (100..115).collect::<Vec<_>>());
    assert_eq!(rig.answers_after(0, 0), [(1, 0)], "once the driver has consumed some");
}

#[test]
fn only_so_many_event_requests() {
    let mut rig = Rig::ready(Manner::default());
    for cid in 0..5 {
        rig.submit(0, event_request(cid));
    }
    assert_eq!(rig.answers_after(0, MILLISECOND), [(4, 0x105)]);
    rig.submit(0, event_request(2));
    assert_eq!(rig.answers_after(0, MILLISECOND), [(2, 0x03)], "identifier is held");
    assert_eq!(rig.abort(0, 2).status, 0);
    rig.submit(0, event_request(9));
    assert_eq!(rig.answers_after(0, MILLISECOND), []);
}

#[test]
fn log_pages() {
    let mut rig = Rig::enabled(Manner::default());
    rig.memory.at(ADMIN_DATA, 4096).fill(0xA5);
    assert_eq!(get_log(&mut rig, 2, 2, 0).status, 0);
    assert_eq!(rig.memory.at(ADMIN_DATA, 9), [0, 0x2C, 1, 100, 10, 0, 0, 0, 0xA5]);
    assert_eq!(get_log(&mut rig, 2, 1, 4).status, 0);
    assert_eq!(rig.memory.at(ADMIN_DATA, 2), [10, 0], "from an offset");
    assert_eq!(get_log(&mut rig, 2, 1, 512).status, 0, "nothing is left there");
    assert_eq!(get_log(&mut rig, 2, 1, 516).status, 0x02);
    assert_eq!(get_log(&mut rig, 3, 4, 0).status, 0);
    assert_eq!(rig.memory.at(ADMIN_DATA, 2), [1, 0], "the active slot");
    assert_eq!(rig.memory.at(ADMIN_DATA + 8, 8), *b"1.0     ");
    assert_eq!(get_log(&mut rig, 0x55, 1, 0).status, 0x109);
    let words = [2, 1, 0, 0, 0, 0];
    let long = Sqe { opcode: 2, prp: [ADMIN_DATA, 0], words, ..Sqe::default() };
    assert_eq!(rig.admin(long).status, 0x02, "longer than a transfer can be");
}

#[test]
fn unknown_admin_commands_are_refused() {
    let mut rig = Rig::enabled(Manner::default());
    for opcode in [0x03, 0x10, 0x18, 0x80, 0xC0] {
        assert_eq!(rig.admin(Sqe { opcode, ..Sqe::default() }).status, 0x01);
    }
}
