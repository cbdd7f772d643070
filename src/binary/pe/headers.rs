//! The headers of a file: whether it is a driver for this processor at all, and where its sections go.

use object::pe;
use object::pod::Pod;
use object::read::{ReadRef, StringTable};
use object::{LittleEndian as LE, U32};

use super::directories::Directories;
use super::{Access, IMAGE_MAX, PAGE, PeError, Section};

/// Windows refuses more sections than this in an image.
const SECTIONS_MAX: usize = 96;

/// Every base address is a multiple of the granularity in which Windows reserves addresses, and none is 0, where
/// an image would make null pointers good.
const BASE_GRANULARITY: u64 = 64 << 10;

/// What the headers say, checked.
pub(super) struct Headers {
    pub(super) base: u64,
    pub(super) movable: bool,
    pub(super) entry: u32,
    /// Bytes of the headers, in the file as in memory.
    pub(super) size: usize,
    /// Bytes of the image in memory: whole pages.
    pub(super) image_size: u32,
    pub(super) sections: Vec<Section>,
    pub(super) directories: Directories,
}

/// Reads and checks the headers of a file.
pub(super) fn read(bytes: &[u8]) -> Result<Headers, PeError> {
    let mut offset = signature(bytes)?;
    let file: &pe::ImageFileHeader = take(bytes, &mut offset, "the file header")?;
    let optional_start = offset;
    refuse_managed(bytes, optional_start)?;
    check_file_header(file)?;
    let optional: &pe::ImageOptionalHeader64 = take(bytes, &mut offset, "the optional header")?;
    check_optional_header(optional)?;
    let directories = directories(bytes, &mut offset, optional)?;
    let table = optional_start + u64::from(file.size_of_optional_header.get(LE));
    let sections = sections(bytes, table, file, optional)?;
    Ok(Headers {
        base: optional.image_base.get(LE),
        movable: !file.characteristics.get(LE).contains(pe::IMAGE_FILE_RELOCS_STRIPPED),
        entry: optional.address_of_entry_point.get(LE),
        size: optional.size_of_headers.get(LE) as usize,
        image_size: optional.size_of_image.get(LE).next_multiple_of(PAGE),
        sections,
        directories,
    })
}

/// Finds the file header behind the two signatures.
fn signature(bytes: &[u8]) -> Result<u64, PeError> {
    let magic = &bytes[..bytes.len().min(2)];
    if magic.is_empty() {
        return Err(PeError::NotPe("the file is empty"));
    }
    if !b"MZ".starts_with(magic) {
        return Err(PeError::NotPe(other_format(bytes)));
    }
    let dos: &pe::ImageDosHeader = take(bytes, &mut 0, "the DOS header")?;
    let mut offset = u64::from(dos.nt_headers_offset());
    let signature: &[u8; 4] = take(bytes, &mut offset, "the PE signature")?;
    match signature {
        b"PE\0\0" => Ok(offset),
        [b'N', b'E', ..] | [b'L', b'E' | b'X', ..] => {
            Err(PeError::NotPe("a driver for 16-bit Windows, OS/2 or Windows 9x"))
        }
        _ => Err(PeError::NotPe("a DOS program: there is no PE signature")),
    }
}

/// What a file is that is no Windows executable.
fn other_format(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file",
        [0x64, 0x86, ..] => "an object file that has not been linked",
        [b'!', b'<', b'a', b'r', ..] => "a library of object files",
        [b'M', b'S', b'C', b'F', ..] => "a cabinet archive; unpack it first",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive; unpack it first",
        _ => "it does not begin with MZ",
    }
}

/// Reads one structure of the file, moving `offset` behind it.
fn take<'a, T: Pod>(
    bytes: &'a [u8],
    offset: &mut u64,
    what: &'static str,
) -> Result<&'a T, PeError> {
    let end = *offset + size_of::<T>() as u64;
    let truncated = || PeError::Truncated { what: what.into(), end, length: bytes.len() as u64 };
    bytes.read::<T>(offset).map_err(|()| truncated())
}

/// A .NET assembly says so whatever its processor is, and that is the better reason to refuse it.
fn refuse_managed(bytes: &[u8], optional_start: u64) -> Result<(), PeError> {
    let header = bytes.get(optional_start as usize..).unwrap_or_default();
    let directories = match header {
        [0x0b, 0x01, ..] => size_of::<pe::ImageOptionalHeader32>(),
        _ => size_of::<pe::ImageOptionalHeader64>(),
    };
    // The number of directories is the last field before them.
    let number = header
        .get(directories - 4..directories)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_le_bytes);
    let index = pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR;
    let entry = directories + index * size_of::<pe::ImageDataDirectory>();
    let address = header.get(entry..entry + 4);
    match (number, address) {
        (Some(number), Some(address)) if number as usize > index && address != [0; 4] => {
            Err(PeError::Managed)
        }
        _ => Ok(()),
    }
}

