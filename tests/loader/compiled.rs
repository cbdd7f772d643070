//! Drivers built by a real compiler and a real linker, where there are some: clang, lld-link and llvm-dlltool.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lockstorm::binary::image::{Image, Placement};
use lockstorm::binary::pe::{Import, Pe, Symbol};
use lockstorm::binary::symbols::Symbols;

const SOURCE: &str = r#"
typedef unsigned long long u64;
__declspec(dllimport) unsigned StorPortInitialize(void *, void *, void *, void *);
__declspec(dllimport) unsigned DbgPrint(const char *, ...);
int table[3000] = {1, 2, 3};
int counter;
int *pointer = &table[1];
static inline __attribute__((always_inline)) int thrice(int x) {
    return x * 3; // line 9
}
__declspec(noinline) int add(int x) {
    counter += x;
    return thrice(counter) + *pointer;
}
int (*volatile routine)(int) = add;
unsigned DriverEntry(void *driver, void *path) {
    if (driver)
        DbgPrint("%p", driver);
    return StorPortInitialize(driver, path, (void *)routine, 0) + routine(1);
}
"#;

/// What compiler-rt has for a program: the names of the counters' and the table's ends.
const COVERAGE: &str = r#"
typedef unsigned long long u64;
#pragma section(".SCOV$CA", read, write)
#pragma section(".SCOV$CZ", read, write)
#pragma section(".SCOVP$A", read)
#pragma section(".SCOVP$Z", read)
__declspec(allocate(".SCOV$CA")) u64 __start___sancov_cntrs = 0;
__declspec(allocate(".SCOV$CZ")) __declspec(align(1)) char __stop___sancov_cntrs = 0;
__declspec(allocate(".SCOVP$A")) u64 __start___sancov_pcs = 0;
__declspec(allocate(".SCOVP$Z")) __declspec(align(1)) char __stop___sancov_pcs = 0;
void __sanitizer_cov_8bit_counters_init(void *start, void *stop) {}
void __sanitizer_cov_pcs_init(void *start, void *stop) {}
"#;

/// A folder with what a driver is built from.
struct Workshop(PathBuf);

impl Workshop {
    /// A workshop, or `None` on a machine without the tools, which is said.
    fn open(name: &str) -> Option<Self> {
        for tool in ["clang", "lld-link", "llvm-dlltool"] {
            let status = Command::new(tool)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            // llvm-dlltool knows no --version; that it starts is enough.
            if status.is_err() {
                // Past the test harness, which keeps what a passing test prints to itself.
                let notice =
                    format!("compiled::{name} left out: there is no {tool} on this machine\n");
                let _ = std::io::stderr().write_all(notice.as_bytes());
                return None;
            }
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let workshop = Workshop(folder);
        workshop.library("storport", "storport.sys", "StorPortInitialize");
        workshop.library("ntoskrnl", "ntoskrnl.exe", "DbgPrint");
        Some(workshop)
    }

    fn run(&self, tool: &str, arguments: &[&str]) {
        let output = Command::new(tool)
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .expect("the tool starts");
        assert!(
            output.status.success(),
            "{tool} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn library(&self, name: &str, module: &str, exports: &str) {
        let definition = format!("LIBRARY {module}\nEXPORTS\n{exports}\n");
        fs::write(self.0.join(format!("{name}.def")), definition).expect("a file");
        self.run(
            "llvm-dlltool",
            &["-m", "i386:x86-64", "-d", &format!("{name}.def"), "-l", &format!("{name}.lib")],
        );
    }

    fn compile(&self, name: &str, source: &str, options: &[&str]) {
        let file = format!("{name}.c");
        fs::write(self.0.join(&file), source).expect("a file");
        let object = format!("{name}.obj");
        let mut arguments =
            vec!["--target=x86_64-pc-windows-msvc", "-O1", "-c", &file, "-o", &object];
        arguments.extend(options);
        self.run("clang", &arguments);
    }

    /// Links a driver, which has the name of its first object.
    fn link(&self, objects: &[&str], options: &[&str]) -> PathBuf {
        let output = format!("{}.sys", objects[0]);
        let out = format!("/out:{output}");
        let objects: Vec<String> = objects.iter().map(|object| format!("{object}.obj")).collect();
        let mut arguments = vec![
            "/driver",
            "/subsystem:native",
            "/entry:DriverEntry",
            "/nodefaultlib",
            "storport.lib",
            "ntoskrnl.lib",
            &out,
        ];
        arguments.extend(objects.iter().map(String::as_str));
        arguments.extend(options);
        self.run("lld-link", &arguments);
        self.0.join(output)
    }
}

fn parse(path: &Path) -> Pe {
    Pe::open(path).expect("a sound driver")
}

#[test]
fn a_compiled_driver_cut_off_anywhere_is_refused() {
    let Some(workshop) = Workshop::open("cut") else { return };
    workshop.compile("cut", SOURCE, &["-g", "-gdwarf"]);
    let whole = fs::read(workshop.link(&["cut"], &["/debug:dwarf"])).expect("the driver");
    assert!(Pe::parse(&whole).is_ok());
    for length in 1..whole.len() {
        match Pe::parse(&whole[..length]) {
            Err(error) => assert!(
                error.to_string().starts_with("truncated: "),
                "cut off at {length}: {error}"
            ),
            // Behind the names of the sections the linker fills up its last block.
            Ok(_) => {
                assert!(whole[length..].iter().all(|&byte| byte == 0) && whole.len() - length < 512)
            }
        }
    }
}

extern "win64" fn initialize() -> u32 {
    0x1000
}

fn resolve(import: &Import) -> Option<usize> {
    let known = Symbol::Name("StorPortInitialize".to_owned());
    Some(if import.symbol == known { initialize as *const () as usize } else { 1 })
}

/// The address of a function, by its name in the debugging information.
fn find(symbols: &Symbols, pe: &Pe, function: &str) -> u32 {
    let code = pe.sections.iter().find(|section| section.name == ".text").expect("code");
    let mut offsets = code.range();
    let found = offsets.find(|offset| {
        symbols.locate(*offset).is_some_and(|location| location.function == function)
    });
    found.unwrap_or_else(|| panic!("{function} is not found: {:?}", symbols.missing()))
}

#[test]
fn a_compiled_driver_runs_from_its_snapshot() {
    let Some(workshop) = Workshop::open("runs") else { return };
    workshop.compile("runs", SOURCE, &[]);
    let pe = parse(&workshop.link(&["runs"], &[]));
    let names: Vec<String> = pe.imports.iter().map(Import::to_string).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&"storport.sys!StorPortInitialize".to_owned()), "{names:?}");
    let mut image = Image::map(&pe, Placement::At(0x41_0000_0000)).expect("a free address");
    image.bind(resolve).expect("all imports");
    // SAFETY: the driver's entry point, whose imports with a null driver are bound.
    let entry: extern "win64" fn(usize, usize) -> u32 =
        unsafe { std::mem::transmute(image.entry()) };
    // counter is 1, so thrice gives 3; pointer leads to a 2.
    assert_eq!(entry(0, 0), 0x1000 + 3 + 2);
    assert_eq!(entry(0, 0), 0x1000 + 6 + 2);
    image.snapshot().expect("a snapshot");
    for _ in 0..3 {
        for section in pe.sections.iter().filter(|section| section.name == ".data") {
            assert!(image.writable(image.base() + section.address as usize, section.size as usize));
        }
        assert_eq!(entry(0, 0), 0x1000 + 9 + 2);
        // SAFETY: nothing of the driver runs.
        unsafe { image.restore() };
    }
}

