//! What the loader refuses: each kind with its own error, one line that says what is wrong and where.

use std::collections::HashSet;

use lockstorm::binary::error::LoadError;
use lockstorm::binary::image::rehearse;
use lockstorm::binary::pe::{Pe, PeError};

use crate::file::*;

/// One way of being wrong: its name, how to make it of a sound driver, and what the message must hold.
type Case = (&'static str, fn(&mut Driver) -> &mut Driver, &'static str);

/// What is wrong with the file's kind.
const KINDS: &[Case] = &[
    ("text", |d| d.replace(b"Just some text\n"), "does not begin with MZ"),
    ("ELF", |d| d.replace(b"\x7fELF\x02\x01\x01"), "an ELF file"),
    ("object", |d| d.replace(&[0x64, 0x86, 3, 0]), "has not been linked"),
    ("DOS", |d| d.put(0x80, b"\x90\x90\x90\x90"), "a DOS program"),
    ("VxD", |d| d.put(0x80, b"LE\0\0"), "16-bit Windows"),
    (
        "32-bit",
        |d| d.put16(FILE_HEADER, 0x14c).put16(OPTIONAL_HEADER, 0x10b),
        "32-bit x86 (machine 0x014c)",
    ),
    ("ARM64", |d| d.put16(FILE_HEADER, 0xaa64), "ARM64 (machine 0xaa64)"),
    ("ARM64EC", |d| d.at(CONFIG_TABLE + 0xc8, &PREFERRED_BASE.to_le_bytes()), "ARM64EC"),
    (".NET", |d| d.directory(MANAGED, 0x2000, 72), ".NET"),
    ("EFI application", |d| d.put16(OPTIONAL_HEADER + 68, 10), "an EFI application (subsystem 10)"),
    ("EFI driver", |d| d.put16(OPTIONAL_HEADER + 68, 12), "an EFI runtime driver (subsystem 12)"),
    ("window", |d| d.put16(OPTIONAL_HEADER + 68, 2), "an application with windows (subsystem 2)"),
    ("console", |d| d.put16(OPTIONAL_HEADER + 68, 3), "a console application (subsystem 3)"),
    ("unlinked", |d| d.put16(FILE_HEADER + 18, 0x20), "not a finished image"),
    ("32-bit header", |d| d.put16(OPTIONAL_HEADER, 0x10b), "magic 0x10b"),
    ("library", |d| d.put32(OPTIONAL_HEADER + 16, 0), "no entry point"),
    (
        "delay imports",
        |d| d.directory(DELAY_IMPORTS, 0x2000, 0x40),
        "delay-loaded imports at 0x2000",
    ),
    ("TLS", |d| d.directory(THREAD_LOCAL, 0x3200, 0x28), "thread-local storage at 0x3200"),
    (
        "TLS callbacks",
        |d| d.directory(THREAD_LOCAL, 0x3200, 0x28).at(0x3218, &[1]),
        "thread-local storage callbacks at 0x3200",
    ),
    ("no imports", |d| d.directory(IMPORTS, 0, 0), "imports nothing"),
    (
        "entry in data",
        |d| d.put32(OPTIONAL_HEADER + 16, 0x3000),
        "entry point 0x3000 is not in code",
    ),
    (
        "entry in zeros",
        |d| d.section(0, 8, 0x800).put32(OPTIONAL_HEADER + 16, 0x1700),
        "entry point 0x1700",
    ),
    ("W+X", |d| d.section(0, 36, 0xe000_0020), "section .text is both writable and executable"),
];

