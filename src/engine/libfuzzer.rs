//! The border to libFuzzer's C++: the counters it reads, the loop that it runs, the mutator that it
//! calls. Everything unsafe about the engine is here.
//!
//! libFuzzer clears the counters before each run and scans them after it, so their size is a price paid on
//! every run.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int, c_uint};

// The crate compiles and links libFuzzer; its Rust macros are for programs without a `main`.
use libfuzzer_sys as _;

use super::exchange;
use crate::coverage::CoverageMap;
use crate::scenario::{codec, mutate};

/// Longest input that the engine makes, in bytes: the longest that a scenario has.
pub const INPUT_MAX: usize = codec::SCENARIO_BYTES_MAX;

/// libFuzzer finds the counters by the name of their section.
#[cfg_attr(
    any(target_os = "linux", target_os = "freebsd", target_os = "netbsd"),
    unsafe(link_section = "__libfuzzer_extra_counters")
)]
static mut COUNTERS: CoverageMap = CoverageMap::new();

/// The counters, for the harness to write during a run.
///
/// # Safety
///
/// To be called once in a process: the reference is exclusive. libFuzzer touches the counters only between
/// runs, when no code that holds the reference is running.
pub(super) unsafe fn counters() -> &'static mut CoverageMap {
    let counters = &raw mut COUNTERS;
    // SAFETY: the caller calls once, so no other reference exists.
    unsafe { &mut *counters }
}

/// Lets libFuzzer clear and read a compiled driver's own counters, as it does those of instrumented code that it is
/// linked with.
///
/// # Safety
///
/// The driver stays loaded as long as the process fuzzes.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) unsafe fn watch_counters(counters: crate::binary::DriverCounters) {
    // libFuzzer ends the process where the number of counters and of places differ, so without places it gets
    // neither.
    let Some(points) = counters.points else { return };
    let counts = counters.counts.as_ptr();
    // SAFETY: both ranges are the driver's, of equal length in entries, and stay by the caller's promise.
    unsafe {
        __sanitizer_cov_8bit_counters_init(counts.cast(), counts.cast::<u8>().add(counts.len()));
        let table = points.as_ptr().cast::<crate::binary::image::CoveragePoint>();
        __sanitizer_cov_pcs_init(table.cast(), table.add(points.len()).cast());
    }
}

/// How inputs are mutated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    /// Mostly as scenarios, now and then as bytes.
    #[default]
    Mixed,
    /// As scenarios only.
    Steps,
    /// As bytes only, with libFuzzer's own mutations: for comparison.
    Bytes,
}

impl Mutation {
    /// Every value.
    pub const ALL: [Mutation; 3] = [Mutation::Mixed, Mutation::Steps, Mutation::Bytes];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mutation::Mixed => "mixed",
            Mutation::Steps => "steps",
            Mutation::Bytes => "bytes",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Mutation> {
        Mutation::ALL.into_iter().find(|mutation| mutation.name() == name)
    }
}

/// What runs one input.
type Target = Box<dyn FnMut(&[u8])>;

thread_local! {
    /// The target of the loop that this thread runs. libFuzzer hands its callback no context.
    static TARGET: RefCell<Option<Target>> = const { RefCell::new(None) };
    static MUTATION: Cell<Mutation> = const { Cell::new(Mutation::Mixed) };
}

unsafe extern "C" {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8);

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn __sanitizer_cov_pcs_init(start: *const usize, end: *const usize);

    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        callback: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;

    fn LLVMFuzzerMutate(data: *mut u8, size: usize, max_size: usize) -> usize;
}

/// Runs libFuzzer's loop on `target` until the target ends the process.
///
/// `arguments` are libFuzzer's own, without a program name; those that begin with `-` are its flags, all
/// others are directories.
pub(super) fn fuzz(
    arguments: Vec<CString>,
    mutation: Mutation,
    target: impl FnMut(&[u8]) + 'static,
) -> ! {
    TARGET.set(Some(Box::new(target)));
    MUTATION.set(mutation);
    let mut argv: Vec<*mut c_char> =
        [c"lockstorm".to_owned()].into_iter().chain(arguments).map(CString::into_raw).collect();
    let mut argc = c_int::try_from(argv.len()).expect("a handful of arguments");
    argv.push(std::ptr::null_mut());
    let mut argv = argv.as_mut_ptr();
    // SAFETY: argc and argv are as for `main`: argc strings that live as long as the process, then NULL.
    let status = unsafe { LLVMFuzzerRunDriver(&raw mut argc, &raw mut argv, run_one) };
    std::process::exit(status)
}

