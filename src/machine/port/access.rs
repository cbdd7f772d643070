//! Accesses of the driver to memory that several processors reach: events, and decision points, where a run's memory
//! is watched. Where it is not, which is nearly always, an access costs the question.

use std::ffi::c_void;

use super::Port;
use crate::event::{Access, Kind, Sink, Touch};

/// Whether accesses are told of, and whether something else may happen just before one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryWatch {
    /// Each access of the driver to shared memory is an event.
    pub events: bool,
    /// Each is a decision point too, so that a schedule for runs without this means something else with it.
    pub preempts: bool,
}

impl MemoryWatch {
    /// Whether an access is of any concern.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.events || self.preempts
    }

    /// How a command line asks for it.
    #[must_use]
    pub const fn arguments(self) -> &'static [&'static str] {
        match (self.events, self.preempts) {
            (false, false) => &[],
            (true, false) => &["--races"],
            (false, true) => &["--preempt", "memory"],
            (true, true) => &["--races", "--preempt", "memory"],
        }
    }

    /// What a command line asks for at its end, and how many words of it do not belong to that.
    #[must_use]
    pub fn split(words: &[String]) -> (usize, MemoryWatch) {
        let watches = [(true, true), (true, false), (false, true)];
        let fits = |watch: &MemoryWatch| {
            let own = watch.arguments();
            words.len() >= own.len() && words[words.len() - own.len()..] == *own
        };
        let asked = watches.map(|(events, preempts)| MemoryWatch { events, preempts });
        let watch = asked.into_iter().find(fits).unwrap_or_default();
        (words.len() - watch.arguments().len(), watch)
    }
}

impl<S: Sink + 'static> Port<S> {
    /// The driver is about to touch `bytes` bytes at `address`.
    #[inline(always)]
    #[track_caller]
    pub(super) fn touches(self, address: *const c_void, bytes: usize, touch: Touch) {
        if self.with(|s| s.watch.is_on()) {
            Port { caller: self.caller.here(), ..self }.touched(address.addr(), bytes, touch);
        }
    }

    /// The same, on behalf of a known caller.
    #[inline(never)]
    fn touched(self, address: usize, bytes: usize, touch: Touch) {
        if self.with(|s| s.watch.preempts) {
            if self.with(|s| s.shared_place(address).is_none()) {
                return;
            }
            // What happens at the point may make another request's memory of it.
            self.memory_point();
        }
        self.act(|s| {
            if let Some((area, offset)) = s.shared_place(address).filter(|_| s.watch.events) {
                let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
                let access = Access { area, offset, bytes, touch };
                s.emit(self.caller.site(), Kind::Accessed(access));
            }
        });
    }

    /// A compiled driver is about to touch `bytes` bytes at `address`.
    #[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
    #[inline]
    pub fn image_touches(self, address: usize, bytes: usize, touch: Touch) {
        if self.with(|s| s.watch.is_on()) {
            self.touched(address, bytes, touch);
        }
    }
}
