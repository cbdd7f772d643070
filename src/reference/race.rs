//! Data races, the long way: for every context and for everything that hands an order on, the set of all accesses that
//! came before.
//!
//! The table of edges is that of `race.unsynchronized`; how they are followed is not: no clocks, no epochs, nothing is
//! forgotten, and every access is compared with every other.

use std::collections::BTreeMap;

use crate::event::{Access, Area, Event, Kind, Lock, Miniport, Routine};
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::{Ddi, Irql};

/// The subject of HwStorAdapterControl when the adapter is gone, which waits for nothing.
const SURPRISE_REMOVAL: u16 = ScsiAdapterControlType::SURPRISE_REMOVAL.0 as u16;

/// A set of accesses, by number.
#[derive(Clone, Debug, Default)]
struct Past(Vec<u64>);

impl Past {
    fn add(&mut self, access: usize) {
        if self.0.len() <= access / 64 {
            self.0.resize(access / 64 + 1, 0);
        }
        self.0[access / 64] |= 1 << (access % 64);
    }

    fn add_all(&mut self, other: &Past) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| *own |= other);
    }

    fn has(&self, access: usize) -> bool {
        self.0.get(access / 64).is_some_and(|bits| bits >> (access % 64) & 1 != 0)
    }
}

/// What hands an order on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Lock(Lock),
    AnyMessage,
    Dpc(u16),
    Request(u16),
    Channel(u8),
    Atomic(Area, u32),
    Found,
    Life,
    Returned,
    Completed,
    Registers,
    Routine(Routine),
    Executive,
}

/// A processor and a level on it: threads, DISPATCH_LEVEL, below the device's IRQL, at it.
type Place = (u8, u8);

#[derive(Debug, Default)]
struct Model {
    pasts: BTreeMap<Place, Past>,
    tokens: BTreeMap<Token, Past>,
    frames: BTreeMap<u8, Vec<(Routine, u16)>>,
    /// Every plain access.
    accesses: Vec<Access>,
    device_irql: Option<Irql>,
    is_virtual: bool,
    is_dump: bool,
}

/// The events, by number, that race with one before them.
#[must_use]
pub fn races(events: &[Event]) -> Vec<usize> {
    let mut model = Model::default();
    let all = events.iter().enumerate();
    all.filter_map(|(at, event)| model.races(event).then_some(at)).collect()
}

impl Model {
    fn place(&self, processor: u8, irql: Irql) -> Place {
        let device = self.device_irql.unwrap_or(Irql::DEVICE_HIGHEST);
        let level = match irql {
            irql if irql < Irql::DISPATCH => 0,
            Irql::DISPATCH => 1,
            irql if irql < device => 2,
            _ => 3,
        };
        (processor, level)
    }

    fn take(&mut self, place: Place, tokens: &[Token]) {
        for token in tokens {
            if let Some(past) = self.tokens.get(token) {
                self.pasts.entry(place).or_default().add_all(past);
            }
        }
    }

    fn give(&mut self, place: Place, tokens: &[Token]) {
        let past = self.pasts.entry(place).or_default().clone();
        for token in tokens {
            self.tokens.entry(*token).or_default().add_all(&past);
        }
    }

    /// Code changes its own IRQL: up, what the level holds off has been; down, it is yet to be.
    fn go(&mut self, from: Place, to: Place) {
        for level in from.1..to.1 {
            let past = self.pasts.entry((from.0, level)).or_default().clone();
            self.pasts.entry(to).or_default().add_all(&past);
        }
        for level in to.1..from.1 {
            let past = self.pasts.entry(from).or_default().clone();
            self.pasts.entry((from.0, level)).or_default().add_all(&past);
        }
    }

    /// Takes an event; whether it is an access that races.
    fn races(&mut self, event: &Event) -> bool {
        let place = self.place(event.processor, event.irql);
        match event.kind {
            Kind::Configured(adapter) => {
                self.device_irql = Some(adapter.device_irql);
                self.is_virtual = adapter.miniport == Miniport::Virtual;
                self.is_dump = adapter.dump;
            }
            Kind::LockAcquired { lock, irql, .. } => {
                let inside = self.place(event.processor, irql);
                self.go(place, inside);
                let messages = match lock {
                    Lock::Interrupt => Token::AnyMessage,
                    Lock::Message(_) => Token::Lock(Lock::Interrupt),
                    lock => Token::Lock(lock),
                };
                self.take(inside, &[Token::Lock(lock), messages]);
            }
            Kind::LockReleased { lock, holder: Some(holder), irql, .. }
                if holder == event.processor =>
            {
                self.give(place, &[Token::Lock(lock)]);
                if let Lock::Message(_) = lock {
                    self.give(place, &[Token::AnyMessage]);
                }
                self.go(place, self.place(event.processor, irql));
            }
            Kind::IrqlSet { irql, .. } => self.go(place, self.place(event.processor, irql)),
            Kind::Entered { routine, subject } => {
                self.frames.entry(event.processor).or_default().push((routine, subject));
                self.entered(place, routine, subject);
            }
            Kind::Left { .. } => {
                let frames = self.frames.entry(event.processor).or_default();
                if let Some((routine, subject)) = frames.pop() {
                    self.left(place, routine, subject);
                }
            }
            Kind::DpcIssued { dpc: Some(dpc), .. } => self.give(place, &[Token::Dpc(dpc.into())]),
            Kind::RequestCompleted { request, .. } => {
                self.give(place, &[Token::Completed, Token::Request(request)]);
            }
            Kind::RequestsCompletedByPort { .. } => self.give(place, &[Token::Completed]),
            Kind::Channel { channel, begins: true } => self.take(place, &[Token::Channel(channel)]),
            Kind::Channel { channel, begins: false } => {
                self.give(place, &[Token::Channel(channel)]);
            }
            Kind::Called { ddi, .. } => self.called(place, ddi),
            Kind::Accessed(access) => return !self.is_dump && self.accessed(place, access),
            _ => {}
        }
        false
    }

