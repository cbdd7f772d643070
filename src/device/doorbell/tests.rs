//! The device from a driver's side: registers, commands in memory, interrupts.

use super::*;
use crate::scenario::DeviceOrder;

const MEMORY: usize = 0x8000;
const BASE: u64 = 0x10_0000;
/// Where channel n's table lies, and a buffer for anything.
const TABLES: u64 = BASE;
const BUFFER: u64 = BASE + 0x4000;

struct Wires {
    memory: Vec<u8>,
    messages: Vec<u16>,
    line: bool,
    now: u64,
}

impl Wires {
    fn range(&self, address: u64, bytes: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(address.checked_sub(BASE)?).ok()?;
        (start + bytes <= self.memory.len()).then(|| start..start + bytes)
    }
}

impl Bus for Wires {
    fn read(&mut self, address: u64, into: &mut [u8]) -> bool {
        let range = self.range(address, into.len());
        range.map(|range| into.copy_from_slice(&self.memory[range])).is_some()
    }
    fn write(&mut self, address: u64, from: &[u8]) -> bool {
        let range = self.range(address, from.len());
        range.map(|range| self.memory[range].copy_from_slice(from)).is_some()
    }
    fn send_message(&mut self, message: u16) {
        self.messages.push(message);
    }
    fn set_line(&mut self, asserted: bool) {
        self.line = asserted;
    }
    fn now(&self) -> u64 {
        self.now
    }
}

/// A device that is enabled, with every channel's table in place and channel n on message n.
struct Rig {
    device: Doorbell,
    wires: Wires,
}

impl Rig {
    fn new(manner: Manner) -> Rig {
        let wires = Wires { memory: vec![0; MEMORY], messages: Vec::new(), line: false, now: 0 };
        let mut rig = Rig { device: Doorbell::new(), wires };
        rig.device.power_on(&manner);
        for channel in 0..CHANNELS as u32 {
            let table = TABLES + u64::from(channel) * 0x1000;
            rig.write(register(channel, at::TABLE_LOW), table as u32);
            rig.write(register(channel, at::TABLE_HIGH), (table >> 32) as u32);
            rig.write(register(channel, at::MESSAGE), channel);
        }
        rig.write(at::CONTROL, CONTROL_ENABLE);
        rig
    }

    fn read(&mut self, offset: u32) -> u32 {
        self.device.read_register(&mut self.wires, offset)
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.device.write_register(&mut self.wires, offset, value);
    }

    /// Puts a command into a slot and rings for it.
    fn start(&mut self, channel: u32, slot: u32, operation: u8, blocks: (u32, u32), buffer: u64) {
        let at = TABLES + u64::from(channel) * 0x1000 + u64::from(slot) * 256;
        let mut raw = [0_u8; COMMAND_BYTES];
        raw[0] = operation;
        raw[1] = 0xFF;
        raw[2] = 1;
        raw[4..8].copy_from_slice(&blocks.0.to_le_bytes());
        raw[8..12].copy_from_slice(&blocks.1.to_le_bytes());
        raw[16..24].copy_from_slice(&buffer.to_le_bytes());
        raw[24..28].copy_from_slice(&(blocks.1 * BLOCK_BYTES).to_le_bytes());
        assert!(self.wires.write(at, &raw));
        self.write(register(channel, at::RING), slot);
    }

    fn flush(&mut self, channel: u32, slot: u32) {
        self.start(channel, slot, 3, (0, 0), BUFFER);
    }

    fn status(&mut self, channel: u32, slot: u32) -> u8 {
        let mut status = [0];
        let at = TABLES + u64::from(channel) * 0x1000 + u64::from(slot) * 256 + 1;
        assert!(self.wires.read(at, &mut status));
        status[0]
    }

    /// Lets everything happen that happens within so many nanoseconds.
    fn wait(&mut self, nanoseconds: u64) {
        self.wires.now += nanoseconds;
        self.device.advance(&mut self.wires);
    }

    fn done(&mut self, channel: u32) -> u32 {
        self.read(register(channel, at::DONE))
    }

    fn expect(&mut self, outcome: Outcome) {
        self.device.expect(Answer { outcome, slowness: 0 });
    }
}

fn register(channel: u32, offset: u32) -> u32 {
    at::CHANNELS + channel * at::STRIDE + offset
}

const MILLISECOND: u64 = 1_000_000;

#[test]
fn it_says_what_it_is() {
    let mut rig = Rig::new(Manner { queue_entries: 64, queue_pairs: 3, ..Manner::default() });
    assert_eq!(rig.read(at::ID).to_le_bytes(), *b"DBEL");
    assert_eq!(rig.read(at::LIMITS), 16 | 3 << 8);
    assert_eq!(rig.read(at::BLOCKS), BLOCKS);
    let mut spoilt = Rig::new(Manner { garbage_identify: true, ..Manner::default() });
    assert_eq!((spoilt.read(at::LIMITS), spoilt.read(at::BLOCKS)), (GARBAGE, 0));
}

