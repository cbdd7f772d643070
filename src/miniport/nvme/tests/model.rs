//! A controller small enough to be seen through: it does a command when it is told to.

use super::super::spec::{Command, PAGE_BYTES};

/// Blocks of 512 bytes of the disk.
pub(super) const BLOCKS: usize = 128;
const BLOCK: usize = 512;

/// How the controller differs from a good one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Entries of the largest queue.
    pub(super) entries: u32,
    /// Pairs of I/O queues that it grants.
    pub(super) pairs: u32,
    /// Create I/O Queue commands, counted from 1, of which the one fails; 0 for none.
    pub(super) creation_fails: u32,
    /// It never becomes ready.
    pub(super) never_ready: bool,
    /// Reads of CSTS until RDY follows CC.EN.
    pub(super) ready_reads: u32,
    /// What it says of itself is garbage.
    pub(super) garbage: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            entries: 32,
            pairs: 8,
            creation_fails: 0,
            never_ready: false,
            ready_reads: 2,
            garbage: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Ring {
    base: u64,
    entries: u16,
    head: u16,
    tail: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    submission: Ring,
    completion: Ring,
    phase: bool,
    vector: u16,
}

/// A command that was fetched and not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    queue: usize,
    pub(super) command: Command,
}

/// The controller.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) manner: Manner,
    pub(super) gone: bool,
    configuration: u32,
    reads_left: u32,
    ready: bool,
    mask: u32,
    admin: [u32; 5],
    pairs: [Pair; 10],
    created: u32,
    pub(super) flight: Vec<Flight>,
    pub(super) disk: Vec<u8>,
    /// Messages sent and not taken.
    pub(super) sent: Vec<u32>,
}

