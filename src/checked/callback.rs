//! Callbacks that a core passes to StorPort as addresses: DPC routines, timers, work items.
//!
//! StorPort gets a routine of this file instead, which tells of the callback and calls the core's own. It also mends
//! HwDeviceExtension: StorPort's is the layer's, and the core's begins behind the [`Header`] in it.

use core::ffi::c_void;
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::Hooks;
use super::tell::Checked;
use super::watch::Watch;
use crate::event::{DPCS_MAX, Routine};
use crate::storport::address::StorAddress;
use crate::storport::config::{
    HwPassiveInitializeRoutine, HwStateChange, HwTimer, HwTimerEx, HwWorkItem,
};
use crate::storport::dpc::HwDpcRoutine;
use crate::storport::{Executive, StorDpc};

/// Timers, workers and state changes of one adapter that can be under way.
const PENDING_MAX: usize = 8;

/// What lies before the core's extension, inside StorPort's. Zero is its first value.
#[repr(C, align(16))]
#[derive(Debug)]
pub(super) struct Header {
    watch: AtomicPtr<Watch>,
    passive_initialize: AtomicUsize,
    timer: AtomicUsize,
    dpcs: [Entry; DPCS_MAX],
    timers: [Entry; PENDING_MAX],
    workers: [Entry; PENDING_MAX],
    state_changes: [Entry; PENDING_MAX],
}

/// A routine of the core, for an object of StorPort's.
#[derive(Debug)]
pub(super) struct Entry {
    /// Address of the STOR_DPC, handle of the timer or worker; 0 while the entry is free.
    object: AtomicUsize,
    routine: AtomicUsize,
    context: AtomicPtr<c_void>,
}

impl Entry {
    fn set(&self, routine: usize, context: *mut c_void) -> (usize, *mut c_void) {
        let before = self.context.swap(context, Ordering::Relaxed);
        (self.routine.swap(routine, Ordering::Release), before)
    }
}

/// The entry of an object, or a free one for it.
fn entry_of(entries: &[Entry], object: usize) -> Option<usize> {
    let of = |wanted| entries.iter().position(|e| e.object.load(Ordering::Acquire) == wanted);
    of(object).or_else(|| {
        entries.iter().position(|entry| {
            let free =
                entry.object.compare_exchange(0, object, Ordering::AcqRel, Ordering::Relaxed);
            free.is_ok()
        })
    })
}

impl Header {
    /// The header of an adapter, from StorPort's HwDeviceExtension.
    ///
    /// # Safety
    ///
    /// `extension` is that of an adapter whose miniport is a `CheckedMiniport`.
    pub(super) unsafe fn of<'a>(extension: *mut c_void) -> &'a Header {
        // SAFETY: the promise; it is the first field, zeroes are a value, and only shared references exist.
        unsafe { &*extension.cast() }
    }

    /// The core's HwDeviceExtension, from StorPort's.
    pub(super) fn inner(extension: *mut c_void) -> *mut c_void {
        extension.wrapping_byte_add(size_of::<Header>())
    }

    /// StorPort's HwDeviceExtension, from the core's.
    pub(super) fn outer(extension: *mut c_void) -> *mut c_void {
        extension.wrapping_byte_sub(size_of::<Header>())
    }

