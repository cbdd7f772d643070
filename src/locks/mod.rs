//! The map of a driver's locks: which lock guards which field, which callbacks take which locks at which IRQL, how long they
//! hold them and who waits, and in which order they nest.
//!
//! ```text
//! runs of a corpus -> events -> Fold -> LockMap -> text, JSON, Graphviz, HTML
//! ```
//!
//! It judges nothing: what a rule objects to is for `lockstorm run` and `fuzz` to say. It is a fold over events, as the rules are,
//! but over all runs of a corpus together, and it keeps names and numbers for people; so it stands here, beside the
//! reports, and not among the rules.
//!
//! **Units.** Times are virtual: a decision point (a StorPort call, a register access, a callback's entry or exit)
//! costs 100 ns, device and timers have times of their own. They compare places of one driver with each other; they are no
//! measurement. A hold counts the time in which its processor was busy; a wait counts until the lock was had, while
//! other processors ran.
//!
//! **What it cannot know.** A map shows what the runs did. A lock that always happened to be held need not be the one that
//! is meant, and what no run reached is not on it: `lockstorm corpus` tells what a corpus reaches.

mod dot;
mod fields;
mod fold;
mod order;
mod page;
mod tally;
mod text;

pub use dot::dot;
pub use fold::Fold;
pub use page::page;
pub use text::text;

use serde::Serialize;

/// The map.
#[derive(Clone, Debug, Serialize)]
pub struct LockMap {
    /// The driver, as people call it.
    pub driver: String,
    /// Runs that the map is made of.
    pub runs: u64,
    /// Of them those that ended with an error; what they did until then counts.
    pub broken: u64,
    /// Events.
    pub events: u64,
    /// Virtual time of all runs, in nanoseconds.
    pub virtual_ns: u64,
    /// Which callbacks take which locks.
    pub callbacks: Vec<Callback>,
    /// How long locks are held and how often they are waited for.
    pub locks: Vec<LockUse>,
    /// Who waits for whom.
    pub waits: Vec<Wait>,
    /// Which lock is taken while which is held.
    pub orders: Vec<Order>,
    /// Orders that form a cycle.
    pub cycles: Vec<Cycle>,
    /// Which lock guards which field; `None` if the runs told of no access to memory.
    pub fields: Option<Vec<Field>>,
}

/// A callback, and the locks that it takes.
#[derive(Clone, Debug, Serialize)]
pub struct Callback {
    /// Its name.
    pub callback: String,
    /// How often StorPort called it.
    pub calls: u64,
    /// The IRQLs at which it did.
    pub irql: String,
    /// Sets of locks that StorPort held for it.
    pub under: Vec<String>,
    /// What it takes.
    pub takes: Vec<Take>,
}

/// Acquires by one callback that are alike.
#[derive(Clone, Debug, Serialize)]
pub struct Take {
    /// The lock.
    pub lock: String,
    /// The routines.
    pub by: &'static str,
    /// IRQL before.
    pub from_irql: String,
    /// IRQL after.
    pub to_irql: String,
    /// Locks that the processor held already.
    pub holding: String,
    /// How often.
    pub times: u64,
    /// How often it had to wait.
    pub waited: u64,
    /// Where in the driver.
    pub sites: Vec<String>,
}

/// How a lock is used.
#[derive(Clone, Debug, Serialize)]
pub struct LockUse {
    /// The lock.
    pub lock: String,
    /// How many there are of its kind, where they are shown as one.
    pub instances: usize,
    /// Acquires that had to wait.
    pub waited: u64,
    /// Virtual time of the longest wait, in nanoseconds.
    pub longest_wait_ns: u64,
    /// Held by the driver.
    pub driver: Option<Hold>,
    /// Held by StorPort around the driver's callbacks.
    pub storport: Option<Hold>,
}

/// How long a lock is held.
#[derive(Clone, Debug, Serialize)]
pub struct Hold {
    /// How often it was held and given back.
    pub times: u64,
    /// Half of all holds are no longer: virtual nanoseconds.
    pub median_ns: u32,
    /// Nine of ten holds are no longer.
    pub ninth_decile_ns: u32,
    /// The longest.
    pub longest_ns: u32,
    /// Events on its processor during the longest.
    pub longest_events: u32,
    /// Where the longest began: the callbacks, and the place in the driver.
    pub longest_at: String,
    /// The input that shows the longest.
    pub longest_input: String,
}

/// A place that waits for another.
#[derive(Clone, Debug, Serialize)]
pub struct Wait {
    /// The lock.
    pub lock: String,
    /// Who waits: callback and place.
    pub waits: String,
    /// Who holds it meanwhile: callback and place of its acquire.
    pub holds: String,
    /// How often.
    pub times: u64,
    /// Virtual time of the longest, in nanoseconds.
    pub longest_ns: u64,
}

/// Somebody took a lock while holding another.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// The lock that was held.
    pub held: String,
    /// The lock that was taken.
    pub taken: String,
    /// How often.
    pub times: u64,
    /// Callbacks that do it.
    pub callbacks: Vec<String>,
    /// Where the held one was taken, and where the other: of the first time.
    pub sites: (String, String),
    /// An input that shows it.
    pub input: String,
    /// It is part of a [`Cycle`].
    pub in_cycle: bool,
}

/// Orders that come back to where they began: a deadlock, if nothing keeps them apart.
#[derive(Clone, Debug, Serialize)]
pub struct Cycle {
    /// The locks, in the order in which they are taken; the last is held while the first is taken.
    pub locks: Vec<String>,
    /// An input for each step.
    pub inputs: Vec<String>,
}

/// A piece of the driver's memory, or several at which the same code does the same.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    /// Which area.
    pub area: String,
    /// Offsets of its first byte; more than one where the same places touch them, as with the elements of an array.
    pub offsets: Vec<u32>,
    /// Bytes.
    pub bytes: u16,
    /// What guards it.
    pub guard: Guard,
    /// The same in words.
    pub verdict: String,
    /// Reads and writes after the initialisation.
    pub reads: u64,
    /// Writes, interlocked ones included.
    pub writes: u64,
    /// Accesses during the initialisation.
    pub initial: u64,
    /// Callbacks that touch it after the initialisation.
    pub callbacks: Vec<String>,
    /// Where in the driver.
    pub sites: Vec<String>,
    /// Where it is touched without the lock that is held most often.
    pub without: Vec<String>,
}

/// What guards a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// These locks were held at every plain access after the initialisation; or its order is kept by StorPort, which
    /// runs a DPC's routine, or a channel's HwStorStartIo, one at a time.
    Locks(Vec<String>),
    /// No one lock always; this one most often.
    Mostly {
        /// The lock.
        lock: String,
        /// Accesses that held it.
        held: u64,
        /// All accesses.
        of: u64,
    },
    /// No lock was ever held.
    Nothing,
    /// No lock always, but it is the memory of a request, which one owner hands over to the next.
    Request,
    /// Only interlocked, or volatile, accesses: no lock is needed.
    Atomic,
    /// Nothing writes it after the initialisation: no lock is needed.
    ReadOnly,
    /// Nothing touches it after the initialisation.
    Initial,
}
