//! Registers without a model behind them: for a compiled driver whose device nobody has modelled.
//!
//! Every read is answered by the scenario. What a register answers as a rule follows from its offset and the
//! scenario's [`Manner`]: what was last written, all ones, a value of its own, or another value each time; for each
//! [`Answer`] a few reads are answered otherwise:
//!
//! | outcome | the next 2^slowness reads |
//! | --- | --- |
//! | Success, NoInterrupt | as a rule |
//! | MediaError | all ones, as from a device that is gone |
//! | Retry | zero |
//! | Silence, Twice | what the read before got |
//! | Late | what was last written, zero before |
//! | Garbage | another value each time |
//!
//! Registers that its [description](super::pci) fixes always answer the same. It interrupts when the scenario says so, and
//! moves no data. So that no driver waits for ever for a bit that never comes, registers begin to change when a driver
//! accesses the same few again and again, and no other: zero, all ones, or anything.
//!
//! # What findings mean here
//!
//! A real device would end what a driver asks of it, or let itself be reset; this one does neither. So a request that is
//! never completed, or a driver that resets it for ever and never comes to rest, is no finding
//! ([`Device::completes`]); nor is data checked: the disk has no blocks. What a driver does about its locks is its own
//! doing whatever the device says, and that is what this is for. What a driver believes of registers that contradict each
//! other may still make it do what it never would, so a finding is worth more on a model.

use super::pci::Function;
use super::{Bus, Device, Range};
use crate::scenario::{Answer, Manner, Outcome};

/// Bytes of the one range of a device that is not described.
const REGISTER_BYTES: u32 = 0x1_0000;
/// Accesses to the same few registers in a row after which they change.
const PATIENCE: u32 = 64;
/// How many registers a loop may poll and write to be taken for one that waits.
const POLLED: usize = 4;
/// Largest exponent of an answer's slowness.
const SLOWNESS_MAX: u8 = 7;

/// Configuration space of a device that is not described: one memory range, nobody's identifiers.
const PLAIN: [u8; 256] = {
    let mut space = [0; 256];
    (space[0], space[1], space[2]) = (0x34, 0x12, 0x02);
    // Memory space and bus mastering on.
    space[4] = 0x06;
    // Mass storage, other.
    (space[0x0A], space[0x0B]) = (0x80, 0x01);
    // BAR 0 and INTA.
    let base = (super::REGISTERS_PHYSICAL as u32).to_le_bytes();
    (space[0x10], space[0x11], space[0x12], space[0x13]) = (base[0], base[1], base[2], base[3]);
    space[0x3D] = 1;
    space
};

/// The device. See the module.
#[derive(Debug)]
pub struct Registers {
    function: Function,
    written: Vec<Option<u32>>,
    /// Which of them were written in this run.
    touched: Vec<u32>,
    seed: u64,
    mood: Outcome,
    /// Reads that the mood still lasts.
    mood_reads: u32,
    /// Reads of this run.
    reads: u64,
    /// What the last read got.
    last_value: u32,
    /// The registers that were accessed last, the latest first.
    polled: [u32; POLLED],
    /// How often in a row no other register was accessed.
    repeated: u32,
    removed: bool,
}

impl Registers {
    /// A device without a description: one range of memory.
    #[must_use]
    pub fn new() -> Self {
        Registers::with(Function::of_space(PLAIN))
    }

    /// The device that a description describes.
    #[must_use]
    pub fn with(function: Function) -> Self {
        let bytes = match function.register_bytes() {
            0 => REGISTER_BYTES,
            bytes => bytes,
        };
        let words = (bytes / 4) as usize;
        Registers {
            function,
            written: vec![None; words],
            touched: Vec::with_capacity(words),
            seed: 0,
            mood: Outcome::Success,
            mood_reads: 0,
            reads: 0,
            last_value: 0,
            polled: [u32::MAX; POLLED],
            repeated: 0,
            removed: false,
        }
    }

    fn written(&self, word: u32) -> Option<u32> {
        self.written.get(word as usize).copied().flatten()
    }

    /// A value that is another one at each read.
    fn changing(&self, word: u32) -> u32 {
        let value = mix(self.seed ^ mix(u64::from(word)) ^ self.reads.rotate_left(32));
        match value >> 62 {
            0 => 0,
            1 => u32::MAX,
            _ => value as u32,
        }
    }

    /// What a register answers where nothing else decides.
    fn as_a_rule(&self, word: u32) -> u32 {
        let own = mix(self.seed ^ u64::from(word));
        match own >> 61 {
            0..=3 => self.written(word).unwrap_or(0),
            4 => u32::MAX,
            5 => self.changing(word),
            _ => self.written(word).unwrap_or(own as u32),
        }
    }