    pub(super) fn watch(&self) -> Option<&'static Watch> {
        // SAFETY: only `set_watch` writes it, from a `&'static`.
        unsafe { self.watch.load(Ordering::Acquire).as_ref() }
    }

    pub(super) fn set_watch(&self, watch: Option<&'static Watch>) {
        let watch = watch.map_or(ptr::null_mut(), |watch| ptr::from_ref(watch).cast_mut());
        self.watch.store(watch, Ordering::Release);
    }

    pub(super) fn set_passive_initialize(&self, routine: HwPassiveInitializeRoutine) {
        self.passive_initialize.store(routine as usize, Ordering::Release);
    }

    pub(super) fn set_timer(&self, routine: Option<HwTimer>) {
        self.timer.store(routine.map_or(0, |routine| routine as usize), Ordering::Release);
    }

    /// Notes the routine of a DPC; its number, in the order of initialisation, or `None` if there are too many.
    pub(super) fn set_dpc(&self, dpc: *const StorDpc, routine: HwDpcRoutine) -> Option<u8> {
        let number = entry_of(&self.dpcs, dpc.addr())?;
        self.dpcs[number].set(routine as usize, ptr::null_mut());
        Some(number as u8)
    }

    /// The number of a DPC that was initialised at this address.
    #[inline]
    pub(super) fn dpc(&self, dpc: *const StorDpc) -> Option<u8> {
        let of = |entry: &Entry| entry.object.load(Ordering::Acquire) == dpc.addr();
        self.dpcs.iter().position(of).filter(|_| !dpc.is_null()).map(|number| number as u8)
    }

    /// The index of a timer.
    pub(super) fn timer_entry(&self, timer: *mut c_void) -> Option<usize> {
        entry_of(&self.timers, timer.addr())
    }

    /// The index of a worker.
    pub(super) fn worker_entry(&self, worker: *mut c_void) -> Option<usize> {
        entry_of(&self.workers, worker.addr())
    }

    /// Arms a timer's entry and makes the request; disarms it again if StorPort refuses.
    pub(super) fn with_timer<R>(
        &self,
        entry: usize,
        (routine, context): (HwTimerEx, *mut c_void),
        request: impl FnOnce(*mut c_void) -> (bool, R),
    ) -> R {
        arm(&self.timers[entry], (routine as usize, context), entry, request)
    }

    /// As [`Header::with_timer`], for a worker.
    pub(super) fn with_worker<R>(
        &self,
        entry: usize,
        (routine, context): (HwWorkItem, *mut c_void),
        request: impl FnOnce(*mut c_void) -> (bool, R),
    ) -> R {
        arm(&self.workers[entry], (routine as usize, context), entry, request)
    }

    /// As [`Header::with_timer`], for a state change; `None` if too many are under way.
    pub(super) fn with_state_change<R>(
        &self,
        (routine, context): (HwStateChange, *mut c_void),
        request: impl FnOnce(*mut c_void) -> (bool, R),
    ) -> Option<R> {
        let taken = |entry: &Entry| {
            entry.object.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let entry = self.state_changes.iter().position(taken)?;
        let place = &self.state_changes[entry];
        let (queued, result) = arm(place, (routine as usize, context), entry, |context| {
            let (queued, result) = request(context);
            (queued, (queued, result))
        });
        if !queued {
            place.object.store(0, Ordering::Release);
        }
        Some(result)
    }

    /// A timer is given back.
    pub(super) fn forget_timer(&self, timer: *mut c_void) {
        forget(&self.timers, timer);
    }

    /// A worker is given back.
    pub(super) fn forget_worker(&self, worker: *mut c_void) {
        forget(&self.workers, worker);
    }
}

