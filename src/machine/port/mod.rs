//! The DDI of the host: [`Port`], the handle that a miniport core gets for StorPort.
//!
//! The same handle runs StorPort's own code. Each DDI is a decision point, then one look at the state under
//! [`Port::act`], which ends the run where a rule was broken.

mod ddi;
mod executive;
mod locks;
mod resources;

pub(super) use executive::Executives;

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Once;

use super::state::{Inner, State};
use crate::event::{Kind, Sink, Site};
use crate::machine::Driver;
use crate::storport::Ddi;

/// StorPort on the simulated machine, seen from one adapter's miniport.
pub struct Port<S: Sink + 'static> {
    inner: NonNull<Inner<S>>,
    site: Option<&'static Location<'static>>,
}

impl<S: Sink + 'static> Clone for Port<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Sink + 'static> Copy for Port<S> {}

impl<S: Sink + 'static> std::fmt::Debug for Port<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Port(..)")
    }
}

impl<S: Sink + 'static> Port<S> {
    pub(super) fn of(inner: NonNull<Inner<S>>) -> Self {
        Port { inner, site: None }
    }

    /// Reaches the state. `look` neither calls the driver nor switches processors.
    #[inline(always)]
    pub(super) fn with<R>(self, look: impl FnOnce(&mut State<S>) -> R) -> R {
        // SAFETY: the machine outlives every handle to it (handles exist only inside a run), and by the rule
        // above no other reference to the state is alive.
        look(unsafe { self.inner.as_ref().state() })
    }

    /// As [`Port::with`]; if that ended the run, never returns.
    #[inline(always)]
    pub(super) fn act<R>(self, look: impl FnOnce(&mut State<S>) -> R) -> R {
        let (result, ended) = self.with(|s| (look(s), s.end.is_some()));
        if ended {
            self.park();
        }
        result
    }

    /// Where the driver called from.
    #[inline]
    #[track_caller]
    fn site(self) -> Site {
        Site::Source(match self.site {
            Some(site) => site,
            None => Location::caller(),
        })
    }

    /// A DDI without an event of its own: a decision point, the call, and its event.
    #[inline]
    fn call(
        self,
        (ddi, argument, site): (Ddi, u32, Site),
        act: impl FnOnce(&mut State<S>) -> u32,
    ) -> u32 {
        self.point();
        self.act(|s| {
            let result = act(s);
            s.emit(site, Kind::Called { ddi, argument, result });
            result
        })
    }

    pub(super) fn driver(self) -> Driver {
        self.with(|s| s.driver).expect("a run has a driver")
    }

    /// HwDeviceExtension.
    pub(super) fn extension(self) -> *mut c_void {
        self.with(|s| s.memory.extension().cast())
    }
}

thread_local! {
    /// The thread runs a driver's code, whose panic is a finding and not news for the terminal.
    static IN_DRIVER: Cell<bool> = const { Cell::new(false) };
    /// Where the driver panicked last.
    static PANICKED_AT: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

static QUIET: Once = Once::new();

/// Where the panic was that has just been caught.
pub(super) fn panic_site() -> Site {
    PANICKED_AT.take().map_or(Site::Port, Site::Source)
}

/// Runs code that resumes drivers' coroutines; their panics say nothing on the terminal.
pub(super) fn quietly(code: impl FnOnce()) {
    QUIET.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_DRIVER.get() {
                return previous(info);
            }
            // SAFETY: the compiler keeps the location of every panic as a static; the hook's signature shortens
            // its lifetime, no more.
            let forever = |at| unsafe {
                std::mem::transmute::<&Location<'_>, &'static Location<'static>>(at)
            };
            PANICKED_AT.set(info.location().map(forever));
        }));
    });
    IN_DRIVER.set(true);
    code();
    IN_DRIVER.set(false);
}