#[test]
fn a_command_ends_with_status_done_bit_message_and_line() {
    let mut rig = Rig::new(Manner::default());
    rig.flush(2, 5);
    assert_eq!((rig.done(2), rig.wires.line), (0, false), "not yet");
    rig.wait(MILLISECOND);
    assert_eq!(rig.status(2, 5), Status::Good as u8);
    assert_eq!((rig.done(2), rig.read(at::INTERRUPT)), (1 << 5, 1 << 2));
    assert_eq!((rig.wires.messages.as_slice(), rig.wires.line), (&[2][..], true));
    rig.write(at::INTERRUPT, 1 << 2);
    assert!(!rig.wires.line, "the line follows INTERRUPT");
    rig.write(register(2, at::DONE), 1 << 5);
    assert_eq!(rig.done(2), 0);
}

#[test]
fn what_was_written_is_read_and_nothing_else() {
    let mut rig = Rig::new(Manner::default());
    let data: Vec<u8> = (0..1024_u32).map(|n| (n % 251) as u8).collect();
    assert!(rig.wires.write(BUFFER, &data));
    rig.start(0, 0, WRITE, (126, 2), BUFFER);
    rig.wait(MILLISECOND);
    rig.start(1, 0, READ, (125, 3), BUFFER + 0x1000);
    rig.wait(MILLISECOND);
    let mut back = vec![0xAA; 1536];
    assert!(rig.wires.read(BUFFER + 0x1000, &mut back));
    assert_eq!(back[..512], [0; 512]);
    assert_eq!(back[512..], data);
}

const READ: u8 = 1;
const WRITE: u8 = 2;

#[test]
fn wild_commands_end_as_invalid_and_wild_registers_do_nothing() {
    let mut rig = Rig::new(Manner::default());
    rig.start(0, 0, READ, (127, 2), BUFFER);
    rig.start(0, 1, READ, (0, 1), 0xFFFF_FFFF_FFFF_FF00);
    rig.start(0, 2, 9, (0, 0), BUFFER);
    rig.wait(MILLISECOND);
    for slot in 0..3 {
        assert_eq!(rig.status(0, slot), Status::Invalid as u8, "slot {slot}");
    }
    rig.write(register(0, at::RING), 16);
    rig.write(register(0, at::RING), u32::MAX);
    rig.write(register(7, at::RING), 0);
    rig.write(0xFFFF_FFFC, 1);
    assert_eq!(rig.read(0xFFFF_FFFC), 0);
    rig.write(register(0, at::TABLE_HIGH), u32::MAX);
    rig.write(register(0, at::RING), 0);
    rig.wait(MILLISECOND);
    assert_eq!(
        rig.done(0),
        0b110,
        "the doorbell took slot 0's bit back, and that command never ends"
    );
}

#[test]
fn outcomes_show_as_they_should() {
    let mut rig = Rig::new(Manner { order: DeviceOrder::ByLatency, ..Manner::default() });
    let outcomes = [
        (Outcome::MediaError, Status::MediumError as u8, 1),
        (Outcome::Retry, Status::Busy as u8, 1),
        (Outcome::Silence, 0xFF, 0),
        (Outcome::Late, 0xFF, 0),
        (Outcome::NoInterrupt, Status::Good as u8, 0),
        (Outcome::Twice, Status::Good as u8, 2),
    ];
    for (slot, (outcome, status, messages)) in (0..).zip(outcomes) {
        rig.wires.messages.clear();
        rig.expect(outcome);
        rig.flush(0, slot);
        rig.wait(MILLISECOND);
        rig.wait(MILLISECOND);
        assert_eq!(rig.status(0, slot), status, "{outcome:?}");
        assert_eq!(rig.wires.messages.len(), messages, "{outcome:?}");
        assert_eq!(rig.done(0) & 1 << slot != 0, status != 0xFF, "{outcome:?}");
    }
    rig.wait(20_000 * MILLISECOND);
    assert_eq!((rig.status(0, 2), rig.status(0, 3)), (0xFF, Status::Good as u8));
}

#[test]
fn a_garbage_answer_names_a_slot_that_is_not_started() {
    let mut rig = Rig::new(Manner { queue_entries: 2, ..Manner::default() });
    rig.expect(Outcome::Garbage);
    rig.flush(0, 0);
    rig.wait(MILLISECOND);
    assert_eq!(rig.done(0), 0b11);
    rig.write(register(0, at::DONE), 0b11);
    rig.expect(Outcome::Garbage);
    rig.expect(Outcome::Silence);
    rig.flush(0, 0);
    rig.flush(0, 1);
    rig.wait(MILLISECOND);
    assert_eq!(rig.done(0), 0b01, "slot 1 is started");
}

