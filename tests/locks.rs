//! `lockstorm locks`: what the map says is what the runs did.

#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
mod support;

#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
#[path = "support/notice.rs"]
mod notice;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::locks::{Fold, Guard, LockMap, dot, page};
use lockstorm::machine::MemoryWatch;
use lockstorm::rules::Severity;
use lockstorm::scenario::text;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The map of scenarios of the puppet, each a text.
fn puppet(apart: bool, scenarios: &[&str]) -> LockMap {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let mut fold = Fold::new(apart);
    for (number, scenario) in scenarios.iter().enumerate() {
        harness.run(&text::read_either(scenario.as_bytes()).unwrap());
        let broken = harness.findings().iter().any(|found| found.severity == Severity::Error);
        fold.add(&format!("input {number}"), harness.events(), broken);
    }
    fold.map("puppet")
}

#[test]
fn callbacks_take_what_the_script_says() {
    let map = puppet(
        true,
        &["(version: 1, steps: [
            Script(routine: StartIo, op: Acquire, lock: Dpc, argument: 2),
            Script(routine: StartIo, op: Release),
            Script(routine: BuildIo, op: KeAcquire, argument: 1),
            Script(routine: BuildIo, op: KeRelease, argument: 1),
            Read(), Read(gap: 5),
        ])"],
    );
    let of = |name: &str| map.callbacks.iter().find(|callback| callback.callback == name).unwrap();
    let start = of("HwStorStartIo");
    assert_eq!((start.calls, &start.irql[..]), (2, "DISPATCH_LEVEL"));
    assert_eq!(start.under, ["StartIo"]);
    let [take] = &start.takes[..] else { panic!("{:?}", start.takes) };
    assert_eq!((&take.lock[..], &take.holding[..], take.times), ("Dpc(2)", "StartIo", 2));
    assert_eq!(take.by, "StorPort*SpinLock");
    assert!(take.sites[0].contains("src/miniport/puppet/locks.rs:"), "{:?}", take.sites);
    let build = of("HwStorBuildIo");
    assert_eq!(
        (&build.takes[0].lock[..], &build.under[..]),
        ("Executive(1)", &["nothing".to_owned()][..])
    );
    assert_eq!((map.runs, map.broken, map.waits.len()), (1, 0, 0));
    assert!(map.fields.is_none(), "nobody asked for accesses");
}

#[test]
fn the_longest_hold_is_found_and_named() {
    let stalls = "(version: 1, steps: [
        Script(routine: BuildIo, op: KeAcquire),
        Script(routine: BuildIo, when: Second, op: StallMicroseconds, argument: 40),
        Script(routine: BuildIo, op: KeRelease),
        Read(), Read(gap: 5), Read(gap: 5),
    ])";
    let map = puppet(false, &["(version: 1)", stalls]);
    let lock = map.locks.iter().find(|lock| lock.lock == "Executive(0)").unwrap();
    let hold = lock.driver.as_ref().unwrap();
    assert_eq!(hold.times, 3);
    assert!(hold.median_ns < 1_000 && (40_000..42_000).contains(&hold.longest_ns), "{hold:?}");
    assert_eq!(hold.longest_input, "input 1");
    assert!(hold.longest_at.starts_with("HwStorBuildIo at src/miniport/puppet/"), "{hold:?}");
    assert!(lock.storport.is_none());
    let port = map.locks.iter().find(|lock| lock.lock == "StartIo").unwrap();
    assert_eq!(port.storport.as_ref().unwrap().longest_at, "HwStorStartIo");
}

