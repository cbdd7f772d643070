//! `lockstorm mutants` as its users meet it: kills that can be looked at, and drivers that a mistake in a lock breaks
//! beyond what one process can tell.

#[path = "support/notice.rs"]
mod notice;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A folder of its own for a test, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path =
            std::env::temp_dir().join(format!("lockstorm-mutants-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstorm"));
        command.args(arguments).current_dir(&self.0).output().unwrap()
    }

    /// The mutants of a driver with what came of them, as the command prints them.
    fn mutants(&self, arguments: &[&str]) -> Vec<Value> {
        let mut all = vec!["mutants"];
        all.extend(arguments);
        all.extend(["--jobs", "1", "--format", "json", "-o", "out"]);
        let output = self.run(&all);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["mutants"].as_array().unwrap().clone()
    }

    /// Types a command that was printed.
    fn type_in(&self, line: &str) -> Output {
        let folder = Path::new(env!("CARGO_BIN_EXE_lockstorm")).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).env("PATH", path).current_dir(&self.0).output().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn word<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

/// Two locks in a DPC, nested, and a completion.
const NESTED: &str = "(
    version: 1,
    steps: [
        Script(routine: StartIo, op: Keep),
        Script(routine: StartIo, op: IssueDpc),
        Script(routine: Dpc, op: Acquire, lock: StartIo),
        Script(routine: Dpc, op: Acquire, lock: Interrupt, slot: 1),
        Script(routine: Dpc, op: Release, slot: 1),
        Script(routine: Dpc, op: Release),
        Script(routine: Dpc, op: CompleteOldest),
        Read(),
        Read(gap: 12),
    ],
)";

/// Every kill by the command beside it: the same line, and the exit status of an error, or of a warning.
fn every_kill_is_replayed(scratch: &Scratch, mutants: &[Value]) -> usize {
    let kills = mutants.iter().filter(|row| row["trail"]["kill"].is_object());
    kills
        .map(|row| {
            let (kill, command) = (&row["trail"]["kill"], word(row, "replay"));
            let output = scratch.type_in(command);
            let status = i32::from(word(kill, "severity") == "error");
            assert_eq!(output.status.code(), Some(status), "{command}: {output:?}");
            assert!(text(&output.stdout).contains(word(kill, "line")), "{command}: {output:?}");
            assert_eq!(text(&output.stderr), "", "{command}");
            assert!(command.contains(&format!("--mutant {}", word(row, "spec"))));
        })
        .count()
}

#[test]
fn a_kill_is_replayed_by_the_command_beside_it() {
    let scratch = Scratch::new("replay");
    fs::write(scratch.0.join("nested.ron"), NESTED).unwrap();
    let arguments = ["puppet", "nested.ron", "--explore", "0", "--budget", "1"];
    let only = ["--only", "release", "--only", "acquire twice", "--only", "swap", "--only", "drop"];
    let mutants = scratch.mutants(&[&arguments[..], &only].concat());
    assert!(every_kill_is_replayed(&scratch, &mutants) >= 10);
    // What it looks like: the timeline, with the command on its page.
    let swap = mutants.iter().find(|row| word(row, "what").contains("swap")).unwrap();
    let output = scratch.type_in(&format!("{} --html kill.html --trace", word(swap, "replay")));
    assert!(text(&output.stdout).contains("lock.order"), "{output:?}");
    let page = fs::read_to_string(scratch.0.join("kill.html")).unwrap();
    assert!(page.contains(word(swap, "spec")), "the page says how to get it again");
    // Without the mistake the scenario is innocent.
    let scenario = format!("out/kills/{}.bin", word(swap, "id"));
    assert_eq!(scratch.run(&["run", "puppet", &scenario]).status.code(), Some(0));
}

#[test]
fn a_race_is_replayed_with_memory_watched_as_it_was() {
    let scratch = Scratch::new("race");
    let mut seeds: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/nvme"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    seeds.sort_by_key(|path| fs::metadata(path).unwrap().len());
    let seed = seeds.last().unwrap().to_str().unwrap();
    let arguments = ["nvme", seed, "--explore", "0", "--budget", "20", "--only", "skip the lock"];
    let mutants = scratch.mutants(&arguments);
    assert!(mutants.iter().any(|row| word(row, "replay").contains(" --races ")), "{mutants:?}");
    assert_eq!(every_kill_is_replayed(&scratch, &mutants), mutants.len());
}