#[test]
fn a_reset_drops_everything_and_what_it_owns() {
    let mut rig = Rig::new(Manner::default());
    rig.expect(Outcome::Silence);
    rig.start(0, 0, READ, (0, 1), BUFFER);
    rig.flush(1, 0);
    assert!(rig.device.owns(BUFFER + 511, 1) && !rig.device.owns(BUFFER + 512, 1));
    rig.write(at::CONTROL, CONTROL_ENABLE | CONTROL_RESET);
    assert!(!rig.device.owns(BUFFER, 512));
    assert_eq!(rig.read(at::CONTROL), CONTROL_ENABLE, "RESET reads as 0");
    rig.wait(MILLISECOND);
    assert_eq!((rig.done(1), rig.status(1, 0)), (0, 0xFF));
    assert!(rig.wires.messages.is_empty() && !rig.wires.line);
}

#[test]
fn a_device_may_answer_what_a_reset_has_dropped_but_not_for_a_new_command() {
    let mut rig = Rig::new(Manner { answers_after_reset: true, ..Manner::default() });
    rig.flush(0, 0);
    rig.flush(0, 1);
    rig.write(at::CONTROL, CONTROL_ENABLE | CONTROL_RESET);
    rig.expect(Outcome::Silence);
    rig.flush(0, 1);
    rig.wait(MILLISECOND);
    assert_eq!((rig.done(0), rig.status(0, 0)), (0b01, 0xFF), "DONE, and nothing else");
    assert_eq!(rig.wires.messages, [0]);
}

#[test]
fn an_interrupt_waits_for_more_when_the_device_coalesces() {
    let mut rig = Rig::new(Manner { coalesces: true, ..Manner::default() });
    rig.flush(0, 0);
    rig.flush(0, 1);
    rig.wait(50_000);
    assert_eq!((rig.done(0), rig.wires.messages.len()), (0b11, 0));
    rig.wait(100_000);
    assert_eq!(rig.wires.messages, [0]);
}

#[test]
fn commands_wait_until_the_device_is_ready() {
    let mut rig = Rig::new(Manner { slow_ready: true, ..Manner::default() });
    rig.flush(0, 0);
    rig.wait(50 * MILLISECOND);
    assert_eq!((rig.read(at::STATUS), rig.done(0)), (0, 0));
    rig.wait(50 * MILLISECOND);
    assert_eq!((rig.read(at::STATUS), rig.done(0)), (STATUS_READY, 1));
    let mut never = Rig::new(Manner { never_ready: true, ..Manner::default() });
    never.flush(0, 0);
    never.wait(100_000 * MILLISECOND);
    assert_eq!((never.done(0), never.device.due()), (0, None));
}

#[test]
fn it_interrupts_for_nothing_as_often_as_told() {
    let mut rig = Rig::new(Manner { spurious_every: 2, ..Manner::default() });
    rig.flush(0, 0);
    assert!(rig.wires.messages.is_empty());
    rig.flush(1, 0);
    assert_eq!((rig.done(1), rig.wires.messages.as_slice()), (0, &[1][..]));
}

#[test]
fn faults_end_when_it_is_told_to_behave() {
    let mut rig = Rig::new(Manner::default());
    for (slot, outcome) in (0..).zip([Outcome::Late, Outcome::MediaError, Outcome::Silence]) {
        rig.expect(outcome);
        rig.flush(0, slot);
    }
    rig.device.behave();
    rig.wait(MILLISECOND);
    assert_eq!(rig.done(0), 0b11, "what was swallowed stays swallowed");
    assert_eq!(rig.status(0, 1), Status::Good as u8);
}

#[test]
fn a_removed_device_reads_as_ones_and_is_silent() {
    let mut rig = Rig::new(Manner::default());
    rig.flush(0, 0);
    rig.device.remove(&mut rig.wires);
    rig.write(register(0, at::RING), 1);
    rig.wait(MILLISECOND);
    assert_eq!((rig.read(at::INTERRUPT), rig.device.due()), (u32::MAX, None));
    assert!(rig.wires.messages.is_empty() && !rig.wires.line);
}

#[test]
fn a_new_run_begins_from_nothing() {
    let mut rig = Rig::new(Manner { coalesces: true, ..Manner::default() });
    assert!(rig.wires.write(BUFFER, &[7; 512]));
    rig.start(0, 0, WRITE, (3, 1), BUFFER);
    rig.wait(50_000);
    rig.expect(Outcome::Silence);
    let mut again = Rig { device: rig.device, ..Rig::new(Manner::default()) };
    again.device.power_on(&Manner::default());
    assert_eq!(again.device.due(), None);
    assert_eq!((again.done(0), again.read(at::CONTROL), again.read(at::STATUS)), (0, 0, 0));
}
