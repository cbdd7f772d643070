//! A small driver for the controller, on a few hundred kilobytes of memory.

mod admin;
mod hostile;
mod interrupt;
mod io;
mod model;
mod outcome;
mod reset;

use super::registers::offset;
use super::{Device, Nvme};
use crate::device::Bus;
use crate::scenario::{Answer, DeviceOrder, Manner, Outcome};

/// The driver's memory starts here: where both halves of an address matter.
pub(super) const BASE: u64 = 0x12_3400_0000;
pub(super) const BYTES: usize = 0x8_0000;
/// Queues of pair n: the submission queue, and a page further the completion queue.
const QUEUES: u64 = BASE;
/// Data that tests place themselves.
pub(super) const DATA: u64 = BASE + 0x4_0000;
/// What Identify and its like are read to.
pub(super) const ADMIN_DATA: u64 = BASE + 0x7_0000;

pub(super) const MICROSECOND: u64 = 1000;
pub(super) const MILLISECOND: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) struct Memory {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: Vec<u16>,
    pub(super) line: bool,
    pub(super) now: u64,
}

impl Memory {
    pub(super) fn new() -> Self {
        Memory { bytes: vec![0; BYTES], messages: Vec::new(), line: false, now: 0 }
    }

    fn range(&self, address: u64, length: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(address.checked_sub(BASE)?).ok()?;
        let end = start.checked_add(length)?;
        (end <= self.bytes.len()).then_some(start..end)
    }

    pub(super) fn at(&mut self, address: u64, length: usize) -> &mut [u8] {
        let range = self.range(address, length).expect("the test's own memory");
        &mut self.bytes[range]
    }

    pub(super) fn put_u64(&mut self, address: u64, value: u64) {
        self.at(address, 8).copy_from_slice(&value.to_le_bytes());
    }
}

impl Bus for Memory {
    fn read(&mut self, address: u64, into: &mut [u8]) -> bool {
        let Some(range) = self.range(address, into.len()) else { return false };
        into.copy_from_slice(&self.bytes[range]);
        true
    }
    fn write(&mut self, address: u64, from: &[u8]) -> bool {
        let Some(range) = self.range(address, from.len()) else { return false };
        self.bytes[range].copy_from_slice(from);
        true
    }
    fn send_message(&mut self, message: u16) {
        self.messages.push(message);
    }
    fn set_line(&mut self, asserted: bool) {
        assert_ne!(self.line, asserted, "the line is driven only when it changes");
        self.line = asserted;
    }
    fn now(&self) -> u64 {
        self.now
    }
}

/// A command as a driver writes it.
#[derive(Clone, Copy, Default)]
pub(super) struct Sqe {
    pub(super) opcode: u8,
    pub(super) flags: u8,
    pub(super) cid: u16,
    pub(super) nsid: u32,
    pub(super) prp: [u64; 2],
    pub(super) words: [u32; 6],
}

impl Sqe {
    fn bytes(&self) -> [u8; 64] {
        let mut raw = [0; 64];
        raw[0] = self.opcode;
        raw[1] = self.flags;
        raw[2..4].copy_from_slice(&self.cid.to_le_bytes());
        raw[4..8].copy_from_slice(&self.nsid.to_le_bytes());
        raw[24..32].copy_from_slice(&self.prp[0].to_le_bytes());
        raw[32..40].copy_from_slice(&self.prp[1].to_le_bytes());
        for (index, word) in self.words.iter().enumerate() {
            raw[40 + 4 * index..44 + 4 * index].copy_from_slice(&word.to_le_bytes());
        }
        raw
    }

    pub(super) fn data(mut self, first: u64, second: u64) -> Self {
        self.prp = [first, second];
        self
    }
}

const fn transfer(opcode: u8, cid: u16, block: u32, blocks: u32) -> Sqe {
    Sqe { opcode, flags: 0, cid, nsid: 1, prp: [DATA, 0], words: [block, 0, blocks - 1, 0, 0, 0] }
}

pub(super) const fn read(cid: u16, block: u32, blocks: u32) -> Sqe {
    transfer(2, cid, block, blocks)
}

pub(super) const fn write(cid: u16, block: u32, blocks: u32) -> Sqe {
    transfer(1, cid, block, blocks)
}

/// A completion as a driver reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cqe {
    pub(super) result: u32,
    pub(super) head: u16,
    pub(super) queue: u16,
    pub(super) cid: u16,
    /// Type and code, without Do Not Retry.
    pub(super) status: u16,
    pub(super) do_not_retry: bool,
}

