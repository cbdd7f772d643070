//! The StorPort DDI in Rust: the types both sides share, what a miniport may call, and what StorPort
//! calls.
//!
//! A miniport core is written against two traits. [`StorPort`] is what it may call; on the host the
//! implementation is a handle to the simulated machine, in the kernel a handle to storport.sys.
//! [`Miniport`] is what it must answer; [`entry`] turns an implementation into the entry points that a
//! HW_INITIALIZATION_DATA holds, so that StorPort and the machine call a core in the same way.
//!
//! Types are ABI-exact: sizes and offsets are checked at compile time on 64-bit targets.

pub mod address;
pub mod cell;
pub mod code;
pub mod config;
pub mod control;
pub mod ddi;
pub mod dpc;
pub mod entry;
pub mod executive;
pub mod guard;
pub mod irql;
pub mod lock;
pub mod memory;
pub mod miniport;
pub mod perf;
pub mod port;
pub mod srb;
pub mod status;
pub mod touch;

pub use cell::{Dpc, Interlocked, Shared};
pub use config::{HwInitializationData, PortConfigurationInformation};
pub use ddi::Ddi;
pub use dpc::StorDpc;
pub use executive::Executive;
pub use irql::Irql;
pub use lock::{StorKspinLock, StorLockHandle, StorSpinlock};
pub use miniport::{Extension, Initialization, Miniport};
pub use port::{StorPort, StorPortExt};
pub use srb::Srb;
pub use status::{SpReturn, SrbStatus, StorStatus};
pub use touch::Touch;
