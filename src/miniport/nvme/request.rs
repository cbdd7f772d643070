//! The SrbExtension: what HwStorBuildIo prepares for HwStorStartIo, and the memory of a request that the
//! controller reads.
//!
//! StorPort hands the memory out uninitialised, so HwStorBuildIo writes every field that HwStorStartIo
//! reads, and any bytes are a value of every field.

use core::ptr::NonNull;

use super::prp::LIST_ENTRIES;
use super::spec::{Command, PAGE_BYTES};
use crate::storport::srb::ScsiRequestBlock;
use crate::storport::{Shared, Srb, StorPort};

/// What HwStorStartIo is to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Submit the command to an I/O queue.
    Submit,
    /// Abort the request that NextSrb names.
    Abort,
    /// Reset the controller.
    Reset,
}

/// The SrbExtension of a request.
#[repr(C)]
#[derive(Debug)]
pub struct Request {
    /// The command, without identifier.
    command: Shared<Command>,
    /// The next request that waits for the end of a reset.
    next: Shared<*mut ScsiRequestBlock>,
    /// A [`Plan`].
    plan: Shared<u8>,
    /// The processor that built the request.
    processor: Shared<u8>,
    /// Room for a PRP list or for deallocation ranges, twice as much as needed: the controller takes
    /// no list that crosses a page, so it begins here or at the next page.
    table: [Shared<u64>; 2 * LIST_ENTRIES],
}

/// Part of a request's table, inside one page.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    entries: &'a [Shared<u64>],
    /// Where the controller sees it.
    pub physical: u64,
}

impl Table<'_> {
    /// Fills entry `index`; nothing beyond the end.
    pub fn set<P: StorPort>(&self, port: P, index: usize, value: u64) {
        if let Some(entry) = self.entries.get(index) {
            entry.set(port, value);
        }
    }
}

impl Request {
    /// The extension of `srb`, which must still be the driver's; `None` if StorPort gave it none.
    #[must_use]
    pub fn of<'a>(srb: Srb) -> Option<&'a Request> {
        // SAFETY: StorPort allocates SrbExtensionSize bytes, the size of a `Request`, for every request,
        // aligned for any field; they live until the request's completion, after which no caller uses
        // the reference. Any bytes are a `Request`.
        NonNull::new(srb.miniport_context().cast::<Request>()).map(|at| unsafe { at.as_ref() })
    }

    /// Notes the plan and the processor.
    pub fn plan<P: StorPort>(&self, port: P, plan: Plan, processor: u8) {
        self.plan.set(port, plan as u8);
        self.processor.set(port, processor);
    }

    /// Notes the command of [`Plan::Submit`].
    pub fn set_command<P: StorPort>(&self, port: P, command: Command) {
        self.command.set(port, command);
    }

    /// The plan.
    pub fn planned<P: StorPort>(&self, port: P) -> Plan {
        match self.plan.get(port) {
            number if number == Plan::Abort as u8 => Plan::Abort,
            number if number == Plan::Reset as u8 => Plan::Reset,
            _ => Plan::Submit,
        }
    }

    /// The command of [`Plan::Submit`].
    pub fn command<P: StorPort>(&self, port: P) -> Command {
        self.command.get(port)
    }

    /// The processor that built the request.
    pub fn processor<P: StorPort>(&self, port: P) -> usize {
        usize::from(self.processor.get(port))
    }

    /// Links the request before `next`.
    pub fn link<P: StorPort>(&self, port: P, next: *mut ScsiRequestBlock) {
        self.next.set(port, next);
    }

    /// The request that this one is linked before; null for none.
    pub fn linked<P: StorPort>(&self, port: P) -> *mut ScsiRequestBlock {
        self.next.get(port)
    }

    /// Room for [`LIST_ENTRIES`] entries that crosses no page; `None` if StorPort knows no physical
    /// address.
    pub fn table<P: StorPort>(&self, port: P, srb: Srb) -> Option<Table<'_>> {
        let physical = physical_address(port, srb, &self.table[0])?;
        let room = (PAGE_BYTES - physical as usize % PAGE_BYTES) / size_of::<u64>();
        if room >= LIST_ENTRIES {
            return Some(Table { entries: &self.table[..LIST_ENTRIES], physical });
        }
        let entries = &self.table[room..room + LIST_ENTRIES];
        let physical = physical_address(port, srb, entries.first()?)?;
        Some(Table { entries, physical })
    }
}

/// The physical address of `entry`, if it is one that a PRP list may have.
fn physical_address<P: StorPort>(port: P, srb: Srb, entry: &Shared<u64>) -> Option<u64> {
    let mut bytes = 0;
    let address = port.get_physical_address(Some(srb), entry.as_ptr().cast(), &mut bytes).0;
    let usable = address != 0 && address % 8 == 0 && bytes as usize >= size_of::<u64>();
    usable.then_some(address)
}