/// libFuzzer's callback. A panic in it ends the process (`extern "C"` aborts), as it should: the harness
/// catches those of a driver.
extern "C" fn run_one(data: *const u8, size: usize) -> c_int {
    // SAFETY: libFuzzer passes `size` readable bytes, not NULL, that nobody changes during the call.
    let bytes = unsafe { std::slice::from_raw_parts(data, size) };
    TARGET.with_borrow_mut(|target| {
        if let Some(target) = target {
            target(bytes);
        }
    });
    0
}

/// libFuzzer's mutator: mostly [mutations of scenarios](mutate), now and then libFuzzer's own, which know
/// nothing of scenarios and so do what nobody thought of, among it the crossing of two inputs.
///
/// Every mutant is a whole scenario of today's format, so that no effort goes into versions and what enters
/// the corpus keeps its meaning when the format moves on. Never returns 0, which libFuzzer would take for a
/// failure.
#[unsafe(no_mangle)]
extern "C" fn LLVMFuzzerCustomMutator(
    data: *mut u8,
    size: usize,
    max_size: usize,
    seed: c_uint,
) -> usize {
    // SAFETY: libFuzzer passes `max_size` writable bytes that nobody else uses during the call.
    if let Some(size) = exchange::take(unsafe { std::slice::from_raw_parts_mut(data, max_size) }) {
        return size.max(1);
    }
    // SAFETY: as above, and `size` of them are set.
    unsafe { mutated(data, size, max_size, seed) }
}

/// Mutates in place, mostly as scenarios.
///
/// # Safety
///
/// `data` has `max_size` writable bytes that nobody else uses, `size` of them set.
unsafe fn mutated(data: *mut u8, size: usize, max_size: usize, seed: c_uint) -> usize {
    /// One mutation in so many is libFuzzer's own: the fewer, the more `benches/search` finds, but what nobody thought
    /// of needs some.
    const OWN_ONE_IN: c_uint = 16;
    let own = match MUTATION.get() {
        Mutation::Mixed => seed.is_multiple_of(OWN_ONE_IN),
        Mutation::Steps => false,
        Mutation::Bytes => true,
    };
    // SAFETY: the caller's promise.
    let size = if own { unsafe { LLVMFuzzerMutate(data, size, max_size) } } else { size };
    // SAFETY: the caller's promise.
    let buffer = unsafe { std::slice::from_raw_parts_mut(data, max_size) };
    if own { mutate::tidy(buffer, size) } else { mutate::mutate(buffer, size, seed.into()) }
}

/// libFuzzer's crossing of two inputs, which it asks for as often as for a mutation. Crossing that often finds less
/// than mutating, so that most calls mutate the first input.
#[unsafe(no_mangle)]
extern "C" fn LLVMFuzzerCustomCrossOver(
    first: *const u8,
    first_size: usize,
    second: *const u8,
    second_size: usize,
    out: *mut u8,
    max_size: usize,
    seed: c_uint,
) -> usize {
    /// One call in so many crosses.
    const CROSS_ONE_IN: c_uint = 4;
    // SAFETY: libFuzzer passes `max_size` writable bytes that nobody else uses during the call.
    let buffer = unsafe { std::slice::from_raw_parts_mut(out, max_size) };
    if let Some(size) = exchange::take(buffer) {
        return size.max(1);
    }
    // SAFETY: libFuzzer passes two inputs with their sizes.
    let (first, second) = unsafe {
        (
            std::slice::from_raw_parts(first, first_size),
            std::slice::from_raw_parts(second, second_size),
        )
    };
    if MUTATION.get() != Mutation::Bytes && (seed >> 8).is_multiple_of(CROSS_ONE_IN) {
        return mutate::cross(first, second, buffer, seed.into());
    }
    let size = first.len().min(max_size);
    buffer[..size].copy_from_slice(&first[..size]);
    // SAFETY: `out` is the buffer, of which `size` bytes are set.
    unsafe { mutated(out, size, max_size, seed) }
}
