//! The lock table as data: which locks StorPort holds around a routine and which the routine may acquire,
//! read from `tests/data/allowed-locks.csv` row by row.

use crate::event::{Adapter, Duplex, Lock, Miniport, Routine};

const FILE: &str = include_str!("../../tests/data/allowed-locks.csv");

/// One row.
#[derive(Debug)]
struct Row {
    routine: String,
    kind: String,
    duplex: String,
    channels: String,
    held: Vec<String>,
    allowed: Vec<String>,
}

/// Every row.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Reads the file.
    pub(crate) fn read() -> Table {
        let lines = FILE.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Table(lines.skip(1).map(Row::parse).collect())
    }

    /// Whether `routine` may acquire `lock`; `None` where the table does not know the routine, or no lock of
    /// StorPort's is asked for.
    pub(crate) fn allows(
        &self,
        routine: Routine,
        adapter: Option<&Adapter>,
        lock: Lock,
    ) -> Option<bool> {
        let row = self.row(routine, adapter)?;
        let name = class(lock)?;
        Some(row.allowed.iter().any(|allowed| allowed == name))
    }

    /// Whether StorPort holds `lock` around `routine`.
    pub(crate) fn holds(&self, routine: Routine, adapter: Option<&Adapter>, lock: Lock) -> bool {
        let row = self.row(routine, adapter);
        row.zip(class(lock)).is_some_and(|(row, name)| row.held.iter().any(|held| held == name))
    }

    fn row(&self, routine: Routine, adapter: Option<&Adapter>) -> Option<&Row> {
        let name = column(routine)?;
        self.0.iter().find(|row| row.routine == name && row.fits(adapter))
    }
}

/// How the table spells a lock.
fn class(lock: Lock) -> Option<&'static str> {
    Some(match lock {
        Lock::StartIo => "StartIo",
        Lock::Interrupt | Lock::Message(_) => "Interrupt",
        Lock::Dpc(_) => "Dpc",
        Lock::Executive(_) => return None,
    })
}

impl Row {
    fn parse(line: &str) -> Row {
        let fields: Vec<String> = line.split(',').map(|field| field.trim().to_owned()).collect();
        let [routine, kind, duplex, channels, held, allowed] =
            <[String; 6]>::try_from(fields).unwrap_or_else(|_| panic!("six columns: {line}"));
        let list = |locks: String| locks.split('+').map(str::to_owned).collect();
        Row { routine, kind, duplex, channels, held: list(held), allowed: list(allowed) }
    }

    fn fits(&self, adapter: Option<&Adapter>) -> bool {
        let Some(adapter) = adapter else {
            // Before HwStorFindAdapter has returned nothing is known of the adapter.
            return self.kind == "any" && self.duplex == "any" && self.channels == "any";
        };
        let is = |column: &str, value: &str| column == "any" || column == value;
        is(&self.kind, if adapter.miniport == Miniport::Virtual { "virtual" } else { "physical" })
            && is(&self.duplex, if adapter.duplex == Duplex::Half { "half" } else { "full" })
            && is(&self.channels, if adapter.channels > 1 { "many" } else { "1" })
    }
}

/// How the table spells a routine.
fn column(routine: Routine) -> Option<&'static str> {
    Some(match routine {
        Routine::FindAdapter => "HwStorFindAdapter",
        Routine::Initialize => "HwStorInitialize",
        Routine::PassiveInitialize => "HwStorPassiveInitialize",
        Routine::BuildIo => "HwStorBuildIo",
        Routine::StartIo => "HwStorStartIo",
        Routine::Interrupt => "HwStorInterrupt",
        Routine::MessageInterrupt => "HwMSIInterrupt",
        Routine::Dpc => "HwStorDpcRoutine",
        Routine::Timer => "HwStorTimer",
        Routine::ResetBus => "HwStorResetBus",
        Routine::StateChange => "HwStorStateChange",
        Routine::AdapterControl => "HwStorAdapterControl",
        Routine::UnitControl => "HwStorUnitControl",
        Routine::TracingEnabled => "HwStorTracingEnabled",
        Routine::TimerEx | Routine::WorkItem | Routine::Synchronized => return None,
    })
}
