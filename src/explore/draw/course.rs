//! The calm course of a scenario, as drawn schedules see it: each processor's points, sorted into classes.
//!
//! A class is what comes before the point, or after it: the same call at the same place with the same lock. A loop that
//! locks a thousand times is two classes, and so is the one place in a rare path, which otherwise would be drawn a
//! thousand times more seldom. What the calm course shows of a processor says well enough what it does in any other.
//!
//! The kinds worth most are those right before a processor takes a lock that it has had before and others take, too:
//! what it learned in the first critical section may no longer be so in the second.

use std::mem::{Discriminant, discriminant};

use super::super::Sight;
use super::super::footprint::{Footprint, Objects};
use crate::event::{Event, Kind, Lock, PROCESSORS_MAX, Site};
use crate::scenario::mutate::random::Random;
use crate::storport::Irql;

/// On which side of a point something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// What the points of a class have in common. What differs most often is compared first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sort {
    side: Side,
    kind: Discriminant<Kind>,
    lock: Option<Lock>,
    site: Site,
    /// It happens in an interrupt routine, which is to the code beneath what another processor is.
    interrupt: bool,
}

impl Sort {
    fn of(side: Side, event: &Event) -> Sort {
        Sort {
            side,
            kind: discriminant(&event.kind),
            lock: lock_of(&event.kind),
            site: event.site,
            interrupt: is_interrupt(event),
        }
    }
}

/// A class of points of one processor.
#[derive(Clone, Debug)]
struct Class {
    sort: Sort,
    /// It takes the lock.
    takes: bool,
    /// It takes the lock again: what the processor learned under it before may no longer be so.
    again: bool,
    touches: Objects,
    /// What comes before gave this processor something to do.
    woken: Option<u8>,
    /// Its points, by their number among the processor's.
    points: Vec<u32>,
}

impl Class {
    /// The processor holds the lock that the class is about: another one that wants it only waits, but an interrupt
    /// routine that wants it waits for ever.
    fn is_inside(&self) -> bool {
        (self.sort.side == Side::Before) == self.takes
    }
}

fn is_interrupt(event: &Event) -> bool {
    event.irql > Irql::DISPATCH
}

const fn lock_of(kind: &Kind) -> Option<Lock> {
    match *kind {
        Kind::LockAcquired { lock, .. }
        | Kind::LockWaited { lock, .. }
        | Kind::LockReleased { lock, .. } => Some(lock),
        _ => None,
    }
}

const fn woken(kind: &Kind) -> Option<u8> {
    match *kind {
        Kind::DpcIssued { target, queued: true, .. } | Kind::InterruptRaised { target, .. } => {
            Some(target)
        }
        _ => None,
    }
}

/// As many points as most classes have, at most.
const POINTS_USUAL: usize = 16;

/// What one processor does.
#[derive(Clone, Debug, Default)]
struct Track {
    /// How many points it passes.
    points: u32,
    /// Locks that it has given back.
    given_back: Vec<Lock>,
    classes: Vec<Class>,
    /// Classes about a lock that another processor takes, too, or an interrupt routine.
    locks: Vec<usize>,
    /// Those among them right before the lock is taken again.
    returns: Vec<usize>,
    /// Classes after something that gives others work.
    wakes: Vec<usize>,
}

/// One of a processor's points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its number among the processor's.
    pub(super) point: u32,
    /// The processor that was given something to do just before.
    pub(super) woken: Option<u8>,
}

/// What every processor does, from where there first is a choice until everything has to become quiet.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    tracks: [Track; PROCESSORS_MAX],
    /// Number of the run's first point with a choice.
    pub(super) first: u32,
    /// The processor that passes it.
    pub(super) processor: u8,
}

impl Course {
    /// From a run that was recorded and observed.
    pub(super) fn new(sight: &Sight<'_>) -> Course {
        let mut course = Course::default();
        let points = sight.points();
        let choice = points.iter().position(|(point, _)| point.choices() > 0);
        let Some(first) = choice else { return course };
        course.first = first as u32;
        course.processor = points[first].0.processor;
        let quiesces = |event: &Event| matches!(event.kind, Kind::Quiescing);
        let end = sight.events.iter().position(quiesces).unwrap_or(sight.events.len());
        let mut last = [None; PROCESSORS_MAX];
        let mut told = 0;
        for (number, (point, before)) in points.iter().enumerate() {
            let before = *before as usize;
            let Some(next) = sight.events[..end].get(before) else { break };
            for event in &sight.events[told..before] {
                last[usize::from(event.processor) % PROCESSORS_MAX] = Some(event);
            }
            told = before;
            let processor = usize::from(point.processor) % PROCESSORS_MAX;
            if number >= first {
                course.tracks[processor].add(last[processor], next);
            }
        }
        course.weigh();
        course
    }

