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

use std::collections::{HashMap, HashSet};

use super::Sight;
use super::footprint::{Footprint, Memory, looks_at_time};
use super::history::{Version, hash_of};
use super::world::{Choice, How, Options, Status, Stop, World, awaited};
use crate::event::{Event, Kind, Mark, Pick, Point};
use crate::scenario::Decision;

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
    steps: HashMap<u64, Vec<Step>>,
    /// By state.
    leaps: HashMap<u64, Leap>,
    /// States at which a run has ended.
    ends: HashSet<u64>,
    /// Whether an idle processor has something to do.
    works: HashMap<u64, bool>,
    /// Whether one that waits would get its lock.
    granted: HashMap<u64, bool>,
    /// Whether one that waits can go on, with its lock or with an interrupt.
    goes_on: HashMap<u64, bool>,
    /// Interrupts that could be delivered.
    interrupts: HashMap<u64, u8>,
    /// How often a step was another than the one that was known.
    pub(super) surprises: u64,
}

impl Model {
    pub(super) fn new(memory: Memory) -> Model {
        Model {
            memory,
            steps: HashMap::new(),
            leaps: HashMap::new(),
            ends: HashSet::new(),
            works: HashMap::new(),
            granted: HashMap::new(),
            goes_on: HashMap::new(),
            interrupts: HashMap::new(),
            surprises: 0,
        }
    }

