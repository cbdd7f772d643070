//! The C example driver (`examples/c-miniport`): it builds, with every mistake and without, and what comes out is a
//! driver that Windows would load: nothing imported but from storport.sys and ntoskrnl.exe, the same bytes each time.
//! On the machine the correct driver is silent, and each mistake shows where it is in the source.

#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
mod support;

#[path = "support/notice.rs"]
mod notice;

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
        notice::left_out(test, &format!("there is no {tool}"));
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
    for mistake in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] {
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
    for arguments in [&["--mistake", "10"][..], &["--mistake"], &["--cover"]] {
        let output = Command::new("sh")
            .arg(root().join("examples/c-miniport/build"))
            .args(arguments)
            .output()
            .expect("a shell");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--mistake N"));
    }
}

#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
mod on_the_machine {
    use super::support::Inputs;
    use super::{TOOLS, build, have, root};
    use lockstorm::binary::DriverFile;
    use lockstorm::device::model::Model;
    use lockstorm::event::{Access, Event, Kind, Site, Touch};
    use lockstorm::harness::{Compiled, Harness, Target};
    use lockstorm::machine::{End, MemoryWatch};
    use lockstorm::scenario::{codec, text};
    use std::path::{Path, PathBuf};

    /// Enough for the rarest mistake, which one random input in 170 shows, many times over.
    const RUNS: usize = 4_000;

    fn open(path: &Path, device: Model, pci: Option<PathBuf>) -> Harness {
        let driver = Compiled { path: path.to_owned(), device, pci };
        let map = Box::leak(Box::default());
        Harness::open(&Target::Compiled(driver), map).expect("the driver loads")
    }

    /// The first finding of random inputs: its rule, and the function that it is in.
    fn first_finding(path: &Path) -> Option<(String, String)> {
        let mut harness = open(path, Model::Doorbell, None);
        let mut inputs = Inputs::new(0xC0DE);
        for _ in 0..RUNS {
            harness.run_bytes(&inputs.bytes(400));
            let Some(finding) = harness.findings().first() else { continue };
            let Site::Image(offset) = finding.site else {
                panic!("not in the driver: {finding:?}")
            };
            let symbols = DriverFile::read(path).expect("read before").symbols();
            let place = symbols.describe_call(offset);
            let function = place.split(' ').next().unwrap_or_default().to_owned();
            return Some((finding.rule.rule().id.to_owned(), function));
        }
        None
    }

    #[test]
    fn every_mistake_is_found_where_it_is() {
        if !have(&TOOLS, "every_mistake_is_found_where_it_is") {
            return;
        }
        let expected = [
            ("lock.held_at_return", "StartOnChannel"),
            ("lock.order", "ResetChannel"),
            ("lock.release_message", "RamdiskReleaseInterruptGuard"),
            ("lock.handle_copied", "RamdiskChannelDpc"),
            ("lock.port_held", "RamdiskResetDpc"),
            ("irql.lock_level", "RamdiskNote"),
            ("request.completed_under_lock", "RamdiskCompleteAll"),
            ("lock.cycle", "RamdiskNoteReset"),
        ];
        for (mistake, (rule, function)) in (1..).zip(expected) {
            let number = mistake.to_string();
            let path = build(&format!("found{mistake}"), &["--coverage", "--mistake", &number]);
            let found = first_finding(&path).unwrap_or_default();
            assert_eq!(found, (rule.to_owned(), function.to_owned()), "mistake {mistake}");
        }
    }

    /// Runs the correct driver, which must be silent and end every run; returns how much happened.
    fn silent(harness: &mut Harness, runs: usize) -> u64 {
        let mut inputs = Inputs::new(0x5EED);
        let mut events = 0;
        for n in 0..runs {
            let outcome = harness.run_bytes(&inputs.bytes(400));
            assert_eq!(harness.findings(), [], "run {n}");
            assert_eq!(outcome.end, End::Quiet, "run {n}");
            events += outcome.events;
        }
        events
    }

    #[test]
    fn the_correct_driver_is_silent_however_it_reaches_registers() {
        if !have(&TOOLS, "the_correct_driver_is_silent_however_it_reaches_registers") {
            return;
        }
        let called = build("called", &["--coverage"]);
        let inline = build("inline", &["--inline-registers"]);
        let events = silent(&mut open(&called, Model::Doorbell, None), RUNS);
        assert_eq!(silent(&mut open(&inline, Model::Doorbell, None), RUNS), events);
        assert!(events > 100 * RUNS as u64, "it works: {events} events");
    }

