//! Counts what the runs did with locks.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{Context, Fields};
use super::order::{Gate, Nesting, Orders};
use super::tally::{Lengths, Node, Place, names, set};
use super::{Callback, Hold, LockMap, LockUse, Take, Wait};
use crate::event::{Adapter, Event, Interrupts, Kind, Lock, LockApi, PROCESSORS_MAX, Routine};
use crate::report::words;
use crate::storport::Irql;
use crate::storport::control::ScsiAdapterControlType;

/// Places listed at most.
const PLACES_MAX: usize = 6;

/// A callback under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    routine: Routine,
    subject: u16,
}

/// A lock that is held.
#[derive(Clone, Debug)]
struct Held {
    lock: Lock,
    api: LockApi,
    place: Place,
    routine: Option<Routine>,
    /// The callbacks around the acquire, outermost first; where StorPort takes it for a callback, that one too.
    path: Vec<Routine>,
    /// How many callbacks were active when it was taken.
    begins: usize,
    /// Events of the processor when it was taken.
    events: u32,
}

#[derive(Clone, Debug, Default)]
struct Processor {
    frames: Vec<Frame>,
    held: Vec<Held>,
    channels: Vec<u8>,
    waiting: Option<Waiting>,
    events: u32,
}

#[derive(Clone, Debug)]
struct Waiting {
    lock: Lock,
    since: u64,
    /// Who holds it: callback and place.
    holder: (Option<Routine>, Place),
}

impl Processor {
    /// Locks that StorPort has taken for a callback that is about to begin.
    fn surrounding(&mut self) -> impl Iterator<Item = &mut Held> {
        let depth = self.frames.len();
        let held = self.held.iter_mut();
        held.filter(move |held| held.api == LockApi::Port && held.path.len() == depth)
    }

    /// Notes for which callback StorPort has taken them.
    fn surround(&mut self, routine: Routine) {
        self.surrounding().for_each(|held| {
            held.path.push(routine);
            held.routine = Some(routine);
        });
    }

    /// The first frame of the code that runs: what was interrupted is not part of it.
    fn beginning(&self) -> usize {
        let inner = self.frames.iter().rposition(|frame| frame.routine != Routine::Synchronized);
        inner.unwrap_or(0)
    }
}

/// What makes two acquires alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TakeKey {
    routine: Option<Routine>,
    lock: Node,
    by: &'static str,
    /// Before and after, every device level as one.
    levels: (Irql, Irql),
    holding: BTreeSet<Node>,
}

#[derive(Clone, Debug, Default)]
struct Taken {
    times: u64,
    waited: u64,
    irqls: (BTreeSet<Irql>, BTreeSet<Irql>),
    places: BTreeSet<Place>,
}

#[derive(Clone, Debug, Default)]
struct Called {
    calls: u64,
    irqls: BTreeSet<Irql>,
    under: BTreeSet<BTreeSet<Node>>,
}

/// Holds of one lock.
#[derive(Clone, Debug, Default)]
struct Holds {
    lengths: Lengths,
    longest: Option<(u32, u32, String, usize)>,
}

#[derive(Clone, Debug, Default)]
struct Used {
    instances: BTreeSet<Lock>,
    waited: u64,
    longest_wait_ns: u64,
    driver: Holds,
    storport: Holds,
}

type Party = (Option<Routine>, Place);

/// Runs, counted.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    apart: bool,
    inputs: Vec<String>,
    runs: u64,
    broken: u64,
    events: u64,
    virtual_ns: u64,
    calls: BTreeMap<Routine, Called>,
    takes: BTreeMap<TakeKey, Taken>,
    used: BTreeMap<Node, Used>,
    waits: BTreeMap<(Node, Party, Party), (u64, u64)>,
    orders: Orders,
    fields: Fields,
}

/// The state of the run that is counted.
#[derive(Debug, Default)]
struct Run {
    processors: [Processor; PROCESSORS_MAX],
    adapter: Option<Adapter>,
    input: usize,
}

impl Fold {
    /// Nothing counted yet. With `apart` each message's and each DPC's lock is shown for itself.
    #[must_use]
    pub fn new(apart: bool) -> Fold {
        Fold { apart, ..Fold::default() }
    }

