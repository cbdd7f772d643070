//! The long directories of an image: relocations, imports, exports.

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{ExportTable, ImageThunkData, ImportTable, RelocationBlockIterator};

use super::directories::{Directories, Directory};
use super::headers::Headers;
use super::memory::Memory;
use super::{Export, Import, PeError, Section, Symbol, inside};

/// More imports than any driver has; the whole kernel exports fewer than this.
const IMPORTS_MAX: usize = 4096;

/// More modules than any driver imports from.
const LIBRARIES_MAX: usize = 64;

/// More exports than any driver has.
const EXPORTS_MAX: usize = 4096;

/// Bytes of an address.
const POINTER: u64 = 8;

fn malformed(what: &'static str, address: u32, why: &'static str) -> PeError {
    PeError::Malformed { what: what.into(), address, why: why.into() }
}

/// Where an address must be moved with the image.
pub(super) fn relocations(
    directories: &Directories,
    sections: &[Section],
    memory: &Memory,
) -> Result<Vec<u32>, PeError> {
    let Some(Directory { address, size }) = directories.relocations.present() else {
        return Ok(Vec::new());
    };
    let data = memory.slice(address, size).unwrap_or_default();
    let mut sites = Vec::new();
    for block in RelocationBlockIterator::new(data) {
        let block = block.map_err(|_| {
            malformed("the relocation directory", address, "a block of impossible size")
        })?;
        for relocation in block {
            let site = relocation.virtual_address;
            match relocation.typ {
                pe::IMAGE_REL_BASED_ABSOLUTE => {}
                pe::IMAGE_REL_BASED_DIR64 => sites.push(check_site(sections, site)?),
                kind => return Err(PeError::Relocation { kind: kind.0, address: site }),
            }
        }
    }
    Ok(sites)
}

fn check_site(sections: &[Section], site: u32) -> Result<u32, PeError> {
    if inside(sections, site.into(), POINTER) {
        Ok(site)
    } else {
        Err(PeError::Outside {
            what: "a base relocation".into(),
            address: site.into(),
            size: POINTER,
        })
    }
}

/// What the image needs from others.
pub(super) fn imports(
    directories: &Directories,
    sections: &[Section],
    memory: &Memory,
) -> Result<Vec<Import>, PeError> {
    let Directory { address, .. } = directories.imports.present().ok_or(PeError::NoImports)?;
    let endless = |_| malformed("the import directory", address, "it has no end");
    let table = ImportTable::new(memory.bytes(), 0, address);
    let mut reader = Imports { table: &table, sections, memory, found: Vec::new() };
    for (index, descriptor) in table.descriptors().map_err(endless)?.enumerate() {
        if index == LIBRARIES_MAX {
            return Err(malformed(
                "the import directory",
                address,
                "it names more modules than any driver needs",
            ));
        }
        reader.read(descriptor.map_err(endless)?)?;
    }
    if reader.found.is_empty() { Err(PeError::NoImports) } else { Ok(reader.found) }
}

/// Collects the imports of one module after the other.
struct Imports<'a> {
    table: &'a ImportTable<'a>,
    sections: &'a [Section],
    memory: &'a Memory,
    found: Vec<Import>,
}

impl Imports<'_> {
    fn read(&mut self, descriptor: &pe::ImageImportDescriptor) -> Result<(), PeError> {
        let library =
            self.memory.text("the name of an imported module", descriptor.name.get(LE))?;
        let slots = descriptor.first_thunk.get(LE);
        // Some linkers write no lookup table; then the slots hold what it would.
        let lookup = match descriptor.original_first_thunk.get(LE) {
            0 => slots,
            lookup => lookup,
        };
        let endless = |_| malformed("an import lookup table", lookup, "it has no end");
        let mut thunks = self.table.thunks(lookup).map_err(endless)?;
        let mut slot = u64::from(slots);
        while let Some(thunk) = thunks.next::<pe::ImageNtHeaders64>().map_err(endless)? {
            if !inside(self.sections, slot, POINTER) {
                return Err(PeError::Outside {
                    what: "an import's slot".into(),
                    address: slot,
                    size: POINTER,
                });
            }
            if self.found.len() == IMPORTS_MAX {
                return Err(malformed(
                    "the import directory",
                    lookup,
                    "it has more imports than any driver needs",
                ));
            }
            self.found.push(Import {
                library: library.to_owned(),
                symbol: self.symbol(thunk)?,
                slot: slot as u32,
            });
            slot += POINTER;
        }
        Ok(())
    }

    fn symbol(&self, thunk: pe::ImageThunkData64) -> Result<Symbol, PeError> {
        if thunk.is_ordinal() {
            return Ok(Symbol::Ordinal(thunk.ordinal()));
        }
        // A hint of two bytes precedes the name.
        let name = self.memory.text("the name of an import", thunk.address().saturating_add(2))?;
        Ok(Symbol::Name(name.to_owned()))
    }
}

/// What the image offers to others; forwarders to other modules are left out.
pub(super) fn exports(directories: &Directories, memory: &Memory) -> Result<Vec<Export>, PeError> {
    let Some(Directory { address, size }) = directories.exports.present() else {
        return Ok(Vec::new());
    };
    let wrong = |why: &'static str| malformed("the export directory", address, why);
    let data = memory.slice(address, size).unwrap_or_default();
    let table = ExportTable::parse(data, address).map_err(|_| wrong("a table lies outside it"))?;
    let count = table.addresses().len();
    if count > EXPORTS_MAX || table.name_pointers().len() > EXPORTS_MAX {
        return Err(wrong("it has more exports than any driver has"));
    }
    let mut names = vec![None; count];
    for (pointer, index) in table.name_iter() {
        let name = memory.text("the name of an export", pointer)?.to_owned();
        *names
            .get_mut(usize::from(index.0))
            .ok_or_else(|| wrong("a name belongs to no export"))? = Some(name);
    }
    let mut exports = Vec::with_capacity(count);
    for ((_, ordinal, target), name) in table.address_iter().zip(names) {
        if target != 0 && !table.is_forward(target) {
            if target >= memory.size() {
                return Err(PeError::Outside {
                    what: "an export".into(),
                    address: target.into(),
                    size: 1,
                });
            }
            exports.push(Export { name, ordinal: ordinal.0, address: target });
        }
    }
    Ok(exports)
}

/// The routines that the `.CRT` section names.
pub(super) fn initialisers(headers: &Headers, relocations: &[u32], memory: &Memory) -> Vec<u32> {
    let Some(section) = headers.sections.iter().find(|section| section.name == ".CRT") else {
        return Vec::new();
    };
    let pointers = relocations.iter().filter(|site| section.range().contains(site));
    let targets = pointers
        .filter_map(|site| memory.word(*site))
        .map(|target| target.wrapping_sub(headers.base));
    targets
        .filter(|target| *target < u64::from(memory.size()))
        .map(|target| target as u32)
        .collect()
}