    /// The first data race of random inputs, as it is told; the other rules find nothing before.
    fn first_race(path: &Path, preempts: bool) -> Option<String> {
        let mut harness = open(path, Model::Doorbell, None);
        harness.watch_memory(MemoryWatch { events: true, preempts });
        let mut inputs = Inputs::new(0xC0DE);
        for _ in 0..RUNS / 4 {
            harness.run_bytes(&inputs.bytes(400));
            let Some(finding) = harness.findings().first() else { continue };
            let lines = finding.race_lines().map(|line| format!("{line}\n"));
            return Some(format!("{}\n{}", finding.rule, lines.collect::<String>()));
        }
        None
    }

    /// Interlocked operations of some random inputs.
    fn interlocked(path: &Path) -> usize {
        let mut harness = open(path, Model::Doorbell, None);
        harness.watch_memory(MemoryWatch { events: true, preempts: false });
        harness.record(true);
        let mut inputs = Inputs::new(0xC0DE);
        let told = |event: &&Event| {
            matches!(event.kind, Kind::Accessed(Access { touch: Touch::Interlocked, .. }))
        };
        let runs = (0..60).map(|_| {
            harness.run_bytes(&inputs.bytes(400));
            harness.events().iter().filter(told).count()
        });
        runs.sum()
    }

    #[test]
    fn a_driver_that_tells_of_its_memory_has_races_where_a_lock_is_missing() {
        if !have(&TOOLS, "a_driver_that_tells_of_its_memory_has_races_where_a_lock_is_missing") {
            return;
        }
        let correct = build("told", &["--memory"]);
        assert_eq!(first_race(&correct, false), None);
        assert_eq!(first_race(&correct, true), None);
        assert!(interlocked(&correct) > 100, "its counter of requests is told of as what it is");
        let counted = build("told-counted", &["--memory", "--coverage"]);
        assert_eq!(first_race(&counted, false), None, "counters of coverage race by nature");
        let told = first_race(&build("told9", &["--memory", "--mistake", "9"]), false);
        let told = told.expect("a race");
        assert!(told.starts_with("race.unsynchronized\nmemory: device extension+"), "{told}");
        assert!(told.contains("guards this memory most often"), "{told}");
    }

    #[test]
    fn a_driver_that_was_not_built_for_it_has_accesses_of_no_kind() {
        if !have(&TOOLS, "a_driver_that_was_not_built_for_it_has_accesses_of_no_kind") {
            return;
        }
        let path = build("untold", &["--mistake", "9"]);
        assert!(first_race(&path, false).is_none_or(|told| !told.starts_with("race")));
    }

    #[test]
    fn the_correct_driver_is_silent_without_a_model_of_its_device() {
        if !have(&TOOLS, "the_correct_driver_is_silent_without_a_model_of_its_device") {
            return;
        }
        let description = root().join("examples/c-miniport/doorbell.ron");
        let path = build("registers", &["--coverage"]);
        let events = silent(&mut open(&path, Model::Registers, Some(description)), RUNS);
        assert!(events > 100 * RUNS as u64, "it works: {events} events");
    }

    #[test]
    fn its_scenarios_are_legal_and_the_seeds_of_its_device() {
        if !have(&TOOLS, "its_scenarios_are_legal_and_the_seeds_of_its_device") {
            return;
        }
        let mut harness = open(&build("seeds", &["--memory"]), Model::Doorbell, None);
        harness.watch_memory(MemoryWatch { events: true, preempts: false });
        let folder = root().join("examples/c-miniport/scenarios");
        let mut scenarios: Vec<_> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.unwrap().path())
            .collect();
        scenarios.sort();
        assert!(scenarios.len() >= 8);
        for path in scenarios {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let scenario = text::read(&std::fs::read(&path).unwrap()).expect(name);
            assert_eq!(harness.run(&scenario).end, End::Quiet, "{name}");
            assert_eq!(harness.findings(), [], "{name}");
            let mut bytes = Vec::new();
            codec::encode(&scenario, &mut bytes);
            let seed = format!("corpus/doorbell/doorbell-{name}.bin");
            let found = std::fs::read(root().join(&seed));
            assert!(found.is_ok_and(|found| found == bytes), "{seed}: run scripts/seeds");
        }
    }
}
