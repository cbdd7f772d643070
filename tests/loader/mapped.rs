//! What becomes of a driver in memory.

use std::fs;

use lockstorm::binary::error::LoadError;
use lockstorm::binary::image::{BASE, Image, Placement, rehearse};
use lockstorm::binary::pe::{Import, Pe, Symbol};

use crate::file::*;

const PAGE: usize = 4096;

/// What an import is bound to where nobody calls it.
const NOWHERE: usize = 0x1234_5678_9abc;

fn map(driver: &Driver, base: usize) -> (Pe, Image) {
    let pe = Pe::parse(&driver.0).expect("a sound driver");
    let image = Image::map(&pe, Placement::At(base)).expect("a free address");
    (pe, image)
}

fn bound(base: usize) -> Image {
    let (_, mut image) = map(&Driver::sound(), base);
    image.bind(|_| Some(NOWHERE)).expect("every import is bound");
    image
}

/// The bytes of the image at `offset`, which must be readable.
fn read(image: &Image, offset: u32, length: usize) -> Vec<u8> {
    assert!(image.readable(image.base() + offset as usize, length));
    // SAFETY: the image says that these bytes can be read.
    unsafe {
        std::slice::from_raw_parts((image.base() + offset as usize) as *const u8, length).to_vec()
    }
}

fn word(image: &Image, offset: u32) -> u64 {
    u64::from_le_bytes(read(image, offset, 8).try_into().expect("eight bytes"))
}

/// Writes as a driver would, whose first store to a page faults.
fn store(image: &Image, offset: u32, value: u8) {
    let address = image.base() + offset as usize;
    if protection(address) == "r--" {
        assert!(image.touched(address));
    }
    assert_eq!(protection(address), "rw-");
    // SAFETY: the page is writable, as was just seen.
    unsafe { (address as *mut u8).write_volatile(value) };
}

/// How the kernel protects the page of `address`: `r-x`, or nothing if nothing is mapped.
fn protection(address: usize) -> String {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux");
    let line = maps.lines().find(|line| {
        let (start, end) =
            line.split_once(' ').and_then(|(range, _)| range.split_once('-')).expect("a range");
        let number = |text| usize::from_str_radix(text, 16).expect("an address");
        (number(start)..number(end)).contains(&address)
    });
    line.map_or(String::new(), |line| line.split_once(' ').expect("a protection").1[..3].to_owned())
}

#[test]
fn what_the_file_says_is_read() {
    let pe = Pe::parse(&Driver::sound().0).expect("a sound driver");
    let names: Vec<String> = pe.imports.iter().map(Import::to_string).collect();
    assert_eq!(
        names,
        ["storport.sys!StorPortInitialize", "storport.sys!#7", "ntoskrnl.exe!StorPortInitialize"]
    );
    assert_eq!(pe.imports[1].symbol, Symbol::Ordinal(7));
    assert_eq!(
        pe.imports.iter().map(|import| import.slot).collect::<Vec<_>>(),
        [SLOTS, SLOTS + 8, SLOTS + 0x18]
    );
    assert_eq!(pe.exports.len(), 2);
    assert_eq!(
        (pe.exports[1].name.as_deref(), pe.exports[1].ordinal, pe.exports[1].address),
        (Some("Helper"), 2, HELPER)
    );
    assert_eq!(pe.cookie, Some(COOKIE));
    assert_eq!((pe.guards.check, pe.guards.dispatch), (Some(0x2380), Some(0x2388)));
    assert_eq!(pe.initialisers, [HELPER]);
    assert_eq!(pe.relocations, moving());
    let code_view = pe.code_view.expect("a PDB");
    assert_eq!((code_view.path.as_str(), code_view.age), ("c:\\small.pdb", 3));
    assert_eq!(&code_view.guid, b"0123456789abcdef");
    let coverage = pe.coverage.expect("counters");
    // The markers at the beginning are no counters.
    assert_eq!((coverage.counters, coverage.table), (0x8008..0x800b, Some(0x9008..0x9038)));
}