fn check_file_header(file: &pe::ImageFileHeader) -> Result<(), PeError> {
    let machine = file.machine.get(LE);
    if machine != pe::IMAGE_FILE_MACHINE_AMD64 {
        return Err(PeError::Machine(machine.0));
    }
    if !file.characteristics.get(LE).contains(pe::IMAGE_FILE_EXECUTABLE_IMAGE) {
        return Err(PeError::Unlinked);
    }
    Ok(())
}

fn check_optional_header(optional: &pe::ImageOptionalHeader64) -> Result<(), PeError> {
    let magic = optional.magic.get(LE);
    if magic != pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC {
        return Err(PeError::OptionalHeader(magic));
    }
    let subsystem = optional.subsystem.get(LE);
    if subsystem != pe::IMAGE_SUBSYSTEM_NATIVE {
        return Err(PeError::Subsystem(subsystem.0));
    }
    let alignment = optional.section_alignment.get(LE);
    if alignment < PAGE || !alignment.is_power_of_two() {
        return Err(PeError::Alignment(alignment));
    }
    let size = optional.size_of_image.get(LE);
    if size > IMAGE_MAX {
        return Err(PeError::TooMany {
            what: "bytes of image",
            count: size.into(),
            limit: IMAGE_MAX.into(),
        });
    }
    let base = optional.image_base.get(LE);
    let possible = BASE_GRANULARITY..u64::MAX - u64::from(IMAGE_MAX);
    if !base.is_multiple_of(BASE_GRANULARITY) || !possible.contains(&base) {
        return Err(PeError::Base(base));
    }
    Ok(())
}

/// Reads the table of directories; those that it does not have are empty.
fn directories(
    bytes: &[u8],
    offset: &mut u64,
    optional: &pe::ImageOptionalHeader64,
) -> Result<Directories, PeError> {
    let number = optional.number_of_rva_and_sizes.get(LE);
    let mut entries = [(0, 0); pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES];
    for entry in entries.iter_mut().take(number as usize) {
        let directory: &pe::ImageDataDirectory = take(bytes, offset, "the table of directories")?;
        *entry = directory.address_range();
    }
    Ok(Directories::new(&entries))
}

/// Reads the section table and checks that everything in it fits: in the file, in the image, beside each other.
fn sections(
    bytes: &[u8],
    mut table: u64,
    file: &pe::ImageFileHeader,
    optional: &pe::ImageOptionalHeader64,
) -> Result<Vec<Section>, PeError> {
    let count = usize::from(file.number_of_sections.get(LE));
    if count > SECTIONS_MAX {
        return Err(PeError::TooMany {
            what: "sections",
            count: count as u64,
            limit: SECTIONS_MAX as u64,
        });
    }
    let strings = strings(bytes, file)?;
    let mut raw = Vec::with_capacity(count);
    for _ in 0..count {
        let header: &pe::ImageSectionHeader = take(bytes, &mut table, "the section table")?;
        let name = header.name(strings).unwrap_or_else(|_| header.raw_name());
        raw.push((name.escape_ascii().to_string(), header));
    }
    check_header_size(bytes, table, optional)?;
    let mut layout = Layout::new(optional);
    let mut sections = Vec::with_capacity(count);
    for (name, header) in raw {
        sections.push(layout.place(bytes, name, header)?);
    }
    keep_all_but_the_tail(&mut sections);
    Ok(sections)
}

/// Windows throws away what is marked discardable at the end of an image, and nothing before a section that stays.
fn keep_all_but_the_tail(sections: &mut [Section]) {
    let kept = sections.iter().rposition(|section| !section.discardable).map_or(0, |last| last + 1);
    for section in &mut sections[..kept] {
        section.discardable = false;
    }
}

