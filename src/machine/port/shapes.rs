//! What routines of the DDI have in common: how they return, and the families whose members differ in name alone.

use super::super::state::State;
use super::Port;
use crate::event::{Sink, Site};
use crate::storport::{Ddi, StorStatus};

/// A routine of the DDI, its most telling argument, and who calls it.
pub(super) type Call = (Ddi, u32, Site);

impl<S: Sink + 'static> Port<S> {
    /// A DDI that returns a status.
    pub(super) fn status(
        self,
        call: Call,
        act: impl FnOnce(&mut State<S>) -> StorStatus,
    ) -> StorStatus {
        StorStatus(self.call(call, |s| act(s).0))
    }

    /// A DDI that returns a BOOLEAN.
    pub(super) fn boolean(self, call: Call, act: impl FnOnce(&mut State<S>) -> bool) -> bool {
        self.call(call, |s| u32::from(act(s))) != 0
    }

    /// A DDI that returns a pointer; its event says whether there is one.
    pub(super) fn pointer<T>(
        self,
        call: Call,
        act: impl FnOnce(&mut State<S>) -> *mut T,
    ) -> *mut T {
        let mut pointer = std::ptr::null_mut();
        self.call(call, |s| {
            pointer = act(s);
            u32::from(!pointer.is_null())
        });
        pointer
    }

    /// StorPortPause and StorPortPauseDevice, of which the argument is a number of seconds: one unit is all there is.
    pub(super) fn pauses(self, call: Call) -> bool {
        let (_, seconds, _) = call;
        self.boolean(call, |s| {
            s.adapter.paused_until = s.time + u64::from(seconds) * 1_000_000_000;
            true
        })
    }

    /// StorPortResume and StorPortResumeDevice.
    pub(super) fn resumes(self, call: Call) -> bool {
        let resumed = self.boolean(call, |s| {
            s.adapter.paused_until = 0;
            s.restart_later();
            true
        });
        self.drain_deferred();
        resumed
    }

    /// StorPortBusy and StorPortDeviceBusy, of which the argument is a number of requests.
    pub(super) fn is_busy(self, call: Call) -> bool {
        let (_, requests, _) = call;
        self.boolean(call, |s| {
            s.adapter.busy_until_finished = requests;
            true
        })
    }

    /// StorPortReady and StorPortDeviceReady.
    pub(super) fn is_ready(self, call: Call) -> bool {
        let ready = self.boolean(call, |s| {
            s.adapter.busy_until_finished = 0;
            s.restart_later();
            true
        });
        self.drain_deferred();
        ready
    }
}
