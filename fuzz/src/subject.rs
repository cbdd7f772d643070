//! What libFuzzer sees of the compiler's coverage and of the lock-state coverage: what a run says of the driver.
//!
//! The compiler counts the branches of all code alike. Four in five that a run takes are the machine's, the device
//! model's and the rules'. Each of them costs libFuzzer more time than the machine needs for a DDI call, and which it
//! was says little that lock-state coverage does not say better. So their counters go back to zero
//! after each run, before libFuzzer looks at them; and so do those of the driver and of its locks that stand where
//! a life in which nothing happens leaves them ([`Known`]).

use std::fs;
use std::slice;

use lockstorm::coverage::CoverageMap;
use object::{Object, ObjectSymbol, SymbolKind};

use crate::known::Known;
use crate::rows::{self, Row};

/// What the names of the cores' functions, and of those made for a core, have in common.
const DRIVER: &str = "8miniport";

/// An entry of the compiler's table beside the counters: the counter with the same number is for the branch there.
#[repr(C)]
struct Place {
    address: usize,
    _flags: usize,
}

/// Where the linker gathers the counters and their places.
#[repr(C)]
struct Bounds {
    counters: *mut u8,
    places: *const Place,
    places_end: *const Place,
}

// In assembly, because the compiler's instrumentation declares the same names in each module: a module that
// declares them itself would make it take others, which the linker knows nothing of.
core::arch::global_asm!(
    ".pushsection .data.rel.ro.lockstorm_coverage, \"aw\"",
    ".balign 8",
    ".globl lockstorm_coverage",
    "lockstorm_coverage:",
    ".quad __start___sancov_cntrs",
    ".quad __start___sancov_pcs",
    ".quad __stop___sancov_pcs",
    ".popsection",
);

unsafe extern "C" {
    #[link_name = "lockstorm_coverage"]
    static BOUNDS: Bounds;
    /// Its address is known here and in the file, which gives how far apart the two are.
    fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32;
}

/// What of a run libFuzzer is not to see.
#[derive(Debug)]
pub(crate) struct Hidden {
    /// Counters of the compiler that are not the driver's.
    others: Vec<Row>,
    known: Known,
    known_locks: Known,
}

impl Hidden {
    /// Looks through the symbols of this program; of one that has none everything is shown.
    pub(crate) fn find() -> Option<Hidden> {
        let functions = functions().filter(|functions| !functions.is_empty())?;
        Some(Hidden {
            others: rows::others(&functions, places().iter().map(|place| place.address)),
            known: Known::default(),
            known_locks: Known::default(),
        })
    }

    /// Learns what `life`, in which nothing happens, does. It returns the lock-state coverage, which was clear.
    pub(crate) fn learn<'a>(&mut self, life: impl FnOnce() -> &'a mut CoverageMap) {
        clear(&[(0, places().len())]);
        let locks = life();
        clear(&self.others);
        // SAFETY: the table of places is as long as the counters, and this copy is all that looks at them now.
        let counters = unsafe { slice::from_raw_parts(BOUNDS.counters, places().len()) }.to_vec();
        self.known.learn(&counters);
        self.known_locks.learn(&locks.0);
        locks.clear();
    }

    /// Sets it to zero. To be called between runs.
    pub(crate) fn clear(&self, locks: &mut CoverageMap) {
        // SAFETY: both tables are as long as those that were learned from; nobody but libFuzzer and instrumented code
        // touches them, on this, the only thread.
        unsafe {
            self.known.hide(BOUNDS.counters);
            self.known_locks.hide(locks.0.as_mut_ptr());
        }
        // Last, because what was called here has been counted, too.
        clear(&self.others);
    }
}

fn clear(rows: &[Row]) {
    for &(first, count) in rows {
        // SAFETY: the table of places is as long as the counters; instrumented code, which is all that touches
        // these bytes beside libFuzzer, is in no middle of counting on this, the only thread.
        unsafe { BOUNDS.counters.add(first).write_bytes(0, count) };
    }
}

/// The places of all counters.
fn places() -> &'static [Place] {
    // SAFETY: the linker gathers the table between the two; nobody writes to it.
    unsafe {
        let count = BOUNDS.places_end.offset_from_unsigned(BOUNDS.places);
        slice::from_raw_parts(BOUNDS.places, count)
    }
}

/// The functions of this program by address, each with whether it is the driver's; `None` if nothing is known.
fn functions() -> Option<Vec<(usize, bool)>> {
    let bytes = fs::read("/proc/self/exe").ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let known = file.symbol_by_name("LLVMFuzzerTestOneInput")?.address() as usize;
    let here = LLVMFuzzerTestOneInput as *const () as usize;
    let text = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    let mut functions: Vec<_> = text
        .map(|symbol| {
            let address = (symbol.address() as usize).wrapping_sub(known).wrapping_add(here);
            (address, symbol.name().is_ok_and(|name| name.contains(DRIVER)))
        })
        .collect();
    functions.sort_unstable();
    Some(functions)
}