#[derive(Clone, Copy, Default)]
struct Ring {
    entries: u16,
    tail: u16,
    head: u16,
    phase: bool,
}

/// The controller with its driver.
pub(super) struct Rig {
    pub(super) device: Nvme,
    pub(super) memory: Memory,
    rings: [Ring; 17],
    next_cid: u16,
}

impl Rig {
    /// Powered on, not enabled.
    pub(super) fn powered(manner: Manner) -> Self {
        let mut device = Nvme::new();
        device.power_on(&manner);
        Rig { device, memory: Memory::new(), rings: [Ring::default(); 17], next_cid: 0x100 }
    }

    /// Enabled, with no I/O queue.
    pub(super) fn enabled(manner: Manner) -> Self {
        let mut rig = Rig::powered(manner);
        rig.enable();
        assert_eq!(rig.csts(), 1, "ready");
        rig
    }

    /// With pairs 1 and 2 of 8 entries, which send messages 1 and 2.
    pub(super) fn ready(manner: Manner) -> Self {
        let mut rig = Rig::enabled(manner);
        for id in 1..=2 {
            rig.create_pair(id, 8);
        }
        rig.memory.messages.clear();
        rig
    }

    pub(super) fn write(&mut self, at: u32, value: u32) {
        self.device.write_register(&mut self.memory, at, value);
    }

    pub(super) fn read(&mut self, at: u32) -> u32 {
        self.device.read_register(&mut self.memory, at)
    }

    pub(super) fn csts(&mut self) -> u32 {
        self.read(offset::CSTS)
    }

    pub(super) fn configure(&mut self) {
        self.rings = [Ring::default(); 17];
        self.rings[0] = Ring { entries: 16, tail: 0, head: 0, phase: true };
        self.write(offset::AQA, 15 << 16 | 15);
        self.write(offset::ASQ_LOW, QUEUES as u32);
        self.write(offset::ASQ_HIGH, (QUEUES >> 32) as u32);
        self.write(offset::ACQ_LOW, QUEUES as u32 + 0x1000);
        self.write(offset::ACQ_HIGH, (QUEUES >> 32) as u32);
        self.memory.at(QUEUES, 0x2000).fill(0);
    }

    pub(super) fn enable(&mut self) {
        self.configure();
        self.write(offset::CC, 4 << 20 | 6 << 16 | 1);
        self.pass(MILLISECOND);
    }

    /// Lets time pass, stopping wherever the device wants to do something.
    pub(super) fn pass(&mut self, nanoseconds: u64) {
        let end = self.memory.now + nanoseconds;
        while let Some(due) = self.device.due().filter(|&due| due <= end) {
            self.memory.now = self.memory.now.max(due);
            self.device.advance(&mut self.memory);
            assert!(
                self.device.due().is_none_or(|next| next > self.memory.now),
                "what is due at this time has been done"
            );
        }
        self.memory.now = end;
    }

    /// Puts a command into a queue without ringing.
    pub(super) fn push(&mut self, queue: usize, command: Sqe) {
        let ring = &mut self.rings[queue];
        let address = QUEUES + queue as u64 * 0x2000 + u64::from(ring.tail) * 64;
        ring.tail = (ring.tail + 1) % ring.entries;
        self.memory.at(address, 64).copy_from_slice(&command.bytes());
    }

    pub(super) fn ring(&mut self, queue: usize) {
        self.write(0x1000 + 8 * queue as u32, self.rings[queue].tail.into());
    }

    pub(super) fn submit(&mut self, queue: usize, command: Sqe) {
        self.push(queue, command);
        self.ring(queue);
    }

    pub(super) fn submit_with(&mut self, queue: usize, command: Sqe, outcome: Outcome) {
        self.device.expect(Answer { outcome, slowness: 0 });
        self.submit(queue, command);
    }