    /// Adds the run of an input, called `name`; `broken` if it ended with an error.
    pub fn add(&mut self, name: &str, events: &[Event], broken: bool) {
        let mut run = Run { input: self.inputs.len(), ..Run::default() };
        self.inputs.push(name.to_owned());
        self.runs += 1;
        self.broken += u64::from(broken);
        self.events += events.len() as u64;
        self.virtual_ns += events.last().map_or(0, |event| event.time);
        for event in events {
            self.take(&mut run, event);
        }
    }

    fn node(&self, lock: Lock) -> Node {
        Node::of(lock, self.apart)
    }

    fn take(&mut self, run: &mut Run, event: &Event) {
        let p = usize::from(event.processor) % PROCESSORS_MAX;
        run.processors[p].events += 1;
        match event.kind {
            Kind::Configured(adapter) => run.adapter = Some(adapter),
            Kind::Entered { routine, subject } => {
                let processor = &mut run.processors[p];
                self.enter(processor, event.irql, routine);
                processor.surround(routine);
                processor.frames.push(Frame { routine, subject });
            }
            Kind::Left { .. } => _ = run.processors[p].frames.pop(),
            Kind::LockWaited { lock, holder, .. } => {
                let holder = &run.processors[usize::from(holder) % PROCESSORS_MAX];
                let holds = holder.held.iter().rfind(|held| held.lock == lock);
                let holder = holds.map_or((None, Place::Port), |held| (held.routine, held.place));
                run.processors[p].waiting = Some(Waiting { lock, since: event.time, holder });
            }
            Kind::LockAcquired { lock, api, irql, contended } => {
                self.acquire(run, event, (lock, api), (irql, contended));
            }
            Kind::LockReleased { lock, holder: Some(holder), held_ns, .. } => {
                let holder = &mut run.processors[usize::from(holder) % PROCESSORS_MAX];
                self.release(holder, run.input, lock, held_ns);
            }
            Kind::Channel { channel, begins: true } => run.processors[p].channels.push(channel),
            Kind::Channel { channel, begins: false } => {
                run.processors.iter_mut().for_each(|p| p.channels.retain(|&c| c != channel));
            }
            Kind::Accessed(access) => {
                let processor = &run.processors[p];
                let held = guards(processor, run.adapter.as_ref());
                let context = Context {
                    routine: processor.frames.last().map(|frame| frame.routine),
                    place: event.site.into(),
                    held: &held,
                    alone: processor.frames.last().is_none_or(is_alone)
                        || run.adapter.is_some_and(|adapter| adapter.dump),
                };
                self.fields.add(access, &context);
            }
            _ => {}
        }
    }

    fn enter(&mut self, processor: &mut Processor, irql: Irql, routine: Routine) {
        let called = self.calls.entry(routine).or_default();
        called.calls += 1;
        called.irqls.insert(irql);
        let under = processor.surrounding().map(|held| Node::of(held.lock, self.apart));
        called.under.insert(under.collect());
    }

    fn acquire(
        &mut self,
        run: &mut Run,
        event: &Event,
        (lock, api): (Lock, LockApi),
        (irql, contended): (Irql, bool),
    ) {
        let input = run.input;
        let processor = &mut run.processors[usize::from(event.processor) % PROCESSORS_MAX];
        let routine = processor.frames.last().map(|frame| frame.routine);
        let party = (routine, Place::from(event.site));
        let used = self.used.entry(Node::of(lock, self.apart)).or_default();
        used.instances.insert(lock);
        used.waited += u64::from(contended);
        if let Some(waiting) = processor.waiting.take().filter(|waiting| waiting.lock == lock) {
            let waited_ns = event.time - waiting.since;
            used.longest_wait_ns = used.longest_wait_ns.max(waited_ns);
            let key = (Node::of(lock, self.apart), party, waiting.holder);
            let (times, longest) = self.waits.entry(key).or_default();
            *times += 1;
            *longest = (*longest).max(waited_ns);
        }
        if api != LockApi::Port {
            let key = TakeKey {
                routine,
                lock: self.node(lock),
                by: words::by(api).trim_start_matches(" by "),
                levels: (level(event.irql), level(irql)),
                holding: processor.held.iter().map(|held| self.node(held.lock)).collect(),
            };
            let taken = self.takes.entry(key).or_default();
            taken.times += 1;
            taken.waited += u64::from(contended);
            taken.irqls.0.insert(event.irql);
            taken.irqls.1.insert(irql);
            taken.places.insert(party.1);
            for nesting in nestings(processor, lock, party) {
                self.orders.add(nesting, input);
            }
        }
        processor.held.push(Held {
            lock,
            api,
            place: party.1,
            routine,
            path: processor.frames.iter().map(|frame| frame.routine).collect(),
            begins: processor.frames.len(),
            events: processor.events,
        });
    }