    fn entered(&mut self, place: Place, routine: Routine, subject: u16) {
        self.take(place, &[Token::Found]);
        match routine {
            Routine::AdapterControl if subject == SURPRISE_REMOVAL => {
                self.take(place, &[Token::Life]);
            }
            Routine::FindAdapter
            | Routine::Initialize
            | Routine::PassiveInitialize
            | Routine::AdapterControl => {
                self.take(place, &[Token::Life, Token::Returned, Token::Completed]);
            }
            Routine::UnitControl | Routine::TracingEnabled | Routine::ResetBus => {
                self.take(place, &[Token::Life]);
            }
            Routine::BuildIo => {
                self.take(place, &[Token::Life, Token::Completed, Token::Request(subject)]);
            }
            Routine::StartIo if self.is_virtual => {
                self.take(place, &[Token::Life, Token::Completed, Token::Request(subject)]);
            }
            Routine::StartIo => self.take(place, &[Token::Life, Token::Request(subject)]),
            Routine::Interrupt | Routine::MessageInterrupt => self.take(place, &[Token::Registers]),
            Routine::Dpc => self.take(place, &[Token::Dpc(subject)]),
            Routine::Timer | Routine::TimerEx | Routine::WorkItem | Routine::StateChange => {
                self.take(place, &[Token::Routine(routine)]);
            }
            Routine::Synchronized => {}
        }
    }

    fn left(&mut self, place: Place, routine: Routine, subject: u16) {
        let more: &[Token] = match routine {
            Routine::Synchronized => return,
            Routine::FindAdapter | Routine::Initialize => &[Token::Found, Token::Life],
            Routine::PassiveInitialize | Routine::AdapterControl | Routine::UnitControl => {
                &[Token::Life]
            }
            Routine::BuildIo | Routine::StartIo => &[Token::Request(subject)],
            Routine::Dpc => &[Token::Dpc(subject)],
            _ => &[],
        };
        self.give(place, more);
        self.give(place, &[Token::Returned]);
    }

    fn called(&mut self, place: Place, ddi: Ddi) {
        let name = ddi.name();
        match ddi {
            Ddi::ReadRegister | Ddi::ReadPort => self.take(place, &[Token::Registers]),
            Ddi::WriteRegister | Ddi::WritePort => self.give(place, &[Token::Registers]),
            Ddi::RequestTimerCall => self.give(place, &[Token::Routine(Routine::Timer)]),
            Ddi::RequestTimer | Ddi::RequestHighResolutionTimer => {
                self.give(place, &[Token::Routine(Routine::TimerEx)]);
            }
            Ddi::QueueWorkItem => self.give(place, &[Token::Routine(Routine::WorkItem)]),
            Ddi::StateChangeDetected => self.give(place, &[Token::Routine(Routine::StateChange)]),
            Ddi::Ready | Ddi::DeviceReady | Ddi::Resume | Ddi::ResumeDevice => {
                self.give(place, &[Token::Completed]);
            }
            _ if name.contains("Interlocked")
                || name.contains("SetEvent")
                || name.contains("WaitForSingleObject") =>
            {
                self.take(place, &[Token::Executive]);
                self.give(place, &[Token::Executive]);
            }
            _ => {}
        }
    }

    fn accessed(&mut self, place: Place, access: Access) -> bool {
        let Access { area, offset, bytes, touch } = access;
        if area == Area::Uncached && !touch.writes() {
            self.take(place, &[Token::Registers]);
        }
        let atomic = [Token::Atomic(area, offset)];
        if touch.acquires() {
            self.take(place, &atomic);
        }
        if touch.releases() {
            self.give(place, &atomic);
        }
        if touch.is_atomic() {
            return false;
        }
        let past = self.pasts.entry(place).or_default();
        let (first, end) = (offset, offset + u32::from(bytes));
        let overlaps = |other: &Access| {
            other.area == area
                && other.offset < end
                && first < other.offset + u32::from(other.bytes)
        };
        let races = self.accesses.iter().enumerate().any(|(number, other)| {
            overlaps(other) && (other.touch.writes() || touch.writes()) && !past.has(number)
        });
        past.add(self.accesses.len());
        self.accesses.push(access);
        races
    }
}
