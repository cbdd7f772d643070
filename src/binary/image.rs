//! A driver in memory: mapped at a fixed address, relocated, bound, protected, and brought back to its snapshot
//! between runs.
//!
//! After the snapshot every page of the driver's variables is read-only. The first write to one faults, and the
//! fault handler asks [`Image::touched`], which makes it writable and remembers it; from then on
//! [`Image::restore`] copies it back. So a run pays for the pages that the driver uses and for no other, and a
//! driver with a megabyte of tables costs no more than one with a page of flags. Coverage counters are the
//! engine's and stay out of it.

mod mapping;
mod snapshot;

use std::arch::naked_asm;
use std::ops::Range;
use std::ptr::NonNull;

use self::mapping::Mapping;
use self::snapshot::Snapshot;
use super::error::LoadError;
use super::pe::{Access, Guards, Import, PAGE, Pe, Section};

/// The first address for drivers. Linux places nothing here by itself, and it is far enough from 4 GiB that no
/// truncated pointer is by accident a good one.
pub const BASE: usize = 0x1_8000_0000;

/// How far apart the addresses for drivers are: 1 GiB. All are multiples of it, so that an address' offset in its
/// image is a remainder.
pub const STEP: usize = 1 << 30;

/// How many there are.
const STEPS: usize = 64;

/// What guards a driver's stack frames here. Windows draws it at random, which would differ from run to run; it
/// must not be the linker's default, which drivers take for "nobody set me". The upper 16 bits are zero, as
/// Windows has them.
const COOKIE: u64 = 0x0000_6c6f_636b_7374;

/// Where an image is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At the first free one of the addresses for drivers, so that pointers are the same in every run.
    Fixed,
    /// At exactly this address, a multiple of [`PAGE`].
    At(usize),
    /// Wherever there is room: to look at, not to run.
    Anywhere,
}

/// One entry of SanitizerCoverage's table, as the compiler lays it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CoveragePoint {
    /// The address of the code that the counter of the same index counts.
    pub address: usize,
    /// Bit 0: it is a function's entry.
    pub flags: usize,
}

/// A driver in memory. Dropping it unmaps it.
#[derive(Debug)]
pub struct Image {
    mapping: Mapping,
    sections: Vec<Section>,
    imports: Vec<Import>,
    entry: u32,
    counters: Option<Range<u32>>,
    points: Option<Range<u32>>,
    snapshot: Option<Snapshot>,
}

impl Image {
    /// Maps a driver and relocates it. Nothing of it can run before [`bind`](Self::bind).
    ///
    /// # Errors
    ///
    /// There is no free address for it, or no memory.
    pub fn map(pe: &Pe, placement: Placement) -> Result<Self, LoadError> {
        let mut mapping = reserve(pe, placement)?;
        for section in &pe.sections {
            let filled = section.filled();
            mapping.write(
                filled.start,
                &pe.memory.bytes()[filled.start as usize..filled.end as usize],
            );
        }
        let headers_end = pe.sections.first().map_or(pe.size(), |section| section.address);
        mapping.write(0, &pe.memory.bytes()[..headers_end as usize]);
        relocate(&mut mapping, pe);
        if let Some(cookie) = pe.cookie {
            mapping.write(cookie, &COOKIE.to_le_bytes());
        }
        point_guards(&mut mapping, &pe.guards);
        Ok(Image {
            mapping,
            sections: pe.sections.clone(),
            imports: pe.imports.clone(),
            entry: pe.entry,
            counters: pe.coverage.as_ref().map(|coverage| coverage.counters.clone()),
            points: pe.coverage.as_ref().and_then(|coverage| coverage.table.clone()),
            snapshot: None,
        })
    }

    /// Gives every import its address and puts the sections' protections in force: from now on it can run.
    /// `resolve` must give addresses of win64 functions, or of data for imported variables.
    ///
    /// # Errors
    ///
    /// [`LoadError::Unresolved`] with every import for which `resolve` has nothing, each named once;
    /// [`LoadError::Memory`] if a protection is refused.
    pub fn bind(
        &mut self,
        mut resolve: impl FnMut(&Import) -> Option<usize>,
    ) -> Result<(), LoadError> {
        let mut unresolved: Vec<Import> = Vec::new();
        for import in &self.imports {
            match resolve(import) {
                Some(address) => self.mapping.write(import.slot, &address.to_le_bytes()),
                None if unresolved.iter().any(|known| same(known, import)) => {}
                None => unresolved.push(import.clone()),
            }
        }
        if !unresolved.is_empty() {
            return Err(LoadError::Unresolved(unresolved));
        }
        self.protect()
    }

