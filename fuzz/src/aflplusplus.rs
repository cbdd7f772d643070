//! The targets under AFL++: persistent mode, with the fork server started once the target has been made.
//!
//! Lock-state coverage has places of its own in AFL's map, beside the compiler's edges. They are asked for as the
//! compiler asks for its own: a number for each counter, in the section in which AFL's runtime numbers what it
//! finds before the fork server starts. So the map grows by as much, and no counter shares its place with an edge.

use std::cell::RefCell;
use std::ptr::NonNull;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

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
    /// AFL's map, once it is known.
    map: Option<NonNull<u8>>,
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
    STATE.set(Some(State { runner, map: None, unread: vec![0; places] }));
    // Without AFL's hook, which would end the process at a driver's panic: that is a finding, and the machine's. Every
    // other panic comes out of the target, and ends the process all the same.
    afl::fuzz(false, |bytes| STATE.with_borrow_mut(|state| step(state.as_mut(), bytes)));
}

/// Runs one input. AFL sees the edges of the run alone: those of the loop around it differ in its first turn, and
/// those that settle the machine depend on the input before.
fn step(state: Option<&mut State>, bytes: &[u8]) {
    let Some(State { runner, map, unread }) = state else { return };
    // SAFETY: this process has one thread; AFL's runtime has set its map before the first input, and both maps have
    // all places.
    *map = Some(unsafe { look(*map, unread.len()) });
    runner.run_or_abort(bytes);
    if let Some(counters) = runner.coverage() {
        // SAFETY: AFL's runtime has filled in the places before `main`, and its map has them.
        unsafe { publish(counters) };
    }
    // SAFETY: as above.
    unsafe { __afl_area_ptr = unread.as_mut_ptr() };
    runner.settle();
}

/// From here on edges are written to AFL's map, which is `map` but for the first time.
///
/// # Safety
///
/// AFL's runtime has set its map, which has `places` places, and no other thread runs.
#[inline(never)]
unsafe fn look(map: Option<NonNull<u8>>, places: usize) -> NonNull<u8> {
    // SAFETY: the caller's promise.
    unsafe {
        // Before the first input the loop's own edges went to AFL's map. There is no branch behind the clearing, so
        // that none is seen in the first turn alone.
        let (map, unwanted) = match map {
            Some(map) => (map, 0),
            None => (NonNull::new_unchecked(__afl_area_ptr), places),
        };
        __afl_area_ptr = map.as_ptr();
        map.write_bytes(0, unwanted);
        // AFL's mark of a map that was written.
        map.write(1);
        map
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

/// Counts an edge in AFL's map, as AFL's runtime does: a count that comes round is 1 again. In the runtime it is a function
/// that is called at every edge; link-time optimisation, which comes after instrumentation, leaves a few
/// instructions of this one. The compiler instruments no function whose name begins like this.
///
/// # Safety
///
/// The guard is one of the compiler's.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_trace_pc_guard(guard: *mut u32) {
    // SAFETY: AFL's runtime keeps in its guards places of its map. Atomic, though there is one thread, because checked
    // builds look at every other pointer before they use it.
    unsafe {
        let place = AtomicU32::from_ptr(guard).load(Relaxed);
        let count = AtomicU8::from_ptr(__afl_area_ptr.wrapping_add(place as usize));
        let next = count.load(Relaxed).wrapping_add(1);
        count.store(next | u8::from(next == 0), Relaxed);
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