    /// Notes an access: whether the driver does anything but poll.
    fn note(&mut self, word: u32) {
        let known = self.polled.iter().position(|&polled| polled == word);
        self.repeated = if known.is_some() { self.repeated.saturating_add(1) } else { 0 };
        self.polled[..=known.unwrap_or(POLLED - 1)].rotate_right(1);
        self.polled[0] = word;
    }

    fn answer(&mut self, word: u32) -> u32 {
        if let Some(value) = self.function.constant(word.wrapping_mul(4)) {
            return value;
        }
        if self.repeated >= PATIENCE {
            return self.changing(word);
        }
        if self.mood_reads == 0 {
            return self.as_a_rule(word);
        }
        self.mood_reads -= 1;
        match self.mood {
            Outcome::Success | Outcome::NoInterrupt => self.as_a_rule(word),
            Outcome::MediaError => u32::MAX,
            Outcome::Retry => 0,
            Outcome::Silence | Outcome::Twice => self.last_value,
            Outcome::Late => self.written(word).unwrap_or(0),
            Outcome::Garbage => self.changing(word),
        }
    }
}

impl Default for Registers {
    fn default() -> Self {
        Registers::new()
    }
}

impl Device for Registers {
    fn power_on(&mut self, manner: &Manner) {
        for word in self.touched.drain(..) {
            self.written[word as usize] = None;
        }
        self.seed = seed_of(manner);
        (self.mood, self.mood_reads) = (Outcome::Success, 0);
        self.reads = 0;
        (self.last_value, self.polled, self.repeated) = (0, [u32::MAX; POLLED], 0);
        self.removed = false;
    }

    fn config_space(&self) -> &[u8; 256] {
        self.function.space()
    }

    fn register_bytes(&self) -> u32 {
        self.written.len() as u32 * 4
    }

    fn range(&self, index: usize) -> Option<Range> {
        if self.function.ranges().is_empty() {
            return (index == 0).then(|| Range::memory(self.register_bytes()));
        }
        self.function.ranges().get(index).copied()
    }

    fn read_register(&mut self, _bus: &mut dyn Bus, offset: u32) -> u32 {
        if self.removed {
            return u32::MAX;
        }
        let word = offset / 4;
        self.note(word);
        let value = self.answer(word);
        self.reads += 1;
        self.last_value = value;
        value
    }

    fn write_register(&mut self, _bus: &mut dyn Bus, offset: u32, value: u32) {
        let word = offset / 4;
        let Some(written) = self.written.get_mut(word as usize) else { return };
        if self.removed {
            return;
        }
        if written.replace(value).is_none() {
            self.touched.push(word);
        }
        self.note(word);
    }

    fn due(&self) -> Option<u64> {
        None
    }

    fn advance(&mut self, _bus: &mut dyn Bus) {}

    fn advance_early(&mut self, _bus: &mut dyn Bus) -> bool {
        false
    }

    fn expect(&mut self, answer: Answer) {
        self.mood = answer.outcome;
        self.mood_reads = 1 << answer.slowness.min(SLOWNESS_MAX);
    }

    fn behave(&mut self) {
        self.mood_reads = 0;
    }

    fn owns(&self, _address: u64, _bytes: u64) -> bool {
        false
    }

    fn geometry(&self) -> (u32, u32) {
        (512, 0)
    }

    fn completes(&self) -> bool {
        false
    }

    fn remove(&mut self, bus: &mut dyn Bus) {
        self.removed = true;
        bus.set_line(false);
    }
}

/// The whole of a manner as one number: nothing of it has a meaning of its own here.
fn seed_of(manner: &Manner) -> u64 {
    let flags = [
        manner.slow_ready,
        manner.never_ready,
        manner.answers_after_reset,
        manner.coalesces,
        manner.garbage_identify,
    ];
    let flags = flags.iter().fold(0, |bits, &flag| bits << 1 | u64::from(flag));
    let bytes = [
        manner.order as u8,
        manner.latency,
        manner.queue_entries,
        manner.queue_pairs,
        manner.queue_creation_fails,
        manner.spurious_every,
    ];
    bytes.iter().fold(mix(flags), |seed, &byte| mix(seed ^ u64::from(byte)))
}

