//! A compiled driver whose DriverEntry fails, under the commands that run it in worker processes: no result, one line,
//! exit status 2.

#[path = "support/notice.rs"]
mod notice;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SOURCE: &str = "
__declspec(dllimport) unsigned StorPortInitialize(void *, void *, void *, void *);
unsigned DriverEntry(void *driver, void *path) {
    FAIL;
    return driver ? 0xC0000001 : StorPortInitialize(driver, path, 0, 0);
}
";

const EXPORTS: &str = "LIBRARY storport.sys\nEXPORTS\nStorPortInitialize\n";

/// Builds a driver that does `fail` in its DriverEntry; `None` on a machine without the tools, which is said.
fn build(name: &str, fail: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("fails.c"), SOURCE).expect("a file");
    std::fs::write(folder.join("storport.def"), EXPORTS).expect("a file");
    let fail = format!("-DFAIL={fail}");
    let library = ["-m", "i386:x86-64", "-d", "storport.def", "-l", "storport.lib"];
    let compile =
        ["--target=x86_64-pc-windows-msvc", "-O1", &fail, "-c", "fails.c", "-o", "fails.obj"];
    let link = [
        "/driver",
        "/subsystem:native",
        "/entry:DriverEntry",
        "/nodefaultlib",
        "fails.obj",
        "storport.lib",
        "/out:fails.sys",
    ];
    for (tool, arguments) in
        [("llvm-dlltool", &library[..]), ("clang", &compile), ("lld-link", &link)]
    {
        match Command::new(tool).args(arguments).current_dir(&folder).output() {
            Ok(output) => assert!(output.status.success(), "{tool}: {output:?}"),
            Err(_) => {
                notice::left_out(name, &format!("there is no {tool}"));
                return None;
            }
        }
    }
    Some(folder)
}

/// Commands with workers, without the driver and its device.
const COMMANDS: [&[&str]; 4] = [
    &["fuzz", "--seconds", "5", "--jobs", "2"],
    &["triage", "one.ron", "other.ron", "-o", "triaged", "--jobs", "2"],
    &["minimise", "one.ron"],
    &["mutants"],
];

fn lockstorm(folder: &Path, driver: &str, command: &[&str]) -> Output {
    for (input, processors) in [("one.ron", 1), ("other.ron", 2)] {
        let scenario = format!("(version: 1, setup: (processors: {processors}))");
        std::fs::write(folder.join(input), scenario).expect("a file");
    }
    Command::new(env!("CARGO_BIN_EXE_lockstorm"))
        .arg(command[0])
        .args([driver, "--device", "bare"])
        .args(&command[1..])
        .current_dir(folder)
        .output()
        .expect("lockstorm starts")
}

#[test]
fn a_driver_that_does_not_start_is_told_once_and_is_no_clean_campaign() {
    for (name, fail, why) in [
        ("entry-refuses", "", "fails.sys: DriverEntry returns 0xc0000001"),
        (
            "entry-crashes",
            "*(volatile int *)16 = 1",
            "fails.sys: DriverEntry stops: access violation, at ",
        ),
    ] {
        let Some(folder) = build(name, fail) else { return };
        for command in COMMANDS {
            is_told_once(&lockstorm(&folder, "fails.sys", command), why);
        }
    }
}

#[test]
fn a_file_that_is_no_driver_is_told_once() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-driver");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("no.sys"), "MZ").expect("a file");
    for command in COMMANDS {
        is_told_once(&lockstorm(&folder, "no.sys", command), "lockstorm: no.sys: ");
    }
}

fn is_told_once(output: &Output, why: &str) {
    let (told, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert_eq!(told, "", "no result of what was none");
    assert_eq!(errors.matches(why).count(), 1, "{errors}");
    assert_eq!(errors.lines().filter(|line| !line.contains("fuzzing")).count(), 1, "{errors}");
    assert!(!errors.contains("worker"), "{errors}");
}
