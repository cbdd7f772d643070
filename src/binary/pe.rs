//! A driver's file, checked: what the loader needs to know of a `.sys`, or one line that says why it cannot run.
//!
//! Any bytes give an answer. The file is laid out once as Windows would lay it out in memory, sections at their
//! addresses and zeros between them, and everything else (imports, relocations, ...) is read from that
//! [`Memory`], where a bad address is an error and never a wild read. Addresses in here are offsets from the
//! image's base (RVAs) unless they are called virtual.
//!
//! The format is that of <https://learn.microsoft.com/windows/win32/debug/pe-format>. Checksums, signatures and
//! bound imports are not looked at: they decide whether Windows trusts a file, not what it does.
//!
//! Initialisers in a `.CRT` section are listed but never run, because Windows runs none for a driver either: a
//! driver that has some calls them from its own entry point. The usual ones are SanitizerCoverage's, and what
//! they would register, [`Coverage`] finds.

mod directories;
mod headers;
mod memory;
mod tables;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

pub use self::directories::{CodeView, Coverage, Guards};
pub use self::memory::Memory;
use super::error::LoadError;
pub use super::error::PeError;

/// Bytes of a page; each has its own protection.
pub const PAGE: u32 = 4096;

/// The largest image that is taken. Storage drivers have a few hundred KiB; 64 MiB leaves room for debug sections.
pub const IMAGE_MAX: u32 = 64 << 20;

/// The longest file that is taken: an image and its signatures and unmapped debug sections.
const FILE_MAX: u64 = 4 * IMAGE_MAX as u64;

/// A driver's file, checked and laid out.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pe {
    /// The virtual address that the file is linked for.
    pub preferred_base: u64,
    /// Whether it can lie elsewhere, too.
    pub movable: bool,
    /// Where it begins to run: `DriverEntry`, or the linker's wrapper of it.
    pub entry: u32,
    /// The sections in ascending order; no two share a page.
    pub sections: Vec<Section>,
    /// Where an address must be moved with the image, in the file's order; eight bytes each.
    pub relocations: Vec<u32>,
    /// What it needs from others, in the file's order; at least one.
    pub imports: Vec<Import>,
    /// What it offers to others.
    pub exports: Vec<Export>,
    /// Where the cookie is that guards its stack frames.
    pub cookie: Option<u32>,
    /// Where its pointers to the Control Flow Guard's routines are.
    pub guards: Guards,
    /// The routines that the `.CRT` section names; nobody runs them.
    pub initialisers: Vec<u32>,
    /// SanitizerCoverage's counters, if it is compiled with them.
    pub coverage: Option<Coverage>,
    /// The program database that belongs to it.
    pub code_view: Option<CodeView>,
    /// The image before relocation, as long as the image in memory.
    pub memory: Memory,
}

/// What may be done with a section's memory: never both writing and executing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Constants.
    Read,
    /// Variables.
    Write,
    /// Code.
    Execute,
}

/// One section of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, anything unprintable escaped.
    pub name: String,
    /// Where it begins: at a page.
    pub address: u32,
    /// Bytes in memory; at least one.
    pub size: u32,
    /// The bytes of the file that fill its beginning.
    pub file: Range<usize>,
    /// What may be done with it.
    pub access: Access,
    /// Whether Windows throws it away after `DriverEntry`: it is marked so, and so is all that lies behind it.
    pub discardable: bool,
}

impl Section {
    /// The addresses that it takes.
    pub fn range(&self) -> Range<u32> {
        self.address..self.address + self.size
    }

    /// The pages that it takes.
    pub fn pages(&self) -> Range<u32> {
        self.address..(self.address + self.size).next_multiple_of(PAGE)
    }

    /// The addresses that hold bytes of the file.
    pub fn filled(&self) -> Range<u32> {
        self.address..self.address + self.file.len() as u32
    }
}

/// One thing that the driver needs from another module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module's file name as the driver spells it: `storport.sys`.
    pub library: String,
    /// Which of its exports.
    pub symbol: Symbol,
    /// Where the driver expects its address: eight bytes.
    pub slot: u32,
}

/// How an export is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// By name.
    Name(String),
    /// By number.
    Ordinal(u16),
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.symbol {
            Symbol::Name(name) => write!(f, "{}!{name}", self.library),
            Symbol::Ordinal(ordinal) => write!(f, "{}!#{ordinal}", self.library),
        }
    }
}

/// One thing that the driver offers to other modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its number.
    pub ordinal: u16,
    /// Where it is.
    pub address: u32,
}

impl Pe {
    /// Reads a driver's file, checks it and lays it out.
    ///
    /// # Errors
    ///
    /// [`LoadError::Read`] if it cannot be read, [`LoadError::Pe`] if it cannot run here.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let unreadable = |error| LoadError::Read(path.to_owned(), error);
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        let length = file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)? as u64;
        if length > FILE_MAX {
            return Err(
                PeError::TooMany { what: "bytes of file", count: length, limit: FILE_MAX }.into()
            );
        }
        Ok(Self::parse(&bytes)?)
    }

    /// Checks a file's bytes and lays them out.
    ///
    /// # Errors
    ///
    /// The first thing found that keeps the file from running here.
    pub fn parse(bytes: &[u8]) -> Result<Self, PeError> {
        let headers = headers::read(bytes)?;
        let memory = Memory::lay_out(bytes, &headers);
        let directories = headers.directories;
        directories::check(&directories, &headers, bytes.len())?;
        directories::refuse(&directories, &memory)?;
        let relocations = tables::relocations(&directories, &headers.sections, &memory)?;
        let imports = tables::imports(&directories, &headers.sections, &memory)?;
        let exports = tables::exports(&directories, &memory)?;
        let config = directories::config(&directories, &headers, &memory)?;
        let pe = Pe {
            preferred_base: headers.base,
            movable: headers.movable,
            entry: headers.entry,
            initialisers: tables::initialisers(&headers, &relocations, &memory),
            coverage: Coverage::find(&headers.sections, &relocations),
            code_view: directories::code_view(&directories, &memory),
            sections: headers.sections,
            relocations,
            imports,
            exports,
            cookie: config.cookie,
            guards: config.guards,
            memory,
        };
        pe.check_entry()?;
        Ok(pe)
    }

    /// Bytes of the image in memory: a multiple of [`PAGE`].
    pub fn size(&self) -> u32 {
        self.memory.size()
    }

    /// The section that holds `address`.
    pub fn section(&self, address: u32) -> Option<&Section> {
        self.sections.iter().find(|section| section.range().contains(&address))
    }

    fn check_entry(&self) -> Result<(), PeError> {
        if self.entry == 0 {
            return Err(PeError::NoEntry);
        }
        let code = self.section(self.entry).filter(|section| section.access == Access::Execute);
        match code {
            Some(section) if section.filled().contains(&self.entry) => Ok(()),
            _ => Err(PeError::EntryOutsideCode(self.entry)),
        }
    }
}

/// Whether `size` bytes at `address` lie in one of `sections`.
fn inside(sections: &[Section], address: u64, size: u64) -> bool {
    let Some(end) = address.checked_add(size) else { return false };
    sections.iter().any(|section| {
        let range = section.range();
        u64::from(range.start) <= address && end <= u64::from(range.end)
    })
}
