//! A disk behind doorbells: the device of the C example driver (`examples/c-miniport`), small enough to read in one
//! sitting, and with everything that makes a driver's locks hard: channels that work at the same time, messages
//! or a line, answers that come early, late, twice or not at all.
//!
//! Up to four channels, each with a table of commands of 256 bytes in the driver's memory. Writing a slot number to a
//! channel's doorbell starts that command: the device reads it (`command`), does it when it is due (`flight`),
//! which the scenario decides as it decides how well it ends (`device::service`), writes its Status, sets the slot's bit in
//! DONE and the channel's bit in INTERRUPT, and sends the channel's message. The line follows INTERRUPT.
//!
//! # Registers
//!
//! All 32 bits wide. `examples/c-miniport/doorbell.h` has the same map.
//!
//! | offset | name | access | meaning |
//! | --- | --- | --- | --- |
//! | 0x00 | ID | RO | `DBEL` |
//! | 0x04 | LIMITS | RO | slots of a channel (bits 0-7), channels (bits 8-15) |
//! | 0x08 | BLOCKS | RO | blocks of 512 bytes |
//! | 0x0C | CONTROL | RW | bit 0 ENABLE; bit 1 RESET, written: drops every command, reads as 0 |
//! | 0x10 | STATUS | RO | bit 0 READY |
//! | 0x14 | INTERRUPT | RW1C | a bit a channel |
//! | 0x100 + 0x20 c | TABLE_LOW, TABLE_HIGH | RW | physical address of channel c's table |
//! | + 0x08 | MESSAGE | RW | the message that the channel sends |
//! | + 0x0C | RING | WO | a slot to start; clears its bit in DONE |
//! | + 0x10 | DONE | RW1C | a bit a slot |
//!
//! # What the scenario's [`Manner`] means here
//!
//! `queue_entries` and `queue_pairs` are slots and channels. A device that is slow to become ready, or never does, takes
//! commands and keeps them until it is. With `answers_after_reset` it sets DONE, and nothing else, for commands that a
//! reset has dropped, at the time when they would have ended. A garbage answer sets DONE of a slot that is not started.
//! `garbage_identify` spoils LIMITS and BLOCKS. `queue_creation_fails` means nothing: there is nothing to create.
//!
//! It believes nothing: a command at a wild address never ends, one with a wild buffer, or for blocks that are not
//! there, ends as invalid; wild registers and slots are ignored.

mod command;
mod config;
mod flight;
#[cfg(test)]
mod tests;

use super::medium::{BLOCK_BYTES, BLOCKS, Medium};
use super::service::{Answers, NEVER};
use super::{Bus, Device};
use crate::scenario::{Answer, Manner, Outcome};
use command::{COMMAND_BYTES, Command, Status};
use flight::{Flight, Flying};

/// Most channels.
const CHANNELS: usize = 4;
/// Most slots of a channel.
const SLOTS: usize = 16;
/// Bytes of the register range.
const REGISTER_BYTES: u32 = 0x200;

/// What ID says.
const ID: u32 = u32::from_le_bytes(*b"DBEL");
/// What LIMITS says when it is spoilt.
const GARBAGE: u32 = 0xDEAD_BEEF;

const CONTROL_ENABLE: u32 = 1;
const CONTROL_RESET: u32 = 2;
const STATUS_READY: u32 = 1;

/// Offsets of the registers.
mod at {
    pub(super) const ID: u32 = 0x00;
    pub(super) const LIMITS: u32 = 0x04;
    pub(super) const BLOCKS: u32 = 0x08;
    pub(super) const CONTROL: u32 = 0x0C;
    pub(super) const STATUS: u32 = 0x10;
    pub(super) const INTERRUPT: u32 = 0x14;
    pub(super) const CHANNELS: u32 = 0x100;
    /// Bytes from one channel's registers to the next's.
    pub(super) const STRIDE: u32 = 0x20;
    pub(super) const TABLE_LOW: u32 = 0x00;
    pub(super) const TABLE_HIGH: u32 = 0x04;
    pub(super) const MESSAGE: u32 = 0x08;
    pub(super) const RING: u32 = 0x0C;
    pub(super) const DONE: u32 = 0x10;
}

