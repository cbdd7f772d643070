//! How routines, sites and locks are called in what people read: the Windows names.

use core::fmt;

use super::{Cause, Lock, Routine, Site};

impl Routine {
    /// The name as Windows spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Routine::FindAdapter => "HwStorFindAdapter",
            Routine::Initialize => "HwStorInitialize",
            Routine::PassiveInitialize => "HwStorPassiveInitializeRoutine",
            Routine::BuildIo => "HwStorBuildIo",
            Routine::StartIo => "HwStorStartIo",
            Routine::Interrupt => "HwStorInterrupt",
            Routine::MessageInterrupt => "HwMSInterruptRoutine",
            Routine::Dpc => "HwStorDpcRoutine",
            Routine::Timer => "HwStorTimer",
            Routine::TimerEx => "HwStorTimerEx",
            Routine::WorkItem => "HwStorWorkItem",
            Routine::ResetBus => "HwStorResetBus",
            Routine::StateChange => "HwStorStateChange",
            Routine::AdapterControl => "HwStorAdapterControl",
            Routine::UnitControl => "HwStorUnitControl",
            Routine::TracingEnabled => "HwStorTracingEnabled",
            Routine::Synchronized => "SynchronizedAccessRoutine",
        }
    }
}

impl fmt::Display for Routine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Site {
    /// `StorPort`, `file.rs:12`, or what `name_image_sites` was told to make of an offset in a compiled driver.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Site::Port => f.write_str("StorPort"),
            Site::Source(location) => write!(f, "{}:{}", location.file(), location.line()),
            Site::Told(at) => write!(f, "{}:{}", at.file, at.line),
            Site::Image(offset) => image(*offset, f),
        }
    }
}

#[cfg(not(feature = "host"))]
fn image(offset: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "driver+{offset:#x}")
}

#[cfg(feature = "host")]
pub use image_names::name_image_sites;

#[cfg(feature = "host")]
use image_names::image;

/// The names of places in the compiled driver of this process.
///
/// A process runs one compiled driver, and a site is written in many places, none of which knows the driver's
/// symbols; so they are known here, and only to what people read. No decision depends on them.
#[cfg(feature = "host")]
mod image_names {
    use core::fmt;
    use std::sync::{PoisonError, RwLock};

    type Names = Box<dyn Fn(u32) -> String + Send + Sync>;

    static NAMES: RwLock<Option<Names>> = RwLock::new(None);

    /// Lets `names` say from now on how an offset in the compiled driver is called: `StartIo (disk.c:120)`.
    pub fn name_image_sites(names: impl Fn(u32) -> String + Send + Sync + 'static) {
        *NAMES.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(names));
    }

    pub(super) fn image(offset: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*NAMES.read().unwrap_or_else(PoisonError::into_inner) {
            Some(names) => f.write_str(&names(offset)),
            None => write!(f, "driver+{offset:#x}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Panic => "panic",
            Cause::AccessViolation => "access violation",
            Cause::StackOverflow => "stack overflow",
            Cause::IllegalInstruction => "illegal instruction",
            Cause::PrivilegedInstruction => "privileged instruction",
            Cause::DivisionByZero => "division by zero",
            Cause::FastFail => "fast fail (int 29h)",
            Cause::Breakpoint => "breakpoint",
            Cause::BadPointer => "bad pointer",
            Cause::BugCheck => "bug check",
            Cause::Unmodelled => "call of a routine that has no model",
        })
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lock::StartIo => f.write_str("StartIo"),
            Lock::Interrupt => f.write_str("Interrupt"),
            Lock::Message(n) => write!(f, "Message({n})"),
            Lock::Dpc(n) => write!(f, "Dpc({n})"),
            Lock::Executive(n) => write!(f, "Executive({n})"),
        }
    }
}
