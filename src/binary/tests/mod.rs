//! Entry points called as a compiled driver calls them: by win64 function pointers, from a processor of a machine.
//!
//! The driver is the test: its HwStorFindAdapter runs the test's body. What the body points to must be the driver's
//! memory, so texts lie on the stack.

mod abi;
mod calls;
mod entry;
mod kernel;

use std::cell::Cell;
use std::ffi::c_void;

use super::imports;
use crate::device::bare::Bare;
use crate::event::{Cause, Event, Flow, Kind, Sink};
use crate::machine::{Abi, Driver, End, Machine};
use crate::scenario::Scenario;
use crate::storport::config::{
    HwFindAdapter, HwInitialize, HwResetBus, HwStartIo, PortConfigurationInformation,
};
use crate::storport::srb::ScsiRequestBlock;
use crate::storport::{Ddi, HwInitializationData};

/// Keeps every event.
#[derive(Default)]
struct Recorder(Vec<Event>);

impl Sink for Recorder {
    fn record(&mut self, event: &Event) -> Flow {
        self.0.push(*event);
        Flow::Continue
    }
}

/// What a test does as the driver, with its HwDeviceExtension and ConfigInfo.
type Body = fn(usize, usize);

thread_local! {
    static BODY: Cell<Option<Body>> = const { Cell::new(None) };
    /// What HwStorFindAdapter returns next: SP_RETURN_NOT_FOUND, unless the body says otherwise.
    static RESULT: Cell<u32> = const { Cell::new(0) };
}

unsafe extern "win64-unwind" fn find_adapter(
    extension: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut u8,
    config: *mut PortConfigurationInformation,
    _: *mut u8,
) -> u32 {
    if let Some(body) = BODY.take() {
        body(extension.expose_provenance(), config.expose_provenance());
    }
    RESULT.take()
}

unsafe extern "win64-unwind" fn initialize(_: *mut c_void) -> u8 {
    0
}

unsafe extern "win64-unwind" fn start_io(_: *mut c_void, _: *mut ScsiRequestBlock) -> u8 {
    0
}

unsafe extern "win64-unwind" fn reset_bus(_: *mut c_void, _: u32) -> u8 {
    0
}

/// Runs `body` as a compiled driver's HwStorFindAdapter: how the run ended, and what happened.
fn run(body: Body) -> (End, Vec<Event>) {
    BODY.set(Some(body));
    let mut data = HwInitializationData::new();
    // SAFETY: the machine is told below that they are win64 functions.
    unsafe {
        data.hw_find_adapter =
            Some(std::mem::transmute::<*const (), HwFindAdapter>(find_adapter as *const ()));
        data.hw_initialize =
            Some(std::mem::transmute::<*const (), HwInitialize>(initialize as *const ()));
        data.hw_start_io = Some(std::mem::transmute::<*const (), HwStartIo>(start_io as *const ()));
        data.hw_reset_bus =
            Some(std::mem::transmute::<*const (), HwResetBus>(reset_bus as *const ()));
    }
    data.device_extension_size = 4096;
    data.specific_lu_extension_size = 64;
    let driver = Driver { data, context: std::ptr::null_mut(), abi: Abi::Win64 };
    let mut machine = Machine::new(Recorder::default(), Box::new(Bare::new()));
    // SAFETY: the functions above, for a machine that tells a `Recorder`, as the entry points below do.
    let run = unsafe { machine.run(&driver, &Scenario::default()) };
    let events = std::mem::take(&mut machine.sink().0);
    // A check of the body's that failed is a crash of the driver's for the machine.
    let failed = events.iter().find(|e| e.kind == Kind::Crashed { cause: Cause::Panic });
    assert!(failed.is_none(), "at {}", failed.map_or(Default::default(), |event| event.site));
    (run.end, events)
}

/// The address that an import of `name` is bound to.
fn bound(module: &str, name: &str) -> usize {
    imports::routine::<Recorder>(module, name).unwrap_or_else(|| panic!("{name} has a model"))
}

/// Calls a routine with every argument in a place of 8 bytes, as a win64 caller leaves them.
fn call<const N: usize>(name: &str, arguments: [usize; N]) -> usize {
    let module = if name.starts_with("StorPort") { "storport.sys" } else { "ntoskrnl.exe" };
    call_at(bound(module, name), arguments)
}

fn call_at<const N: usize>(address: usize, arguments: [usize; N]) -> usize {
    let mut all = [0xDEAD_BEEF_DEAD_BEEF; 12];
    all[..N].copy_from_slice(&arguments);
    let [a, b, c, d, e, f, g, h, i, j, k, l] = all;
    type Function = unsafe extern "win64" fn(
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
        usize,
    ) -> usize;
    // SAFETY: an entry point, which takes as many of them as its routine has.
    unsafe {
        let function = std::mem::transmute::<usize, Function>(address);
        function(a, b, c, d, e, f, g, h, i, j, k, l)
    }
}

/// What a caller of a 32-bit argument may leave above it.
const GARBAGE: usize = 0xBAD0_BAD0_0000_0000;

/// The address of a variable.
fn at<T>(variable: &mut T) -> usize {
    (&raw mut *variable).expose_provenance()
}

/// The events of a routine that has no event of its own.
fn called(events: &[Event], wanted: Ddi) -> Vec<(u32, u32)> {
    let calls = events.iter().filter_map(|event| match event.kind {
        Kind::Called { ddi, argument, result } if ddi == wanted => Some((argument, result)),
        _ => None,
    });
    calls.collect()
}