/// How long an interrupt is held back for more of them.
const COALESCING_WINDOW_NS: u64 = 100_000;
/// How soon an answer comes a second time.
const AGAIN_NS: u64 = 1_000;

/// A channel's registers, and its interrupt that is held back.
#[derive(Clone, Copy, Debug)]
struct Channel {
    table: u64,
    message: u32,
    done: u32,
    /// When its interrupt is sent; [`NEVER`] if none is held back.
    held_until: u64,
}

impl Channel {
    const POWER_ON: Channel = Channel { table: 0, message: 0, done: 0, held_until: NEVER };
}

/// The device. See the module.
#[derive(Debug)]
pub struct Doorbell {
    manner: Manner,
    channels: [Channel; CHANNELS],
    enabled: bool,
    ready: bool,
    /// When it becomes ready; [`NEVER`] before it was first enabled, and if it never does.
    ready_at: u64,
    /// INTERRUPT.
    interrupt: u32,
    flight: Flight,
    answers: Answers,
    medium: Medium,
    /// The latest time at which the machine was seen.
    seen: u64,
    removed: bool,
}

/// What happens next.
enum Next {
    Ready,
    Interrupt(usize),
    Command(usize),
}

impl Doorbell {
    /// A device at power-on, with the default manner.
    #[must_use]
    pub fn new() -> Self {
        Doorbell {
            manner: Manner::default(),
            channels: [Channel::POWER_ON; CHANNELS],
            enabled: false,
            ready: false,
            ready_at: NEVER,
            interrupt: 0,
            flight: Flight::new(),
            answers: Answers::new(),
            medium: Medium::new(),
            seen: 0,
            removed: false,
        }
    }

    fn slot_count(&self) -> usize {
        usize::from(self.manner.queue_entries).clamp(1, SLOTS)
    }

    fn channel_count(&self) -> usize {
        usize::from(self.manner.queue_pairs).clamp(1, CHANNELS)
    }

    fn limits(&self) -> u32 {
        match self.manner.garbage_identify {
            true => GARBAGE,
            false => (self.slot_count() | self.channel_count() << 8) as u32,
        }
    }

    /// The channel that a register belongs to, and the register's offset in it.
    fn channel_at(&self, offset: u32) -> Option<(usize, u32)> {
        let offset = offset.checked_sub(at::CHANNELS)?;
        let channel = (offset / at::STRIDE) as usize;
        (channel < self.channel_count()).then_some((channel, offset % at::STRIDE))
    }

    fn read_channel(&self, offset: u32) -> u32 {
        let Some((channel, register)) = self.channel_at(offset) else { return 0 };
        let channel = &self.channels[channel];
        match register {
            at::TABLE_LOW => channel.table as u32,
            at::TABLE_HIGH => (channel.table >> 32) as u32,
            at::MESSAGE => channel.message,
            at::DONE => channel.done,
            _ => 0,
        }
    }

    fn write_channel(&mut self, bus: &mut dyn Bus, offset: u32, value: u32) {
        let Some((number, register)) = self.channel_at(offset) else { return };
        let channel = &mut self.channels[number];
        match register {
            at::TABLE_LOW => channel.table = channel.table >> 32 << 32 | u64::from(value),
            at::TABLE_HIGH => {
                channel.table = channel.table & 0xFFFF_FFFF | u64::from(value) << 32;
            }
            at::MESSAGE => channel.message = value,
            at::DONE => channel.done &= !value,
            at::RING => self.ring(bus, number, value),
            _ => {}
        }
    }

    fn write_control(&mut self, bus: &mut dyn Bus, value: u32) {
        self.enabled = value & CONTROL_ENABLE != 0;
        if value & CONTROL_RESET != 0 || !self.enabled {
            self.reset(bus);
        }
        if self.enabled && !self.ready && self.ready_at == NEVER && !self.manner.never_ready {
            self.ready_at = self.seen.saturating_add(self.answers.ready_delay(&self.manner));
        }
    }