/// SplitMix64's finalizer: every bit of the result depends on every bit of the value.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoBus;

    impl Bus for NoBus {
        fn read(&mut self, _address: u64, _into: &mut [u8]) -> bool {
            false
        }
        fn write(&mut self, _address: u64, _from: &[u8]) -> bool {
            false
        }
        fn send_message(&mut self, _message: u16) {}
        fn set_line(&mut self, _asserted: bool) {}
        fn now(&self) -> u64 {
            0
        }
    }

    fn device() -> Registers {
        let mut device = Registers::new();
        device.power_on(&Manner::default());
        device
    }

    fn read(device: &mut Registers, offset: u32) -> u32 {
        device.read_register(&mut NoBus, offset)
    }

    /// Reads of 64 registers.
    fn survey(device: &mut Registers) -> Vec<u32> {
        (0..64).map(|n| read(device, 4 * n)).collect()
    }

    #[test]
    fn the_same_manner_gives_the_same_answers_and_another_others() {
        let mut device = device();
        let first = survey(&mut device);
        device.write_register(&mut NoBus, 0, 77);
        device.power_on(&Manner::default());
        assert_eq!(survey(&mut device), first);
        device.power_on(&Manner { latency: 5, ..Manner::default() });
        assert_ne!(survey(&mut device), first);
    }

    #[test]
    fn registers_differ_in_what_they_answer() {
        let mut device = device();
        let (first, again) = (survey(&mut device), survey(&mut device));
        for n in 0..64 {
            device.write_register(&mut NoBus, 4 * n, 0x1000 + n);
        }
        let after = survey(&mut device);
        let count = |of: &dyn Fn(usize) -> bool| (0..64).filter(|&n| of(n)).count();
        assert!(count(&|n| after[n] == 0x1000 + n as u32) >= 32, "most remember");
        assert!(count(&|n| after[n] == u32::MAX) > 0);
        assert!(count(&|n| first[n] != again[n]) > 0, "some change");
        assert!(count(&|n| first[n] == again[n] && ![0, u32::MAX].contains(&first[n])) > 0);
    }

    #[test]
    fn an_answer_decides_about_the_next_reads() {
        let mut device = device();
        device.write_register(&mut NoBus, 8, 5);
        let moods = [
            (Outcome::MediaError, u32::MAX),
            (Outcome::Silence, u32::MAX),
            (Outcome::Retry, 0),
            (Outcome::Late, 5),
        ];
        for (outcome, value) in moods {
            device.expect(Answer { outcome, slowness: 1 });
            assert_eq!([read(&mut device, 8), read(&mut device, 8)], [value; 2], "{outcome:?}");
        }
        device.expect(Answer { outcome: Outcome::MediaError, slowness: 7 });
        device.behave();
        assert_eq!(read(&mut device, 8), device.as_a_rule(2), "faults have ended");
    }

    #[test]
    fn every_bit_that_is_polled_for_comes_and_goes() {
        let mut device = device();
        for offset in (0..256).step_by(4) {
            let values: Vec<u32> = (0..PATIENCE + 64).map(|_| read(&mut device, offset)).collect();
            let late = &values[PATIENCE as usize..];
            assert!(late.contains(&0) && late.contains(&u32::MAX), "register {offset:#x}");
        }
    }

    #[test]
    fn a_loop_that_writes_what_it_polls_ends_too() {
        let mut device = device();
        for step in 0..2 * PATIENCE {
            for offset in [0x10, 0x14, 0x20] {
                let value = read(&mut device, offset);
                device.write_register(&mut NoBus, offset, value | 1);
            }
            assert!(step < PATIENCE || device.repeated >= PATIENCE);
        }
        let _ = read(&mut device, 0x40);
        assert!(device.repeated == 0, "something else: no loop");
    }

    #[test]
    fn a_description_gives_identity_and_ranges() {
        let text = b"(vendor: 7, device: 8, bars: [(index: 0, kind: Ports, bytes: 64), \
                     (index: 2, kind: Memory32, bytes: 0x1000)], \
                     registers: [(bar: 2, offset: 4, value: 9)])";
        let mut device = Registers::with(Function::read(text).expect("a description"));
        assert_eq!(device.config_space()[..4], [7, 0, 8, 0]);
        assert_eq!(device.register_bytes(), 0x2000);
        let range = |offset, bytes, memory| Some(Range { offset, bytes, memory });
        assert_eq!(device.range(0), range(0, 64, false));
        assert_eq!(device.range(1), range(0x1000, 0x1000, true));
        assert_eq!(device.range(2), None);
        device.expect(Answer { outcome: Outcome::MediaError, slowness: 7 });
        device.write_register(&mut NoBus, 0x1004, 1);
        assert_eq!([read(&mut device, 0x1004), read(&mut device, 0x1000)], [9, u32::MAX]);
        assert_eq!(Registers::new().range(0), range(0, REGISTER_BYTES, true));
    }

    #[test]
    fn a_removed_device_reads_as_ones_and_wild_offsets_do_nothing() {
        let mut device = device();
        device.write_register(&mut NoBus, u32::MAX, 1);
        let _ = read(&mut device, u32::MAX - 3);
        device.remove(&mut NoBus);
        assert_eq!(read(&mut device, 0), u32::MAX);
    }
}
