//! The directories of an image: that each lies inside it, what the loader refuses, and the small ones read.

use std::ops::Range;

use object::LittleEndian as LE;
use object::pe;

use super::headers::Headers;
use super::memory::Memory;
use super::{Access, PeError, Section, inside};

/// One directory; an absent one has address and size 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) address: u32,
    pub(super) size: u32,
}

impl Directory {
    fn new((address, size): (u32, u32)) -> Self {
        if address == 0 || size == 0 { Directory::default() } else { Directory { address, size } }
    }

    /// It, unless it is absent.
    pub(super) fn present(self) -> Option<Self> {
        (self.address != 0).then_some(self)
    }
}

/// The directories that the loader looks at, and the bounds of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directories {
    pub(super) exports: Directory,
    pub(super) imports: Directory,
    pub(super) relocations: Directory,
    certificates: Directory,
    debug: Directory,
    thread_local: Directory,
    config: Directory,
    delay_imports: Directory,
    all: [Directory; pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES],
}

/// The names of the directories, by number.
const NAMES: [&str; pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES] = [
    "the export directory",
    "the import directory",
    "the resource directory",
    "the exception directory",
    "the certificate table",
    "the relocation directory",
    "the debug directory",
    "the architecture directory",
    "the global pointer",
    "the thread-local storage directory",
    "the load configuration",
    "the bound import directory",
    "the import address table",
    "the delay import directory",
    "the .NET directory",
    "the reserved directory",
];

impl Directories {
    pub(super) fn new(entries: &[(u32, u32); pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES]) -> Self {
        let all = entries.map(Directory::new);
        Directories {
            exports: all[pe::IMAGE_DIRECTORY_ENTRY_EXPORT],
            imports: all[pe::IMAGE_DIRECTORY_ENTRY_IMPORT],
            relocations: all[pe::IMAGE_DIRECTORY_ENTRY_BASERELOC],
            certificates: all[pe::IMAGE_DIRECTORY_ENTRY_SECURITY],
            debug: all[pe::IMAGE_DIRECTORY_ENTRY_DEBUG],
            thread_local: all[pe::IMAGE_DIRECTORY_ENTRY_TLS],
            config: all[pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG],
            delay_imports: all[pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT],
            all,
        }
    }
}

/// Checks that every directory lies inside a section or the headers, and the certificates inside the file.
pub(super) fn check(
    directories: &Directories,
    headers: &Headers,
    file_length: usize,
) -> Result<(), PeError> {
    for (index, directory) in directories.all.iter().enumerate() {
        let (address, size) = (u64::from(directory.address), u64::from(directory.size));
        if index == pe::IMAGE_DIRECTORY_ENTRY_SECURITY || directory.present().is_none() {
            continue;
        }
        if !inside(&headers.sections, address, size) && address + size > headers.size as u64 {
            return Err(PeError::Outside { what: NAMES[index].into(), address, size });
        }
    }
    // The one directory that says where in the file it is, because it is never mapped.
    let end =
        u64::from(directories.certificates.address) + u64::from(directories.certificates.size);
    if end > file_length as u64 {
        let what = NAMES[pe::IMAGE_DIRECTORY_ENTRY_SECURITY].into();
        return Err(PeError::Truncated { what, end, length: file_length as u64 });
    }
    Ok(())
}

/// Refuses what the kernel would not do for a driver.
pub(super) fn refuse(directories: &Directories, memory: &Memory) -> Result<(), PeError> {
    if let Some(directory) = directories.delay_imports.present() {
        return Err(PeError::DelayImports(directory.address));
    }
    if let Some(Directory { address, .. }) = directories.thread_local.present() {
        // AddressOfCallBacks is the fourth of its pointers.
        let callbacks = memory.word(address.saturating_add(24)).is_some_and(|pointer| pointer != 0);
        return Err(PeError::ThreadLocal { address, callbacks });
    }
    Ok(())
}

/// What the load configuration tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Config {
    pub(super) cookie: Option<u32>,
    pub(super) guards: Guards,
}

/// Where an image keeps its pointers to the Control Flow Guard's routines.
///
/// <https://learn.microsoft.com/windows/win32/secbp/pe-metadata>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// To the routine that checks a call's target and returns.
    pub check: Option<u32>,
    /// To the routine that checks a call's target and jumps there.
    pub dispatch: Option<u32>,
    /// As `check`, for calls whose type is checked, too.
    pub typed_check: Option<u32>,
    /// As `dispatch`, for calls whose type is checked, too.
    pub typed_dispatch: Option<u32>,
    /// As `typed_dispatch`, through a table.
    pub typed_table_dispatch: Option<u32>,
}