    /// Drops every command: the device has no buffer any more.
    fn reset(&mut self, bus: &mut dyn Bus) {
        self.flight.drop_all(self.answers.answers_after_reset(&self.manner));
        for channel in &mut self.channels {
            (channel.done, channel.held_until) = (0, NEVER);
        }
        self.set_interrupt(bus, 0);
    }

    /// A doorbell: the command in this slot is read now and done later.
    fn ring(&mut self, bus: &mut dyn Bus, channel: usize, slot: u32) {
        let Ok(slot) = u8::try_from(slot) else { return };
        if !self.enabled
            || usize::from(slot) >= self.slot_count()
            || self.flight.is_started(channel, slot)
        {
            return;
        }
        self.channels[channel].done &= !(1 << slot);
        let address =
            self.channels[channel].table.wrapping_add(u64::from(slot) * COMMAND_BYTES as u64);
        let mut raw = [0; COMMAND_BYTES];
        if !bus.read(address, &mut raw) {
            return;
        }
        let service = self.answers.serve(&self.manner);
        self.flight.insert(Flying {
            due: service.latency.map_or(NEVER, |latency| self.seen.saturating_add(latency)),
            ordered: service.ordered,
            ghost: false,
            channel: channel as u8,
            slot,
            outcome: service.outcome,
            address,
            command: Command::parse(&raw),
        });
        if service.spurious {
            self.signal(bus, channel);
        }
    }

    /// Does the command at `index` and says so.
    fn execute(&mut self, bus: &mut dyn Bus, index: usize) {
        let flying = self.flight.remove(index);
        let channel = usize::from(flying.channel);
        if flying.ghost {
            if !self.flight.is_started(channel, flying.slot) {
                self.channels[channel].done |= 1 << flying.slot;
                self.interrupt(bus, channel);
            }
            return;
        }
        let status = match flying.outcome {
            Outcome::MediaError => Status::MediumError,
            Outcome::Retry => Status::Busy,
            _ => flying.command.perform(bus, &mut self.medium),
        };
        bus.write(flying.address + command::STATUS_AT, &[status as u8]);
        self.channels[channel].done |= 1 << flying.slot;
        match flying.outcome {
            Outcome::NoInterrupt => return,
            Outcome::Garbage => self.finish_nothing(channel),
            Outcome::Twice => self.flight.insert(Flying {
                due: self.seen.saturating_add(AGAIN_NS),
                ordered: false,
                ghost: true,
                ..flying
            }),
            _ => {}
        }
        self.interrupt(bus, channel);
    }

    /// Says that a slot is done which is not started, if there is one.
    fn finish_nothing(&mut self, channel: usize) {
        let idle =
            (0..self.slot_count() as u8).rev().find(|&slot| !self.flight.is_started(channel, slot));
        if let Some(slot) = idle {
            self.channels[channel].done |= 1 << slot;
        }
    }

    /// Interrupts for what a channel has done, now or together with more.
    fn interrupt(&mut self, bus: &mut dyn Bus, channel: usize) {
        if !self.manner.coalesces {
            self.signal(bus, channel);
        } else if self.channels[channel].held_until == NEVER {
            self.channels[channel].held_until = self.seen.saturating_add(COALESCING_WINDOW_NS);
        }
    }

    fn signal(&mut self, bus: &mut dyn Bus, channel: usize) {
        self.channels[channel].held_until = NEVER;
        if let Ok(message) = u16::try_from(self.channels[channel].message) {
            bus.send_message(message);
        }
        self.set_interrupt(bus, self.interrupt | 1 << channel);
    }

    fn set_interrupt(&mut self, bus: &mut dyn Bus, interrupt: u32) {
        if (interrupt != 0) != (self.interrupt != 0) {
            bus.set_line(interrupt != 0);
        }
        self.interrupt = interrupt;
    }