#[test]
fn a_mistake_that_is_none_of_this_run_is_told() {
    let scratch = Scratch::new("elsewhere");
    fs::write(scratch.0.join("nested.ron"), NESTED).unwrap();
    let run = |mutant, more: &[&str]| {
        let arguments = ["run", "puppet", "nested.ron", "--mutant", mutant];
        scratch.run(&[&arguments[..], more].concat())
    };
    let output = run("drop-acquire:Dpc@nowhere.rs:1:1", &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("no such call at nowhere.rs:1:1"), "{output:?}");
    let output = run("drop-acquire:Dpc@nowhere.rs:1:1", &["--format", "json"]);
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["mutated_calls"], 0);
    for (mutant, more, why) in [
        ("nonsense", &[][..], "OPERATOR:LOCK@PLACE"),
        ("swop:Dpc@nowhere.rs:1:1", &[], "'swop'"),
        ("swap:Dpc@nowhere.rs:1:1", &["--emit-test", "test.rs"], "--emit-test"),
    ] {
        let output = run(mutant, more);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(why), "{output:?}");
    }
}

/// Builds `fragile.c`; `None` on a machine without the tools, which is said.
fn build_fragile(folder: &Path) -> Option<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let at = |path: &str| root.join(path).to_str().unwrap().to_owned();
    let library = |name: &str| {
        let (definition, out) = (at(&format!("include/lib/{name}.def")), format!("{name}.lib"));
        let words = ["llvm-dlltool", "-m", "i386:x86-64", "-d", &definition, "-l", &out];
        words.map(str::to_owned).to_vec()
    };
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut compile = words(
        "clang -target x86_64-pc-windows-msvc -std=c11 -ffreestanding -O1 -g -gcodeview -Wall -Wextra -Werror \
         -Wno-infinite-recursion -DDISABLE_INLINE_REGISTER_ACCESS -c -o fragile.obj -I",
    );
    compile.extend([at("include"), at("tests/drivers/fragile.c")]);
    let link = words(
        "lld-link /driver /subsystem:native /entry:DriverEntry /nodefaultlib /debug /out:fragile.sys fragile.obj \
         storport.lib ntoskrnl.lib",
    );
    for words in [library("storport"), library("ntoskrnl"), compile, link] {
        match Command::new(&words[0]).args(&words[1..]).current_dir(folder).output() {
            Ok(output) => assert!(output.status.success(), "{words:?}: {output:?}"),
            Err(_) => {
                notice::left_out("mutants of fragile.c", &format!("there is no {}", words[0]));
                return None;
            }
        }
    }
    Some(())
}

/// Mutants that crash the run, crash the worker, hang, take all memory and all stack: each is killed by that, its kill can
/// be replayed, and the hunt goes on to the next.
#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
#[test]
fn a_mutant_that_breaks_its_process_is_killed_by_that() {
    let scratch = Scratch::new("fragile");
    if build_fragile(&scratch.0).is_none() {
        return;
    }
    let driver = ["fragile.sys", "--device", "bare"];
    let arguments = ["--explore", "20", "--budget", "1", "--only", "skip the lock"];
    let mutants = scratch.mutants(&[&driver[..], &arguments].concat());
    let came: Vec<_> = mutants
        .iter()
        .map(|row| {
            let kill = &row["trail"]["kill"];
            (word(row, "fate"), word(kill, "rule"), kill["death"].as_str().unwrap_or("told"))
        })
        .collect();
    let never_ends = "the run never ends: a loop without any call of StorPort (SIGVTALRM)";
    let touched = "the driver touched memory that it does not have, or overran its stack (SIGSEGV)";
    assert_eq!(
        came,
        [
            ("killed", "driver.crashed", "told"),
            ("killed", "driver.crashed", touched),
            ("killed", "driver.crashed", never_ends),
            ("killed", "run.hang", "told"),
            ("killed", "driver.crashed", "told"),
        ]
    );
    assert_eq!(every_kill_is_replayed(&scratch, &mutants), 5);
    // The journal has all of them, so that a second call hunts nothing.
    let again = scratch.mutants(&[&driver[..], &arguments].concat());
    assert_eq!(again, mutants);
}