impl Model {
    pub(super) fn new(manner: Manner) -> Self {
        Model {
            manner,
            gone: false,
            configuration: 0,
            reads_left: 0,
            ready: false,
            mask: 0,
            admin: [0; 5],
            pairs: [Pair::default(); 10],
            created: 0,
            flight: Vec::new(),
            disk: vec![0; BLOCKS * BLOCK],
            sent: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, offset: usize) -> u32 {
        if self.gone {
            return u32::MAX;
        }
        match offset {
            0x00 => (self.manner.entries - 1) | 1 << 16 | 1 << 24,
            0x04 => 1 << 5,
            0x14 => self.configuration,
            0x1C => self.status(),
            _ => 0,
        }
    }

    fn status(&mut self) -> u32 {
        let enabled = self.configuration & 1 != 0;
        if enabled != self.ready && !(enabled && self.manner.never_ready) {
            self.reads_left = self.reads_left.saturating_sub(1);
            if self.reads_left == 0 {
                self.ready = enabled;
                self.flight.clear();
                self.pairs = [Pair::default(); 10];
                if enabled {
                    self.open_admin();
                }
            }
        }
        let shut_down = self.configuration & (3 << 14) != 0;
        u32::from(self.ready) | if shut_down { 2 << 2 } else { 0 }
    }

    fn open_admin(&mut self) {
        let [sizes, submission_low, submission_high, completion_low, completion_high] = self.admin;
        let base = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        let ring = |base, entries| Ring { base, entries, head: 0, tail: 0 };
        self.pairs[0] = Pair {
            submission: ring(base(submission_low, submission_high), (sizes & 0xFFF) as u16 + 1),
            completion: ring(base(completion_low, completion_high), (sizes >> 16) as u16 + 1),
            phase: true,
            vector: 0,
        };
    }

    pub(super) fn write(&mut self, offset: usize, value: u32) {
        if self.gone {
            return;
        }
        match offset {
            0x0C => self.mask |= value,
            0x10 => self.mask &= !value,
            0x14 => {
                if (value ^ self.configuration) & 1 != 0 {
                    self.reads_left = self.manner.ready_reads;
                    self.mask = 0;
                    if value & 1 == 0 && !self.ready {
                        self.pairs = [Pair::default(); 10];
                    }
                }
                self.configuration = value;
            }
            0x24..0x38 => self.admin[(offset - 0x24) / 4] = value,
            0x1000.. => self.ring((offset - 0x1000) / 4, value as u16),
            _ => {}
        }
    }

    fn ring(&mut self, doorbell: usize, value: u16) {
        let queue = doorbell / 2;
        if !self.is_on() || self.pairs[queue].submission.entries == 0 {
            return;
        }
        let pair = &mut self.pairs[queue];
        if doorbell % 2 == 1 {
            pair.completion.head = value;
            return;
        }
        assert!(value < pair.submission.entries, "doorbell beyond the ring");
        pair.submission.tail = value;
        while pair.submission.head != pair.submission.tail {
            let at = pair.submission.base + u64::from(pair.submission.head) * 64;
            // SAFETY: the bench's memory has the same virtual and physical addresses.
            let command = unsafe { (at as *const Command).read_volatile() };
            pair.submission.head = (pair.submission.head + 1) % pair.submission.entries;
            self.flight.push(Flight { queue, command });
        }
    }

    fn is_on(&self) -> bool {
        self.configuration & 1 != 0 && self.ready && !self.gone
    }

    /// The line is asserted.
    pub(super) fn asserts(&self) -> bool {
        let news = |pair: &Pair| pair.completion.head != pair.completion.tail;
        self.is_on() && self.mask == 0 && self.pairs.iter().any(news)
    }

    /// Does and answers the command in flight at `index`; `false` if there is none or no room.
    pub(super) fn execute(&mut self, index: usize) -> bool {
        if !self.is_on() || index >= self.flight.len() {
            return false;
        }
        let Flight { queue, command } = self.flight[index];
        let ring = self.pairs[queue].completion;
        if (ring.tail + 1) % ring.entries == ring.head {
            return false;
        }
        self.flight.remove(index);
        let (status, result) = if queue == 0 { self.admin(&command) } else { self.io(&command) };
        self.post(queue, (command.dword0 >> 16) as u16, status, result);
        true
    }

    /// Posts a completion, true or invented.
    pub(super) fn post(&mut self, queue: usize, identifier: u16, status: u16, result: u32) {
        let pair = &mut self.pairs[queue];
        let ring = &mut pair.completion;
        if ring.entries == 0 || (ring.tail + 1) % ring.entries == ring.head {
            return;
        }
        let dword3 = u32::from(identifier) | u32::from(pair.phase) << 16 | u32::from(status) << 17;
        let at = (ring.base + u64::from(ring.tail) * 16) as *mut u32;
        // SAFETY: as in `ring`.
        unsafe {
            at.write_volatile(result);
            at.add(3).write_volatile(dword3);
        }
        ring.tail = (ring.tail + 1) % ring.entries;
        pair.phase ^= ring.tail == 0;
        self.sent.push(u32::from(pair.vector));
    }

    fn admin(&mut self, command: &Command) -> (u16, u32) {
        let [low, high] = [command.dwords[0], command.dwords[1]];
        let queue = (low & 0xFFFF) as usize;
        let ring = Ring { base: command.prp1, entries: (low >> 16) as u16 + 1, head: 0, tail: 0 };
        match command.opcode() {
            0x06 => {
                self.identify(command);
                (0, 0)
            }
            0x09 => (0, (self.manner.pairs - 1) * 0x1_0001),
            0x05 | 0x01 => {
                assert_eq!(command.prp1 % PAGE_BYTES as u64, 0);
                assert!(u32::from(ring.entries) <= self.manner.entries);
                self.created += 1;
                if self.created == self.manner.creation_fails {
                    return (0x101, 0);
                }
                if command.opcode() == 0x05 {
                    self.pairs[queue] = Pair {
                        completion: ring,
                        phase: true,
                        vector: (high >> 16) as u16,
                        ..Pair::default()
                    };
                } else {
                    self.pairs[queue].submission = ring;
                }
                (0, 0)
            }
            0x08 => {
                let victim = |flight: &Flight| {
                    flight.queue == queue && flight.command.dword0 >> 16 == low >> 16
                };
                match self.flight.iter().position(victim) {
                    Some(index) => {
                        self.flight.remove(index);
                        self.post(queue, (low >> 16) as u16, 0x07, 0);
                        (0, 0)
                    }
                    None => (0, 1),
                }
            }
            _ => (0x001, 0),
        }
    }

    fn identify(&mut self, command: &Command) {
        let mut page = vec![if self.manner.garbage { 0xFF } else { 0 }; PAGE_BYTES];
        if !self.manner.garbage {
            match command.dwords[0] {
                1 => {
                    page[4..8].copy_from_slice(b"1234");
                    page[24..29].copy_from_slice(b"Model");
                    (page[516], page[520], page[525]) = (1, 4, 1);
                }
                _ => (page[0], page[130]) = (BLOCKS as u8, 9),
            }
        }
        // SAFETY: as in `ring`.
        unsafe {
            (command.prp1 as *mut u8).copy_from_nonoverlapping(page.as_ptr(), PAGE_BYTES);
        }
    }

    fn io(&mut self, command: &Command) -> (u16, u32) {
        let first = command.dwords[0] as usize * BLOCK;
        let bytes = ((command.dwords[2] & 0xFFFF) as usize + 1) * BLOCK;
        match command.opcode() {
            0x01 | 0x02 => {
                let mut at = first;
                for (address, length) in pages(command, bytes) {
                    let buffer = address as *mut u8;
                    // SAFETY: as in `ring`; the assertions of the bench's memory hold for PRP entries too.
                    unsafe {
                        if command.opcode() == 0x01 {
                            self.disk[at..at + length]
                                .as_mut_ptr()
                                .copy_from_nonoverlapping(buffer, length);
                        } else {
                            buffer.copy_from_nonoverlapping(self.disk[at..].as_ptr(), length);
                        }
                    }
                    at += length;
                }
                (0, 0)
            }
            0x09 => {
                for index in 0..=(command.dwords[0] & 0xFF) as u64 {
                    // SAFETY: as in `ring`.
                    let range = unsafe { *((command.prp1 + 16 * index) as *const [u64; 2]) };
                    let (first, blocks) = (range[1] as usize, (range[0] >> 32) as usize);
                    self.disk[first * BLOCK..(first + blocks) * BLOCK].fill(0);
                }
                (0, 0)
            }
            _ => (0, 0),
        }
    }
}

/// The stretches of memory that the data pointer names.
fn pages(command: &Command, bytes: usize) -> Vec<(u64, usize)> {
    let mut left = bytes;
    let mut stretches = Vec::new();
    let mut take = |address: u64| {
        let length = left.min(PAGE_BYTES - address as usize % PAGE_BYTES);
        stretches.push((address, length));
        left -= length;
        left
    };
    let left = take(command.prp1);
    if left > PAGE_BYTES {
        let entries = left.div_ceil(PAGE_BYTES);
        let start = command.prp2 as usize % PAGE_BYTES;
        assert!(start + entries * 8 <= PAGE_BYTES, "the list crosses a page");
        for index in 0..entries {
            // SAFETY: as in `Model::ring`.
            let entry = unsafe { *((command.prp2 + 8 * index as u64) as *const u64) };
            assert_eq!(entry % PAGE_BYTES as u64, 0, "an entry inside a page");
            take(entry);
        }
    } else if left > 0 {
        assert_eq!(command.prp2 % PAGE_BYTES as u64, 0, "an entry inside a page");
        take(command.prp2);
    }
    stretches
}