    /// Remembers the variables as they are, to come back to them before every run, and takes away what Windows
    /// throws away once `DriverEntry` has returned.
    ///
    /// # Errors
    ///
    /// [`LoadError::Memory`] if a protection is refused.
    pub fn snapshot(&mut self) -> Result<(), LoadError> {
        let counters = self.counters.clone();
        let variables = self
            .sections
            .iter()
            .filter(|section| section.access == Access::Write && !section.discardable);
        let variables = variables.filter(|section| {
            counters.as_ref().is_none_or(|c| !section.range().contains(&c.start))
        });
        let pages: Vec<Range<u32>> = variables.map(Section::pages).collect();
        for discarded in self.sections.iter().filter(|section| section.discardable) {
            self.mapping.protect(discarded.pages(), libc::PROT_NONE)?;
        }
        self.snapshot = Some(Snapshot::take(&self.mapping, &pages)?);
        Ok(())
    }

    /// Brings the variables back to the snapshot; a page that was never written costs nothing.
    ///
    /// # Safety
    ///
    /// No code of the driver is running, or will go on where it stopped.
    pub unsafe fn restore(&self) {
        if let Some(snapshot) = &self.snapshot {
            // SAFETY: as the caller promises.
            unsafe { snapshot.restore(&self.mapping) }
        }
    }

    /// Asks whether a fault at `address` is the first write to a page of variables. If so the page is writable
    /// now, and the instruction can simply be tried again. Safe to call in a signal handler.
    pub fn touched(&self, address: usize) -> bool {
        match (&self.snapshot, self.offset(address)) {
            (Some(snapshot), Some(offset)) => snapshot.touch(&self.mapping, offset),
            _ => false,
        }
    }

    /// How many pages [`restore`](Self::restore) copies.
    pub fn touched_pages(&self) -> usize {
        self.snapshot.as_ref().map_or(0, Snapshot::touched)
    }

    /// The address of offset 0.
    pub fn base(&self) -> usize {
        self.mapping.base()
    }

    /// The addresses that the image takes, gaps between sections included.
    pub fn range(&self) -> Range<usize> {
        self.base()..self.base() + self.mapping.size()
    }

    /// Whether `address` lies in the image.
    pub fn contains(&self, address: usize) -> bool {
        self.range().contains(&address)
    }

    /// How far `address` is from the base, if it lies in the image.
    pub fn offset(&self, address: usize) -> Option<u32> {
        self.contains(address).then(|| (address - self.base()) as u32)
    }

    /// The address of the driver's entry point, a win64 function.
    pub fn entry(&self) -> usize {
        self.base() + self.entry as usize
    }

    /// Whether `address` lies in code that may run.
    pub fn executable(&self, address: usize) -> bool {
        self.holds(address, 1, |section| section.access == Access::Execute)
    }

    /// Whether `length` bytes at `address` lie in a section and can be read.
    pub fn readable(&self, address: usize, length: usize) -> bool {
        self.holds(address, length, |_| true)
    }

    /// Whether `length` bytes at `address` lie in variables. If so they count as written from here on, so that a
    /// store by the machine's own code does not fault.
    pub fn writable(&self, address: usize, length: usize) -> bool {
        if !self.holds(address, length, |section| section.access == Access::Write) {
            return false;
        }
        let (first, last) = (address & !(PAGE as usize - 1), address + length.max(1) - 1);
        for page in (first..=last).step_by(PAGE as usize) {
            // Pages of counters and pages that are writable already have nothing to be marked.
            let _ = self.touched(page);
        }
        true
    }

    /// SanitizerCoverage's counters, a byte each, writable as long as the image lives.
    pub fn counters(&self) -> Option<NonNull<[u8]>> {
        let range = self.counters.clone()?;
        let start = NonNull::new(self.mapping.pointer(range.start))?;
        Some(NonNull::slice_from_raw_parts(start, range.len()))
    }

    /// What each counter counts; as many as there are counters.
    pub fn points(&self) -> Option<NonNull<[CoveragePoint]>> {
        let range = self.points.clone()?;
        let start = NonNull::new(self.mapping.pointer(range.start).cast::<CoveragePoint>())?;
        start
            .is_aligned()
            .then(|| NonNull::slice_from_raw_parts(start, range.len() / size_of::<CoveragePoint>()))
    }