#[test]
fn who_waits_for_whom_is_told() {
    let path = root().join("examples/scenarios/run-deadlock-legal.ron");
    let map = puppet(false, &[&fs::read_to_string(path).unwrap()]);
    let [wait] = &map.waits[..] else { panic!("{:?}", map.waits) };
    assert_eq!((&wait.lock[..], wait.times), ("Executive(0)", 1));
    assert!(wait.waits.starts_with("HwStorBuildIo at src/miniport/puppet/"), "{wait:?}");
    assert!(wait.holds.starts_with("HwStorBuildIo at src/miniport/puppet/"), "{wait:?}");
    assert!(wait.longest_ns > 0);
    let lock = map.locks.iter().find(|lock| lock.lock == "Executive(0)").unwrap();
    assert_eq!((lock.waited, lock.longest_wait_ns), (1, wait.longest_ns));
}

/// Neither run breaks a rule; together they show a deadlock.
#[test]
fn orders_of_different_runs_form_a_cycle() {
    let nests = |first: u8, second: u8| {
        format!(
            "(version: 1, setup: (processors: 1), steps: [
                Script(routine: BuildIo, op: KeAcquire, argument: {first}),
                Script(routine: BuildIo, op: KeAcquire, slot: 1, argument: {second}),
                Script(routine: BuildIo, op: KeRelease, slot: 1, argument: {second}),
                Script(routine: BuildIo, op: KeRelease, argument: {first}),
                Read(),
            ])"
        )
    };
    let (there, back) = (nests(0, 1), nests(1, 0));
    let map = puppet(false, &[&there]);
    assert!(map.cycles.is_empty() && map.orders.len() == 1 && !map.orders[0].in_cycle);
    let map = puppet(false, &[&there, &back]);
    assert_eq!(map.broken, 0);
    assert_eq!(map.cycles[0].locks, ["Executive(0)", "Executive(1)"]);
    assert_eq!(map.cycles[0].inputs, ["input 0", "input 1"]);
    assert!(map.orders.iter().all(|order| order.in_cycle));
    let graph = dot(&map);
    assert!(graph.contains("\"Executive(0)\" -> \"Executive(1)\" [label=\"1\""), "{graph}");
    assert_eq!(graph.matches("color=red").count(), 2);
    let html = page(&map);
    assert!(html.contains("A cycle:") && html.contains("<svg class=\"graph\""));
    assert!(!html.contains("http://") && !html.contains("<script"), "it needs nothing else");
}

#[test]
fn the_nvme_cores_queues_are_guarded_by_their_dpcs_locks() {
    let mut harness = Harness::alone(BuiltIn::Nvme);
    harness.record(true);
    harness.watch_memory(MemoryWatch { events: true, preempts: false });
    let mut fold = Fold::new(false);
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("corpus/nvme"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in &files {
        harness.run(&text::read_either(&fs::read(file).unwrap()).unwrap());
        fold.add(&file.display().to_string(), harness.events(), false);
    }
    let map = fold.map("nvme");
    let fields = map.fields.as_ref().unwrap();
    let at = |place: &str| -> Vec<&Guard> {
        let touches = |site: &String| site.contains(place);
        let fields = fields.iter().filter(|field| field.sites.iter().any(touches));
        fields.map(|field| &field.guard).collect()
    };
    let queues = at("src/miniport/nvme/queue.rs");
    let dpc = Guard::Locks(vec!["Dpc".into()]);
    let guarded = queues.iter().filter(|&&guard| *guard == dpc || is_dpc(guard)).count();
    assert!(guarded >= 5, "{queues:?}");
    for field in fields {
        let Guard::Mostly { .. } = field.guard else { continue };
        panic!("a lock is held at most accesses, and not at all: {field:?}");
    }
    assert!(map.cycles.is_empty(), "{:?}", map.cycles);
}

/// Held among others.
fn is_dpc(guard: &Guard) -> bool {
    matches!(guard, Guard::Locks(locks) if locks.iter().any(|lock| lock == "Dpc"))
}

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("locks-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lockstorm(arguments: &[&str], folder: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_lockstorm");
    Command::new(program).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn the_command_writes_every_form() {
    let directory = Directory::new("forms");
    let name = |file: &str| directory.0.join(file).display().to_string();
    let (html, dot) = (name("locks.html"), name("locks.dot"));
    let output = lockstorm(&["locks", "nvme", "--html", &html, "--dot", &dot], root());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for heading in
        ["Which callbacks", "How long", "Who waits", "Which lock is taken", "Which lock guards"]
    {
        assert!(said.contains(heading), "{said}");
    }
    assert!(fs::read_to_string(html).unwrap().contains("HwStorStartIo"));
    assert!(fs::read_to_string(dot).unwrap().starts_with("digraph \"locks of nvme\" {"));
    let output = lockstorm(&["locks", "nvme", "--format", "json", "--apart"], root());
    let map: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(map["runs"].as_u64().unwrap() > 3 && map["fields"].as_array().unwrap().len() > 10);
    assert!(map["locks"].as_array().unwrap().iter().any(|lock| lock["lock"] == "Dpc(1)"));
}

#[test]
fn a_corpus_that_is_not_there_is_told_with_what_to_do() {
    let directory = Directory::new("none");
    let output = lockstorm(&["locks", "nvme"], &directory.0);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("no inputs") && said.contains("lockstorm fuzz") && said.lines().count() == 1
    );
}

