//! The targets under AFL++: persistent mode, with the fork server started once the target has been made.
//!
//! Lock-state coverage has places of its own in AFL's map, beside the compiler's edges. They are asked for as the
//! compiler asks for its own: a number for each counter, in the section in which AFL's runtime numbers what it
//! finds before the fork server starts. So the map grows by as much, and no counter shares its place with an edge.

use std::cell::RefCell;

use lockstorm::coverage::{COUNTERS, CoverageMap};
use lockstorm::targets::{Runner, Target};

/// The place of each counter in AFL's map, filled in by AFL's runtime.
#[unsafe(link_section = "__sancov_guards")]
#[used]
static mut PLACES: [u32; COUNTERS] = [0; COUNTERS];

static mut MAP: CoverageMap = CoverageMap::new();

unsafe extern "C" {
    /// AFL's map.
    static mut __afl_area_ptr: *mut u8;
    /// Places that are given out.
    static __afl_final_loc: u32;
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

struct State {
    runner: Runner,
    /// A map that nobody reads, as large as AFL's.
    unread: Vec<u8>,
}

/// Fuzzes a target until AFL++ ends the process; without AFL++ runs standard input once. To be called once.
pub fn fuzz(target: Target) {
    let map = &raw mut MAP;
    // SAFETY: this is called once in a process, so that no other reference exists.
    let runner = Runner::new(target, unsafe { &mut *map });
    // SAFETY: AFL's runtime has given out all places before `main`.
    let places = unsafe { __afl_final_loc } as usize + 1;
    STATE.set(Some(State { runner, unread: vec![0; places] }));
    // The target sees to panics itself: those of a driver are findings, all others end the process.
    afl::fuzz(true, |bytes| STATE.with_borrow_mut(|state| step(state.as_mut(), bytes)));
}

fn step(state: Option<&mut State>, bytes: &[u8]) {
    let Some(State { runner, unread }) = state else { return };
    runner.run_or_abort(bytes);
    if let Some(map) = runner.coverage() {
        // SAFETY: AFL's runtime has filled in the places before `main`, and its map has them.
        unsafe { publish(map) };
    }
    // SAFETY: this process has one thread, and `unread` has all places.
    unsafe { unseen(unread, || runner.settle()) };
}

/// Runs code whose edges AFL does not see: they go to `unread`.
///
/// # Safety
///
/// `unread` has all places, and no other thread runs instrumented code.
unsafe fn unseen(unread: &mut [u8], code: impl FnOnce()) {
    // SAFETY: the caller's promise; `code` cannot unwind past this, because panics end the process.
    unsafe {
        let map = __afl_area_ptr;
        __afl_area_ptr = unread.as_mut_ptr();
        code();
        __afl_area_ptr = map;
    }
}

/// Copies the counters that are not zero to their places.
///
/// # Safety
///
/// AFL's runtime has been initialised.
unsafe fn publish(map: &CoverageMap) {
    let places = (&raw const PLACES).cast::<u32>();
    let words = map.0.chunks_exact(8).enumerate();
    for (word, counters) in words.filter(|(_, counters)| **counters != [0; 8]) {
        for (byte, &count) in counters.iter().enumerate().filter(|(_, count)| **count != 0) {
            // SAFETY: the place is one of AFL's map; see the function.
            unsafe { *__afl_area_ptr.add(places.add(word * 8 + byte).read() as usize) = count };
        }
    }
}

/// Makes a fuzz target of a [`Target`](crate::Target).
#[macro_export]
macro_rules! target {
    ($target:ident) => {
        fn main() {
            $crate::fuzz($crate::Target::$target);
        }
    };
}
