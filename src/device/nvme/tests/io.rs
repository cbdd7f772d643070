//! Reads, writes and their kin, and where their data lies.

use super::*;

const PAGE: u64 = 4096;

/// Writes blocks from one place and reads them to another.
fn round_trip(rig: &mut Rig, block: u32, blocks: u32, from: Sqe, to: Sqe, places: &[(u64, usize)]) {
    let data = pattern(blocks as usize * 512, 0x5A);
    let mut done = 0;
    for &(address, length) in places {
        rig.memory.at(address, length).copy_from_slice(&data[done..done + length]);
        done += length;
    }
    assert_eq!(done, data.len(), "the test's places hold everything");
    assert_eq!(rig.io(Sqe { words: write(0, block, blocks).words, ..from }).status, 0);
    for &(address, length) in places {
        rig.memory.at(address, length).fill(0);
    }
    assert_eq!(rig.io(Sqe { words: read(0, block, blocks).words, ..to }).status, 0);
    let mut done = 0;
    for &(address, length) in places {
        assert_eq!(rig.memory.at(address, length), &data[done..done + length]);
        done += length;
    }
}

#[test]
fn one_page_starting_inside_it() {
    let mut rig = Rig::ready(Manner::default());
    let at = DATA + 512;
    let command = write(1, 0, 1).data(at, 0);
    let back = Sqe { opcode: 2, ..command };
    round_trip(&mut rig, 5, 7, command, back, &[(at, 3584)]);
}

#[test]
fn two_pages() {
    let mut rig = Rig::ready(Manner::default());
    let (first, second) = (DATA + 3072, DATA + 5 * PAGE);
    let command = write(1, 0, 1).data(first, second);
    let back = Sqe { opcode: 2, ..command };
    round_trip(&mut rig, 100, 8, command, back, &[(first, 1024), (second, 3072)]);
}

#[test]
fn the_whole_disk_through_a_list_in_one_page() {
    let mut rig = Rig::ready(Manner::default());
    let first = DATA + 2048;
    let list = DATA + 0x2_0000 + 64;
    let mut places = vec![(first, 2048)];
    for index in 0..16 {
        let page = DATA + (20 - index) * PAGE;
        rig.memory.put_u64(list + 8 * index, page);
        places.push((page, if index == 15 { 2048 } else { 4096 }));
    }
    let command = write(1, 0, 1).data(first, list);
    let back = Sqe { opcode: 2, ..command };
    round_trip(&mut rig, 0, 128, command, back, &places);
}

#[test]
fn a_list_that_goes_on_in_a_second_page() {
    // The list begins `slots` entries before its page's end; the last of them points on.
    for slots in 1..=4 {
        let mut rig = Rig::ready(Manner::default());
        let list = DATA + 0x2_0000 + PAGE - 8 * slots;
        let next = DATA + 0x2_4000;
        rig.memory.put_u64(list + 8 * (slots - 1), next);
        let mut places = vec![(DATA, 4096)];
        for index in 0..6 {
            let page = DATA + (2 + index) * PAGE;
            let entry =
                if index < slots - 1 { list + 8 * index } else { next + 8 * (index + 1 - slots) };
            rig.memory.put_u64(entry, page);
            places.push((page, 4096));
        }
        let command = write(1, 0, 1).data(DATA, list);
        let back = Sqe { opcode: 2, ..command };
        round_trip(&mut rig, 32, 56, command, back, &places);
    }
}

#[test]
fn a_list_that_just_fits_its_page_does_not_go_on() {
    let mut rig = Rig::ready(Manner::default());
    let list = DATA + 0x2_0000 + PAGE - 16;
    let places = [(DATA, 4096), (DATA + PAGE, 4096), (DATA + 2 * PAGE, 4096)];
    rig.memory.put_u64(list, places[1].0);
    rig.memory.put_u64(list + 8, places[2].0);
    let command = write(1, 0, 1).data(DATA, list);
    let back = Sqe { opcode: 2, ..command };
    round_trip(&mut rig, 0, 24, command, back, &places);
}