    /// Follows the step of the processor that runs, or of nobody, if it is known.
    pub(super) fn follow(&self, world: &mut World, how: How) -> Result<Stop, Unknown> {
        if let Some(processor) = world.running
            && let Some(step) = self.step(world, processor, how)
        {
            let is_idle = is_idle(world, processor, step.stop);
            world.context.step(processor, &step.events, is_idle, self.memory);
            world.history.add(processor, step.footprint, step.hash);
            world.time += step.time;
            world.stop(step.stop);
            return Ok(step.stop);
        }
        let leap = self.leaps.get(&leap_key(world, how)).ok_or(Unknown)?;
        take_leap(world, leap, self.memory);
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

fn take_leap(world: &mut World, leap: &Leap, memory: Memory) {
    if let Some(processor) = world.running {
        let is_idle = is_idle(world, processor, leap.stop);
        world.context.step(processor, &leap.events, is_idle, memory);
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

/// A run, as it is learned from.
struct Lesson<'a> {
    processors: u8,
    /// Events that have been learned.
    told: usize,
    /// The decisions that are left, and the points until the first.
    decisions: std::slice::Iter<'a, Decision>,
    decision: Option<(u64, u8)>,
}

impl Lesson<'_> {
    /// The decision for a point that has just been passed, if there is one.
    fn decided(&mut self, world: &World) -> Option<u8> {
        let (at, choice) = self.decision?;
        (world.passed == at).then(|| {
            self.decision = self
                .decisions
                .next()
                .map(|next| (world.passed + u64::from(next.after) + 1, next.choice));
            choice
        })
    }
}

impl Model {
    /// Learns what a run of a schedule shows. Returns a number that equivalent runs have in common.
    pub(super) fn learn(&mut self, sight: Sight<'_>, schedule: &[Decision], processors: u8) -> u64 {
        let mut decisions = schedule.iter();
        let decision = decisions.next().map(|first| (u64::from(first.after) + 1, first.choice));
        let mut lesson = Lesson { processors, told: 0, decisions, decision };
        let (mut world, mut how) = (World::new(), How::Nobody);
        for (mark, before) in sight.marks {
            let events = &sight.events[lesson.told..*before as usize];
            lesson.told = *before as usize;
            match mark {
                Mark::Point(point) => {
                    how = self.learn_point(&mut world, how, events, point, &mut lesson)
                }
                Mark::Pick(pick) => how = self.learn_pick(&mut world, how, events, pick, &lesson),
            }
        }
        self.learn_end(&mut world, how, &sight.events[lesson.told..]);
        world.history.sum()
    }

    /// The processor that runs has come to a point; how it goes on there.
    fn learn_point(
        &mut self,
        world: &mut World,
        how: How,
        events: &[Event],
        point: &Point,
        lesson: &mut Lesson<'_>,
    ) -> How {
        self.learn_step(world, how, events, Stop::Point, (point.time, point.due));
        self.know_point(world, point, lesson.processors);
        let options = Options {
            interrupts: point.interrupts,
            processors: point.processors,
            hasten: point.due != u64::MAX,
        };
        let over = world.quantum_is_over();
        match lesson.decided(world).map(|number| options.choice(number)) {
            Some(Some(Choice::Here(how))) => return how,
            Some(Some(Choice::Switch(processor))) => world.switch_to(processor),
            Some(None) => {}
            None if over => {
                if let Some(other) = world.first_preempted(point.processors) {
                    world.switch_to(other);
                }
            }
            None => {}
        }
        How::Calmly
    }

    fn know_point(&mut self, world: &World, point: &Point, processors: u8) {
        let surprises = &mut self.surprises;
        know(
            &mut self.interrupts,
            interrupts_key(world, point.processor),
            point.interrupts,
            surprises,
        );
        for processor in (0..processors).filter(|&p| p != point.processor) {
            let can = point.processors & 1 << processor != 0;
            match world.status[usize::from(processor)] {
                Status::Ready => *surprises += u64::from(!can),
                Status::Idle => know(&mut self.works, idle_key(world, processor), can, surprises),
                Status::Waiting(lock) => {
                    let key = waiting_key(world, processor, lock);
                    know(&mut self.goes_on, key, can, surprises);
                }
            }
        }
    }

    /// A processor is picked; how it goes on.
    fn learn_pick(
        &mut self,
        world: &mut World,
        how: How,
        events: &[Event],
        pick: &Pick,
        lesson: &Lesson<'_>,
    ) -> How {
        if pick.forced {
            // Whom a decision has chosen runs already.
            return How::Calmly;
        }
        let times = (pick.time, pick.due);
        match world.running {
            Some(processor) if pick.waiting & 1 << processor != 0 => {
                let lock = awaited(events);
                let stop = Stop::Waiting(lock.unwrap_or(0));
                self.learn_step(world, how, events, stop, times);
            }
            Some(_) => self.learn_step(world, how, events, Stop::Idle, times),
            None => {
                self.learn_leap(
                    world,
                    How::Nobody,
                    events,
                    Stop::Idle,
                    times,
                    Some(pick.port_work),
                );
            }
        }
        for processor in 0..lesson.processors {
            let is = |mask: u8| mask & 1 << processor != 0;
            let surprises = &mut self.surprises;
            match world.status[usize::from(processor)] {
                Status::Ready => {}
                Status::Idle => {
                    know(&mut self.works, idle_key(world, processor), is(pick.working), surprises);
                }
                Status::Waiting(lock) => {
                    let key = lock_key(world, processor, lock);
                    know(&mut self.granted, key, is(pick.granted), surprises);
                }
            }
        }
        world.running = pick.next;
        if pick.next.is_some() { How::Calmly } else { How::Nobody }
    }

    /// The run has ended inside a step.
    fn learn_end(&mut self, world: &mut World, how: How, events: &[Event]) {
        let is_deadlock = |event: &Event| matches!(event.kind, Kind::Deadlocked { .. });
        let times = (world.time, world.due);
        match events.iter().position(is_deadlock) {
            Some(at) if world.running.is_some() && awaited(&events[..at]).is_some() => {
                let stop = Stop::Waiting(awaited(&events[..at]).unwrap_or(0));
                self.learn_step(world, how, &events[..at], stop, times);
                self.ends.insert(world.machine_state());
            }
            _ => self.learn_leap(world, how, events, Stop::End, times, None),
        }
    }

    fn learn_step(
        &mut self,
        world: &mut World,
        how: How,
        events: &[Event],
        stop: Stop,
        (time, due): (u64, u64),
    ) {
        let Some(processor) = world.running else { return self.surprises += 1 };
        let is_idle = is_idle(world, processor, stop);
        let mut context = world.context;
        let footprint = context.step(processor, events, is_idle, self.memory);
        let is_timed = world.is_timed && footprint.touches_port();
        if how == How::Hastened
            || due != world.due
            || time >= world.due
            || is_timed
            || events.iter().any(looks_at_time)
        {
            return self.learn_leap(world, how, events, stop, (time, due), None);
        }
        let key = step_key(world, processor, how);
        let versions = world.history.versions(footprint);
        let from = versions.iter().flat_map(|&(number, version)| [number.into(), version]);
        let what = [key, time - world.time, u64::from(stop != Stop::Point)];
        let hash = hash_of(what.into_iter().chain(from), events);
        let step = Step {
            footprint,
            versions,
            hash,
            time: time - world.time,
            stop,
            events: events.to_vec(),
        };
        let known = self.steps.entry(key).or_default();
        match known.iter().find(|known| world.history.has(known.footprint, &known.versions)) {
            Some(known) => self.surprises += u64::from(known.hash != hash || known.stop != stop),
            None => known.push(step),
        }
        world.context = context;
        world.history.add(processor, footprint, hash);
        world.time = time;
        world.stop(stop);
    }

    fn learn_leap(
        &mut self,
        world: &mut World,
        how: How,
        events: &[Event],
        stop: Stop,
        (time, due): (u64, u64),
        port_work: Option<u8>,
    ) {
        let key = leap_key(world, how);
        let hash = hash_of([key, due], events);
        let leap = Leap { hash, time, due, stop, port_work, events: events.to_vec() };
        take_leap(world, &leap, self.memory);
        if let Some(known) = self.leaps.insert(key, leap) {
            self.surprises += u64::from(known.hash != hash || known.stop != stop);
        }
    }
}

fn know<T: PartialEq>(map: &mut HashMap<u64, T>, key: u64, value: T, surprises: &mut u64) {
    if let Some(known) = map.insert(key, value) {
        *surprises += u64::from(Some(&known) != map.get(&key));
    }
}