/// Finds the names of sections that are longer than a section header has room for.
fn strings<'a>(bytes: &'a [u8], file: &pe::ImageFileHeader) -> Result<StringTable<'a>, PeError> {
    let length = bytes.len() as u64;
    let start = u64::from(file.pointer_to_symbol_table.get(LE));
    if start == 0 {
        return Ok(StringTable::default());
    }
    let symbols = u64::from(file.number_of_symbols.get(LE)) * pe::IMAGE_SIZEOF_SYMBOL as u64;
    let mut offset = start + symbols;
    let size: &U32<LE> = take(bytes, &mut offset, "the symbol table")?;
    let end = start + symbols + u64::from(size.get(LE));
    if end > length {
        return Err(PeError::Truncated { what: "the string table".into(), end, length });
    }
    Ok(StringTable::new(bytes, start + symbols, end))
}

/// The headers reach at least to the end of the section table, and no farther than the file and the image.
fn check_header_size(
    bytes: &[u8],
    table_end: u64,
    optional: &pe::ImageOptionalHeader64,
) -> Result<(), PeError> {
    let size = optional.size_of_headers.get(LE);
    if u64::from(size) > bytes.len() as u64 {
        return Err(PeError::Truncated {
            what: "the headers".into(),
            end: size.into(),
            length: bytes.len() as u64,
        });
    }
    if u64::from(size) < table_end || size > optional.size_of_image.get(LE) {
        return Err(PeError::Outside {
            what: "the section table".into(),
            address: 0,
            size: table_end,
        });
    }
    Ok(())
}

/// Places one section after the other.
struct Layout {
    /// The first free page.
    free: u32,
    /// What takes the pages before it.
    last: String,
    /// The end of the image: whole pages.
    end: u32,
}

impl Layout {
    fn new(optional: &pe::ImageOptionalHeader64) -> Self {
        Layout {
            free: optional.size_of_headers.get(LE).next_multiple_of(PAGE),
            last: "the headers".into(),
            end: optional.size_of_image.get(LE).next_multiple_of(PAGE),
        }
    }

    fn place(
        &mut self,
        bytes: &[u8],
        name: String,
        header: &pe::ImageSectionHeader,
    ) -> Result<Section, PeError> {
        let address = header.virtual_address.get(LE);
        let size = match header.virtual_size.get(LE) {
            0 => header.size_of_raw_data.get(LE),
            size => size,
        };
        if address < self.free || !address.is_multiple_of(PAGE) {
            return Err(PeError::Overlap { section: name, address, with: self.last.clone() });
        }
        let end = address.checked_add(size).filter(|end| *end <= self.end && size != 0);
        let Some(end) = end else {
            let what = format!("section {name}").into();
            return Err(PeError::Outside { what, address: address.into(), size: size.into() });
        };
        self.free = end.next_multiple_of(PAGE);
        self.last = format!("section {name}");
        Ok(Section {
            address,
            size,
            file: file_range(bytes, &name, header, size)?,
            access: access(&name, header)?,
            discardable: header.characteristics.get(LE).contains(pe::IMAGE_SCN_MEM_DISCARDABLE),
            name,
        })
    }
}

/// The bytes of the file that fill a section: all must be there, and no more are used than the section has room for.
fn file_range(
    bytes: &[u8],
    name: &str,
    header: &pe::ImageSectionHeader,
    size: u32,
) -> Result<std::ops::Range<usize>, PeError> {
    let start = u64::from(header.pointer_to_raw_data.get(LE));
    let length = u64::from(header.size_of_raw_data.get(LE));
    if start == 0 || length == 0 {
        return Ok(0..0);
    }
    let end = start + length;
    if end > bytes.len() as u64 {
        let what = format!("section {name}").into();
        return Err(PeError::Truncated { what, end, length: bytes.len() as u64 });
    }
    Ok(start as usize..(start + length.min(size.into())) as usize)
}

/// What may be done with a section.
///
/// Old linkers leave `INIT` writable beside executable, only because the import table was merged into it. As
/// it is thrown away after `DriverEntry`, it may stay, without the writing; any other is refused.
fn access(name: &str, header: &pe::ImageSectionHeader) -> Result<Access, PeError> {
    let flags = header.characteristics.get(LE);
    let execute = flags.contains(pe::IMAGE_SCN_MEM_EXECUTE);
    let write = flags.contains(pe::IMAGE_SCN_MEM_WRITE);
    let discardable = flags.contains(pe::IMAGE_SCN_MEM_DISCARDABLE);
    match (execute, write) {
        (true, true) if !discardable => Err(PeError::WritableCode(name.to_owned())),
        (true, _) => Ok(Access::Execute),
        (false, true) => Ok(Access::Write),
        (false, false) => Ok(Access::Read),
    }
}
