//! DriverEntry: run once, before there is a machine, on a coroutine of its own that is simply left if it goes wrong.
//!
//! All that it must do is call StorPortInitialize. What it may call besides is what needs no adapter: memory and
//! string routines, spin locks that nobody contends for, traces. Anything else ends the load with the place of the
//! call.

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use corosensei::stack::{DefaultStack, Stack as _};
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::frame::IMAGE_STRIDE;
use super::watch::{Hooks, Region, Stacks, Watch};
use crate::event::Cause;
use crate::storport::HwInitializationData;

/// What DriverEntry told StorPortInitialize.
#[derive(Clone, Copy, Debug)]
pub(super) struct Initialized {
    /// HW_INITIALIZATION_DATA, zero beyond what the driver has of it.
    pub(super) data: HwInitializationData,
    /// HwContext.
    pub(super) context: *mut c_void,
}

/// Why a driver did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// DriverEntry returned this NTSTATUS.
    Status(u32),
    /// DriverEntry returned without StorPortInitialize.
    NeverInitialized,
    /// It called a routine, at this address, that needs an adapter.
    NeedsMachine(usize),
    /// It crashed at this address.
    Crashed(Cause, usize),
}

/// Bytes of DriverEntry's stack.
const STACK_BYTES: usize = 512 * 1024;
/// Bytes at its low end that nobody can access: a page.
const GUARD_BYTES: usize = 4096;
/// Where DRIVER_OBJECT and the registry path lie: one place in every process, as all that a driver can keep.
const OBJECTS_AT: usize = 4 * IMAGE_STRIDE;
const OBJECTS_BYTES: usize = 0x2000;
/// The size of DRIVER_OBJECT, and where it keeps the driver's extension.
const DRIVER_OBJECT_BYTES: u16 = 0x150;
const DRIVER_EXTENSION_FIELD: usize = 0x30;
const DRIVER_EXTENSION_AT: usize = 0x400;
const REGISTRY_PATH_AT: usize = 0x800;
const REGISTRY_PATH_TEXT_AT: usize = 0x810;
const REGISTRY_PATH: &str = r"\Registry\Machine\System\CurrentControlSet\Services\driver";

static OBJECTS_THERE: AtomicBool = AtomicBool::new(false);

/// A load under way.
struct Loading {
    yielder: Cell<*const Yielder<(), Failure>>,
    stack: Range<usize>,
    initialized: Cell<Option<Initialized>>,
    /// The address of the last call into an import.
    called_from: Cell<usize>,
}

thread_local! {
    static LOADING: Cell<*const Loading> = const { Cell::new(std::ptr::null()) };
}

/// The load that this thread is in.
fn loading<'a>() -> Option<&'a Loading> {
    // SAFETY: not NULL only while `start` runs, which keeps it alive; the callers run inside.
    unsafe { LOADING.get().as_ref() }
}

/// Runs DriverEntry at `entry`, a function of the image at `image`, whose faults reach `hooks`.
///
/// # Errors
///
/// The outer error is the system's, which refuses a stack or a handler; the inner one is the driver's.
///
/// # Safety
///
/// It is a function of a mapped and bound image of a driver.
pub(super) unsafe fn start(
    entry: usize,
    image: Range<usize>,
    hooks: &dyn Hooks,
) -> io::Result<Result<Initialized, Failure>> {
    type DriverEntry = unsafe extern "win64" fn(usize, usize) -> u32;
    // SAFETY: the caller's promise; a function pointer has the size of an address.
    let entry = unsafe { std::mem::transmute::<usize, DriverEntry>(entry) };
    let stack = DefaultStack::new(STACK_BYTES)?;
    let (start, end) = (stack.limit().get(), stack.base().get());
    let stacks = vec![Stacks { start, count: 1, bytes: end - start, guard: GUARD_BYTES }];
    let watch = Watch::new(Region { image, stacks, window: 0..0 }, hooks)?;
    let loading = Loading {
        yielder: Cell::new(std::ptr::null()),
        stack: start + GUARD_BYTES..end,
        initialized: Cell::new(None),
        called_from: Cell::new(0),
    };
    objects();
    let outer = LOADING.replace(&raw const loading);
    let mut coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Failure>, ()| {
        if let Some(loading) = self::loading() {
            loading.yielder.set(yielder);
        }
        // SAFETY: as above; the objects are what DriverEntry takes.
        unsafe { entry(OBJECTS_AT, OBJECTS_AT + REGISTRY_PATH_AT) }
    });
    let watching = watch.on();
    let left = coroutine.resume(());
    drop(watching);
    let result = match left {
        CoroutineResult::Return(0) => loading.initialized.get().ok_or(Failure::NeverInitialized),
        CoroutineResult::Return(status) => Err(Failure::Status(status)),
        CoroutineResult::Yield(failure) => {
            // SAFETY: the frames are the driver's and handlers', none of which holds anything that must be dropped.
            unsafe { coroutine.force_reset() };
            Err(failure)
        }
    };
    LOADING.set(outer);
    Ok(result)
}