/// What is wrong with sizes and places.
const PLACES: &[Case] = &[
    ("overlap", |d| d.section(1, 8, 0x1001), "section .data at 0x3000 overlaps section .rdata"),
    ("same place", |d| d.section(2, 12, 0x2000), "section .data at 0x2000 overlaps section .rdata"),
    ("in headers", |d| d.section(0, 12, 0), "section .text at 0x0 overlaps the headers"),
    (
        "within a page",
        |d| d.section(7, 12, 0xc010),
        "section .reloc at 0xc010 overlaps section INIT",
    ),
    (
        "behind the image",
        |d| d.section(7, 12, 0xd000),
        "section .reloc at 0xd000 (64 bytes) lies outside",
    ),
    (
        "endless section",
        |d| d.section(7, 8, u32::MAX),
        "section .reloc at 0xc000 (4294967295 bytes)",
    ),
    ("empty section", |d| d.section(5, 8, 0).section(5, 16, 0), "section .CRT at 0xa000 (0 bytes)"),
    (
        "raw data",
        |d| d.section(1, 20, 0xffff_fe00),
        "truncated: section .rdata ends at byte 4294967808",
    ),
    ("huge raw data", |d| d.section(1, 16, u32::MAX), "truncated: section .rdata"),
    ("many sections", |d| d.put16(FILE_HEADER + 2, 97), "sections: 97, the loader takes 96"),
    ("huge image", |d| d.put32(OPTIONAL_HEADER + 56, 0x400_1000), "bytes of image: 67112960"),
    ("largest image", |d| d.put32(OPTIONAL_HEADER + 56, u32::MAX), "bytes of image: 4294967295"),
    ("no image", |d| d.put32(OPTIONAL_HEADER + 56, 0), "the section table"),
    ("huge headers", |d| d.put32(OPTIONAL_HEADER + 60, u32::MAX), "truncated: the headers"),
    ("small headers", |d| d.put32(OPTIONAL_HEADER + 60, 0x200), "the section table"),
    ("small alignment", |d| d.put32(OPTIONAL_HEADER + 32, 0x80), "aligned to 0x80 bytes"),
    ("odd alignment", |d| d.put32(OPTIONAL_HEADER + 32, 0x3000), "aligned to 0x3000 bytes"),
    ("odd base", |d| d.put64(OPTIONAL_HEADER + 24, 0x1_4000_1000), "base address 0x140001000"),
    ("no base", |d| d.put64(OPTIONAL_HEADER + 24, 0), "base address 0x0 is"),
    ("last base", |d| d.put64(OPTIONAL_HEADER + 24, !0xffff), "base address 0xffffffffffff0000"),
    (
        "headers elsewhere",
        |d| d.put32(0x3c, u32::MAX),
        "truncated: the PE signature ends at byte 4294967299",
    ),
    ("symbols elsewhere", |d| d.put32(FILE_HEADER + 8, u32::MAX), "truncated: the symbol table"),
    (
        "certificates",
        |d| d.directory(CERTIFICATES, 0x2400, 8),
        "truncated: the certificate table ends at",
    ),
];

/// What is wrong inside the directories.
const CONTENTS: &[Case] = &[
    (
        "module name",
        |d| d.at(IMPORT_TABLE + 12, &[0xff; 4]),
        "the name of an imported module at 0xffffffff",
    ),
    ("binary module name", |d| d.at(NAMES, &[7, 8, 9]), "the name of an imported module at 0x20c0"),
    (
        "lookup table",
        |d| d.at(IMPORT_TABLE, &[0xf0, 0xff, 0xff, 0xff]),
        "an import lookup table at 0xfffffff0",
    ),
    (
        "slots",
        |d| d.at(IMPORT_TABLE + 16, &[0xfc, 0xff, 0xff, 0xff]),
        "an import's slot at 0xfffffffc",
    ),
    (
        "slots in headers",
        |d| d.at(IMPORT_TABLE + 16, &0x10u32.to_le_bytes()),
        "an import's slot at 0x10",
    ),
    (
        "slots in a gap",
        |d| d.at(IMPORT_TABLE + 16, &0x2800u32.to_le_bytes()),
        "an import's slot at 0x2800",
    ),
    (
        "import name",
        |d| d.at(LOOKUP, &0x7fff_fff0u64.to_le_bytes()),
        "the name of an import at 0x7ffffff2",
    ),
    (
        "empty import name",
        |d| d.at(LOOKUP, &0x2700u64.to_le_bytes()),
        "the name of an import at 0x2702",
    ),
    (
        "relocation kind",
        |d| d.at(0xc008, &0x3058u16.to_le_bytes()),
        "base relocation of kind 3 at 0x2058",
    ),
    ("relocation of headers", |d| d.at(0xc000, &[0; 4]), "a base relocation at 0x158"),
    (
        "relocation outside",
        |d| d.at(0xc000, &[0, 0xf0, 0xff, 0xff]),
        "a base relocation at 0xfffff158",
    ),
    (
        "relocation across",
        |d| d.at(0xc008, &0xa3fcu16.to_le_bytes()),
        "a base relocation at 0x23fc",
    ),
    ("empty block", |d| d.at(0xc004, &[0; 4]), "the relocation directory at 0xc000: a block"),
    (
        "endless block",
        |d| d.at(0xc004, &[0xfc, 0xff, 0xff, 0xff]),
        "the relocation directory at 0xc000: a block",
    ),
    ("cookie", |d| d.at(CONFIG_TABLE + 0x58, &[1; 8]), "the security cookie at 0x"),
    ("guard check", |d| d.at(CONFIG_TABLE + 0x70, &[1; 8]), "the guard check pointer"),
    ("guard dispatch", |d| d.at(CONFIG_TABLE + 0x78, &[1; 8]), "the guard dispatch pointer"),
    ("typed guard", |d| d.at(CONFIG_TABLE + 0x118, &[1; 8]), "the typed guard check pointer"),
    (
        "export table",
        |d| d.at(EXPORT_TABLE + 28, &[0xff; 4]),
        "the export directory at 0x2280: a table",
    ),
    ("many exports", |d| d.at(EXPORT_TABLE + 20, &[0xff; 4]), "the export directory at 0x2280"),
    (
        "export name",
        |d| d.at(EXPORT_TABLE + 0x30, &[0xff; 4]),
        "the name of an export at 0xffffffff",
    ),
    ("export's index", |d| d.at(EXPORT_TABLE + 0x34, &[9]), "a name belongs to no export"),
    ("export", |d| d.at(EXPORT_TABLE + 0x28, &[0, 0, 0, 1]), "an export at 0x1000000"),
];

