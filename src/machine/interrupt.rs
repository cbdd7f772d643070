//! Interrupts: what is pending for which processor, and the nested call that delivers one.
//!
//! Messages are edges: one stays pending until it is delivered. The line is a level: it stays pending while the
//! device drives it. The upper half of the messages has a higher IRQL than the lower, so that one message's
//! routine can interrupt another's, as
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_message_signaled_interrupt_routine>
//! says it may. IRQLs rise with message numbers because the Interrupt lock takes every message's lock in
//! ascending order: were it otherwise, a nested interrupt would take them in the other order, and StorPort would
//! deadlock with itself.

use super::lock::Request;
use super::port::Port;
use super::state::State;
use crate::event::Handle;
use crate::event::{Interrupts as Mode, Kind, Lock, LockApi, MESSAGES_MAX, Routine, Sink, Site};
use crate::scenario::{Affinity, InterruptKind};
use crate::storport::Irql;

/// DIRQL of the lower half of the messages.
const LOWER: Irql = Irql(5);
/// DIRQL of the upper half and of the line; while the Interrupt lock is held, of all.
pub(super) const DIRQL: Irql = Irql(6);

/// What is pending.
pub(super) struct Interrupts {
    /// Pending messages, a bit each; with a line, bit 0 follows it.
    pending: u64,
    /// Messages raised since they were last announced.
    raised: u64,
    line: bool,
    /// Connected, and not held back until the adapter is initialised.
    pub(super) enabled: bool,
    /// The adapter uses its line.
    pub(super) by_line: bool,
    /// Messages granted.
    pub(super) messages: u8,
    /// Bits of messages that interrupt each processor.
    routed: [u64; 8],
}

/// Pending interrupts of a processor, as bits.
pub(super) struct Delivery;

impl Delivery {
    /// The first of them.
    pub(super) fn first(pending: u64) -> Option<u8> {
        (pending != 0).then(|| pending.trailing_zeros() as u8)
    }
}

impl Interrupts {
    pub(super) fn new() -> Self {
        Interrupts {
            pending: 0,
            raised: 0,
            line: false,
            enabled: false,
            by_line: true,
            messages: 0,
            routed: [0; 8],
        }
    }

    pub(super) fn power_on(&mut self) {
        *self = Self::new();
    }

    /// Connects the adapter's interrupts.
    pub(super) fn connect(
        &mut self,
        by_line: bool,
        messages: u8,
        affinity: Affinity,
        processors: usize,
    ) {
        self.by_line = by_line;
        self.messages = if by_line { 0 } else { messages.min(MESSAGES_MAX as u8) };
        self.routed = [0; 8];
        for message in 0..usize::from(self.messages.max(1)) {
            self.routed[target(affinity, message, processors)] |= 1 << message;
        }
    }

    pub(super) fn send_message(&mut self, message: u16) {
        if message < u16::from(self.messages) {
            let bit = 1 << message;
            self.raised |= bit & !self.pending;
            self.pending |= bit;
        }
    }

    pub(super) fn set_line(&mut self, asserted: bool) {
        if asserted && !self.line && self.by_line {
            self.raised |= 1;
        }
        self.line = asserted;
    }

    fn pending(&self) -> u64 {
        if self.by_line { u64::from(self.line) | self.pending & 1 } else { self.pending }
    }

    /// Whether anything may be delivered at all.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.enabled && self.pending() != 0
    }

    /// The first message of the upper half.
    fn first_upper(&self) -> u8 {
        self.messages / 2
    }

    /// DIRQL of a message.
    pub(super) fn message_irql(&self, message: u8) -> Irql {
        if message < self.first_upper() { LOWER } else { DIRQL }
    }

    /// The processor that a message interrupts.
    pub(super) fn target(&self, message: u8) -> u8 {
        let bit = 1_u64 << (message % 64);
        self.routed.iter().position(|&routed| routed & bit != 0).unwrap_or(0) as u8
    }

    /// The messages that interrupt a processor.
    pub(super) fn routed_to(&self, processor: usize) -> u64 {
        self.routed[processor]
    }
}

/// The processor that interrupt `message` goes to.
fn target(affinity: Affinity, message: usize, processors: usize) -> usize {
    match affinity {
        Affinity::Spread => message % processors,
        Affinity::SpreadFromOne => message.saturating_sub(1) % processors,
        Affinity::First => 0,
        Affinity::Last => processors - 1,
    }
}

