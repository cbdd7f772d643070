//! What decides, beside a step's events, what it touches: what has gone before on its processor.
//!
//! StorPort's own code between callbacks leaves no events, and a driver's code between its calls leaves none either.

use super::footprint::{Footprint, Memory, Objects};
use super::world::How;
use crate::event::{DEPTH_MAX, Event, Kind, PROCESSORS_MAX, Routine};

/// One processor's callbacks and locks.
#[derive(Clone, Copy, Debug, Default)]
struct Stack {
    /// Locks that it holds.
    held: u8,
    /// Callbacks that are active.
    depth: u8,
    /// The callbacks, a bit for each depth, that have been called and have not run yet.
    called: u32,
    /// The depths, a bit each, at which a DPC routine has returned and StorPort has not noticed yet.
    returned: u32,
    /// The DPC that runs, or has run, at each depth.
    dpcs: [u8; DEPTH_MAX + 1],
}

/// What has gone before on each processor.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    stacks: [Stack; PROCESSORS_MAX],
    /// Processors, a bit each, on which StorPort's own code has something to do.
    pub(super) port_work: u8,
    /// Where each DPC was queued while it ran.
    target: [Option<u8>; 32],
    /// An interrupt has been raised in this run.
    raised: bool,
}

impl Context {
    /// What a step of `processor` touches; takes its events into account for what follows. `is_idle`: the processor
    /// has nothing under way at its end, or had none at its start.
    pub(super) fn step(
        &mut self,
        (processor, how): (u8, How),
        events: &[Event],
        is_idle: bool,
        memory: Memory,
    ) -> Footprint {
        let (at, bit) = (usize::from(processor), 1_u8 << processor);
        let before = self.stacks[at];
        let mut footprint = Footprint::default();
        let mut was_called = false;
        // An interrupt puts off what its processor was about to do.
        if !matches!(how, How::Interrupted(_)) {
            footprint = self.finished_dpc(at);
            was_called = self.stacks[at].called & 1 << before.depth != 0;
            self.stacks[at].called &= !(1 << before.depth);
        }
        let mut is_free = before.held == 0;
        for event in events {
            footprint = footprint.and(self.event(event));
            is_free |= self.stacks[at].held == 0;
        }
        let in_driver = before.depth > 0;
        let touches_memory = match memory {
            Memory::Anything => in_driver && is_free,
            Memory::Counters => in_driver && was_called,
            Memory::Nothing => false,
        };
        if touches_memory {
            footprint = footprint.and(Footprint::writing(Objects::MEMORY));
        }
        if is_idle || !in_driver {
            let sees = Objects::queue(processor).union(Objects::PENDING);
            footprint = footprint.and(Footprint::reading(sees));
            if self.port_work & bit != 0 {
                footprint = footprint.and(Footprint::writing(Objects::PORT));
            }
        }
        if is_idle && self.stacks[at].depth == 0 {
            self.port_work &= !bit;
        }
        footprint
    }

    /// Once StorPort's code after a DPC routine has run, the DPC can run again.
    fn finished_dpc(&mut self, at: usize) -> Footprint {
        let stack = &mut self.stacks[at];
        let bit = 1 << stack.depth;
        if stack.returned & bit == 0 {
            return Footprint::default();
        }
        stack.returned &= !bit;
        let dpc = stack.dpcs[usize::from(stack.depth) + 1];
        let queue = self.target[usize::from(dpc % 32)].map_or(Objects::dpc(dpc), Objects::queue);
        Footprint::writing(Objects::dpc(dpc).union(queue))
    }

    /// An event happens; what it touches.
    pub(super) fn event(&mut self, event: &Event) -> Footprint {
        let mut footprint = Footprint::of(event);
        self.note(event);
        if footprint.writes.meets(Objects::PORT) {
            self.port_work |= 1 << event.processor;
            // Interrupts can be let in, or held back; that matters once there are any.
            if self.raised {
                footprint = footprint.and(Footprint::writing(Objects::PENDING));
            }
        }
        footprint
    }

    fn note(&mut self, event: &Event) {
        let stack = &mut self.stacks[usize::from(event.processor)];
        match event.kind {
            Kind::LockAcquired { .. } => stack.held = stack.held.saturating_add(1),
            Kind::LockReleased { holder: Some(holder), .. } if holder == event.processor => {
                stack.held = stack.held.saturating_sub(1);
            }
            Kind::Entered { routine, subject } => {
                stack.depth = (stack.depth + 1).min(DEPTH_MAX as u8);
                stack.called |= 1 << stack.depth;
                if routine == Routine::Dpc {
                    stack.dpcs[usize::from(stack.depth)] = subject as u8;
                    self.target[usize::from(subject % 32)] = None;
                }
            }
            Kind::Left { routine, .. } => {
                stack.called &= !(1 << stack.depth);
                stack.depth = stack.depth.saturating_sub(1);
                stack.returned |= u32::from(routine == Routine::Dpc) << stack.depth;
            }
            Kind::DpcIssued { dpc: Some(dpc), target, .. } => {
                self.target[usize::from(dpc % 32)] = Some(target);
            }
            Kind::InterruptRaised { .. } => self.raised = true,
            _ => {}
        }
    }
}
