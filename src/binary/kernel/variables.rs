//! Variables that ntoskrnl.exe exports: an import of one is the address of the variable.

use std::sync::atomic::{AtomicU64, Ordering};

/// The build of Windows that the machine is: 10, version 2004.
pub(in crate::binary) const BUILD: u16 = 19_041;

/// NtBuildNumber, KdDebuggerEnabled, KdDebuggerNotPresent and InitSafeBootMode, 8 bytes each.
static VARIABLES: [AtomicU64; 4] =
    [AtomicU64::new(BUILD as u64), AtomicU64::new(0), AtomicU64::new(1), AtomicU64::new(0)];

/// The address of a variable. A driver only reads them.
pub(in crate::binary) fn find(name: &str) -> Option<usize> {
    let index = match name {
        "NtBuildNumber" => 0,
        "KdDebuggerEnabled" => 1,
        "KdDebuggerNotPresent" => 2,
        "InitSafeBootMode" => 3,
        _ => return None,
    };
    let _ = VARIABLES[index].load(Ordering::Relaxed);
    Some((&raw const VARIABLES[index]).expose_provenance())
}
