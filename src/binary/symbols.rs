//! Names for addresses in a driver: function, file and line from the program database beside it or from DWARF
//! inside it, else module and offset.
//!
//! Nothing is read before the first question, and whatever is wrong with the debugging information only costs
//! the names.

use std::fmt;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use object::read::pe::PeFile64;
use object::{Object, ObjectSection};
use pdb_addr2line::pdb::PDB;
use pdb_addr2line::{ContextPdbData, TypeFormatterFlags};

use super::pe::{CodeView, Pe};

/// Where in the driver's source an address lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The function; the innermost, if functions were inlined.
    pub function: String,
    /// The file's path as the compiler was given it.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
}

impl fmt::Display for Location {
    /// `HwStartIo (driver.c:120)`: the file without its folders, which differ from one machine to the next.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        let Some(file) = &self.file else { return Ok(()) };
        let name = base_name(file);
        match self.line {
            Some(line) => write!(f, " ({name}:{line})"),
            None => write!(f, " ({name})"),
        }
    }
}

/// The names in one driver, for any thread that asks.
pub struct Symbols {
    driver: PathBuf,
    preferred_base: u64,
    code_view: Option<CodeView>,
    /// Read with the first question; one thread asks at a time, because the readers remember what they have read.
    source: Mutex<Option<Source>>,
}

type Dwarf = addr2line::Context<gimli::EndianArcSlice<gimli::LittleEndian>>;

/// Where names come from.
enum Source {
    Pdb(Box<pdb_addr2line::Context<'static, 'static>>),
    Dwarf(Box<Dwarf>),
    Nothing(String),
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols")
            .field("driver", &self.driver)
            .field("code_view", &self.code_view)
            .finish()
    }
}

impl Symbols {
    /// The names in the driver at `driver`, whose contents are `pe`.
    pub fn new(driver: &Path, pe: &Pe) -> Self {
        Symbols {
            driver: driver.to_owned(),
            preferred_base: pe.preferred_base,
            code_view: pe.code_view.clone(),
            source: Mutex::new(None),
        }
    }

    /// The name of the instruction at `offset` from the image's base: `HwStartIo (driver.c:120)` if there is
    /// debugging information, else `driver.sys+0x1234`.
    pub fn describe(&self, offset: u32) -> String {
        match self.locate(offset) {
            Some(location) => location.to_string(),
            None => format!("{}+{offset:#x}", self.module()),
        }
    }

    /// The name of the call that returns to `offset`. That is the instruction before, which may belong to
    /// another line, or, at the end of a function that never returns, to another function.
    pub fn describe_call(&self, offset: u32) -> String {
        match self.locate(offset.saturating_sub(1)) {
            Some(location) => location.to_string(),
            None => format!("{}+{offset:#x}", self.module()),
        }
    }

    /// Where in the source the instruction at `offset` comes from.
    pub fn locate(&self, offset: u32) -> Option<Location> {
        self.ask(|source| match source {
            Source::Pdb(context) => survive(|| locate_in_pdb(context, offset))?,
            Source::Dwarf(context) => {
                let address = self.preferred_base.checked_add(offset.into())?;
                survive(|| locate_in_dwarf(context, address))?
            }
            Source::Nothing(_) => None,
        })
    }

    /// Why there are no names, if there are none.
    pub fn missing(&self) -> Option<String> {
        self.ask(|source| match source {
            Source::Nothing(why) => Some(why.clone()),
            Source::Pdb(_) | Source::Dwarf(_) => None,
        })
    }