#[test]
fn memory_is_what_the_linker_meant() {
    let base = 0x31_0000_0000;
    let (_, image) = map(&Driver::sound(), base);
    let expected = Driver::sound().reference(base as u64);
    for (name, address, size, _) in SECTIONS {
        let mut found = read(&image, address, size as usize);
        let mut expected = expected[address as usize..][..size as usize].to_vec();
        if name == ".rdata" {
            // The guards' pointers, which point into the machine.
            found[0x380..0x390].fill(0);
            expected[0x380..0x390].fill(0);
        }
        if name == ".data" {
            assert_ne!(found[..8], expected[..8], "the linker's default cookie stays");
            assert_eq!(found[6..8], [0, 0], "Windows' cookies have 48 bits");
            expected[..8].copy_from_slice(&found[..8]);
        }
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_driver_that_insists_on_its_address_gets_it_or_an_error() {
    let mut driver = Driver::sound();
    driver.put64(OPTIONAL_HEADER + 24, 0x32_0000_0000).put16(FILE_HEADER + 18, 0x23);
    driver.directory(RELOCATIONS, 0, 0).directory(CONFIG, 0, 0);
    let pe = Pe::parse(&driver.0).expect("a driver without relocations");
    let first = Image::map(&pe, Placement::Fixed).expect("the address is free");
    assert_eq!(first.base(), 0x32_0000_0000);
    let error = Image::map(&pe, Placement::Fixed).expect_err("the address is taken");
    assert!(matches!(error, LoadError::Immovable(0x32_0000_0000)), "{error}");
    let error = Image::map(&pe, Placement::At(0x3e_0000_0000)).expect_err("another address");
    assert!(
        error.to_string().starts_with("linked without relocations for address 0x3200000000"),
        "{error}"
    );
    // Between the addresses for drivers.
    driver.put64(OPTIONAL_HEADER + 24, 0x32_1000_0000);
    let pe = Pe::parse(&driver.0).expect("a driver without relocations");
    assert!(matches!(Image::map(&pe, Placement::Fixed), Err(LoadError::Immovable(_))));
}

#[test]
fn a_driver_in_which_nothing_has_to_move_can_lie_anywhere() {
    let mut driver = Driver::sound();
    driver.directory(RELOCATIONS, 0, 0).directory(CONFIG, 0, 0);
    let (_, image) = map(&driver, 0x3d_0000_0000);
    assert_eq!(image.base(), 0x3d_0000_0000);
    assert_eq!(
        word(&image, POINTERS[0]),
        PREFERRED_BASE + u64::from(HELPER),
        "no relocation, no change"
    );
}

#[test]
fn a_file_is_read_or_the_error_names_it() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join("small.sys");
    fs::write(&path, Driver::sound().0).expect("a file");
    assert_eq!(Pe::open(&path).expect("a sound driver").entry, ENTRY);
    let error = Pe::open(&folder.join("nothing.sys")).expect_err("no such file").to_string();
    assert!(error.contains("nothing.sys cannot be read: No such file"), "{error}");
    assert!(Pe::open(folder).expect_err("a folder").to_string().contains("cannot be read"));
}

#[test]
fn two_drivers_lie_at_two_of_the_fixed_addresses() {
    let pe = Pe::parse(&Driver::sound().0).expect("a sound driver");
    let images = [(); 2].map(|()| Image::map(&pe, Placement::Fixed).expect("a free address"));
    for image in &images {
        assert!(
            image.base() >= BASE && (image.base() - BASE).is_multiple_of(1 << 30),
            "{:#x}",
            image.base()
        );
    }
    assert_ne!(images[0].base(), images[1].base());
}

#[test]
fn binding_lists_all_that_is_missing_at_once() {
    let (_, mut image) = map(&Driver::sound(), 0x33_0000_0000);
    let error = image
        .bind(|import| (import.library == "ntoskrnl.exe").then_some(NOWHERE))
        .expect_err("two are missing");
    assert_eq!(
        error.to_string(),
        "2 imports have no counterpart here: storport.sys!StorPortInitialize, storport.sys!#7"
    );
    image.bind(|import| Some(NOWHERE + import.slot as usize)).expect("now every import is bound");
    for slot in [SLOTS, SLOTS + 8, SLOTS + 0x18] {
        assert_eq!(word(&image, slot), NOWHERE as u64 + u64::from(slot));
    }
}

#[test]
fn sections_are_protected_as_they_ask_and_code_is_never_writable() {
    let mut image = bound(0x34_0000_0000);
    let found = |image: &Image, offset: usize| protection(image.base() + offset);
    let expected =
        ["r--", "r-x", "r--", "rw-", "rw-", "rw-", "rw-", "rw-", "rw-", "r--", "r--", "r-x", "r--"];
    for (page, expected) in expected.into_iter().enumerate() {
        assert_eq!(found(&image, page * PAGE), expected, "page {page}");
    }
    image.snapshot().expect("a snapshot");
    let expected =
        ["r--", "r-x", "r--", "r--", "r--", "r--", "r--", "r--", "rw-", "r--", "r--", "---", "---"];
    for (page, expected) in expected.into_iter().enumerate() {
        assert_eq!(found(&image, page * PAGE), expected, "page {page} after the snapshot");
    }
    assert!(image.executable(image.base() + ENTRY as usize));
    assert!(!image.executable(image.base() + 0xb000), "INIT is gone after DriverEntry");
    assert!(!image.executable(image.base() + 0x3000));
    assert!(!image.readable(image.base() + 0xb000, 1));
    assert!(!image.readable(image.base() + 0x2ff8, 16), "two sections are not one");
    assert!(!image.writable(image.base() + 0x2000, 8));
    assert!(!image.readable(image.base() - 1, 1) && !image.readable(usize::MAX, 2));
}

#[test]
fn only_the_end_of_an_image_is_thrown_away() {
    let mut driver = Driver::sound();
    // INIT stays, and .CRT is marked like .reloc but lies before it.
    driver.section(6, 36, 0x6000_0020).section(5, 36, 0x4200_0040);
    let (_, mut image) = map(&driver, 0x3f_0000_0000);
    image.bind(|_| Some(NOWHERE)).expect("every import is bound");
    image.snapshot().expect("a snapshot");
    let found = [0xa000, 0xb000, 0xc000].map(|page| protection(image.base() + page));
    assert_eq!(found, ["r--", "r-x", "---"]);
}

#[test]
fn what_lies_between_sections_cannot_be_reached() {
    let mut driver = Driver::sound();
    driver.section(2, 8, 0x1000);
    let (_, mut image) = map(&driver, 0x35_0000_0000);
    image.bind(|_| Some(NOWHERE)).expect("every import is bound");
    assert_eq!(protection(image.base() + 0x3000), "rw-");
    assert_eq!(protection(image.base() + 0x4000), "---");
    assert!(!image.readable(image.base() + 0x4000, 1));
}

#[test]
fn restoring_brings_back_the_snapshot_and_leaves_untouched_pages_alone() {
    let mut image = bound(0x36_0000_0000);
    // What DriverEntry does to variables belongs to the snapshot.
    store(&image, 0x3200, 7);
    store(&image, 0x5000, 8);
    image.snapshot().expect("a snapshot");
    let before = read(&image, 0x3000, 5 * PAGE);
    assert_eq!(image.touched_pages(), 0);
    for run in 1..=3 {
        store(&image, 0x3200, run);
        store(&image, 0x3fff, run);
        store(&image, 0x7010, run);
        store(&image, 0x8009, run);
        assert_eq!(
            image.touched_pages(),
            2,
            "two pages of variables; the counters' page is no variable"
        );
        // SAFETY: nothing of the driver runs.
        unsafe { image.restore() };
        assert_eq!(read(&image, 0x3000, 5 * PAGE), before);
        assert_eq!(read(&image, 0x8009, 1), [run], "counters are the engine's");
    }
    for page in [0x4000, 0x5000, 0x6000] {
        assert_eq!(protection(image.base() + page), "r--", "never written, never copied");
    }
}

#[test]
fn only_the_first_write_to_a_variable_is_a_touch() {
    let mut image = bound(0x37_0000_0000);
    assert!(!image.touched(image.base() + 0x3000), "there is no snapshot yet");
    image.snapshot().expect("a snapshot");
    assert!(image.touched(image.base() + 0x3123));
    assert!(
        !image.touched(image.base() + 0x3456),
        "the page is writable, so this fault is the driver's"
    );
    for offset in [0, ENTRY as usize, 0x2000, 0x8000, 0x9000, 0xb000, IMAGE_SIZE as usize] {
        assert!(!image.touched(image.base() + offset), "{offset:#x} is no variable");
    }
    assert!(!image.touched(0));
}

#[test]
fn the_machines_own_stores_do_not_fault() {
    let mut image = bound(0x38_0000_0000);
    image.snapshot().expect("a snapshot");
    assert!(image.writable(image.base() + 0x3ff8, 16), "across two pages");
    assert_eq!(protection(image.base() + 0x3000), "rw-");
    assert_eq!(protection(image.base() + 0x4000), "rw-");
    assert_eq!(protection(image.base() + 0x5000), "r--");
    assert!(image.writable(image.base() + 0x3ff8, 16), "a second time");
    assert_eq!(image.touched_pages(), 2);
}

#[test]
fn the_driver_runs() {
    let mut image = bound(0x39_0000_0000);
    // SAFETY: the code at the entry point is `mov eax, 42; ret`.
    let entry: extern "win64" fn() -> u32 = unsafe { std::mem::transmute(image.entry()) };
    assert_eq!(entry(), 42);
    // SAFETY: the code there adds one to the variable at 0x7000.
    let helper: extern "win64" fn() =
        unsafe { std::mem::transmute(image.base() + HELPER as usize) };
    helper();
    image.snapshot().expect("a snapshot");
    assert!(image.writable(image.base() + 0x7000, 4));
    helper();
    assert_eq!(read(&image, 0x7000, 1), [2]);
    // SAFETY: nothing of the driver runs.
    unsafe { image.restore() };
    assert_eq!(read(&image, 0x7000, 1), [1]);
}

#[test]
fn guard_pointers_let_every_call_through() {
    let image = bound(0x3a_0000_0000);
    let (check, dispatch) = (word(&image, 0x2380), word(&image, 0x2388));
    // SAFETY: the first byte of a routine of this process.
    let code = |address: u64| unsafe { std::slice::from_raw_parts(address as *const u8, 2) };
    assert_eq!(code(check)[0], 0xc3, "ret");
    assert_eq!(code(dispatch), [0xff, 0xe0], "jmp rax");
}

#[test]
fn coverage_is_where_the_compiler_put_it() {
    let image = bound(0x3b_0000_0000);
    let counters = image.counters().expect("counters");
    assert_eq!((counters.addr().get(), counters.len()), (image.base() + 0x8008, 3));
    let points = image.points().expect("a table");
    // SAFETY: the image lives, and nothing writes to its constants.
    let points = unsafe { points.as_ref() };
    assert_eq!(points.len(), 3);
    assert!(points.iter().all(|point| point.address == image.base() + HELPER as usize));
}

#[test]
fn coverage_is_found_with_and_without_markers_and_table() {
    let find = |spoil: fn(&mut Driver) -> &mut Driver| {
        let mut driver = Driver::sound();
        spoil(&mut driver);
        let coverage = Pe::parse(&driver.0).expect("a sound driver").coverage;
        coverage.map(|coverage| (coverage.counters, coverage.table.is_some()))
    };
    assert_eq!(find(|d| d), Some((0x8008..0x800b, true)));
    assert_eq!(find(|d| d.section(3, 8, 3)), Some((0x8000..0x8003, true)), "no marker");
    assert_eq!(find(|d| d.section(3, 8, 2)), None, "fewer counters than entries");
    assert_eq!(
        find(|d| d.section(4, 8, 0x30)),
        None,
        "a table that is cut off, and counters without room"
    );
    let found = find(|d| d.section(3, 8, 0x20).put(SECTION_TABLE + 4 * 40, b".other"));
    assert_eq!(found, Some((0x8000..0x8020, false)), "no table: every byte may be a counter");
    assert_eq!(find(|d| d.section(3, 36, 0x4000_0040)), None, "counters that cannot count");
    assert_eq!(find(|d| d.put(SECTION_TABLE + 3 * 40, b".other")), None);
}

/// Pseudo-random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A driver with one to four fields changed, mostly where the loader looks.
fn mutant(sound: &Driver, random: &mut Random) -> Driver {
    let mut driver = sound.clone();
    for _ in 0..=random.below(4) {
        let place = match random.below(4) {
            0 => random.below(0x300),
            1 => 0x800 + random.below(0x400),
            2 => Driver::place(RELOCATION_TABLE) + random.below(0x40),
            _ => random.below(driver.0.len() - 8),
        };
        let values = [
            0,
            1,
            7,
            0x7f,
            0x80,
            0xfff,
            0x1000,
            0x2ff8,
            0xcff9,
            0xd000,
            0x7fff_ffff,
            0xffff_ffff,
            random.next(),
        ];
        let value = values[random.below(values.len())].to_le_bytes();
        let width = [1, 2, 4, 8][random.below(4)];
        driver.put(place, &value[..width]);
    }
    driver
}

/// Pages with a pattern right before and right after where an image goes.
struct Fence([usize; 2]);

impl Fence {
    fn around(base: usize, size: usize) -> Self {
        let pages = [base - PAGE, base + size];
        for page in pages {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            // SAFETY: nothing that exists is replaced.
            let memory =
                unsafe { libc::mmap(page as *mut libc::c_void, PAGE, protection, flags, -1, 0) };
            assert_eq!(memory as usize, page);
            // SAFETY: the page is ours.
            unsafe { (page as *mut u8).write_bytes(0xa5, PAGE) };
        }
        Fence(pages)
    }

    fn check(&self) {
        for page in self.0 {
            // SAFETY: the page is ours.
            let bytes = unsafe { std::slice::from_raw_parts(page as *const u8, PAGE) };
            assert!(
                bytes.iter().all(|&byte| byte == 0xa5),
                "something was written outside the image"
            );
        }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        for page in self.0 {
            // SAFETY: the page is ours.
            unsafe { libc::munmap(page as *mut libc::c_void, PAGE) };
        }
    }
}

#[test]
fn no_mutant_makes_the_loader_panic_or_write_outside_the_image() {
    let base = 0x3c_0000_0000;
    let sound = Driver::sound();
    let mut random = Random(0x6c6f_636b);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let driver = mutant(&sound, &mut random);
        let Ok(pe) = Pe::parse(&driver.0) else {
            refused += 1;
            continue;
        };
        taken += 1;
        rehearse(&driver.0).expect("it can be mapped anywhere");
        if !pe.movable {
            continue;
        }
        let fence = Fence::around(base, pe.size() as usize);
        let mut image = Image::map(&pe, Placement::At(base)).expect("the address is free");
        image.bind(|_| Some(NOWHERE)).expect("every import is bound");
        image.snapshot().expect("a snapshot");
        for section in &pe.sections {
            let _ = image.writable(base + section.address as usize, section.size as usize);
        }
        // SAFETY: nothing of the driver runs.
        unsafe { image.restore() };
        fence.check();
    }
    assert!(taken > 2_000 && refused > 2_000, "{taken} taken, {refused} refused: no good mutants");
}
