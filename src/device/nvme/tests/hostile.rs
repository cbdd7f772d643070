//! Drivers that write anything anywhere.

use super::*;

/// An address that is likely to be good for something.
fn address(noise: &mut Noise) -> u64 {
    match noise.below(8) {
        0 => noise.next(),
        1 => !0 - noise.below(8192),
        2 => BASE + BYTES as u64 - noise.below(64) * 512,
        3 => BASE + noise.below(BYTES as u64),
        _ => BASE + noise.below(BYTES as u64 / 4096) * 4096,
    }
}

/// A command that is likely to be nearly right.
fn command(noise: &mut Noise, admin: bool) -> Sqe {
    let opcode = if admin { noise.below(13) } else { noise.below(10) };
    let word = |noise: &mut Noise| match noise.below(3) {
        0 => noise.next() as u32,
        1 => noise.below(8) as u32,
        _ => (noise.below(8) << 16 | noise.below(18)) as u32,
    };
    Sqe {
        opcode: if noise.below(16) == 0 { noise.next() as u8 } else { opcode as u8 },
        flags: if noise.below(16) == 0 { noise.next() as u8 } else { 0 },
        cid: noise.below(32) as u16,
        nsid: if noise.below(8) == 0 { noise.next() as u32 } else { 1 },
        prp: [address(noise), address(noise)],
        words: std::array::from_fn(|_| word(noise)),
    }
}

fn register(noise: &mut Noise) -> u32 {
    match noise.below(4) {
        0 => noise.next() as u32,
        1 => noise.below(0x40) as u32 & !3,
        _ => 0x1000 + noise.below(36) as u32 * 4,
    }
}

fn value(noise: &mut Noise) -> u32 {
    match noise.below(3) {
        0 => noise.next() as u32,
        1 => 0x0046_0000 | noise.below(2) as u32,
        _ => noise.below(20) as u32,
    }
}

/// Starts from the beginning, as a driver does that has lost its controller.
fn start_over(rig: &mut Rig, noise: &mut Noise) {
    rig.write(offset::CC, 0);
    rig.pass(SECOND);
    rig.enable();
    rig.pass(SECOND);
    if rig.csts() == 1 {
        for id in 1..=noise.below(4) as u16 {
            let entries = 2 + noise.below(6) as u16;
            rig.create_completion(id, entries, id);
            rig.create_submission(id, entries, id);
        }
    }
}

/// One thing that a driver, the machine or the scenario does.
fn act(rig: &mut Rig, noise: &mut Noise) {
    match noise.below(16) {
        0..3 => {
            let (register, value) = (register(noise), value(noise));
            rig.write(register, value);
        }
        3 => {
            let register = register(noise);
            rig.read(register);
        }
        4..8 => {
            let queue = noise.below(4) as usize;
            if rig.rings[queue].entries != 0 {
                let command = command(noise, queue == 0);
                rig.submit(queue, command);
            }
        }
        8 => rig.device.expect(any_answer(noise)),
        9 => {
            let (address, bytes) = (address(noise), noise.next() >> noise.below(64));
            rig.device.owns(address, bytes);
        }
        10 => {
            rig.device.advance_early(&mut rig.memory);
        }
        11 if noise.below(16) == 0 => rig.device.behave(),
        12 if noise.below(256) == 0 => rig.device.remove(&mut rig.memory),
        12 if rig.csts() != 1 => start_over(rig, noise),
        13 => {
            let at = address(noise) & !7;
            let entry = address(noise).to_le_bytes();
            rig.memory.write(at, &entry);
        }
        14 => {
            let queue = noise.below(4) as usize;
            if rig.rings[queue].entries != 0 {
                rig.reap(queue);
            }
        }
        _ => rig.pass(1 << noise.below(30)),
    }
}

#[test]
fn nothing_a_driver_does_breaks_the_controller() {
    let mut noise = Noise(0x1234_5678_9ABC_DEF1);
    for _ in 0..500 {
        let mut rig = Rig::powered(any_manner(&mut noise));
        start_over(&mut rig, &mut noise);
        for _ in 0..400 {
            act(&mut rig, &mut noise);
        }
        // Whatever happened, power makes it whole.
        rig.device.power_on(&Manner::default());
        rig.memory.line = false;
        rig.enable();
        for id in 1..=2 {
            rig.create_pair(id, 8);
        }
        rig.memory.at(DATA, 512).fill(0x77);
        assert_eq!(rig.io(write(1, 9, 1)).status, 0);
        rig.memory.at(DATA, 512).fill(0);
        assert_eq!(rig.io(read(2, 9, 1)).status, 0);
        assert!(rig.memory.at(DATA, 512).iter().all(|&byte| byte == 0x77));
        assert_eq!(rig.device.due(), None);
        assert!(!rig.device.owns(0, u64::MAX));
    }
}

#[test]
fn the_same_run_gives_the_same_memory_and_messages() {
    let run = || {
        let mut noise = Noise(0xFEED);
        let mut rig = Rig::powered(any_manner(&mut noise));
        start_over(&mut rig, &mut noise);
        for _ in 0..5000 {
            act(&mut rig, &mut noise);
        }
        (rig.memory.bytes, rig.memory.messages, rig.memory.line)
    };
    assert!(run() == run());
}

#[test]
fn doorbells_outside_their_rings_are_ignored() {
    let mut rig = Rig::ready(Manner::default());
    for value in [8, 9, 0xFFFF, 0x1_0001, u32::MAX] {
        rig.write(0x1008, value);
        rig.write(0x100C, value);
    }
    // No entry has been posted: there is none to consume.
    rig.write(0x100C, 1);
    assert_eq!(rig.device.due(), None);
    assert_eq!(rig.io(read(1, 0, 1)).status, 0);
    // Six entries wait for room; two more would run over the ring's head.
    let mut rig = Rig::ready(Manner::default());
    for cid in 0..7 {
        rig.submit(1, read(cid, 0, 1));
    }
    assert_eq!(rig.answers_after(1, MILLISECOND).len(), 7);
}

#[test]
fn more_commands_than_the_controller_takes_at_once_wait_in_their_queue() {
    let mut rig = Rig::powered(Manner { queue_entries: 64, queue_pairs: 16, ..Manner::default() });
    rig.enable();
    for id in 1..=6 {
        rig.create_pair(id, 64);
    }
    for id in 1..=6 {
        for cid in 0..63 {
            rig.push(id, Sqe { cid, nsid: 1, ..Sqe::default() });
        }
        rig.ring(id);
    }
    let answered: usize = (1..=6).map(|id| rig.answers_after(id, MILLISECOND).len()).sum();
    assert_eq!(answered, 6 * 63);
}