/// The C example, built so that it tells of its memory and of its coverage; `None` without the tools, which is said.
#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
fn build_ramdisk() -> Option<PathBuf> {
    let driver = Path::new(env!("CARGO_TARGET_TMPDIR")).join("locks-ramdisk.sys");
    let missing = ["clang", "lld-link", "llvm-dlltool"]
        .into_iter()
        .find(|tool| Command::new(tool).arg("--version").output().is_err());
    if let Some(tool) = missing {
        notice::left_out("a_compiled_drivers_fields", &format!("there is no {tool}"));
        return None;
    }
    let script = root().join("examples/c-miniport/build");
    let arguments = ["--memory", "--coverage", "-o"];
    let built = Command::new("sh").arg(script).args(arguments).arg(&driver).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(driver)
}

#[test]
#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
fn a_compiled_drivers_fields_have_the_locks_that_its_header_says() {
    use lockstorm::device::model::Model;
    use lockstorm::harness::{Compiled, Target};

    let Some(path) = build_ramdisk() else { return };
    let target = Target::Compiled(Compiled { path, device: Model::Doorbell, pci: None });
    let mut harness = Harness::open(&target, Box::leak(Box::default())).expect("the driver loads");
    harness.record(true);
    harness.watch_memory(MemoryWatch { events: true, preempts: false });
    let (mut fold, mut inputs) = (Fold::new(false), support::Inputs::new(0x10C5));
    for number in 0..300 {
        harness.run_bytes(&inputs.bytes(400));
        fold.add(&format!("input {number}"), harness.events(), false);
    }
    let fields = fold.map("ramdisk.sys").fields.expect("accesses");
    let guards = |function: &str| {
        let extension = fields.iter().filter(|field| field.area == "device extension");
        let there = extension
            .filter(|field| field.sites.iter().any(|site| site.starts_with(function)))
            .map(|field| field.guard.clone());
        there.collect::<Vec<_>>()
    };
    let lock = |name: &str| Guard::Locks(vec![name.into()]);
    let entries = guards("AddEntry (");
    assert!(
        !entries.is_empty() && entries.iter().all(|guard| *guard == lock("Executive(1)")),
        "{entries:?}"
    );
    assert!(guards("StartRequest (").contains(&lock("StartIo")), "{:?}", guards("StartRequest ("));
    assert!(guards("FreeSlot (").contains(&lock("Dpc")), "{:?}", guards("FreeSlot ("));
    assert!(guards("RamdiskTimer (").contains(&Guard::Atomic), "the counter of requests");
    let written = fields.iter().find(|field| field.area == "driver" && field.writes > 0);
    assert!(written.is_none(), "coverage counters are not the driver's: {written:?}");
}