    /// Whether one section that `wanted` accepts and that is still there holds these addresses.
    fn holds(&self, address: usize, length: usize, wanted: impl Fn(&Section) -> bool) -> bool {
        let Some(start) = self.offset(address) else { return false };
        let Some(end) = (start as usize).checked_add(length) else { return false };
        let there = |section: &&Section| !(section.discardable && self.snapshot.is_some());
        let mut sections = self.sections.iter().filter(there);
        sections.any(|section| {
            let pages = section.pages();
            pages.contains(&start) && end <= pages.end as usize && wanted(section)
        })
    }

    /// Headers are constants, every section is what it says, and what lies between is nothing.
    fn protect(&self) -> Result<(), LoadError> {
        let headers_end = self.sections.first().map_or(0, |section| section.address);
        self.mapping.protect(0..self.mapping.size() as u32, libc::PROT_NONE)?;
        self.mapping.protect(0..headers_end, libc::PROT_READ)?;
        for section in &self.sections {
            let protection = match section.access {
                Access::Read => libc::PROT_READ,
                Access::Write => libc::PROT_READ | libc::PROT_WRITE,
                Access::Execute => libc::PROT_READ | libc::PROT_EXEC,
            };
            self.mapping.protect(section.pages(), protection)?;
        }
        Ok(())
    }
}

/// Does everything that loading a driver does short of running it: checks the file, maps it, relocates and binds
/// it, and takes, touches and restores a snapshot. What the loader's fuzz target calls, on any bytes.
///
/// # Errors
///
/// What [`Pe::parse`], [`Image::map`], [`Image::bind`] or [`Image::snapshot`] say.
pub fn rehearse(bytes: &[u8]) -> Result<(), LoadError> {
    let pe = Pe::parse(bytes)?;
    let mut image = Image::map(&pe, Placement::Anywhere)?;
    image.bind(|_| Some(unbound as *const () as usize))?;
    image.snapshot()?;
    for section in pe.sections.iter().filter(|section| section.access == Access::Write) {
        let _ = image.writable(image.base() + section.address as usize, section.size as usize);
    }
    // SAFETY: no code of the driver has run.
    unsafe { image.restore() };
    Ok(())
}

/// What a rehearsed driver is bound to; it is never called.
extern "win64" fn unbound() {}

fn same(one: &Import, other: &Import) -> bool {
    one.symbol == other.symbol && one.library.eq_ignore_ascii_case(&other.library)
}

/// Finds an address for an image.
fn reserve(pe: &Pe, placement: Placement) -> Result<Mapping, LoadError> {
    let size = pe.size() as usize;
    let preferred = pe.preferred_base as usize;
    let immovable = || LoadError::Immovable(pe.preferred_base);
    if !pe.movable && placement == Placement::Fixed {
        let mapping =
            if preferred.is_multiple_of(STEP) { Mapping::at(preferred, size)? } else { None };
        return mapping.ok_or_else(immovable);
    }
    match placement {
        Placement::Anywhere => Mapping::anywhere(size),
        Placement::At(address) if !pe.movable && address != preferred => Err(immovable()),
        Placement::At(address) => Mapping::at(address, size)?.ok_or(LoadError::NoAddress { size }),
        Placement::Fixed => {
            for step in 0..STEPS {
                if let Some(mapping) = Mapping::at(BASE + step * STEP, size)? {
                    return Ok(mapping);
                }
            }
            Err(LoadError::NoAddress { size })
        }
    }
}

/// Adds to every address in the image how far the image lies from where it was linked for.
fn relocate(mapping: &mut Mapping, pe: &Pe) {
    let distance = (mapping.base() as u64).wrapping_sub(pe.preferred_base);
    for &site in &pe.relocations {
        let word = mapping.word(site).wrapping_add(distance);
        mapping.write(site, &word.to_le_bytes());
    }
}

/// Points the Control Flow Guard's pointers to routines that let every call through.
fn point_guards(mapping: &mut Mapping, guards: &Guards) {
    let check = guard_check as *const () as usize;
    let dispatch = guard_dispatch as *const () as usize;
    let slots = [
        (guards.check, check),
        (guards.typed_check, check),
        (guards.dispatch, dispatch),
        (guards.typed_dispatch, dispatch),
        (guards.typed_table_dispatch, dispatch),
    ];
    for (slot, routine) in slots {
        if let Some(slot) = slot {
            mapping.write(slot, &routine.to_le_bytes());
        }
    }
}

/// Checks a call's target, which lies in `rcx`; every register must survive.
#[unsafe(naked)]
extern "win64" fn guard_check() {
    naked_asm!("ret")
}

/// Checks a call's target, which lies in `rax`, and goes there; every other register must survive.
#[unsafe(naked)]
extern "win64" fn guard_dispatch() {
    naked_asm!("jmp rax")
}