fn forget(entries: &[Entry], object: *mut c_void) {
    for entry in entries {
        let _ =
            entry.object.compare_exchange(object.addr(), 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// StorPort hands the number of the entry back as the context.
fn arm<R>(
    entry: &Entry,
    (routine, context): (usize, *mut c_void),
    number: usize,
    request: impl FnOnce(*mut c_void) -> (bool, R),
) -> R {
    let before = entry.set(routine, context);
    let (accepted, result) = request(ptr::without_provenance_mut(number));
    if !accepted {
        // It may be pending with what it was armed with before.
        entry.set(before.0, before.1);
    }
    result
}

/// A routine out of an entry.
fn armed(entries: &[Entry], number: *mut c_void) -> Option<(usize, *mut c_void)> {
    let entry = entries.get(number.addr())?;
    let routine = entry.routine.load(Ordering::Acquire);
    (routine != 0).then(|| (routine, entry.context.load(Ordering::Relaxed)))
}

/// HwStorDpcRoutine.
///
/// # Safety
///
/// Called by StorPort only, for an adapter whose miniport is a `CheckedMiniport`. The same holds for every routine
/// of this file.
pub(super) unsafe extern "system-unwind" fn dpc<P: Executive, H: Hooks<P>>(
    dpc: *mut StorDpc,
    extension: *mut c_void,
    argument1: *mut c_void,
    argument2: *mut c_void,
) {
    // SAFETY: see the contract.
    let (header, port) = unsafe { (Header::of(extension), Checked::<P, H>::of(extension)) };
    let Some(number) = header.dpc(dpc) else { return };
    let routine = header.dpcs[usize::from(number)].routine.load(Ordering::Acquire);
    // SAFETY: `set_dpc` stored a routine of this type there, before StorPort could know of the DPC.
    let routine = unsafe { transmute::<usize, HwDpcRoutine>(routine) };
    port.dequeued(number);
    port.callback(Routine::Dpc, u16::from(number), || {
        // SAFETY: the core's own routine, with the core's extension.
        unsafe { routine(dpc, Header::inner(extension), argument1, argument2) }
        0
    });
}

/// HwStorPassiveInitializeRoutine.
///
/// # Safety
///
/// See [`dpc`].
pub(super) unsafe extern "system-unwind" fn passive_initialize<P: Executive, H: Hooks<P>>(
    extension: *mut c_void,
) -> u8 {
    // SAFETY: see the contract.
    let (header, port) = unsafe { (Header::of(extension), Checked::<P, H>::of(extension)) };
    let routine = header.passive_initialize.load(Ordering::Acquire);
    // SAFETY: stored before StorPort was told to call this.
    let routine = unsafe { transmute::<usize, HwPassiveInitializeRoutine>(routine) };
    let result = port.callback(Routine::PassiveInitialize, 0, || {
        // SAFETY: the core's own routine, with the core's extension.
        u32::from(unsafe { routine(Header::inner(extension)) })
    });
    result as u8
}

/// HwStorTimer.
///
/// # Safety
///
/// See [`dpc`].
pub(super) unsafe extern "system-unwind" fn timer<P: Executive, H: Hooks<P>>(
    extension: *mut c_void,
) {
    // SAFETY: see the contract.
    let (header, port) = unsafe { (Header::of(extension), Checked::<P, H>::of(extension)) };
    let routine = header.timer.load(Ordering::Acquire);
    // SAFETY: an `Option` of a routine was stored there.
    let Some(routine) = (unsafe { transmute::<usize, Option<HwTimer>>(routine) }) else { return };
    port.callback(Routine::Timer, 0, || {
        // SAFETY: the core's own routine, with the core's extension.
        unsafe { routine(Header::inner(extension)) }
        0
    });
}

/// HW_TIMER_EX.
///
/// # Safety
///
/// See [`dpc`].
pub(super) unsafe extern "system-unwind" fn timer_ex<P: Executive, H: Hooks<P>>(
    extension: *mut c_void,
    number: *mut c_void,
) {
    // SAFETY: see the contract.
    let (header, port) = unsafe { (Header::of(extension), Checked::<P, H>::of(extension)) };
    let Some((routine, context)) = armed(&header.timers, number) else { return };
    // SAFETY: `with_timer` stored a routine of this type there.
    let routine = unsafe { transmute::<usize, HwTimerEx>(routine) };
    port.callback(Routine::TimerEx, number.addr() as u16, || {
        // SAFETY: the core's own routine, with the core's extension and context.
        unsafe { routine(Header::inner(extension), context) }
        0
    });
}

/// HW_WORKITEM.
///
/// # Safety
///
/// See [`dpc`].
pub(super) unsafe extern "system-unwind" fn work_item<P: Executive, H: Hooks<P>>(
    extension: *mut c_void,
    number: *mut c_void,
    worker: *mut c_void,
) {
    // SAFETY: see the contract.
    let (header, port) = unsafe { (Header::of(extension), Checked::<P, H>::of(extension)) };
    let Some((routine, context)) = armed(&header.workers, number) else { return };
    // SAFETY: `with_worker` stored a routine of this type there.
    let routine = unsafe { transmute::<usize, HwWorkItem>(routine) };
    port.callback(Routine::WorkItem, number.addr() as u16, || {
        // SAFETY: the core's own routine, with the core's extension and context.
        unsafe { routine(Header::inner(extension), context, worker) }
        0
    });
}

/// HwStorStateChange.
///
/// # Safety
///
/// See [`dpc`].
pub(super) unsafe extern "system-unwind" fn state_change<P: Executive, H: Hooks<P>>(
    extension: *mut c_void,
    number: *mut c_void,
    address_type: i16,
    address: *mut StorAddress,
    status: u32,
) {
    // SAFETY: see the contract.
    let (header, port) = unsafe { (Header::of(extension), Checked::<P, H>::of(extension)) };
    let Some((routine, context)) = armed(&header.state_changes, number) else { return };
    header.state_changes[number.addr()].object.store(0, Ordering::Release);
    // SAFETY: `with_state_change` stored a routine of this type there.
    let routine = unsafe { transmute::<usize, HwStateChange>(routine) };
    port.callback(Routine::StateChange, 0, || {
        // SAFETY: the core's own routine, with the core's extension and context.
        unsafe { routine(Header::inner(extension), context, address_type, address, status) }
        0
    });
}