    fn release(&mut self, holder: &mut Processor, input: usize, lock: Lock, held_ns: u32) {
        let Some(at) = holder.held.iter().rposition(|held| held.lock == lock) else { return };
        let held = holder.held.remove(at);
        let used = self.used.entry(Node::of(lock, self.apart)).or_default();
        let holds = if held.api == LockApi::Port { &mut used.storport } else { &mut used.driver };
        let events = holder.events - held.events;
        holds.lengths.add(held_ns);
        if holds.longest.as_ref().is_none_or(|&(ns, most, ..)| (held_ns, events) > (ns, most)) {
            let path: Vec<&str> = held.path.iter().map(|routine| routine.name()).collect();
            let path = if path.is_empty() { "StorPort".into() } else { path.join(" > ") };
            let at = match held.api {
                LockApi::Port => path,
                _ => format!("{path} at {}", held.place.name()),
            };
            holds.longest = Some((held_ns, events, at, input));
        }
    }

    /// The map.
    #[must_use]
    pub fn map(&self, driver: &str) -> LockMap {
        let (orders, cycles) = self.orders.tell(self.apart, &self.inputs);
        LockMap {
            driver: driver.to_owned(),
            runs: self.runs,
            broken: self.broken,
            events: self.events,
            virtual_ns: self.virtual_ns,
            callbacks: self.callbacks(),
            locks: self.used.iter().map(|(&node, used)| self.lock(node, used)).collect(),
            waits: self.waits(),
            orders,
            cycles,
            fields: self.fields.tell(self.apart),
        }
    }

    fn callbacks(&self) -> Vec<Callback> {
        let callback = |(&routine, called): (&Routine, &Called)| Callback {
            callback: routine.to_string(),
            calls: called.calls,
            irql: irqls(&called.irqls),
            under: called.under.iter().map(|nodes| set(nodes.iter().copied())).collect(),
            takes: self
                .takes
                .iter()
                .filter(|(key, _)| key.routine == Some(routine))
                .map(|(key, taken)| key.tell(taken))
                .collect(),
        };
        self.calls.iter().map(callback).collect()
    }

    fn lock(&self, node: Node, used: &Used) -> LockUse {
        LockUse {
            lock: node.name(),
            instances: used.instances.len(),
            waited: used.waited,
            longest_wait_ns: used.longest_wait_ns,
            driver: self.hold(&used.driver),
            storport: self.hold(&used.storport),
        }
    }

    fn hold(&self, holds: &Holds) -> Option<Hold> {
        let (_, longest_events, longest_at, input) = holds.longest.clone()?;
        let lengths = &holds.lengths;
        Some(Hold {
            times: lengths.count(),
            median_ns: lengths.quantile((1, 2)),
            ninth_decile_ns: lengths.quantile((9, 10)),
            longest_ns: lengths.longest(),
            longest_events,
            longest_at,
            longest_input: self.inputs[input].clone(),
        })
    }

