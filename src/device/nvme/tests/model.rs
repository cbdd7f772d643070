//! A driver that does nothing wrong, against a plain model of what the controller must do: whatever the
//! manner and the outcomes are, each command is answered as its outcome says and never otherwise, data is
//! what the answers' order makes it, and the device owns exactly the memory of what it has not answered.

use super::*;

const QUEUE: usize = 1;
const ENTRIES: u16 = 8;
/// Most blocks of one command: with these, data lies in up to three pages.
const BLOCKS: u32 = 20;
/// Memory of one command: data, and a page for its list.
const BUFFER: u64 = 0x8000;
const BUFFERS: u64 = 6;

#[derive(Clone, Copy)]
struct Sent {
    command: Sqe,
    block: u32,
    blocks: u32,
    buffer: u64,
    outcome: Outcome,
}

struct Model {
    rig: Rig,
    disk: Vec<u8>,
    /// Sent and not answered, in the order of sending.
    sent: Vec<Sent>,
    /// The last identifier that was answered: the only one that may come again.
    answered: Option<Sent>,
    next_cid: u16,
    swallowed: usize,
    /// Answers seen, by outcome.
    seen: [u32; 8],
}

impl Model {
    fn new(manner: Manner) -> Self {
        let mut model = Model {
            rig: Rig::powered(manner),
            disk: vec![0; 128 * 512],
            sent: Vec::new(),
            answered: None,
            next_cid: 0,
            swallowed: 0,
            seen: [0; 8],
        };
        model.start();
        model
    }

    fn start(&mut self) {
        self.rig.enable();
        self.rig.pass(SECOND);
        assert_eq!(self.rig.csts(), 1);
        self.rig.create_pair(QUEUE as u16, ENTRIES);
        self.sent.clear();
        self.answered = None;
        self.swallowed = 0;
    }

    fn free_buffer(&self) -> Option<u64> {
        (0..BUFFERS)
            .map(|index| DATA + index * BUFFER)
            .find(|&buffer| self.sent.iter().all(|sent| sent.buffer != buffer))
    }

    fn send(&mut self, noise: &mut Noise) {
        let Some(buffer) = self.free_buffer() else { return };
        if self.sent.len() == usize::from(ENTRIES) - 1 {
            return;
        }
        let block = noise.below(128) as u32;
        let blocks = (1 + noise.below(BLOCKS.into()) as u32).min(128 - block);
        let opcode = [1, 1, 2, 2, 2, 8, 0][noise.below(7) as usize];
        let first = buffer + noise.below(8) * 512;
        let list = buffer + BUFFER - 4096 + noise.below(500) * 8;
        let pages = [buffer + 0x1000, buffer + 0x3000, buffer + 0x5000];
        for (index, page) in pages.into_iter().enumerate() {
            self.rig.memory.put_u64(list + 8 * index as u64, page);
        }
        let room_in_first = 4096 - (first - buffer) as u32;
        let second = if blocks * 512 <= room_in_first + 4096 { pages[0] } else { list };
        let command = transfer(opcode, self.next_cid, block, blocks).data(first, second);
        self.next_cid = (self.next_cid + 1) % 0x8000;
        let answer = any_answer(noise);
        self.rig.device.expect(answer);
        let sent = Sent { command, block, blocks, buffer, outcome: answer.outcome };
        let data = pattern(blocks as usize * 512, noise.next() as u8);
        self.each_piece(sent, |memory, address, range| {
            let bytes = memory.at(address, range.len());
            bytes.copy_from_slice(&data[range]);
        });
        self.swallowed += usize::from(answer.outcome == Outcome::Silence);
        self.sent.push(sent);
        self.rig.submit(QUEUE, command);
    }

    /// Calls `visit` with the address and the range in the transfer of each piece of a command's data: a
    /// first one, then pages at 1000h, 3000h and 5000h of the buffer.
    fn each_piece(
        &mut self,
        sent: Sent,
        mut visit: impl FnMut(&mut Memory, u64, std::ops::Range<usize>),
    ) {
        let bytes = sent.blocks as usize * 512;
        let mut at = sent.command.prp[0];
        let mut next = sent.buffer + 0x1000;
        let mut done = 0;
        while done < bytes {
            let length = (4096 - (at as usize & 4095)).min(bytes - done);
            visit(&mut self.rig.memory, at, done..done + length);
            done += length;
            (at, next) = (next, next + 0x2000);
        }
    }

