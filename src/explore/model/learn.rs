//! How the model learns from a run.

use std::slice::Iter;

use super::{
    Leap, Map, Model, Step, idle_key, interrupts_key, is_idle, leap_key, lock_key, step_key,
    take_leap, waiting_key,
};
use crate::event::{Event, Kind, Mark, Pick, Point};
use crate::explore::Sight;
use crate::explore::footprint::{Footprint, Objects, looks_at_time};
use crate::explore::history::hash_of;
use crate::explore::world::{Choice, How, Options, Status, Stop, World, awaited};
use crate::scenario::Decision;

/// A run, as it is learned from.
struct Lesson<'a> {
    processors: u8,
    /// Events that have been learned.
    told: usize,
    /// The decisions that are left, and the points until the first.
    decisions: Iter<'a, Decision>,
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
    #[cfg(test)]
    pub(in crate::explore) fn learn(
        &mut self,
        sight: Sight<'_>,
        schedule: &[Decision],
        processors: u8,
    ) -> u64 {
        let mut decisions = schedule.iter();
        let decision = decisions.next().map(|first| (u64::from(first.after) + 1, first.choice));
        let lesson = Lesson { processors, told: 0, decisions, decision };
        self.learn_from(World::new(), How::Nobody, sight.marks, sight.events, lesson)
    }

    /// Learns what a run shows after its last departure, which was chosen at its point of this number and led to
    /// that state; 0 for the start of the run.
    pub(in crate::explore) fn learn_rest(
        &mut self,
        sight: Sight<'_>,
        (world, how): (World, How),
        point: usize,
        processors: u8,
    ) {
        let is_point = |(_, (mark, _)): &(usize, &(Mark, u32))| matches!(mark, Mark::Point(_));
        let points = sight.marks.iter().enumerate().filter(is_point);
        let last = point.checked_sub(1).and_then(|last| { points }.nth(last));
        let (first, told) = last.map_or((0, 0), |(at, (_, before))| (at + 1, *before as usize));
        let lesson = Lesson { processors, told, decisions: [].iter(), decision: None };
        self.learn_from(world, how, &sight.marks[first..], sight.events, lesson);
    }

    fn learn_from(
        &mut self,
        mut world: World,
        mut how: How,
        marks: &[(Mark, u32)],
        events: &[Event],
        mut lesson: Lesson<'_>,
    ) -> u64 {
        for (mark, before) in marks {
            let events = &events[lesson.told..*before as usize];
            lesson.told = *before as usize;
            how = match mark {
                Mark::Point(point) => self.learn_point(&mut world, how, events, point, &mut lesson),
                Mark::Pick(pick) => self.learn_pick(&mut world, how, events, pick, &lesson),
            };
        }
        self.learn_end(&mut world, how, &events[lesson.told..]);
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
                let stop = Stop::Waiting(world.lock_waited_for(processor, events));
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
        let mut footprint = context.step((processor, how), events, is_idle, self.memory);
        if let Status::Waiting(lock) = world.status[usize::from(processor)] {
            footprint = footprint.and(Footprint::reading(Objects::one(lock.into())));
        }
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
        take_leap(world, how, &leap, self.memory);
        if let Some(known) = self.leaps.insert(key, leap) {
            self.surprises += u64::from(known.hash != hash || known.stop != stop);
        }
    }
}

fn know<T: PartialEq>(map: &mut Map<T>, key: u64, value: T, surprises: &mut u64) {
    if let Some(known) = map.insert(key, value) {
        *surprises += u64::from(Some(&known) != map.get(&key));
    }
}