/// Reads the load configuration, of which every version is longer than the one before.
pub(super) fn config(
    directories: &Directories,
    headers: &Headers,
    memory: &Memory,
) -> Result<Config, PeError> {
    let Some(directory) = directories.config.present() else { return Ok(Config::default()) };
    // The directory's own idea of its size counts; the table's was wrong in old linkers.
    let size = memory
        .slice(directory.address, 4)
        .map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let field = |offset: u32, what: &'static str| -> Result<Option<u32>, PeError> {
        let value = if offset + 8 <= size {
            memory.word(directory.address.saturating_add(offset))
        } else {
            None
        };
        match value {
            None | Some(0) => Ok(None),
            Some(address) => slot(headers, address, what).map(Some),
        }
    };
    if field(0xc8, "the hybrid code metadata").is_ok_and(|metadata| metadata.is_none()) {
        Ok(Config {
            cookie: field(0x58, "the security cookie")?,
            guards: Guards {
                check: field(0x70, "the guard check pointer")?,
                dispatch: field(0x78, "the guard dispatch pointer")?,
                typed_check: field(0x118, "the typed guard check pointer")?,
                typed_dispatch: field(0x120, "the typed guard dispatch pointer")?,
                typed_table_dispatch: field(0x128, "the typed guard table dispatch pointer")?,
            },
        })
    } else {
        Err(PeError::Hybrid)
    }
}

/// The offset of eight bytes inside a section that a virtual address names.
fn slot(headers: &Headers, address: u64, what: &'static str) -> Result<u32, PeError> {
    let offset = address.wrapping_sub(headers.base);
    if inside(&headers.sections, offset, 8) {
        Ok(offset as u32)
    } else {
        Err(PeError::Outside { what: what.into(), address: offset, size: 8 })
    }
}

/// The program database (PDB) that was written beside an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeView {
    /// Its path on the machine where the image was linked.
    pub path: String,
    /// What it must have for an identity: a GUID as it lies in memory.
    pub guid: [u8; 16],
    /// How often it had been written.
    pub age: u32,
}

/// Finds the program database's name. What is wrong here only costs the names in reports, so it is no error.
pub(super) fn code_view(directories: &Directories, memory: &Memory) -> Option<CodeView> {
    let directory = directories.debug.present()?;
    let size = size_of::<pe::ImageDebugDirectory>() as u32;
    (0..directory.size / size).find_map(|index| {
        let entry: &pe::ImageDebugDirectory =
            memory.structure(directory.address.checked_add(index * size)?)?;
        let is_code_view = entry.typ.get(LE) == pe::IMAGE_DEBUG_TYPE_CODEVIEW;
        let data = memory.slice(entry.address_of_raw_data.get(LE), entry.size_of_data.get(LE))?;
        is_code_view.then(|| read_code_view(data)).flatten()
    })
}

fn read_code_view(data: &[u8]) -> Option<CodeView> {
    let rest = data.strip_prefix(b"RSDS")?;
    let (guid, rest) = rest.split_first_chunk::<16>()?;
    let (age, path) = rest.split_first_chunk::<4>()?;
    let length = path.iter().position(|&byte| byte == 0)?;
    let path = String::from_utf8_lossy(&path[..length]).into_owned();
    Some(CodeView { path, guid: *guid, age: u32::from_le_bytes(*age) })
}

/// SanitizerCoverage's sections, which clang's `-fsanitize-coverage=inline-8bit-counters,pc-table` makes.
///
/// Before and behind the counters and the table lie markers, a few bytes of zero that give their ends a name, in
/// the same section or, if the compiler that made them thought of other protections, in one of the same name. How
/// many counters there are, the table tells: each of its entries begins with an address, which is relocated.
///
/// <https://clang.llvm.org/docs/SanitizerCoverage.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The counters, a byte each.
    pub counters: Range<u32>,
    /// For each counter an address and flags, eight bytes each.
    pub table: Option<Range<u32>>,
}

/// Bytes of one entry of the table.
const ENTRY: u32 = 16;

/// Bytes of the marker before the counters; the compiler takes it to be so long.
const MARKER: u32 = 8;

impl Coverage {
    pub(super) fn find(sections: &[Section], relocations: &[u32]) -> Option<Self> {
        let counters = sections
            .iter()
            .filter(|section| section.name == ".SCOV" && section.access == Access::Write);
        let counters = counters.max_by_key(|section| section.size)?;
        let tables = sections.iter().filter(|section| section.name == ".SCOVP");
        let exact = tables
            .filter_map(|table| Self::match_up(counters, table, relocations))
            .max_by_key(|c| c.counters.len());
        // No table: then every byte may be a counter, unless there is room for the two markers only.
        let rough = || {
            (counters.size > 2 * MARKER)
                .then(|| Coverage { counters: counters.range(), table: None })
        };
        exact.or_else(rough)
    }

    /// Counters and table, if the table is one unbroken run of entries and there are as many counters.
    fn match_up(counters: &Section, table: &Section, relocations: &[u32]) -> Option<Self> {
        let range = table.range();
        let mut sites: Vec<u32> =
            relocations.iter().copied().filter(|site| range.contains(site)).collect();
        sites.sort_unstable();
        let first = *sites.first()?;
        let count = sites.len() as u32;
        let unbroken = sites.iter().zip(0..).all(|(site, index)| *site == first + index * ENTRY);
        let end = first + count * ENTRY;
        let spare = counters.size.checked_sub(count)?;
        let start = if spare < MARKER { counters.address } else { counters.address + MARKER };
        (unbroken && end <= range.end)
            .then(|| Coverage { counters: start..start + count, table: Some(first..end) })
    }
}