    /// What happens next, and when.
    fn next(&self) -> Option<(u64, Next)> {
        let held = (0..CHANNELS).map(|n| (self.channels[n].held_until, Next::Interrupt(n)));
        let own = std::iter::once((self.ready_at, Next::Ready))
            .filter(|_| !self.ready)
            .chain(held)
            .filter(|(due, _)| *due != NEVER)
            .min_by_key(|(due, _)| *due);
        let command = if self.ready { self.flight.next(self.manner.order) } else { None };
        match (command, own) {
            (Some((due, index)), own) if own.as_ref().is_none_or(|(at, _)| due < *at) => {
                Some((due, Next::Command(index)))
            }
            (_, own) => own,
        }
    }

    fn happen(&mut self, bus: &mut dyn Bus, next: Next) {
        match next {
            Next::Ready => self.ready = true,
            Next::Interrupt(channel) => self.signal(bus, channel),
            Next::Command(index) => self.execute(bus, index),
        }
    }
}

impl Default for Doorbell {
    fn default() -> Self {
        Doorbell::new()
    }
}

impl Device for Doorbell {
    fn power_on(&mut self, manner: &Manner) {
        self.manner = *manner;
        self.channels = [Channel::POWER_ON; CHANNELS];
        (self.enabled, self.ready, self.ready_at) = (false, false, NEVER);
        self.interrupt = 0;
        self.flight.drop_all(false);
        self.answers.power_on();
        self.medium.wipe();
        self.seen = 0;
        self.removed = false;
    }

    fn config_space(&self) -> &[u8; 256] {
        &config::CONFIG
    }

    fn register_bytes(&self) -> u32 {
        REGISTER_BYTES
    }

    fn read_register(&mut self, bus: &mut dyn Bus, offset: u32) -> u32 {
        if self.removed {
            return u32::MAX;
        }
        self.seen = bus.now();
        match offset {
            at::ID => ID,
            at::LIMITS => self.limits(),
            at::BLOCKS if self.manner.garbage_identify => 0,
            at::BLOCKS => BLOCKS,
            at::CONTROL => u32::from(self.enabled) * CONTROL_ENABLE,
            at::STATUS => u32::from(self.ready) * STATUS_READY,
            at::INTERRUPT => self.interrupt,
            _ => self.read_channel(offset),
        }
    }

    fn write_register(&mut self, bus: &mut dyn Bus, offset: u32, value: u32) {
        if self.removed {
            return;
        }
        self.seen = bus.now();
        match offset {
            at::CONTROL => self.write_control(bus, value),
            at::INTERRUPT => self.set_interrupt(bus, self.interrupt & !value),
            _ => self.write_channel(bus, offset, value),
        }
    }

    fn due(&self) -> Option<u64> {
        self.next().map(|(due, _)| due)
    }

    fn advance(&mut self, bus: &mut dyn Bus) {
        self.seen = bus.now();
        while let Some((due, next)) = self.next()
            && due <= self.seen
        {
            self.happen(bus, next);
        }
    }

    fn advance_early(&mut self, bus: &mut dyn Bus) -> bool {
        self.seen = bus.now();
        let Some((_, next)) = self.next() else { return false };
        self.happen(bus, next);
        true
    }

    fn expect(&mut self, answer: Answer) {
        self.answers.push(answer);
    }

    fn behave(&mut self) {
        self.answers.behave();
        self.flight.behave(self.seen.saturating_add(self.answers.latency(&self.manner)));
        if self.ready_at != NEVER {
            let soon = self.seen.saturating_add(self.answers.ready_delay(&self.manner));
            self.ready_at = self.ready_at.min(soon);
        }
    }

    fn owns(&self, address: u64, bytes: u64) -> bool {
        self.flight.owns(address, bytes)
    }

    fn geometry(&self) -> (u32, u32) {
        (BLOCK_BYTES, BLOCKS)
    }

    fn remove(&mut self, bus: &mut dyn Bus) {
        self.reset(bus);
        self.flight.drop_all(false);
        self.ready_at = NEVER;
        self.removed = true;
    }
}