#[test]
fn misplaced_data_is_refused() {
    let mut rig = Rig::ready(Manner::default());
    let list = DATA + 0x2_0000;
    rig.memory.put_u64(list, DATA + PAGE);
    rig.memory.put_u64(list + 8, DATA + 2 * PAGE + 512);
    for (name, command) in [
        ("first entry not a multiple of 4", read(1, 0, 1).data(DATA + 2, 0)),
        ("second page with an offset", read(1, 0, 16).data(DATA, DATA + PAGE + 512)),
        ("list not a multiple of 8", read(1, 0, 24).data(DATA, list + 4)),
        ("list entry with an offset", read(1, 0, 24).data(DATA, list)),
    ] {
        let cqe = rig.io(command);
        assert_eq!((cqe.status, cqe.do_not_retry), (0x13, true), "{name}");
    }
}

#[test]
fn wild_addresses_are_a_transfer_error() {
    let mut rig = Rig::ready(Manner::default());
    let outside = BASE + BYTES as u64;
    let list = DATA + 0x2_0000 + PAGE - 16;
    rig.memory.put_u64(list + 8, outside);
    for (name, command) in [
        ("data", read(1, 0, 1).data(outside, 0)),
        ("data at the end of the address space", write(1, 0, 8).data(!0xFFF, 0)),
        ("second page", write(1, 0, 16).data(DATA, 0)),
        ("list", read(1, 0, 24).data(DATA, outside)),
        ("second page of the list", read(1, 0, 32).data(DATA, list)),
    ] {
        assert_eq!(rig.io(command).status, 0x04, "{name}");
    }
}

#[test]
fn wrong_fields_are_refused() {
    let mut rig = Rig::ready(Manner::default());
    let high = Sqe { words: [0, 1, 0, 0, 0, 0], ..read(1, 0, 1) };
    for (name, command, status) in [
        ("past the end", read(1, 127, 2), 0x80),
        ("far past the end", high, 0x80),
        ("wraps around", Sqe { words: [!0, !0, 0, 0, 0, 0], ..read(1, 0, 1) }, 0x80),
        ("too long", read(1, 0, 129), 0x02),
        ("longest", read(1, 0, 65536), 0x02),
        ("fused", Sqe { flags: 1, ..read(1, 0, 1) }, 0x02),
        ("scatter-gather list", Sqe { flags: 0x40, ..read(1, 0, 1) }, 0x02),
        ("no namespace", Sqe { nsid: 0, ..read(1, 0, 1) }, 0x0B),
        ("another namespace", Sqe { nsid: 2, ..read(1, 0, 1) }, 0x0B),
        ("all namespaces", Sqe { nsid: !0, ..read(1, 0, 1) }, 0x0B),
        ("write zeroes past the end", transfer(8, 1, 1, 128), 0x80),
        ("compare", transfer(5, 1, 0, 1), 0x01),
    ] {
        let cqe = rig.io(command);
        assert_eq!((cqe.status, cqe.do_not_retry), (status, true), "{name}");
    }
    assert_eq!(rig.io(read(1, 127, 1)).status, 0, "the last block");
}

#[test]
fn flush_may_name_all_namespaces() {
    let mut rig = Rig::ready(Manner::default());
    for (nsid, status) in [(1, 0), (!0, 0), (0, 0x0B), (2, 0x0B)] {
        assert_eq!(rig.io(Sqe { nsid, ..Sqe::default() }).status, status);
    }
}

fn fill_disk(rig: &mut Rig) {
    rig.memory.at(DATA, 4096).fill(0xEE);
    for block in (0..128).step_by(8) {
        assert_eq!(rig.io(write(1, block, 8)).status, 0);
    }
}

fn is_zero(rig: &mut Rig, block: u32) -> bool {
    rig.memory.at(DATA, 512).fill(0x11);
    assert_eq!(rig.io(read(1, block, 1)).status, 0);
    let data = rig.memory.at(DATA, 512);
    assert!(data.iter().all(|&byte| byte == 0) || data.iter().all(|&byte| byte == 0xEE));
    data[0] == 0
}