    /// Sorts out which classes of each processor are worth more than others.
    fn weigh(&mut self) {
        let touches = self.tracks.each_ref().map(|track| [false, true].map(|i| track.touches(i)));
        for (processor, track) in self.tracks.iter_mut().enumerate() {
            let interrupts = touches[processor][1];
            let others = touches.iter().enumerate().filter(|(other, _)| *other != processor);
            let others = others.flat_map(|(_, both)| both);
            let others = others.fold(interrupts, |all, one| all.union(*one));
            let lock = |class: &Class| {
                let rivals = if class.is_inside() { interrupts } else { others };
                let Sort { lock, interrupt, .. } = class.sort;
                lock.is_some() && !interrupt && rivals.meets(class.touches)
            };
            track.locks = track.numbers(lock);
            track.returns = track.numbers(|class| class.again && lock(class));
            track.wakes = track.numbers(|class| class.woken.is_some());
        }
    }

    /// How many places each processor has where it comes back to a lock.
    #[cfg(test)]
    pub(super) fn returns(&self) -> Vec<usize> {
        self.tracks.iter().map(|track| track.returns.len()).collect()
    }

    /// Points of a processor.
    pub(super) fn count(&self, processor: u8) -> u32 {
        self.tracks[usize::from(processor)].points
    }

    /// One of a processor's points from `from` on, each class as likely as any other; mostly one where it touches what
    /// others touch, too, and above all between two critical sections of one lock.
    pub(super) fn draw(&self, processor: u8, from: u32, random: &mut Random) -> Option<Place> {
        let track = &self.tracks[usize::from(processor)];
        if from >= track.points {
            return None;
        }
        let some = match random.below(8) {
            0..3 if !track.returns.is_empty() => &track.returns[..],
            0..5 => &track.locks[..],
            5..7 => &track.wakes[..],
            _ => &[],
        };
        let class = match some.len() {
            0 => random.below(track.classes.len()),
            count => some[random.below(count)],
        };
        let points = &track.classes[class].points;
        let points = &points[points.partition_point(|&point| point < from)..];
        let woken = track.classes[class].woken;
        Some(match points.len() {
            // None of that class is left.
            0 => Place {
                point: from + random.below((track.points - from) as usize) as u32,
                woken: None,
            },
            count => Place { point: points[random.below(count)], woken },
        })
    }
}

impl Track {
    /// The numbers of the classes that fit.
    fn numbers(&self, fits: impl Fn(&Class) -> bool) -> Vec<usize> {
        let classes = self.classes.iter().enumerate();
        classes.filter(|(_, class)| fits(class)).map(|(number, _)| number).collect()
    }

    fn add(&mut self, last: Option<&Event>, next: &Event) {
        let point = self.points;
        self.points += 1;
        if let Some(last) = last {
            self.classify(point, Side::Before, last);
        }
        self.classify(point, Side::After, next);
    }

    fn classify(&mut self, point: u32, side: Side, event: &Event) {
        let sort = Sort::of(side, event);
        let again = side == Side::After && self.takes_again(event);
        if let Some(class) = self.classes.iter_mut().find(|class| class.sort == sort) {
            class.again |= again;
            return class.points.push(point);
        }
        let mut points = Vec::with_capacity(POINTS_USUAL);
        points.push(point);
        self.classes.push(Class {
            sort,
            takes: matches!(event.kind, Kind::LockAcquired { .. }),
            again,
            touches: Footprint::of(event).writes,
            woken: if side == Side::Before { woken(&event.kind) } else { None },
            points,
        });
    }

    /// Whether the driver takes a lock here that this processor has given back before.
    fn takes_again(&mut self, event: &Event) -> bool {
        match event.kind {
            Kind::LockAcquired { lock, .. } => {
                event.site != Site::Port && self.given_back.contains(&lock)
            }
            Kind::LockReleased { lock, .. } => {
                if !self.given_back.contains(&lock) {
                    self.given_back.push(lock);
                }
                false
            }
            _ => false,
        }
    }

    /// What it touches in its interrupt routines, or outside of them.
    fn touches(&self, interrupt: bool) -> Objects {
        let classes = self.classes.iter().filter(|class| class.sort.interrupt == interrupt);
        classes.fold(Objects::default(), |all, class| all.union(class.touches))
    }
}
