//! [`Kernel`]: what the [checked layer](crate::checked) needs of Windows.
//!
//! The watches are a `static` of the driver's image: resident, of a fixed size, and to be found in a memory dump
//! by the symbol `WATCHES` or by [`MAGIC`](crate::checked::record::MAGIC).

use core::ffi::{CStr, c_void};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::imports::{KeLowerIrql, KeQueryPerformanceCounter, KfRaiseIrql, PsGetCurrentThread};
use super::port::Port;
use super::{bug_check, print};
use crate::checked::{Hooks, Watch};
use crate::rules::{Finding, Severity};
use crate::storport::{Irql, StorPort};

/// Adapters of the driver that are watched; more run unwatched.
pub const WATCHED_MAX: usize = 4;

/// Bug check code of a broken rule, where the registry asks for one. Its parameters are [`Finding::id`], the line in
/// the source, the IRQL, and the address of the watches.
pub const BUG_CHECK_VIOLATION: u32 = 0xE052_5652;

/// The registry value that asks for a bug check at the first error: `Parameters\Device`, REG_DWORD, not 0.
pub const BUG_CHECK_VALUE: &CStr = c"LockstormBugCheck";

static WATCHES: [Watch; WATCHED_MAX] = [const { Watch::new() }; WATCHED_MAX];
static BUG_CHECKS: AtomicBool = AtomicBool::new(false);
/// Ticks a second; 0 before the first adapter is found.
static FREQUENCY: AtomicU64 = AtomicU64::new(0);

/// Windows as the checked layer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Hooks<Port> for Kernel {
    #[inline]
    fn thread(_: Port) -> usize {
        // SAFETY: it reads the processor's own block; the result is not followed.
        unsafe { PsGetCurrentThread() }.addr()
    }

    #[inline]
    fn now(_: Port) -> u64 {
        // SAFETY: NULL asks for the counter alone.
        let ticks = unsafe { KeQueryPerformanceCounter(core::ptr::null_mut()) };
        let frequency = FREQUENCY.load(Ordering::Relaxed).max(1);
        // In two parts, because ticks times a thousand million overflow within hours.
        ticks / frequency * 1_000_000_000 + ticks % frequency * 1_000_000_000 / frequency
    }

    #[inline]
    fn mask(_: Port) -> u8 {
        // SAFETY: HIGH_LEVEL is never below the current level.
        unsafe { KfRaiseIrql(Irql::HIGH) }.0
    }

    #[inline]
    fn unmask(_: Port, masked: u8) {
        // SAFETY: the level from before `mask`.
        unsafe { KeLowerIrql(Irql(masked)) }
    }

    fn start(port: Port, extension: *mut c_void) -> Option<&'static Watch> {
        let mut frequency = 0;
        // SAFETY: the place is valid for the call.
        unsafe { KeQueryPerformanceCounter(&raw mut frequency) };
        FREQUENCY.store(frequency, Ordering::Relaxed);
        let asked = port.registry_read_dword(BUG_CHECK_VALUE).is_some_and(|value| value != 0);
        BUG_CHECKS.store(asked, Ordering::Relaxed);
        WATCHES.iter().find(|watch| watch.claim(extension))
    }

    fn violation(_: Port, finding: &Finding) {
        let mut line = Line::default();
        // A line that is too long is cut.
        let _ = writeln!(line, "{finding}");
        print(line.text());
        if finding.severity == Severity::Error && BUG_CHECKS.load(Ordering::Relaxed) {
            let line = finding.site.source().map_or(0, |at| at.line as usize);
            let watches = (&raw const WATCHES).addr();
            let parameters = [finding.id() as usize, line, usize::from(finding.irql.0), watches];
            bug_check(BUG_CHECK_VIOLATION, parameters);
        }
    }
}

/// Room for one line of text, which DbgPrint cuts at 512 bytes anyway.
struct Line {
    bytes: [u8; Line::BYTES],
    length: usize,
}

impl Line {
    const BYTES: usize = 400;

    /// The text so far; the last byte is never written, and stays zero.
    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl Default for Line {
    fn default() -> Self {
        Line { bytes: [0; Line::BYTES], length: 0 }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Line::BYTES - 1 - self.length;
        let taken = text.len().min(room);
        self.bytes[self.length..self.length + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
