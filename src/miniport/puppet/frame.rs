//! One invocation of a callback: what it is about, its stack slots, and what it will return.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr;

use super::op::Op;
use super::script::{Call, FIRST_SHARED_SLOT, SLOTS};
use super::state::{Request, Slot, State};
use crate::event::Routine;
use crate::storport::config::{
    HwPassiveInitializeRoutine, HwStateChange, HwTimer, HwTimerEx, HwWorkItem,
};
use crate::storport::dpc::HwDpcRoutine;
use crate::storport::{
    Executive, Miniport, PortConfigurationInformation, Srb, SrbStatus, StorPort, entry,
};

/// Most StorPortSynchronizeAccess calls inside each other: one too many is a mistake to be found, more
/// would only fill the stack.
const SYNCHRONIZE_DEPTH_MAX: u8 = 3;

/// The entry points that the puppet passes to StorPort, of whichever variant it is.
pub(super) struct Entries {
    pub(super) dpc: HwDpcRoutine,
    pub(super) passive_initialize: HwPassiveInitializeRoutine,
    pub(super) state_change: HwStateChange,
    pub(super) timer: HwTimer,
    pub(super) timer_ex: HwTimerEx,
    pub(super) work_item: HwWorkItem,
}

impl Entries {
    pub(super) const fn of<P: StorPort, M: Miniport<P>>() -> Self {
        Entries {
            dpc: entry::dpc::<P, M>,
            passive_initialize: entry::passive_initialize::<P, M>,
            state_change: entry::state_change::<P, M>,
            timer: entry::timer::<P, M>,
            timer_ex: entry::timer_ex::<P, M>,
            work_item: entry::work_item::<P, M>,
        }
    }
}

/// One invocation of a callback.
pub(super) struct Frame<'a, P> {
    pub(super) state: &'a State,
    pub(super) port: P,
    pub(super) routine: Routine,
    pub(super) entries: &'static Entries,
    /// Number of the invocation, counted from 0.
    invocation: u32,
    /// The message or DPC that it is about.
    pub(super) subject: u32,
    /// The request that it is about.
    pub(super) request: Option<Request>,
    /// ConfigInfo, in HwStorFindAdapter; else NULL.
    pub(super) config: *mut PortConfigurationInformation,
    slots: [Slot; FIRST_SHARED_SLOT],
    took_request: Cell<bool>,
    returns: Cell<Option<bool>>,
    returns_unknown: Cell<bool>,
    synchronize_depth: u8,
}

impl<'a, P: StorPort + Executive> Frame<'a, P> {
    pub(super) fn new(
        state: &'a State,
        port: P,
        routine: Routine,
        invocation: u32,
        entries: &'static Entries,
    ) -> Self {
        Frame {
            state,
            port,
            routine,
            entries,
            invocation,
            subject: 0,
            request: None,
            config: ptr::null_mut(),
            slots: Default::default(),
            took_request: Cell::new(false),
            returns: Cell::new(None),
            returns_unknown: Cell::new(false),
            synchronize_depth: 0,
        }
    }

    /// The frame of a callback with a request.
    pub(super) fn with_request(self, srb: Srb) -> Self {
        Frame { request: Some(Request::new(srb)), ..self }
    }

    /// The frame of a callback about a message or a DPC.
    pub(super) fn about(self, subject: u32) -> Self {
        Frame { subject, ..self }
    }

    /// The frame of HwStorFindAdapter, with its ConfigInfo, which nothing else may use until the frame is gone.
    pub(super) fn configuring(self, config: &mut PortConfigurationInformation) -> Self {
        Frame { config, ..self }
    }

    /// Plays every call that is addressed to this invocation.
    pub(super) fn play(&self) {
        if self.state.is_addressed(self.routine) {
            for call in self.state.calls() {
                if self.is_for(call) {
                    self.perform(call);
                }
            }
        }
    }

