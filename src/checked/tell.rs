//! [`Checked`]: a port that tells its watch what happens, and how it tells it.

use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::panic::Location;

use super::Hooks;
use super::book::{Book, Given};
use super::callback::Header;
use super::watch::{Moment, State, Watch};
use crate::event::{Adapter, ConfigurationMistake, Handle, Kind, Lock, LockApi, Routine, Site};
use crate::rules::{Finding, Kinds, cell};
use crate::storport::perf::{PerfConfigurationData, PerfFlags};
use crate::storport::{Ddi, Executive, Irql, Srb, StorStatus};

/// The port `P`, watched.
pub struct Checked<P, H> {
    pub(super) inner: P,
    /// StorPort's HwDeviceExtension, at which the header lies.
    extension: *mut c_void,
    site: Option<&'static Location<'static>>,
    hooks: PhantomData<fn() -> H>,
}

impl<P: Copy, H> Clone for Checked<P, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Copy, H> Copy for Checked<P, H> {}

impl<P, H> fmt::Debug for Checked<P, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checked(..)")
    }
}

/// A call under way: where from, and at which IRQL it began.
#[derive(Clone, Copy)]
pub(super) struct Call<P> {
    /// The port, on behalf of the caller.
    pub(super) port: P,
    pub(super) site: Site,
    pub(super) irql: Irql,
}

impl<P: Executive, H: Hooks<P>> Checked<P, H> {
    /// The port of the adapter with this HwDeviceExtension of StorPort's.
    ///
    /// # Safety
    ///
    /// The adapter's miniport is a `CheckedMiniport`.
    pub(super) unsafe fn of(extension: *mut c_void) -> Self {
        // SAFETY: the promise.
        let inner = unsafe { P::from_extension(extension) };
        Checked { inner, extension, site: None, hooks: PhantomData }
    }

    /// The same port, for calls made on behalf of code at `site`.
    pub(super) fn called_from(self, site: &'static Location<'static>) -> Self {
        Checked { site: Some(site), ..self }
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: `of`'s promise.
        unsafe { Header::of(self.extension) }
    }

