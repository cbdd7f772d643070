//! Why a file cannot be loaded as a driver: data, rendered as one line that says what is wrong and where.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::pe::Import;
use crate::event::Cause;

/// Why the bytes of a file are not a driver that can run here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeError {
    /// Not a Windows executable at all.
    NotPe(&'static str),
    /// The file ends before something that its headers promise.
    Truncated {
        /// What is cut off.
        what: Cow<'static, str>,
        /// The file offset at which it should end.
        end: u64,
        /// The file's length in bytes.
        length: u64,
    },
    /// Compiled for a processor other than x86-64: the machine number of its header.
    Machine(u16),
    /// ARM64EC or ARM64X code that calls itself x86-64.
    Hybrid,
    /// A .NET assembly.
    Managed,
    /// An object file or an image that the linker left unfinished.
    Unlinked,
    /// An application, or firmware: the subsystem number of its header.
    Subsystem(u16),
    /// Header and file are at odds about the kind of optional header: its magic number.
    OptionalHeader(u16),
    /// More than the loader takes, or than makes sense.
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        count: u64,
        /// How much is taken.
        limit: u64,
    },
    /// The alignment of sections is less than a page, or no power of two.
    Alignment(u32),
    /// The header's base address is not one that an image can have.
    Base(u64),
    /// A section begins inside another, inside the headers, or not at a page.
    Overlap {
        /// The later section.
        section: String,
        /// Where it begins, from the image's base.
        address: u32,
        /// What it collides with.
        with: String,
    },
    /// Something lies outside the image, or outside what may hold it.
    Outside {
        /// What it is.
        what: Cow<'static, str>,
        /// Where it claims to be, from the image's base.
        address: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A section that is both writable and executable.
    WritableCode(String),
    /// No entry point.
    NoEntry,
    /// The entry point is not in code that the file holds.
    EntryOutsideCode(u32),
    /// It imports nothing, so it is packed or no driver.
    NoImports,
    /// A directory's contents make no sense.
    Malformed {
        /// What it is.
        what: Cow<'static, str>,
        /// Where it is, from the image's base.
        address: u32,
        /// What is wrong with it.
        why: Cow<'static, str>,
    },
    /// Delay-loaded imports, which the kernel does not have.
    DelayImports(u32),
    /// Thread-local storage, which the kernel does not have.
    ThreadLocal {
        /// Where its directory is.
        address: u32,
        /// Whether there are callbacks to run before the entry point.
        callbacks: bool,
    },
    /// A base relocation of a kind that x86-64 does not have.
    Relocation {
        /// Its kind.
        kind: u16,
        /// Where it applies.
        address: u32,
    },
}

impl fmt::Display for PeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPe(why) => write!(f, "not a Windows driver: {why}"),
            Self::Truncated { what, end, length } => {
                write!(f, "truncated: {what} ends at byte {end}, the file at byte {length}")
            }
            Self::Machine(machine) => write_machine(f, *machine),
            Self::Hybrid => {
                f.write_str("ARM64EC code: only drivers compiled for x86-64 can run here")
            }
            Self::Managed => f.write_str("a .NET assembly: only native drivers can run here"),
            Self::Unlinked => {
                f.write_str("not a finished image: the linker has not marked it as executable")
            }
            Self::Subsystem(number) => {
                let kind = subsystem(*number);
                write!(
                    f,
                    "{kind} (subsystem {number}), not a driver: a driver is linked with /subsystem:native"
                )
            }
            Self::OptionalHeader(magic) => {
                write!(f, "the optional header has magic {magic:#x}; a driver for x86-64 has 0x20b")
            }
            Self::TooMany { what, count, limit } => {
                write!(f, "{what}: {count}, the loader takes {limit}")
            }
            Self::Alignment(alignment) => write!(
                f,
                "sections are aligned to {alignment:#x} bytes; they need a power of two of at least 0x1000, so that each \
                 page can have its own protection"
            ),
            Self::Base(base) => {
                write!(f, "the header's base address {base:#x} is not one that an image can have")
            }
            Self::Overlap { section, address, with } => {
                write!(f, "section {section} at {address:#x} overlaps {with}")
            }
            Self::Outside { what, address, size } => {
                write!(f, "{what} at {address:#x} ({size} bytes) lies outside what may hold it")
            }
            Self::WritableCode(section) => {
                write!(
                    f,
                    "section {section} is both writable and executable: packed, or linked without care"
                )
            }
            Self::NoEntry => f.write_str("no entry point: link it with /entry:DriverEntry"),
            Self::EntryOutsideCode(entry) => {
                write!(f, "the entry point {entry:#x} is not in code that the file holds")
            }
            Self::NoImports => f.write_str("it imports nothing: packed, or not a driver"),
            Self::Malformed { what, address, why } => write!(f, "{what} at {address:#x}: {why}"),
            Self::DelayImports(address) => {
                write!(f, "delay-loaded imports at {address:#x}: the kernel does not load those")
            }
            Self::ThreadLocal { address, callbacks } => {
                let what = if *callbacks {
                    "thread-local storage callbacks"
                } else {
                    "thread-local storage"
                };
                write!(f, "{what} at {address:#x}: the kernel gives drivers none")
            }
            Self::Relocation { kind, address } => {
                write!(
                    f,
                    "base relocation of kind {kind} at {address:#x}: x86-64 has only kind 10 (DIR64)"
                )
            }
        }
    }
}