    fn is_for(&self, call: &Call) -> bool {
        call.routine == self.routine && call.when.fits(self.invocation)
    }

    /// Whether the callback leaves out what it does by itself.
    pub(super) fn skips_default(&self) -> bool {
        let skips = |call: &Call| call.op == Op::SkipDefault && self.is_for(call);
        self.state.may_skip(self.routine) && self.state.calls().iter().any(skips)
    }

    /// Whether a call completed or kept the request.
    pub(super) fn took_request(&self) -> bool {
        self.took_request.get()
    }

    /// What the callback returns, `otherwise` if no call says.
    pub(super) fn result(&self, otherwise: bool) -> bool {
        self.returns.get().unwrap_or(otherwise)
    }

    pub(super) fn returns_unknown(&self) -> bool {
        self.returns_unknown.get()
    }

    pub(super) fn set_result(&self, result: bool) {
        self.returns.set(Some(result));
    }

    pub(super) fn return_unknown(&self) {
        self.returns_unknown.set(true);
    }

    /// A slot by its number.
    pub(super) fn slot(&self, number: u8) -> &Slot {
        let number = usize::from(number) % SLOTS;
        match self.slots.get(number) {
            Some(slot) => slot,
            None => self.state.shared_slot(number - FIRST_SHARED_SLOT),
        }
    }

    /// RequestComplete of the request that the callback is about; elsewhere of the one kept first.
    pub(super) fn complete_current(&self, status: SrbStatus) {
        let Some(request) = self.request else { return self.complete_oldest(status) };
        self.state.take(request.srb);
        self.took_request.set(true);
        self.state.completed.set(Some(request));
        request.complete(self.port, status);
    }

    /// RequestComplete of the request kept first, if there is one.
    pub(super) fn complete_oldest(&self, status: SrbStatus) {
        if let Some(request) = self.state.take_oldest() {
            self.state.completed.set(Some(request));
            request.complete(self.port, status);
        }
    }

    /// Keeps the request that the callback is about, unless it is kept or completed already.
    pub(super) fn keep_current(&self) {
        if let Some(request) = self.request
            && !self.took_request.get()
            && self.state.keep(request)
        {
            self.took_request.set(true);
        }
    }

    /// The request that the callback is about, else the one completed last.
    pub(super) fn current_or_completed(&self) -> Option<Request> {
        self.request.or(self.state.completed.get())
    }

    /// StorPortSynchronizeAccess, with a frame of its own for what plays inside.
    pub(super) fn synchronize(&self) {
        if self.synchronize_depth == SYNCHRONIZE_DEPTH_MAX {
            return;
        }
        let context = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: `synchronized::<P>` takes exactly this context, and is called before this returns.
        let _ = unsafe { self.port.synchronize_access(synchronized::<P>, context) };
    }

    /// The frame of the routine that `self` runs under StorPortSynchronizeAccess.
    fn inner(&self, port: P) -> Self {
        let frame = self.state.frame(port, Routine::Synchronized, self.entries);
        Frame {
            subject: self.subject,
            request: self.request,
            took_request: Cell::new(self.took_request.get()),
            synchronize_depth: self.synchronize_depth + 1,
            ..frame
        }
    }
}

/// The routine of every StorPortSynchronizeAccess.
///
/// # Safety
///
/// `extension` is the adapter's, `context` the frame that called StorPortSynchronizeAccess.
unsafe extern "system-unwind" fn synchronized<P: StorPort + Executive>(
    extension: *mut c_void,
    context: *mut c_void,
) -> u8 {
    // SAFETY: the contract; the outer frame waits for this routine, and all access is shared.
    let (outer, port) =
        unsafe { (&*context.cast_const().cast::<Frame<'_, P>>(), P::from_extension(extension)) };
    let frame = outer.inner(port);
    frame.play();
    outer.took_request.set(frame.took_request());
    u8::from(frame.result(true))
}