    /// Takes every completion and checks it.
    fn reap(&mut self) {
        for cqe in self.rig.reap(QUEUE) {
            if let Some(index) = self.sent.iter().position(|sent| sent.command.cid == cqe.cid) {
                let sent = self.sent.remove(index);
                self.check(sent, cqe);
                self.answered = Some(sent);
            } else if cqe.cid == u16::MAX {
                let garbage = self.sent.iter().any(|sent| sent.outcome == Outcome::Garbage);
                assert!(garbage, "garbage only where it was asked for");
            } else {
                let last = self.answered.take().expect("an answer that came before");
                assert_eq!((last.command.cid, last.outcome), (cqe.cid, Outcome::Twice));
            }
        }
    }

    fn check(&mut self, sent: Sent, cqe: Cqe) {
        self.seen[sent.outcome as usize] += 1;
        let reads = sent.command.opcode == 2;
        match sent.outcome {
            Outcome::Silence => panic!("a swallowed command is never answered"),
            Outcome::MediaError => assert_eq!(cqe.status, if reads { 0x281 } else { 0x280 }),
            Outcome::Retry => assert_eq!(cqe.status, 0x82),
            _ => {
                assert_eq!(cqe.status, 0);
                self.apply(sent);
            }
        }
    }

    /// What a command that succeeded did.
    fn apply(&mut self, sent: Sent) {
        let start = sent.block as usize * 512;
        let mut disk = std::mem::take(&mut self.disk);
        match sent.command.opcode {
            1 => self.each_piece(sent, |memory, address, range| {
                let to = start + range.start..start + range.end;
                disk[to].copy_from_slice(memory.at(address, range.len()));
            }),
            2 => self.each_piece(sent, |memory, address, range| {
                let from = start + range.start..start + range.end;
                assert_eq!(memory.at(address, range.len()), &disk[from]);
            }),
            8 => disk[start..start + sent.blocks as usize * 512].fill(0),
            _ => {}
        }
        self.disk = disk;
    }

    /// Only between reaping and the next passing of time does the model know what is not answered.
    fn check_ownership(&mut self) {
        for index in 0..BUFFERS {
            let buffer = DATA + index * BUFFER;
            let moves_data = |sent: &Sent| matches!(sent.command.opcode, 1 | 2);
            let owned = self.sent.iter().any(|sent| sent.buffer == buffer && moves_data(sent));
            assert_eq!(self.rig.device.owns(buffer, BUFFER - 4096), owned);
        }
    }

    fn reset(&mut self) {
        self.rig.write(offset::CC, 0x0046_0000);
        self.rig.pass(SECOND);
        self.reap();
        assert_eq!(self.rig.csts(), 0);
        assert!(!self.rig.device.owns(0, u64::MAX));
        self.start();
    }

    fn act(&mut self, noise: &mut Noise) {
        match noise.below(8) {
            0..4 => self.send(noise),
            4 => self.rig.pass(1 << noise.below(24)),
            5 => {
                self.rig.device.advance_early(&mut self.rig.memory);
            }
            6 if self.swallowed > 3 => self.reset(),
            _ => self.rig.pass(1 << noise.below(16)),
        }
        self.reap();
        self.check_ownership();
    }

    /// Faults end, and everything but what was swallowed is answered soon.
    fn finish(&mut self) {
        self.rig.device.behave();
        for _ in 0..BUFFERS {
            self.rig.pass(MILLISECOND);
            for sent in &mut self.sent {
                if sent.outcome != Outcome::Silence {
                    sent.outcome = Outcome::Success;
                }
            }
            self.reap();
        }
        assert!(self.sent.iter().all(|sent| sent.outcome == Outcome::Silence));
        assert_eq!(self.rig.device.due(), None);
        assert!(!self.rig.memory.line);
    }
}

#[test]
fn a_faultless_driver_gets_what_the_model_says() {
    let mut noise = Noise(0x0D15_EA5E);
    let mut seen = [0; 8];
    for _ in 0..100 {
        let manner = Manner {
            queue_entries: 32,
            queue_pairs: 4,
            never_ready: false,
            queue_creation_fails: 0,
            ..any_manner(&mut noise)
        };
        let mut model = Model::new(manner);
        for _ in 0..300 {
            model.act(&mut noise);
        }
        model.finish();
        for (total, run) in seen.iter_mut().zip(model.seen) {
            *total += run;
        }
    }
    for outcome in Outcome::ALL {
        let answered = seen[outcome as usize];
        assert_eq!(answered > 100, outcome != Outcome::Silence, "{outcome:?}: {answered}");
    }
}
