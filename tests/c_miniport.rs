//! The C example driver (`examples/c-miniport`): it builds, with every mistake and without, and what comes out is a
//! driver that Windows would load: nothing imported but from storport.sys and ntoskrnl.exe, the same bytes each time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the build runs.
const TOOLS: [&str; 4] = ["sh", "clang", "lld-link", "llvm-dlltool"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether all tools are here; if not, says which test is left out.
fn have(tools: &[&str], test: &str) -> bool {
    let missing = tools.iter().find(|tool| {
        let mut command = Command::new(tool);
        command.arg("--version").stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_err()
    });
    if let Some(tool) = missing {
        println!("left out: {test}, for there is no {tool}");
    }
    missing.is_none()
}

/// Builds the driver into a folder of its own; returns where it is.
fn build(folder: &str, arguments: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).expect("a folder for the driver");
    let driver = folder.join("ramdisk.sys");
    let output = Command::new("sh")
        .arg(root().join("examples/c-miniport/build"))
        .args(arguments)
        .arg("-o")
        .arg(&driver)
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    driver
}

#[test]
fn it_builds_with_every_mistake() {
    if !have(&TOOLS, "it_builds_with_every_mistake") {
        return;
    }
    let mut drivers = Vec::new();
    for mistake in ["0", "1", "2", "3", "4", "5", "6", "7", "8"] {
        let driver = build(&format!("mistake{mistake}"), &["--mistake", mistake]);
        drivers.push(std::fs::read(driver).expect("the driver"));
    }
    for (n, driver) in drivers.iter().enumerate() {
        assert!(!drivers[..n].contains(driver), "mistake {n} changes nothing");
    }
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    if !have(&TOOLS, "the_same_sources_give_the_same_bytes") {
        return;
    }
    let (one, other) = (build("here", &["--coverage"]), build("there", &["--coverage"]));
    let read = |path: &Path| std::fs::read(path).expect("a file that was built");
    assert_eq!(read(&one), read(&other));
    assert_eq!(read(&one.with_extension("pdb")), read(&other.with_extension("pdb")));
}

#[test]
fn it_imports_from_storport_and_the_kernel_only() {
    if !have(
        &[&TOOLS[..], &["llvm-readobj"]].concat(),
        "it_imports_from_storport_and_the_kernel_only",
    ) {
        return;
    }
    let driver = build("imports", &["--coverage"]);
    let output = Command::new("llvm-readobj")
        .args(["--file-headers", "--coff-imports"])
        .arg(driver)
        .output()
        .expect("llvm-readobj");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut from: Vec<_> =
        text.lines().filter_map(|line| line.trim().strip_prefix("Name: ")).collect();
    from.sort_unstable();
    assert_eq!(from, ["ntoskrnl.exe", "storport.sys"]);
    assert!(text.contains("IMAGE_SUBSYSTEM_NATIVE"), "{text}");
    assert!(text.contains("DYNAMIC_BASE"), "{text}");
}

#[test]
fn a_wrong_call_of_the_build_says_how_to_call_it() {
    if !have(&["sh"], "a_wrong_call_of_the_build_says_how_to_call_it") {
        return;
    }
    for arguments in [&["--mistake", "9"][..], &["--mistake"], &["--cover"]] {
        let output = Command::new("sh")
            .arg(root().join("examples/c-miniport/build"))
            .args(arguments)
            .output()
            .expect("a shell");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--mistake N"));
    }
}