/// Makes DRIVER_OBJECT and the registry path, if they are not there yet.
fn objects() {
    let (access, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED_NOREPLACE,
    );
    let wanted = std::ptr::without_provenance_mut(OBJECTS_AT);
    // SAFETY: NOREPLACE maps where nothing is, or not at all.
    let base = unsafe { libc::mmap(wanted, OBJECTS_BYTES, access, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        // They are there, from the load before; or something else is, and DriverEntry's first use of them shows it.
        return;
    }
    let at = |offset: usize| base.cast::<u8>().wrapping_add(offset);
    let text: Vec<u16> = REGISTRY_PATH.encode_utf16().collect();
    let bytes = (text.len() * 2) as u16;
    // SAFETY: all offsets lie inside the mapping, which is zeroed and nobody else's; fields are aligned.
    unsafe {
        at(0).cast::<[u16; 2]>().write([4, DRIVER_OBJECT_BYTES]);
        at(DRIVER_EXTENSION_FIELD).cast::<usize>().write(OBJECTS_AT + DRIVER_EXTENSION_AT);
        at(DRIVER_EXTENSION_AT).cast::<usize>().write(OBJECTS_AT);
        at(REGISTRY_PATH_AT).cast::<[u16; 2]>().write([bytes, bytes]);
        at(REGISTRY_PATH_AT + 8).cast::<usize>().write(OBJECTS_AT + REGISTRY_PATH_TEXT_AT);
        at(REGISTRY_PATH_TEXT_AT).cast::<u16>().copy_from(text.as_ptr(), text.len());
    }
    OBJECTS_THERE.store(true, Ordering::Release);
}

/// Whether the bytes lie in the objects that DriverEntry was given, which stay.
fn is_objects(address: usize, bytes: usize) -> bool {
    (OBJECTS_AT..OBJECTS_AT + OBJECTS_BYTES).contains(&address)
        && bytes <= OBJECTS_AT + OBJECTS_BYTES - address
        && OBJECTS_THERE.load(Ordering::Acquire)
}

/// Whether the bytes lie in memory that DriverEntry got: its objects, and its stack while it runs.
pub(super) fn is_memory(address: usize, bytes: usize) -> bool {
    is_objects(address, bytes)
        || loading().is_some_and(|loading| {
            loading.stack.contains(&address) && bytes <= loading.stack.end - address
        })
}

/// Notes where an import was called from.
pub(super) fn called_from(address: usize) {
    if let Some(loading) = loading() {
        loading.called_from.set(address);
    }
}

/// StorPortInitialize: keeps what the driver says. Of several calls, one a bus, the one for PCI counts.
pub(super) fn initialize(initialized: Initialized) -> bool {
    use crate::storport::config::InterfaceType;
    let Some(loading) = loading() else { return false };
    let is_pci =
        |data: &HwInitializationData| data.adapter_interface_type == InterfaceType::PCI_BUS;
    match loading.initialized.get() {
        Some(before) if is_pci(&before.data) || !is_pci(&initialized.data) => {}
        _ => loading.initialized.set(Some(initialized)),
    }
    true
}

/// Leaves DriverEntry for good.
fn leave(failure: impl FnOnce(&Loading) -> Failure) -> ! {
    let Some(loading) = loading() else {
        // A driver's function runs, with neither a machine nor a load: some thread that is none of ours.
        std::process::abort();
    };
    // SAFETY: set by the coroutine that runs now, in whose frame the yielder lives.
    let yielder = unsafe { &*loading.yielder.get() };
    let failure = failure(loading);
    loop {
        yielder.suspend(failure);
    }
}

/// DriverEntry called a routine that needs an adapter.
#[cold]
pub(super) fn needs_machine() -> ! {
    leave(|loading| Failure::NeedsMachine(loading.called_from.get()))
}

/// DriverEntry gave a handler something that is a crash on Windows.
#[cold]
pub(super) fn crashed(cause: Cause) -> ! {
    leave(|loading| Failure::Crashed(cause, loading.called_from.get()))
}

/// DriverEntry faulted at `address`.
#[cold]
pub(super) fn faulted(cause: Cause, address: usize) -> ! {
    leave(|_| Failure::Crashed(cause, address))
}