    /// The watch, as long as it is this adapter's.
    #[inline]
    fn watch(self) -> Option<&'static Watch> {
        self.header().watch().filter(|watch| watch.is_of(self.extension))
    }

    pub(super) fn is_unwatched(self) -> bool {
        self.watch().is_none()
    }

    /// A call begins.
    #[inline]
    #[track_caller]
    pub(super) fn call(self) -> Call<P> {
        let at = self.site.unwrap_or(Location::caller());
        let port = self.inner.on_behalf_of(at);
        Call { port, site: Site::Source(at), irql: self.inner.ke_get_current_irql() }
    }

    /// The inner port, on behalf of the caller.
    #[inline]
    #[track_caller]
    pub(super) fn behalf(self) -> P {
        self.inner.on_behalf_of(self.site.unwrap_or(Location::caller()))
    }

    /// Reaches the watch with interrupts masked.
    #[inline]
    fn with<R>(self, look: impl FnOnce(&Watch) -> Option<R>) -> Option<R> {
        let watch = self.watch()?;
        let masked = H::mask(self.inner);
        let result = look(watch);
        H::unmask(self.inner, masked);
        result
    }

    fn moment(self, irql: Irql, site: Site) -> Moment {
        Moment { thread: H::thread(self.inner), irql, site }
    }

    #[inline]
    fn report(self, finding: Option<Finding>) {
        if let Some(finding) = finding {
            self.report_now(finding);
        }
    }

    #[cold]
    fn report_now(self, finding: Finding) {
        let finding = Finding { time: H::now(self.inner), ..finding };
        self.with(|watch| {
            watch.keep(&finding);
            Some(())
        });
        H::violation(self.inner, &finding);
    }

    /// Tells of what a call did.
    #[inline]
    pub(super) fn tell(self, call: &Call<P>, make: impl FnOnce(&mut Book, u8) -> Option<Kind>) {
        let moment = self.moment(call.irql, call.site);
        let finding = self.with(|watch| watch.record(moment, make));
        self.report(finding);
    }

    /// Looks something up.
    pub(super) fn look<R>(self, look: impl FnOnce(&mut Book) -> R) -> Option<R> {
        self.with(|watch| watch.with(|s| look(&mut s.book)))
    }

    /// Tells of a call that has no event kind of its own, after it.
    #[inline]
    pub(super) fn called(self, call: &Call<P>, ddi: Ddi, argument: u32, result: u32) {
        self.tell(call, |_, _| Some(Kind::Called { ddi, argument, result }));
    }

    pub(super) fn status(
        self,
        call: &Call<P>,
        ddi: Ddi,
        argument: u32,
        status: StorStatus,
    ) -> StorStatus {
        self.called(call, ddi, argument, status.0);
        status
    }

    pub(super) fn boolean(self, call: &Call<P>, ddi: Ddi, argument: u32, result: bool) -> bool {
        self.called(call, ddi, argument, u32::from(result));
        result
    }

    // StorPort's side.

    /// The adapter is found: a new life.
    pub(super) fn begin(self) {
        self.with(|watch| {
            watch.begin();
            Some(())
        });
    }

    /// Runs a callback of the core's, told of.
    pub(super) fn callback(
        self,
        routine: Routine,
        subject: u16,
        call: impl FnOnce() -> u32,
    ) -> u32 {
        let irql = self.inner.ke_get_current_irql();
        let moment = self.moment(irql, Site::Port);
        let finding = self.with(|watch| watch.entered(&moment, routine, subject));
        self.report(finding);
        let result = call();
        let moment = self.moment(self.inner.ke_get_current_irql(), Site::Port);
        let finding = self.with(|watch| watch.left(&moment, (routine, subject), result));
        self.report(finding);
        result
    }

    /// Runs HwStorBuildIo or HwStorStartIo with a request.
    pub(super) fn starting(self, routine: Routine, srb: Srb, call: impl FnOnce() -> u32) -> u32 {
        let address = srb.as_ptr().addr();
        let thread = H::thread(self.inner);
        let note = |address| {
            move |book: &mut Book| {
                if let Some(slot) = book.slot(thread) {
                    book.set_starting(slot, address);
                }
            }
        };
        let number = self.look(|book| book.open(address)).unwrap_or_default();
        self.callback(routine, number, || {
            self.look(note(address));
            let result = call();
            self.look(note(0));
            result
        })
    }

    /// Tells of something that StorPort does outside any callback.
    fn tell_of_port(self, make: impl FnOnce(&mut Book) -> Kind) {
        let moment = self.moment(self.inner.ke_get_current_irql(), Site::Port);
        let finding = self.with(|watch| {
            watch.enter(moment.thread);
            let finding = watch.record(moment, |book, _| Some(make(book)));
            watch.leave(moment.thread);
            finding
        });
        self.report(finding);
    }

    /// The adapter has stopped.
    pub(super) fn stopped(self, surprise: bool) {
        self.tell_of_port(|_| Kind::AdapterStopped { surprise });
        self.set_stopped(true);
    }

    /// The adapter has stopped, or is about to go on.
    pub(super) fn set_stopped(self, stopped: bool) {
        if let Some(watch) = self.watch() {
            watch.set_stopped(stopped);
        }
    }

    pub(super) fn mistaken(self, mistake: ConfigurationMistake) {
        self.tell_of_port(|_| Kind::ConfigurationWrong { mistake });
    }

    /// The adapter is configured, or something new is known of it.
    pub(super) fn configured(self, change: impl FnOnce(&mut Adapter)) {
        self.tell_of_port(|book| {
            change(&mut book.adapter);
            book.configured = true;
            Kind::Configured(book.adapter)
        });
    }

    /// A DPC leaves its queue.
    pub(super) fn dequeued(self, number: u8) {
        self.look(|book| book.set_queued(number, false));
    }

    /// STOR_PERF options were granted.
    pub(super) fn adopt_perf_opts(self, data: *const PerfConfigurationData) {
        // SAFETY: it is the caller's structure, and StorPort has just read it.
        let data = unsafe { &*data };
        let has = |flag: PerfFlags| data.flags.contains(flag);
        let channels = has(PerfFlags::CONCURRENT_CHANNELS)
            .then(|| data.concurrent_channels.clamp(1, u8::MAX.into()) as u8);
        let completes = has(PerfFlags::OPTIMIZE_FOR_COMPLETION_DURING_STARTIO);
        let change = move |adapter: &mut Adapter| {
            adapter.channels = channels.unwrap_or(adapter.channels);
            adapter.completes_in_start_io = completes;
        };
        if self.look(|book| book.configured) == Some(true) {
            self.configured(change);
        } else {
            self.look(|book| change(&mut book.adapter));
        }
    }
}

impl Watch {
    /// StorPort calls a routine: what that tells of the adapter, the locks that it holds, and the call.
    fn entered(&self, moment: &Moment, routine: Routine, subject: u16) -> Option<Finding> {
        self.enter(moment.thread);
        self.with(|s| {
            let slot = s.book.slot(moment.thread)?;
            let mut finding = None;
            if s.book.observe(routine, subject, moment.irql) {
                let adapter = s.book.adapter;
                finding = s.judge(moment, slot, Kind::Configured(adapter));
            }
            for lock in s.port_locks(routine, subject) {
                let api = LockApi::Port;
                s.book.acquire(slot, lock, (api, moment.irql), None);
                let irql = moment.irql;
                let kind = Kind::LockAcquired { lock, api, irql, contended: false };
                finding = finding.or(s.judge(moment, slot, kind));
            }
            finding.or(s.judge(moment, slot, Kind::Entered { routine, subject }))
        })?
    }

    /// The routine returns.
    fn left(
        &self,
        moment: &Moment,
        (routine, subject): (Routine, u16),
        result: u32,
    ) -> Option<Finding> {
        let finding = self.with(|s| {
            let slot = s.book.slot(moment.thread)?;
            let locks = s.port_locks(routine, subject);
            let finding = s.judge(moment, slot, Kind::Left { routine, result, busy_ns: 0 });
            for lock in locks {
                let given = Given { lock, handle: Handle::Same, irql: moment.irql };
                let kind = s.book.release(slot, LockApi::Port, &given);
                s.judge(moment, slot, kind);
            }
            finding
        });
        self.leave(moment.thread);
        finding?
    }
}

impl State {
    /// What StorPort holds around a routine.
    fn port_locks(&self, routine: Routine, subject: u16) -> impl Iterator<Item = Lock> + use<> {
        let held = match routine {
            Routine::Synchronized => Kinds::NONE,
            _ => cell(routine, subject, self.checker.adapter()).held,
        };
        Book::port_lock(held, subject).into_iter().flatten()
    }
}