#[test]
fn relocating_gives_what_the_linker_gives() {
    let Some(workshop) = Workshop::open("relocates") else { return };
    let base = 0x42_0000_0000_usize;
    workshop.compile("moved", SOURCE, &[]);
    workshop.compile("placed", SOURCE, &[]);
    let moved = parse(&workshop.link(&["moved"], &[]));
    let placed = parse(&workshop.link(&["placed"], &[&format!("/base:{base:#x}")]));
    assert_ne!(moved.preferred_base, placed.preferred_base);
    assert!(!moved.relocations.is_empty());
    let image = Image::map(&moved, Placement::At(base)).expect("a free address");
    for section in &placed.sections {
        assert!(image.readable(base + section.address as usize, section.size as usize));
        let expected = placed.memory.slice(section.address, section.size).expect("a section");
        let start = (base + section.address as usize) as *const u8;
        // SAFETY: the image says that these bytes can be read.
        let found = unsafe { std::slice::from_raw_parts(start, section.size as usize) };
        assert!(found == expected, "{} differs", section.name);
    }
}

#[test]
fn the_compilers_counters_are_found() {
    let Some(workshop) = Workshop::open("counts") else { return };
    workshop.compile("counts", SOURCE, &["-fsanitize-coverage=inline-8bit-counters,pc-table"]);
    workshop.compile("ends", COVERAGE, &[]);
    let pe = parse(&workshop.link(&["counts", "ends"], &[]));
    assert!(!pe.initialisers.is_empty(), "the compiler wants its counters registered");
    let mut image = Image::map(&pe, Placement::At(0x43_0000_0000)).expect("a free address");
    image.bind(resolve).expect("all imports");
    image.snapshot().expect("a snapshot");
    let (counters, points) =
        (image.counters().expect("counters"), image.points().expect("a table"));
    // SAFETY: the image lives, and nothing of the driver runs.
    let (counts, points) = unsafe { (counters.as_ref(), points.as_ref()) };
    assert_eq!(counts.len(), points.len());
    assert!(counts.iter().all(|count| *count == 0));
    assert!(points.iter().all(|point| image.executable(point.address)));
    let entry = points
        .iter()
        .position(|point| point.address == image.entry())
        .expect("the entry point is counted");
    assert_eq!(points[entry].flags & 1, 1);
    for section in pe.sections.iter().filter(|section| section.name == ".data") {
        assert!(image.writable(image.base() + section.address as usize, section.size as usize));
    }
    // SAFETY: the driver's entry point, whose imports with a null driver are bound.
    let run: extern "win64" fn(usize, usize) -> u32 = unsafe { std::mem::transmute(image.entry()) };
    run(0, 0);
    run(0, 0);
    // SAFETY: nothing of the driver runs.
    unsafe { image.restore() };
    // SAFETY: as before.
    let counts = unsafe { counters.as_ref() };
    assert_eq!(counts[entry], 2, "restoring leaves the counters to the engine");
}