    /// Those that wait most first.
    fn waits(&self) -> Vec<Wait> {
        let name = |(routine, place): Party| match (routine, place) {
            (None, _) => "StorPort".to_owned(),
            // StorPort waits before it calls, for a lock that it holds around the call.
            (Some(routine), Place::Port) => format!("StorPort in {routine}"),
            (Some(routine), place) => format!("{routine} at {}", place.name()),
        };
        let wait = |(&(lock, waits, holds), &(times, longest_ns)): (&(_, _, _), &(u64, u64))| {
            let lock: Node = lock;
            Wait { lock: lock.name(), waits: name(waits), holds: name(holds), times, longest_ns }
        };
        let mut waits: Vec<Wait> = self.waits.iter().map(wait).collect();
        waits.sort_by_key(|wait| std::cmp::Reverse(wait.times));
        waits
    }
}

impl TakeKey {
    fn tell(&self, taken: &Taken) -> Take {
        Take {
            lock: self.lock.name(),
            by: self.by,
            from_irql: irqls(&taken.irqls.0),
            to_irql: irqls(&taken.irqls.1),
            holding: set(self.holding.iter().copied()),
            times: taken.times,
            waited: taken.waited,
            sites: names(taken.places.iter().copied()).into_iter().take(PLACES_MAX).collect(),
        }
    }
}

/// The level of a message depends on its number: which one it is makes no difference.
fn level(irql: Irql) -> Irql {
    if (Irql::DEVICE_LOWEST..=Irql::DEVICE_HIGHEST).contains(&irql) {
        Irql::DEVICE_LOWEST
    } else {
        irql
    }
}

/// The lowest and the highest.
fn irqls(levels: &BTreeSet<Irql>) -> String {
    match (levels.first(), levels.last()) {
        (Some(low), Some(high)) if low != high => format!("{low} to {high}"),
        (Some(level), _) => level.to_string(),
        _ => String::new(),
    }
}

/// Callbacks beside which no other of the driver runs.
fn is_alone(frame: &Frame) -> bool {
    const ALONE: [ScsiAdapterControlType; 3] = [
        ScsiAdapterControlType::STOP_ADAPTER,
        ScsiAdapterControlType::RESTART_ADAPTER,
        ScsiAdapterControlType::POWER,
    ];
    match frame.routine {
        Routine::FindAdapter | Routine::Initialize | Routine::PassiveInitialize => true,
        Routine::AdapterControl => ALONE.contains(&ScsiAdapterControlType(frame.subject.into())),
        _ => false,
    }
}

/// Everything that keeps others away from what a processor does now. What interrupted code holds keeps nobody away from
/// the code that interrupted it.
fn guards(processor: &Processor, adapter: Option<&Adapter>) -> Vec<Node> {
    let first = processor.beginning();
    let own = processor.held.iter().filter(|held| held.begins >= first);
    let mut held: Vec<Node> = own.map(|held| held.lock.into()).collect();
    // With per-message synchronisation Interrupt is every message's lock at once.
    let messages = adapter.filter(|adapter| adapter.interrupts == Interrupts::PerMessage);
    if let Some(adapter) = messages.filter(|_| held.contains(&Node::Interrupt)) {
        held.extend((0..adapter.messages).map(|message| Node::Message(Some(message))));
    }
    match processor.frames.get(first) {
        Some(Frame { routine: Routine::StartIo, .. }) => {
            held.extend(processor.channels.iter().map(|&channel| Node::Channel(Some(channel))));
        }
        Some(Frame { routine: Routine::Dpc, subject }) => {
            held.push(Node::DpcRoutine(Some(*subject as u8)));
        }
        _ => {}
    }
    held
}

/// The new edges when a processor takes a lock.
fn nestings(processor: &Processor, taken: Lock, (routine, place): Party) -> Vec<Nesting> {
    let others = processor.held.iter().filter(|held| held.lock != taken);
    let nesting = |outer: &Held| {
        let locks = processor.held.iter().map(|held| held.lock);
        let gates = locks.filter(|&lock| lock != outer.lock && lock != taken).map(Gate::Lock);
        let dpcs = processor.frames.iter().filter(|frame| frame.routine == Routine::Dpc);
        let gates = gates.chain(dpcs.map(|frame| Gate::Dpc(frame.subject))).collect();
        Nesting { held: outer.lock, taken, routine, places: (outer.place, place), gates }
    };
    others.map(nesting).collect()
}
