//! What is known of a driver's steps: from every run that was made, what each step did, by what it followed from.
//!
//! A *step* is what one processor does from one place where it can lose the processor to the next. What it does follows from
//! what its processor did before and from the versions of what it touches ([`super::history`]). So whatever was seen once is known wherever the
//! same versions are found, in any other order of steps that do not concern it: a schedule can be followed without being
//! run as long as each of its steps is known.
//!
//! What the device and the timers do depends on the time, so it comes after everything before it and before everything
//! after it: a step with such an act in it, a *leap*, is known by the whole state that it follows from.
//!
//! A footprint that leaves out something shows here: a step turns out to do something else than a known step that followed from
//! the same. Such *surprises* are counted; after one nothing may be taken for known.

mod learn;

use super::footprint::{Footprint, Memory, looks_at_time};
use super::history::{Map, Set, Version, hash_of};
use super::world::{How, Options, Status, Stop, World};
use crate::event::Event;

/// A step that was seen.
#[derive(Clone, Debug)]
struct Step {
    footprint: Footprint,
    /// What it found of what it touches.
    versions: Vec<Version>,
    hash: u64,
    /// Time that it took.
    time: u64,
    stop: Stop,
    /// What counts for the footprints of later steps.
    events: Vec<Event>,
}

/// A step that follows from everything.
#[derive(Clone, Debug)]
struct Leap {
    hash: u64,
    time: u64,
    due: u64,
    stop: Stop,
    port_work: Option<u8>,
    events: Vec<Event>,
}

/// Something that no run has shown yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown;

/// All that is known.
#[derive(Debug)]
pub(super) struct Model {
    memory: Memory,
    /// By what the step follows from on its processor.
    steps: Map<Vec<Step>>,
    /// By state.
    leaps: Map<Leap>,
    /// States at which a run has ended.
    ends: Set,
    /// Whether an idle processor has something to do.
    works: Map<bool>,
    /// Whether one that waits would get its lock.
    granted: Map<bool>,
    /// Whether one that waits can go on, with its lock or with an interrupt.
    goes_on: Map<bool>,
    /// Interrupts that could be delivered.
    interrupts: Map<u8>,
    /// How often a step was another than the one that was known.
    pub(super) surprises: u64,
}

impl Model {
    pub(super) fn new(memory: Memory) -> Model {
        Model {
            memory,
            steps: Map::default(),
            leaps: Map::default(),
            ends: Set::default(),
            works: Map::default(),
            granted: Map::default(),
            goes_on: Map::default(),
            interrupts: Map::default(),
            surprises: 0,
        }
    }

    /// Follows the step of the processor that runs, or of nobody, if it is known.
    pub(super) fn follow(&self, world: &mut World, how: How) -> Result<Stop, Unknown> {
        if let Some(processor) = world.running
            && let Some(step) = self.step(world, processor, how)
        {
            let is_idle = is_idle(world, processor, step.stop);
            world.context.step((processor, how), &step.events, is_idle, self.memory);
            world.history.add(processor, step.footprint, step.hash);
            world.time += step.time;
            world.stop(step.stop);
            return Ok(step.stop);
        }
        let leap = self.leaps.get(&leap_key(world, how)).ok_or(Unknown)?;
        take_leap(world, how, leap, self.memory);
        Ok(leap.stop)
    }

    fn step(&self, world: &World, processor: u8, how: How) -> Option<&Step> {
        let known = self.steps.get(&step_key(world, processor, how))?;
        let step = known.iter().find(|step| world.history.has(step.footprint, &step.versions))?;
        let acts = world.time + step.time >= world.due;
        let is_timed = world.is_timed && step.footprint.touches_port();
        (!acts && !is_timed).then_some(step)
    }

    /// Whether a run is known to end in this state.
    pub(super) fn is_end(&self, world: &World) -> bool {
        self.ends.contains(&world.machine_state())
    }

    /// What can be chosen at the point at which the processor that runs is.
    pub(super) fn options(&self, world: &World, processors: u8) -> Result<Options, Unknown> {
        let current = world.running.ok_or(Unknown)?;
        let key = interrupts_key(world, current);
        let mut options = Options {
            interrupts: *self.interrupts.get(&key).ok_or(Unknown)?,
            processors: 0,
            hasten: world.due != u64::MAX,
        };
        for processor in (0..processors).filter(|&p| p != current) {
            let can = match world.status[usize::from(processor)] {
                Status::Ready => Some(&true),
                Status::Idle => self.works.get(&idle_key(world, processor)),
                Status::Waiting(lock) => self.goes_on.get(&waiting_key(world, processor, lock)),
            };
            options.processors |= u8::from(*can.ok_or(Unknown)?) << processor;
        }
        Ok(options)
    }

    /// Who goes on where nobody runs.
    pub(super) fn pick(&self, world: &World, processors: u8) -> Result<Option<u8>, Unknown> {
        let (mut movable, mut working) = (0, 0);
        for processor in 0..processors {
            let (known, mask) = match world.status[usize::from(processor)] {
                Status::Ready => (Some(&true), &mut movable),
                Status::Waiting(lock) => {
                    (self.granted.get(&lock_key(world, processor, lock)), &mut movable)
                }
                Status::Idle => (self.works.get(&idle_key(world, processor)), &mut working),
            };
            *mask |= u8::from(*known.ok_or(Unknown)?) << processor;
        }
        Ok(world.next(movable, working))
    }
}

fn is_idle(world: &World, processor: u8, stop: Stop) -> bool {
    world.status[usize::from(processor)] == Status::Idle || stop == Stop::Idle
}

fn step_key(world: &World, processor: u8, how: How) -> u64 {
    hash_of([world.history.own(processor), u64::from(processor), how.number()], &[])
}

fn leap_key(world: &World, how: How) -> u64 {
    hash_of([world.machine_state(), how.number()], &[])
}

fn interrupts_key(world: &World, processor: u8) -> u64 {
    hash_of([world.history.own(processor), world.history.pending_seen()], &[])
}

fn idle_key(world: &World, processor: u8) -> u64 {
    let history = &world.history;
    hash_of([history.own(processor), history.queue_seen(processor), history.pending_seen()], &[])
}

fn lock_key(world: &World, processor: u8, lock: u8) -> u64 {
    hash_of([world.history.own(processor), world.history.seen(lock)], &[])
}

fn waiting_key(world: &World, processor: u8, lock: u8) -> u64 {
    hash_of([lock_key(world, processor, lock), world.history.pending_seen()], &[])
}

fn take_leap(world: &mut World, how: How, leap: &Leap, memory: Memory) {
    if let Some(processor) = world.running {
        let is_idle = is_idle(world, processor, leap.stop);
        world.context.step((processor, how), &leap.events, is_idle, memory);
    } else {
        for event in &leap.events {
            world.context.event(event);
        }
    }
    world.history.add_barrier(leap.hash);
    (world.time, world.due) = (leap.time, leap.due);
    // Whose queues the device and the timers have filled is told when nobody can go on.
    world.context.port_work = leap.port_work.unwrap_or(u8::MAX);
    world.is_timed |= leap.events.iter().any(looks_at_time);
    world.stop(leap.stop);
}
