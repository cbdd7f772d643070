//! The documented lock tables, cell by cell: the table in code against the copy in `tests/data`, and what the
//! checker says of every lock in every routine.

use crate::event::{Adapter, Duplex, Interrupts, Lock, Miniport, Routine};
use crate::rules::order::{Kinds, cell};
use crate::rules::trace::{ADAPTER, Trace};
use crate::rules::{RuleId, Severity};

const TABLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/allowed-locks.csv"));

struct Row {
    routine: Routine,
    miniports: Vec<Miniport>,
    duplexes: Vec<Duplex>,
    channels: Vec<u8>,
    held: Kinds,
    allowed: Kinds,
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| row(&line.split(',').collect::<Vec<_>>())).collect()
}

fn row(fields: &[&str]) -> Row {
    let [routine, miniport, duplex, channels, held, allowed] = fields else {
        panic!("not a row: {fields:?}")
    };
    Row {
        routine: match *routine {
            "HwMSIInterrupt" => Routine::MessageInterrupt,
            "HwStorPassiveInitialize" => Routine::PassiveInitialize,
            name => *Routine::ALL.iter().find(|r| r.name() == name).expect(name),
        },
        miniports: match *miniport {
            "physical" => vec![Miniport::Physical],
            "virtual" => vec![Miniport::Virtual],
            _ => vec![Miniport::Physical, Miniport::Virtual],
        },
        duplexes: match *duplex {
            "full" => vec![Duplex::Full],
            "half" => vec![Duplex::Half],
            _ => vec![Duplex::Full, Duplex::Half],
        },
        channels: match *channels {
            "1" => vec![0, 1],
            "many" => vec![2, 8],
            _ => vec![0, 1, 2, 8],
        },
        held: kinds(held),
        allowed: kinds(allowed),
    }
}

fn kinds(field: &str) -> Kinds {
    let kind = |name| match name {
        "StartIo" => Kinds::START_IO,
        "Interrupt" => Kinds::INTERRUPT,
        "Dpc" => Kinds::DPC,
        _ => Kinds::NONE,
    };
    field.split('+').map(kind).fold(Kinds::NONE, Kinds::with)
}

/// Every configuration that a row speaks of, without per-message synchronisation and with it.
fn adapters(row: &Row) -> Vec<Adapter> {
    let mut adapters = Vec::new();
    for &miniport in &row.miniports {
        for &duplex in &row.duplexes {
            for &channels in &row.channels {
                for interrupts in interrupts(row.routine, miniport) {
                    adapters.push(Adapter { miniport, duplex, channels, interrupts, ..ADAPTER });
                }
            }
        }
    }
    adapters
}

fn interrupts(routine: Routine, miniport: Miniport) -> Vec<Interrupts> {
    match (miniport, routine) {
        (Miniport::Virtual, _) => vec![Interrupts::None],
        (_, Routine::Interrupt) => vec![Interrupts::Line],
        (_, Routine::MessageInterrupt) => {
            vec![Interrupts::MessagesTogether, Interrupts::PerMessage]
        }
        _ => vec![Interrupts::Line, Interrupts::MessagesTogether, Interrupts::PerMessage],
    }
}

#[test]
fn the_code_holds_the_table() {
    for row in rows() {
        for adapter in adapters(&row) {
            let cell = cell(row.routine, 0, &adapter);
            let per_message = adapter.interrupts == Interrupts::PerMessage;
            // In its own routine a message's lock is the Interrupt column's.
            let held = if row.routine == Routine::MessageInterrupt && per_message {
                Kinds::MESSAGE
            } else {
                row.held
            };
            let stor_port = Kinds::START_IO.with(Kinds::INTERRUPT).with(Kinds::DPC);
            assert_eq!(cell.held, held, "{:?} {adapter:?}", row.routine);
            let allowed = Kinds(cell.allowed.0 & stor_port.0);
            assert_eq!(allowed, row.allowed, "{:?} {adapter:?}", row.routine);
            let messages = cell.allowed.has(Kinds::MESSAGE);
            assert_eq!(messages, row.allowed.has(Kinds::INTERRUPT), "{:?}", row.routine);
            assert!(!cell.allowed.has(cell.doubtful), "what is allowed is not in doubt");
        }
    }
}

#[test]
fn every_row_is_there() {
    let count = rows().len();
    assert_eq!(count, 21, "rows of the table");
    for routine in Routine::ALL {
        let outside =
            matches!(routine, Routine::TimerEx | Routine::WorkItem | Routine::Synchronized);
        assert_ne!(rows().iter().any(|row| row.routine == routine), outside, "{routine}");
    }
}

/// Plays the routine asking for a lock, and compares with what the row says.
fn check(row: &Row, adapter: &Adapter, lock: Lock) {
    let mut t = Trace::new();
    t.configure(|a| *a = *adapter).enter_about(row.routine, 0);
    let held = t.checker.held(0);
    let own = held.contains(lock)
        || lock == Lock::Interrupt && held.contains(Lock::Message(0))
        || matches!(lock, Lock::Message(_)) && held.contains(Lock::Interrupt);
    let high = held.contains(Lock::Interrupt) || held.contains(Lock::Message(0));
    let low = matches!(lock, Lock::StartIo | Lock::Dpc(_));
    let kind = match lock {
        Lock::Message(_) => Kinds::INTERRUPT,
        lock => Kinds::of(lock),
    };
    let expected = if own {
        t.wait_for(lock);
        Some(RuleId::LockPortHeld)
    } else {
        t.acquire(lock).release(lock).leave();
        match (low && high, row.allowed.has(kind)) {
            (true, _) => Some(RuleId::LockOrder),
            (false, false) => Some(RuleId::LockForbidden),
            (false, true) => None,
        }
    };
    let found: Vec<_> = t.findings().iter().map(|f| f.rule).collect();
    assert_eq!(found, Vec::from_iter(expected), "{} asks for {lock} in {adapter:?}", row.routine);
    if let Some(finding) = t.findings().first() {
        let doubtful = expected == Some(RuleId::LockForbidden)
            && matches!(
                (row.routine, lock),
                (Routine::Timer | Routine::ResetBus | Routine::StateChange, Lock::Dpc(_))
                    | (Routine::MessageInterrupt, Lock::Message(_))
            );
        let severity = if doubtful { Severity::Warning } else { Severity::Error };
        assert_eq!(finding.severity, severity, "{} {lock}", row.routine);
    }
}

#[test]
fn the_checker_judges_every_cell() {
    for row in rows() {
        for adapter in adapters(&row) {
            for lock in [Lock::StartIo, Lock::Interrupt, Lock::Dpc(1)] {
                check(&row, &adapter, lock);
            }
            if adapter.interrupts == Interrupts::PerMessage {
                check(&row, &adapter, Lock::Message(2));
            }
        }
    }
}