impl std::error::Error for PeError {}

/// Names the processor that a file is meant for.
fn write_machine(f: &mut fmt::Formatter<'_>, machine: u16) -> fmt::Result {
    let name = match machine {
        0x014c => "32-bit x86",
        0x01c0 | 0x01c2 | 0x01c4 => "32-bit ARM",
        0xaa64 => "ARM64",
        0xa641 => "ARM64EC",
        0xa64e => "ARM64X",
        0x0200 => "Itanium",
        0x0ebc => "EFI byte code",
        0x5032 | 0x5064 | 0x5128 => "RISC-V",
        _ => "an unknown processor",
    };
    write!(
        f,
        "compiled for {name} (machine {machine:#06x}): only drivers compiled for x86-64 can run here"
    )
}

/// Names a subsystem.
fn subsystem(number: u16) -> &'static str {
    match number {
        0 => "an image without a subsystem",
        2 => "an application with windows",
        3 => "a console application",
        8 => "a driver for Windows 9x",
        9 => "an application for Windows CE",
        10 => "an EFI application",
        11 => "an EFI boot service driver",
        12 => "an EFI runtime driver",
        13 => "an EFI ROM image",
        16 => "a boot application",
        _ => "an image of another subsystem",
    }
}

/// Why a driver could not be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    Read(PathBuf, io::Error),
    /// The file is not a driver that can run here.
    Pe(PeError),
    /// None of the addresses where an image may lie is free.
    NoAddress {
        /// The size of the image in bytes.
        size: usize,
    },
    /// It was linked without relocations, and no driver can lie at the address that it insists on.
    Immovable(u64),
    /// The system refused memory or a protection.
    Memory(&'static str, io::Error),
    /// Imports that have no counterpart here: all of them.
    Unresolved(Vec<Import>),
    /// DriverEntry failed.
    Entry(EntryError),
}

/// Why a driver did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryError {
    /// DriverEntry returned this NTSTATUS.
    Status(u32),
    /// It did not call StorPortInitialize.
    NeverInitialized,
    /// It called, at this place, a routine that needs an adapter.
    NeedsAdapter(String),
    /// It did what would have stopped Windows, or what has no model.
    Crashed {
        /// What it was.
        cause: Cause,
        /// Where.
        place: String,
        /// The routine without a model.
        routine: Option<&'static str>,
    },
    /// It asks for more memory of a kind than the machine has.
    TooLarge {
        /// The field of HW_INITIALIZATION_DATA.
        field: &'static str,
        /// How many bytes it asks for.
        bytes: u32,
        /// How many there can be.
        most: u32,
    },
    /// This routine of HW_INITIALIZATION_DATA is missing, or no code of the driver's.
    NoRoutine(&'static str),
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "DriverEntry returns {status:#010x}"),
            Self::NeverInitialized => {
                f.write_str("DriverEntry does not call StorPortInitialize: not a StorPort miniport")
            }
            Self::NeedsAdapter(place) => {
                write!(f, "DriverEntry calls a routine that needs an adapter, at {place}")
            }
            Self::Crashed { place, routine: Some(routine), .. } => {
                write!(f, "DriverEntry calls {routine}, which has no model, at {place}")
            }
            Self::Crashed { cause, place, routine: None } => {
                write!(f, "DriverEntry stops: {cause}, at {place}")
            }
            Self::TooLarge { field, bytes, most } => {
                write!(f, "{field} is {bytes} bytes; the machine has room for {most}")
            }
            Self::NoRoutine(routine) => {
                write!(f, "{routine} is missing, or no code of the driver's")
            }
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Pe(error) => error.fmt(f),
            Self::NoAddress { size } => write!(
                f,
                "none of the addresses for drivers is free for {size} bytes (AddressSanitizer keeps them all: build without it)"
            ),
            Self::Immovable(base) => {
                write!(
                    f,
                    "linked without relocations for address {base:#x}, where no driver can lie here: link it with /fixed:no"
                )
            }
            Self::Memory(what, error) => write!(f, "{what}: {error}"),
            Self::Unresolved(imports) => write_unresolved(f, imports),
            Self::Entry(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(_, error) | Self::Memory(_, error) => Some(error),
            Self::Pe(error) => Some(error),
            Self::NoAddress { .. } | Self::Immovable(_) | Self::Unresolved(_) | Self::Entry(_) => {
                None
            }
        }
    }
}

impl From<PeError> for LoadError {
    fn from(error: PeError) -> Self {
        Self::Pe(error)
    }
}

/// Lists every import without a counterpart.
fn write_unresolved(f: &mut fmt::Formatter<'_>, imports: &[Import]) -> fmt::Result {
    let count = imports.len();
    let plural = if count == 1 { "import has" } else { "imports have" };
    write!(f, "{count} {plural} no counterpart here:")?;
    for (index, import) in imports.iter().enumerate() {
        let separator = if index == 0 { " " } else { ", " };
        write!(f, "{separator}{import}")?;
    }
    Ok(())
}