    /// Takes the next completion without telling the controller.
    pub(super) fn take(&mut self, queue: usize) -> Option<Cqe> {
        let ring = &mut self.rings[queue];
        let address = QUEUES + queue as u64 * 0x2000 + 0x1000 + u64::from(ring.head) * 16;
        let raw: [u8; 16] = self.memory.at(address, 16).try_into().expect("16 bytes");
        let half = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
        let status = half(14);
        if (status & 1 == 1) != ring.phase {
            return None;
        }
        ring.head = (ring.head + 1) % ring.entries;
        if ring.head == 0 {
            ring.phase = !ring.phase;
        }
        Some(Cqe {
            result: u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]),
            head: half(8),
            queue: half(10),
            cid: half(12),
            status: status >> 1 & 0x7FF,
            do_not_retry: status >> 15 != 0,
        })
    }

    pub(super) fn ring_head(&mut self, queue: usize) {
        self.write(0x1004 + 8 * queue as u32, self.rings[queue].head.into());
    }

    /// Takes every completion there is.
    pub(super) fn reap(&mut self, queue: usize) -> Vec<Cqe> {
        let taken: Vec<_> = std::iter::from_fn(|| self.take(queue)).collect();
        if !taken.is_empty() {
            self.ring_head(queue);
        }
        taken
    }

    /// Identifiers and statuses of what is there after some time.
    pub(super) fn answers_after(&mut self, queue: usize, nanoseconds: u64) -> Vec<(u16, u16)> {
        self.pass(nanoseconds);
        self.reap(queue).iter().map(|cqe| (cqe.cid, cqe.status)).collect()
    }

    /// Sends an I/O command and waits for its only answer.
    pub(super) fn io(&mut self, command: Sqe) -> Cqe {
        self.submit(1, command);
        self.pass(MILLISECOND);
        let taken = self.reap(1);
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].cid, taken[0].queue), (command.cid, 1));
        taken[0]
    }

    /// Sends an admin command and waits for its answer.
    pub(super) fn admin(&mut self, mut command: Sqe) -> Cqe {
        command.cid = self.next_cid;
        self.next_cid += 1;
        self.submit(0, command);
        self.pass(20 * MICROSECOND);
        let taken = self.reap(0);
        let answer = taken.iter().find(|cqe| cqe.cid == command.cid);
        *answer.expect("an admin command is answered")
    }

    pub(super) fn create_completion(&mut self, id: u16, entries: u16, vector: u16) -> Cqe {
        let base = QUEUES + u64::from(id) * 0x2000 + 0x1000;
        self.memory.at(base, 0x1000).fill(0);
        let ring = &mut self.rings[usize::from(id)];
        *ring = Ring { entries, tail: 0, head: 0, phase: true };
        self.admin(queue_command(0x05, id, entries, base, u32::from(vector) << 16 | 3))
    }

    pub(super) fn create_submission(&mut self, id: u16, entries: u16, completion: u16) -> Cqe {
        let base = QUEUES + u64::from(id) * 0x2000;
        self.admin(queue_command(0x01, id, entries, base, u32::from(completion) << 16 | 1))
    }

    pub(super) fn create_pair(&mut self, id: u16, entries: u16) {
        assert_eq!(self.create_completion(id, entries, id).status, 0);
        assert_eq!(self.create_submission(id, entries, id).status, 0);
    }

    pub(super) fn abort(&mut self, submission: u16, cid: u16) -> Cqe {
        let words = [u32::from(cid) << 16 | u32::from(submission), 0, 0, 0, 0, 0];
        self.admin(Sqe { opcode: 0x08, words, ..Sqe::default() })
    }
}

pub(super) fn queue_command(opcode: u8, id: u16, entries: u16, base: u64, flags: u32) -> Sqe {
    let size = u32::from(entries.wrapping_sub(1)) << 16 | u32::from(id);
    Sqe { opcode, prp: [base, 0], words: [size, flags, 0, 0, 0, 0], ..Sqe::default() }
}

/// Bytes that tell where they belong.
pub(super) fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|index| (index / 512) as u8 ^ (index % 251) as u8 ^ seed).collect()
}

/// Deterministic noise (xorshift64).
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn flag(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Any manner, in range or not.
pub(super) fn any_manner(noise: &mut Noise) -> Manner {
    Manner {
        order: DeviceOrder::ALL[noise.below(3) as usize],
        latency: noise.below(256) as u8,
        queue_entries: noise.below(256) as u8,
        queue_pairs: noise.below(256) as u8,
        slow_ready: noise.flag(),
        never_ready: noise.below(8) == 0,
        queue_creation_fails: noise.below(8) as u8,
        answers_after_reset: noise.flag(),
        coalesces: noise.flag(),
        spurious_every: noise.below(4) as u8,
        garbage_identify: noise.flag(),
    }
}

/// Any answer, in range or not.
pub(super) fn any_answer(noise: &mut Noise) -> Answer {
    Answer { outcome: Outcome::ALL[noise.below(8) as usize], slowness: noise.below(256) as u8 }
}