#[test]
fn write_zeroes_and_deallocation_read_as_zeros() {
    let mut rig = Rig::ready(Manner::default());
    fill_disk(&mut rig);
    assert_eq!(rig.io(transfer(8, 1, 3, 2)).status, 0);
    for (index, (block, blocks)) in [(20_u64, 3_u64), (127, 1), (50, 0)].into_iter().enumerate() {
        rig.memory.put_u64(DATA + 16 * index as u64, blocks << 32);
        rig.memory.put_u64(DATA + 16 * index as u64 + 8, block);
    }
    let deallocate = Sqe { opcode: 9, words: [2, 4, 0, 0, 0, 0], ..read(1, 0, 1) };
    assert_eq!(rig.io(deallocate).status, 0);
    let zero: Vec<_> = (0..128).filter(|&block| is_zero(&mut rig, block)).collect();
    assert_eq!(zero, [3, 4, 20, 21, 22, 127]);
}

#[test]
fn dataset_management_without_deallocation_or_with_a_wrong_range_changes_nothing() {
    let mut rig = Rig::ready(Manner::default());
    fill_disk(&mut rig);
    for (index, (block, blocks)) in [(0_u64, 1_u64), (128, 1)].into_iter().enumerate() {
        rig.memory.put_u64(DATA + 16 * index as u64, blocks << 32);
        rig.memory.put_u64(DATA + 16 * index as u64 + 8, block);
    }
    let hint = Sqe { opcode: 9, words: [0, 0, 0, 0, 0, 0], ..read(1, 0, 1) };
    assert_eq!(rig.io(hint).status, 0);
    let wrong = Sqe { words: [1, 4, 0, 0, 0, 0], ..hint };
    assert_eq!(rig.io(wrong).status, 0x80);
    assert!(!is_zero(&mut rig, 0));
}

#[test]
fn power_on_wipes_the_disk() {
    let mut rig = Rig::ready(Manner::default());
    fill_disk(&mut rig);
    rig.device.power_on(&Manner::default());
    rig.enable();
    rig.create_pair(1, 8);
    assert!((0..128).all(|block| is_zero(&mut rig, block)));
}

#[test]
fn data_moves_when_the_command_is_done_and_is_owned_until_then() {
    let mut rig = Rig::ready(Manner::default());
    rig.memory.at(DATA, 1024).fill(1);
    let (first, second) = (DATA + 3584, DATA + 8 * PAGE);
    rig.memory.at(first, 512).fill(1);
    rig.submit(1, write(1, 0, 2).data(first, second));
    for (address, bytes, owned) in [
        (first, 1, true),
        (first + 511, 1, true),
        (first - 1, 1, false),
        (first - 1, 2, true),
        (first + 512, PAGE, false),
        (second, 512, true),
        (second + 512, 512, false),
        (0, u64::MAX, true),
        (first, 0, false),
    ] {
        assert_eq!(rig.device.owns(address, bytes), owned, "{address:#x} {bytes}");
    }
    rig.memory.at(first, 512).fill(2);
    assert_eq!(rig.answers_after(1, MILLISECOND), [(1, 0)]);
    assert!(!rig.device.owns(0, u64::MAX));
    rig.io(read(2, 0, 1));
    assert_eq!(rig.memory.at(DATA, 1)[0], 2, "what was in memory when the command was done");
}

#[test]
fn an_identifier_in_use_is_a_conflict() {
    let mut rig = Rig::ready(Manner::default());
    rig.submit_with(1, read(7, 0, 1), Outcome::Silence);
    rig.submit(1, read(7, 0, 1));
    rig.submit(2, read(7, 0, 1));
    assert_eq!(rig.answers_after(1, MILLISECOND), [(7, 0x03)]);
    assert_eq!(rig.answers_after(2, 0), [(7, 0)], "another queue has identifiers of its own");
}