#[test]
fn names_come_from_the_program_database() {
    let Some(workshop) = Workshop::open("pdb") else { return };
    workshop.compile("named", SOURCE, &["-g", "-gcodeview"]);
    let driver = workshop.link(&["named"], &["/debug"]);
    check_names(&driver, "named.c");
    let pe = parse(&driver);
    // The database of another build would give wrong names.
    workshop.compile("named", &SOURCE.replace("* 3", "* 4"), &["-g", "-gcodeview"]);
    let kept = fs::read(&driver).expect("the driver");
    workshop.link(&["named"], &["/debug"]);
    fs::write(&driver, kept).expect("the driver");
    let symbols = Symbols::new(&driver, &pe);
    assert_eq!(symbols.describe(pe.entry), format!("named.sys+{:#x}", pe.entry));
    assert!(
        symbols.missing().is_some_and(|why| why.contains("another build")),
        "{:?}",
        symbols.missing()
    );
    fs::remove_file(driver.with_extension("pdb")).expect("the database");
    let symbols = Symbols::new(&driver, &pe);
    assert!(
        symbols.missing().is_some_and(|why| why.contains("no named.pdb")),
        "{:?}",
        symbols.missing()
    );
}

#[test]
fn names_come_from_dwarf() {
    let Some(workshop) = Workshop::open("dwarf") else { return };
    workshop.compile("inside", SOURCE, &["-g", "-gdwarf"]);
    let driver = workshop.link(&["inside"], &["/debug:dwarf"]);
    check_names(&driver, "inside.c");
}

#[test]
fn damaged_debugging_information_costs_no_more_than_the_names() {
    let Some(workshop) = Workshop::open("damaged") else { return };
    workshop.compile("beside", SOURCE, &["-g", "-gcodeview"]);
    workshop.compile("within", SOURCE, &["-g", "-gdwarf"]);
    let beside = workshop.link(&["beside"], &["/debug"]);
    let within = workshop.link(&["within"], &["/debug:dwarf"]);
    for (driver, damaged) in [(&beside, beside.with_extension("pdb")), (&within, within.clone())] {
        let pe = parse(driver);
        let sound = fs::read(&damaged).expect("the debugging information");
        // The table of the streams' names, where the PDB's reader is at its weakest; then everywhere.
        let weak = sound.windows(7).position(|text| text == b"/names\0").unwrap_or(0x400);
        let everywhere = (0..100).map(|part| 0x400 + part * (sound.len() - 0x410) / 100);
        for place in (weak + 7..weak + 71).chain(everywhere) {
            let mut bytes = sound.clone();
            bytes[place..place + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
            fs::write(&damaged, bytes).expect("the debugging information");
            let symbols = Symbols::new(driver, &pe);
            for offset in pe.sections[0].range() {
                assert!(!symbols.describe(offset).is_empty());
            }
        }
        fs::write(&damaged, "nonsense").expect("the debugging information");
        assert!(Symbols::new(driver, &pe).missing().is_some());
    }
}

#[test]
fn names_can_be_told_to_any_thread() {
    fn shared(_: &(impl Send + Sync + 'static)) {}
    let pe = Pe::parse(&crate::file::Driver::sound().0).expect("a sound driver");
    let symbols = Symbols::new(Path::new("/nowhere/small.sys"), &pe);
    shared(&symbols);
    assert_eq!(symbols.describe(0x1234), "small.sys+0x1234");
}

fn check_names(driver: &Path, file: &str) {
    let pe = parse(driver);
    let symbols = Symbols::new(driver, &pe);
    let entry = symbols.locate(pe.entry).expect("the entry point has a name");
    assert_eq!((entry.function.as_str(), entry.line), ("DriverEntry", Some(16)));
    assert_eq!(symbols.describe(pe.entry), format!("DriverEntry ({file}:16)"));
    assert_eq!(symbols.describe(find(&symbols, &pe, "add")), format!("add ({file}:12)"));
    assert_eq!(symbols.describe(find(&symbols, &pe, "thrice")), format!("thrice ({file}:9)"));
    // Code that belongs to no source has its offset for a name.
    let nowhere = pe.sections.last().expect("sections").address;
    let module = driver.file_name().expect("a name").to_string_lossy();
    assert_eq!(symbols.describe(nowhere), format!("{module}+{nowhere:#x}"));
}