    /// The driver's file name.
    fn module(&self) -> String {
        self.driver.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn ask<T>(&self, question: impl FnOnce(&Source) -> T) -> T {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        question(source.get_or_insert_with(|| self.open()))
    }

    fn open(&self) -> Source {
        self.open_pdb().unwrap_or_else(|pdb| {
            self.open_dwarf().unwrap_or_else(|dwarf| Source::Nothing(format!("{pdb}; {dwarf}")))
        })
    }

    /// Looks for the program database under the name that the linker gave it and under the driver's own.
    fn open_pdb(&self) -> Result<Source, String> {
        let code_view = self.code_view.as_ref().ok_or("the driver names no PDB")?;
        let named = self.driver.with_file_name(base_name(&code_view.path));
        let own = self.driver.with_extension("pdb");
        let candidates = [named, own];
        let path = candidates.iter().find(|path| path.is_file());
        let path = path.ok_or_else(|| {
            format!("there is no {} beside the driver", base_name(&code_view.path))
        })?;
        let source = survive(|| read_pdb(path, code_view))
            .unwrap_or_else(|| Err("it is damaged".to_owned()));
        source.map_err(|why| format!("{}: {why}", path.display()))
    }

    fn open_dwarf(&self) -> Result<Source, String> {
        let bytes = std::fs::read(&self.driver).map_err(|error| error.to_string())?;
        let file = PeFile64::parse(&*bytes).map_err(|error| error.to_string())?;
        if file.section_by_name(".debug_info").is_none() {
            return Err("the driver holds no DWARF".to_owned());
        }
        let section = |id: gimli::SectionId| {
            let data = file.section_by_name(id.name()).and_then(|section| section.data().ok());
            Ok(gimli::EndianArcSlice::new(Arc::from(data.unwrap_or_default()), gimli::LittleEndian))
        };
        let dwarf = gimli::Dwarf::load(section).and_then(Dwarf::from_dwarf);
        dwarf
            .map(|dwarf| Source::Dwarf(Box::new(dwarf)))
            .map_err(|error: gimli::Error| error.to_string())
    }
}

/// Reads debugging information; `None` if its reader panics, as those for program databases do on damaged ones.
fn survive<T>(read: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}

/// Reads a program database that belongs to the driver.
fn read_pdb(path: &Path, code_view: &CodeView) -> Result<Source, String> {
    // Whole, and now: its parts are read when somebody asks, and by then the process may have no files any more.
    let file = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut pdb = PDB::open(Cursor::new(file)).map_err(|error| error.to_string())?;
    let information = pdb.pdb_information().map_err(|error| error.to_string())?;
    if information.guid.to_bytes_le() != code_view.guid {
        return Err("it belongs to another build of the driver".to_owned());
    }
    let data = ContextPdbData::try_from_pdb(pdb).map_err(|error| error.to_string())?;
    let flags = TypeFormatterFlags::default() | TypeFormatterFlags::NO_ARGUMENTS;
    // The context borrows what it reads. A process asks for the names of its one driver until it ends.
    let data: &'static _ = Box::leak(Box::new(data));
    let context =
        data.make_context_with_formatter_flags(flags).map_err(|error| error.to_string())?;
    Ok(Source::Pdb(Box::new(context)))
}

fn locate_in_pdb(context: &pdb_addr2line::Context<'_, '_>, offset: u32) -> Option<Location> {
    let frames = context.find_frames(offset).ok()??.frames;
    let own = |file: Option<&str>| file.is_none_or(|file| !is_system_header(file));
    let first = frames.iter().position(|frame| own(frame.file.as_deref())).unwrap_or(0);
    let frame = frames.into_iter().nth(first)?;
    let file = frame.file.map(|file| file.into_owned());
    Some(Location { function: frame.function?, file, line: frame.line })
}

/// Whether a file is one of the headers whose inline routines stand in a driver where it calls StorPort or the kernel:
/// what is of interest then is who called them.
fn is_system_header(file: &str) -> bool {
    const HEADERS: [&str; 8] = [
        "storport.h",
        "storport_inline.h",
        "storport_registers.h",
        "srbhelper.h",
        "wdm.h",
        "ntddk.h",
        "ntifs.h",
        "miniport.h",
    ];
    HEADERS.iter().any(|header| base_name(file).eq_ignore_ascii_case(header))
}

fn locate_in_dwarf(context: &Dwarf, address: u64) -> Option<Location> {
    let mut frames = context.find_frames(address).skip_all_loads().ok()?;
    let frame = frames.next().ok()??;
    let function = frame.function.as_ref()?.demangle().ok()?.into_owned();
    let location = frame.location.as_ref();
    let file = location.and_then(|location| location.file).map(str::to_owned);
    Some(Location { function, file, line: location.and_then(|location| location.line) })
}

/// The last part of a path in the notation of Windows or Unix.
fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}