impl<S: Sink> State<S> {
    /// The pending interrupts that `processor` would take now, as bits.
    #[inline]
    pub(super) fn deliverable(&self, processor: usize) -> u64 {
        let pending = self.interrupts.pending();
        if pending == 0 || !self.interrupts.enabled {
            return 0;
        }
        let irql = self.processors[processor].irql;
        let takes = pending & self.interrupts.routed_to(processor);
        if irql >= DIRQL {
            0
        } else if irql >= LOWER && !self.interrupts.by_line {
            takes & (u64::MAX << self.interrupts.first_upper())
        } else {
            takes
        }
    }

    /// Tells the sink of interrupts that the device has raised.
    pub(super) fn announce_interrupts(&mut self) {
        let mut raised = std::mem::take(&mut self.interrupts.raised);
        while let Some(message) = Delivery::first(raised) {
            raised &= raised - 1;
            let target = self.interrupts.target(message);
            self.emit(Site::Port, Kind::InterruptRaised { message, target });
        }
    }

    /// An interrupt with nothing behind it, from the scenario.
    pub(super) fn raise_spurious(&mut self, number: u8) {
        if self.interrupts.by_line {
            self.interrupts.spurious_line(true);
        } else {
            let message = number % self.interrupts.messages.max(1);
            self.interrupts.send_message(u16::from(message));
        }
        self.announce_interrupts();
    }
}

impl Interrupts {
    /// A pulse on the line that no device drives: stays until it is delivered once.
    fn spurious_line(&mut self, asserted: bool) {
        if self.by_line {
            self.raised |= u64::from(asserted && !self.line && self.pending == 0);
            self.pending = u64::from(asserted);
        }
    }
}

impl<S: Sink + 'static> Port<S> {
    /// Delivers everything that the processor takes now.
    pub(super) fn deliver_pending(self) {
        while let Some(message) = Delivery::first(self.with(|s| s.deliverable(s.current))) {
            self.deliver(message);
        }
    }

    /// Delivers one pending interrupt, as a call on top of what the processor does.
    pub(super) fn deliver(self, message: u8) {
        let (by_line, per_message, saved) = self.with(|s| {
            let by_line = s.interrupts.by_line;
            s.interrupts.pending &= !(1 << message);
            let per_message = s.adapter.facts.interrupts == Mode::PerMessage;
            let irql = if by_line { DIRQL } else { s.interrupts.message_irql(message) };
            let saved = s.processor().irql;
            s.processor().irql = irql;
            (by_line, per_message, saved)
        });
        let lock = if per_message { Lock::Message(message) } else { Lock::Interrupt };
        let irql = self.with(|s| s.processor().irql);
        let level = if per_message { irql } else { DIRQL };
        self.take_seldom(lock, Request::of_port(level), Site::Port);
        if by_line {
            self.call_interrupt();
        } else {
            self.call_message_interrupt(message);
        }
        self.give_quietly(lock, irql);
        self.with(|s| s.processor().irql = saved);
        self.drain_deferred();
    }

    fn call_interrupt(self) {
        let Some(routine) = self.driver().data.hw_interrupt else { return };
        let extension = self.extension();
        self.callback(Routine::Interrupt, 0, || {
            // SAFETY: the driver's own entry point and extension.
            u32::from(unsafe { self.invoke(routine, (extension,)) })
        });
    }

    fn call_message_interrupt(self, message: u8) {
        let Some(routine) = self.with(|s| s.adapter.message_interrupt) else { return };
        let extension = self.extension();
        self.callback(Routine::MessageInterrupt, u16::from(message), || {
            // SAFETY: as above.
            u32::from(unsafe { self.invoke(routine, (extension, u32::from(message))) })
        });
    }

    /// Gives back a lock that StorPort took around a callback.
    pub(super) fn give_quietly(self, lock: Lock, irql: Irql) {
        self.give_seldom(lock, LockApi::Port, Handle::Same, irql, Site::Port);
    }
}

/// Whether the platform and the driver's choice lead to messages.
pub(super) fn uses_messages(kind: InterruptKind, has_routine: bool) -> bool {
    kind == InterruptKind::Messages && has_routine
}
