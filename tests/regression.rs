//! The tests that lockstorm writes: they compile, fail on the driver that has the bug, and pass on the mended one.

use std::path::{Path, PathBuf};
use std::process::Command;

use lockstorm::device::model::Model;
use lockstorm::harness::Harness;
use lockstorm::report::breach::Breach;
use lockstorm::triage::minimise::{Limits, Subject, smallest};
use lockstorm::triage::regression::{Runner, regression_test};

#[path = "../examples/own_driver.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example is a program of its own")]
mod own_driver;
mod support;

/// A harness that can be minimised on.
struct Plain<'a>(&'a mut Harness);

impl Subject for Plain<'_> {
    fn shows(&mut self, scenario: &lockstorm::scenario::Scenario, bug: u64) -> bool {
        self.0.run(scenario);
        self.0.findings().iter().any(|finding| finding.bug() == bug)
    }
}

/// The source of a test for the bug of the example's driver.
fn emitted() -> String {
    let mut harness =
        Harness::of_core::<own_driver::OneAtATime<false>>(Model::Bare, Box::leak(Box::default()));
    let mut inputs = support::Inputs::new(5);
    let finding = loop {
        let bytes = inputs.bytes(300);
        harness.run_bytes(&bytes);
        if let Some(finding) = harness.findings().last() {
            break *finding;
        }
    };
    let scenario = harness.scenario().clone();
    let (scenario, ..) =
        smallest(&mut Plain(&mut harness), &scenario, finding.bug(), Limits::default())
            .expect("it shows its bug");
    regression_test(&Breach::of(&finding), &scenario, &Runner::Core("crate::Driver"))
}

/// The library that this test is linked with.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("liblockstorm-") && name.ends_with(".rlib")
    };
    let entries = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
    entries
        .filter(is_library)
        .max_by_key(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
        .expect("cargo has built it")
}

/// Compiles the emitted test with a driver and runs it.
fn passes(folder: &Path, driver: &str) -> bool {
    let library = library();
    let source = format!(
        "#[path = {:?}]\n#[allow(dead_code)]\nmod own_driver;\n#[cfg(test)]\nmod regression;\n\
         /// The driver under test.\npub type Driver = own_driver::OneAtATime<{driver}>;\n",
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own_driver.rs")
    );
    std::fs::write(folder.join("main.rs"), source).unwrap();
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let compiled = Command::new(rustc)
        .args(["--test", "--edition=2024", "main.rs", "-o", "regression"])
        .arg("--extern")
        .arg(format!("lockstorm={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", library.parent().unwrap().display()))
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let run = Command::new(folder.join("regression")).arg("the_bug_is_mended").output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("running 1 test"), "{said}");
    run.status.success()
}

#[test]
fn an_emitted_test_fails_on_the_bug_and_passes_on_the_remedy() {
    let folder = std::env::temp_dir().join(format!("lockstorm-regression-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("regression.rs"), emitted()).unwrap();
    assert!(!passes(&folder, "false"));
    assert!(passes(&folder, "true"));
    let _ = std::fs::remove_dir_all(&folder);
}