#[test]
fn a_sound_driver_is_taken() {
    let pe = Pe::parse(&Driver::sound().0).expect("a sound driver");
    assert_eq!(pe.entry, ENTRY);
    rehearse(&Driver::sound().0).expect("a sound driver");
}

#[test]
fn every_wrong_file_gets_an_error_of_its_own() {
    let mut messages = HashSet::new();
    for (name, spoil, expected) in KINDS.iter().chain(PLACES).chain(CONTENTS) {
        let mut driver = Driver::sound();
        spoil(&mut driver);
        let error = Pe::parse(&driver.0).err().unwrap_or_else(|| panic!("{name} is taken"));
        let message = error.to_string();
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!message.contains('\n'), "{name}: more than one line");
        messages.insert(message);
    }
    // The pairs that differ only in how they got there: "no image" and "small headers", the two bad blocks.
    let cases = KINDS.len() + PLACES.len() + CONTENTS.len();
    assert!(messages.len() + 3 >= cases, "{} messages for {cases} cases", messages.len());
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let whole = Driver::sound().0;
    for length in 0..whole.len() {
        match Pe::parse(&whole[..length]) {
            Err(PeError::NotPe(why)) => assert_eq!((length, why), (0, "the file is empty")),
            Err(PeError::Truncated { end, length: told, what }) => {
                assert_eq!(told, length as u64);
                assert!(end > told && end <= whole.len() as u64, "{what} cannot end at {end}");
            }
            other => panic!("cut off at {length}: {other:?}"),
        }
    }
}

#[test]
fn every_directory_must_lie_in_the_image() {
    let places = [
        (0x7fff_0000, 8),
        (u32::MAX, u32::MAX),
        (IMAGE_SIZE - 4, 8),
        (0x2800, 8),
        (0x2000, u32::MAX),
    ];
    for index in 0..16 {
        for (address, size) in places {
            let mut driver = Driver::sound();
            driver.directory(index, address, size);
            match (index, Pe::parse(&driver.0)) {
                (MANAGED, Err(PeError::Managed)) => {}
                (CERTIFICATES, Err(PeError::Truncated { what, .. }))
                    if what == "the certificate table" => {}
                // The only directory that gives a place in the file and not in the image.
                (CERTIFICATES, Ok(_)) => {
                    assert!(u64::from(address) + u64::from(size) <= driver.0.len() as u64)
                }
                (_, Err(PeError::Outside { address: told, size: length, .. })) => {
                    assert_eq!((told, length), (address.into(), size.into()));
                }
                (_, other) => panic!("directory {index} at {address:#x}, {size} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn tables_that_would_take_forever_are_refused() {
    // The whole of a big section is one lookup table, and one descriptor after the other names it.
    let mut driver = Driver::sound();
    driver.section(7, 8, 0x30_0000).put32(OPTIONAL_HEADER + 56, 0x40_0000);
    let place = driver.0.len();
    driver.0.resize(place + 0x30_0000, 1);
    driver.section(7, 16, 0x30_0000).section(7, 20, place as u32);
    driver.directory(RELOCATIONS, 0, 0).directory(IMPORTS, 0xc000, 20);
    let message = Pe::parse(&driver.0).expect_err("too much").to_string();
    assert!(message.contains("import"), "{message}");
}

#[test]
fn a_writable_init_section_of_an_old_linker_is_only_executable() {
    let mut driver = Driver::sound();
    driver.section(6, 36, 0xe200_0020);
    let pe = Pe::parse(&driver.0).expect("an old driver");
    assert_eq!(pe.sections[6].access, lockstorm::binary::pe::Access::Execute);
}

#[test]
fn errors_of_loading_pass_on_those_of_the_file() {
    let error = rehearse(b"MZ").expect_err("truncated");
    assert!(matches!(error, LoadError::Pe(PeError::Truncated { .. })));
    assert_eq!(error.to_string(), "truncated: the DOS header ends at byte 64, the file at byte 2");
}

/// The seed of the fuzz target `loader` is the sound driver of these tests.
#[test]
fn the_committed_seed_is_the_sound_driver() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/loader/sound.sys");
    let Driver(sound) = Driver::sound();
    if std::env::var_os("UPDATE_SEEDS").is_some() {
        std::fs::write(path, &sound).expect("a folder for seeds");
    }
    let committed = std::fs::read(path).expect("the seed is committed");
    assert!(committed == sound, "the driver has changed: run this test with UPDATE_SEEDS=1");
}
