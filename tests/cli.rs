//! The command line as its users meet it: the real program, its exit status, its output, its files.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A directory of its own for a test, gone at its end. Every call of the program runs in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path =
            std::env::temp_dir().join(format!("lockstorm-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstorm"));
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let pipes = (Stdio::piped(), Stdio::piped());
        self.command(arguments).stdout(pipes.0).stderr(pipes.1).spawn().unwrap()
    }

    /// Files in a directory, by name.
    fn files(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.path(directory)) else { return BTreeMap::new() };
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read(path).unwrap())
            })
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a call said.
#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Said {
        Said {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The call was unusable: one line on standard error that has all of `words`, and nothing else.
    #[track_caller]
    fn is_unusable(&self, words: &[&str]) {
        assert_eq!(self.status, Some(2), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        self.complains(words);
    }

    /// Standard error is one line that has all of `words`.
    #[track_caller]
    fn complains(&self, words: &[&str]) {
        assert!(self.err.starts_with("lockstorm: ") && self.err.ends_with('\n'), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {self:?}");
        }
    }

    /// Standard output as JSON objects, one a line.
    #[track_caller]
    fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// The default scenario as bytes, by way of its text.
fn packed(scratch: &Scratch, name: &str, text: &str) -> Vec<u8> {
    scratch.write("packed.ron", text.as_bytes());
    let said = scratch.run(&["pack", "packed.ron", "-o", name, "--force"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    std::fs::read(scratch.path(name)).unwrap()
}

/// Takes the StartIo lock while StorPort holds it for the driver.
const RECURSIVE: &str = "(version: 1, steps: [
    Script(routine: StartIo, op: Acquire, lock: StartIo),
    Read(block: 2),
])";

#[test]
fn help_is_given_when_asked_for() {
    let scratch = Scratch::new("help");
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["fuzz", "--help"],
        &["run", "--help"],
        &["show", "--help"],
        &["pack", "--help"],
        &["rules", "--help"],
        &["drivers", "--help"],
    ] {
        let said = scratch.run(arguments);
        assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(arguments[0] == "--version" || said.out.contains("Examples:"), "{said:?}");
    }
    let said = scratch.run(&[]);
    assert_eq!((said.status, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("Usage: lockstorm <COMMAND>"));
}

#[test]
fn a_call_that_makes_no_sense_is_one_line_and_status_2() {
    let scratch = Scratch::new("calls");
    scratch.run(&["fuz"]).is_unusable(&["fuz", "'fuzz'", "lockstorm --help"]);
    scratch.run(&["fuzz", "--secs", "3"]).is_unusable(&["--secs", "lockstorm fuzz --help"]);
    scratch.run(&["fuzz", "--runs", "0"]).is_unusable(&["--runs"]);
    scratch.run(&["fuzz", "--jobs", "0"]).is_unusable(&["--jobs"]);
    scratch.run(&["run", "puppet"]).is_unusable(&["<FILE>"]);
    scratch.run(&["fuzz", "pupet"]).is_unusable(&["'pupet'", "'puppet'", "lockstorm drivers"]);
    scratch.run(&["run", "nvm", "x"]).is_unusable(&["'nvm'", "'nvme'", "lockstorm drivers"]);
    scratch.run(&["rules", "lock.odrer"]).is_unusable(&["'lock.odrer'", "'lock.order'"]);
    scratch.run(&["rules", "zzzzzzzz"]).is_unusable(&["'zzzzzzzz'", "lockstorm rules"]);
    assert!(scratch.files(".").is_empty() && !scratch.path("artifacts").exists());
}

#[test]
fn a_file_that_is_no_driver_is_told_once_and_before_anything_is_written() {
    let scratch = Scratch::new("drivers");
    scratch.write("text.sys", b"not a driver");
    scratch.run(&["fuzz", "text.sys"]).is_unusable(&["--device MODEL", "doorbell"]);
    let of = |driver| ["fuzz", driver, "--device", "doorbell", "--seconds", "1"];
    scratch.run(&of("text.sys")).is_unusable(&["text.sys"]);
    scratch.run(&of("absent.sys")).is_unusable(&["absent.sys"]);
    scratch.run(&["fuzz", "nvme", "--pci", "x.ron"]).is_unusable(&["--device"]);
    scratch
        .run(&["fuzz", "nvme", "--device", "nvme", "--pci", "x.ron"])
        .is_unusable(&["--pci", "compiled drivers"]);
    assert!(!scratch.path("artifacts").exists());
}

#[test]
fn files_that_are_no_scenario_say_why() {
    let scratch = Scratch::new("bad");
    let good = packed(&scratch, "good.bin", RECURSIVE);
    let other_version: Vec<u8> = [9].iter().chain(&good[1..]).copied().collect();
    let cases: [(&str, &[u8], &[&str]); 10] = [
        ("empty.bin", b"", &["empty"]),
        ("header.bin", &good[..20], &["byte 20", "setup"]),
        ("step.bin", &good[..good.len() - 3], &["step 2 of 2"]),
        ("version.bin", &other_version, &["version 9", "expected 1"]),
        ("picture.png", b"\x89PNG\r\n\x1a\n and so on", &["version 137"]),
        ("large.bin", &[vec![1], vec![0; 1 << 20]].concat(), &["1048577 bytes"]),
        ("empty.ron", b"", &[]),
        ("latin.ron", b"(version: 1) // \xE9", &["UTF-8"]),
        ("name.ron", b"(version: 1, steps: [\n Raed(block: 1)])", &["line 2", "`Raed`", "`Read`"]),
        ("version.ron", b"(version: 7)", &["version 7"]),
    ];
    for (name, content, words) in cases {
        scratch.write(name, content);
        let words = [&["cannot read", name][..], words].concat();
        scratch.run(&["run", "puppet", name]).is_unusable(&words);
        scratch.run(&["show", name]).is_unusable(&words);
        assert_eq!(std::fs::read(scratch.path(name)).unwrap(), content, "{name} was written over");
    }
    scratch.run(&["run", "puppet", "absent.bin"]).is_unusable(&["absent.bin", "no such file"]);
    scratch.run(&["show", "."]).is_unusable(&["directory"]);
    scratch.run(&["pack", "good.bin", "-o", "x"]).is_unusable(&["cannot read good.bin"]);
    assert!(!scratch.path("x").exists());
}

#[test]
fn one_unusable_file_does_not_hide_the_others() {
    let scratch = Scratch::new("mixed");
    packed(&scratch, "good.bin", RECURSIVE);
    scratch.write("bad.bin", b"");
    let said = scratch.run(&["run", "puppet", "bad.bin", "good.bin"]);
    assert_eq!(said.status, Some(2));
    said.complains(&["bad.bin"]);
    assert!(said.out.contains("good.bin: ") && said.out.contains("VIOLATION"), "{said:?}");
    assert!(said.out.contains("2 files: 1 with a violation, 0 without, 1 unusable"), "{said:?}");
}

#[test]
fn a_scenario_survives_its_text() {
    let scratch = Scratch::new("text");
    let bytes = packed(&scratch, "a.bin", RECURSIVE);
    let text = scratch.run(&["show", "a.bin"]).out;
    assert_eq!(packed(&scratch, "b.bin", &text), bytes);
    assert_eq!(scratch.run(&["show", "packed.ron"]).out, text, "text of text");
    let json = scratch.run(&["show", "a.bin", "--format", "json"]).json_lines();
    assert_eq!(json[0]["steps"].as_array().unwrap().len(), 2);
}

#[test]
fn pack_writes_over_nothing_unless_forced() {
    let scratch = Scratch::new("pack");
    scratch.write("a.ron", RECURSIVE.as_bytes());
    scratch.write("there.bin", b"mine");
    let arguments = ["pack", "a.ron", "-o", "there.bin"];
    scratch.run(&arguments).is_unusable(&["there.bin", "--force"]);
    assert_eq!(std::fs::read(scratch.path("there.bin")).unwrap(), b"mine");
    let said = scratch.run(&[&arguments[..], &["--force"]].concat());
    assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
    assert_eq!(std::fs::read(scratch.path("there.bin")).unwrap()[0], 1);
    scratch
        .run(&["pack", "a.ron", "-o", "no/where.bin"])
        .is_unusable(&["no/where.bin", "directory"]);
    assert_eq!(scratch.files(".").len(), 2, "nothing is left beside the files");
}

#[test]
fn catalogues_are_complete_and_machine_readable() {
    let scratch = Scratch::new("lists");
    let rules = scratch.run(&["rules", "--format", "json"]).json_lines().remove(0);
    let rules = rules.as_array().unwrap();
    let table = scratch.run(&["rules"]).out;
    for rule in rules {
        let id = rule["id"].as_str().unwrap();
        assert!(table.contains(id), "{id} is not in the table");
        let said = scratch.run(&["rules", id]);
        assert_eq!(said.status, Some(0));
        // Whatever the lines that it is broken into.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&said.out).contains(rule["sentence"].as_str().unwrap()), "{said:?}");
    }
    assert!(rules.len() > 20);
    let drivers = scratch.run(&["drivers", "--format", "json"]).json_lines().remove(0);
    let of_kind = |kind: &str| {
        let rows = drivers.as_array().unwrap().iter().filter(|row| row["kind"] == kind);
        rows.map(|row| row["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of_kind("driver"), ["nvme", "puppet"]);
    assert!(of_kind("device").contains(&"nvme".into()));
}

#[test]
fn run_tells_verdict_trace_and_json() {
    let scratch = Scratch::new("run");
    packed(&scratch, "a.bin", RECURSIVE);
    packed(&scratch, "calm.bin", "(version: 1)");
    let said = scratch.run(&["run", "puppet", "a.bin", "--trace"]);
    assert_eq!((said.status, said.err.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.out.contains("\nlockstorm: VIOLATION "), "{said:?}");
    assert!(said.out.contains("> HwStorStartIo"), "{said:?}");
    assert_eq!(scratch.run(&["run", "puppet", "calm.bin"]).status, Some(0));
    let said = scratch.run(&["run", "puppet", "a.bin", "calm.bin", "--format", "json", "--trace"]);
    let lines = said.json_lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["end"], "quiet");
    assert_eq!(lines[1]["findings"].as_array().unwrap().len(), 0);
    let trace = lines[0]["trace"].as_array().unwrap();
    assert_eq!(trace.len() as u64, lines[0]["events"].as_u64().unwrap());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let scratch = Scratch::new("pipe");
    packed(&scratch, "a.bin", RECURSIVE);
    let many: Vec<&str> = ["run", "puppet", "--trace"].into_iter().chain(["a.bin"; 200]).collect();
    for (arguments, status) in [(&["rules"][..], 0), (&many, 1)] {
        let mut child = scratch.start(arguments);
        drop(child.stdout.take());
        let said = Said::of(child.wait_with_output().unwrap());
        assert_eq!((said.status, said.err.as_str()), (Some(status), ""));
    }
}

/// A short campaign that finds something.
const SHORT: [&str; 6] = ["fuzz", "puppet", "--runs", "3000", "--seed", "1"];

#[test]
fn a_short_campaign_finds_violations_that_replay() {
    let scratch = Scratch::new("find");
    let said = scratch.run(&SHORT);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.err.contains("fuzzing puppet for 3,000 runs: 1 job, seed 1"), "{said:?}");
    assert!(said.out.contains("lockstorm: done: 3,000 runs in "), "{said:?}");
    let findings = scratch.files("artifacts/puppet/findings");
    let examples: Vec<&String> = findings.keys().filter(|name| name.ends_with(".bin")).collect();
    assert!(examples.len() > 1 && findings.len() == 2 * examples.len(), "{:?}", findings.keys());
    for name in examples {
        let (rule, id) = name.trim_end_matches(".bin").rsplit_once('-').unwrap();
        let announced =
            said.out.lines().filter(|line| line.contains("replay: ") && line.contains(id));
        assert_eq!(announced.count(), 1, "{name} is printed once");
        for ending in ["bin", "ron"] {
            let path = format!("artifacts/puppet/findings/{rule}-{id}.{ending}");
            let replay = scratch.run(&["run", "puppet", &path, "--format", "json"]).json_lines();
            let found = replay[0]["findings"].as_array().unwrap();
            let same = |f: &&Value| f["id"] == id && f["rule"] == rule;
            let finding = found.iter().find(same).unwrap_or_else(|| panic!("{path}: {replay:?}"));
            assert!(said.out.contains(finding["line"].as_str().unwrap()), "{path}");
        }
    }
    for (name, input) in scratch.files("artifacts/puppet/corpus") {
        assert!([1, 2].contains(&input[0]), "{name} begins with another version");
    }
}

#[test]
fn the_same_seed_does_the_same_runs() {
    let (a, b) = (Scratch::new("same-a"), Scratch::new("same-b"));
    for scratch in [&a, &b] {
        assert_eq!(scratch.run(&SHORT).status, Some(1));
    }
    for directory in ["artifacts/puppet/corpus", "artifacts/puppet/findings"] {
        assert!(!a.files(directory).is_empty());
        assert!(a.files(directory) == b.files(directory), "{directory} differs");
    }
}

#[test]
fn known_findings_are_passed_over() {
    let scratch = Scratch::new("known");
    assert_eq!(scratch.run(&SHORT).status, Some(1));
    let findings = scratch.files("artifacts/puppet/findings");
    let ids = findings.keys().filter_map(|name| name.strip_suffix(".bin")?.rsplit_once('-'));
    let list: String = ids.map(|(rule, id)| format!("{id}  # {rule}\n")).collect();
    scratch.write("known.txt", format!("# all of them\n\n{list}").as_bytes());
    let again = ["--known", "known.txt", "--corpus", "other", "--artifacts", "others"];
    let said = scratch.run(&[&SHORT[..], &again].concat());
    assert_eq!(said.status, Some(0), "{said:?}");
    let passed_over = format!("no violation found; {} known passed over", list.lines().count());
    assert!(said.out.contains(&passed_over), "{said:?}");
    assert!(scratch.files("others").is_empty());

    scratch.write("known.txt", b"lock.order\nlock.recursiv\n");
    let said = scratch.run(&[&SHORT[..], &again].concat());
    said.is_unusable(&["known.txt", "line 2", "'lock.recursiv'", "'lock.recursive'"]);
}

#[test]
fn stop_at_first_stops_at_the_first() {
    let scratch = Scratch::new("first");
    let said =
        scratch.run(&["fuzz", "puppet", "--stop-at-first", "--seconds", "60", "--seed", "1"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.out.contains("ended at the first finding"), "{said:?}");
}

#[test]
fn jobs_share_the_runs_and_the_corpus() {
    let scratch = Scratch::new("jobs");
    let arguments =
        ["fuzz", "puppet", "--jobs", "3", "--runs", "3000", "--seed", "1", "--format", "json"];
    let said = scratch.run(&arguments);
    assert_eq!(said.err, "", "{said:?}");
    let lines = said.json_lines();
    let summary = lines.last().unwrap();
    assert_eq!(summary["type"], "summary");
    // Who reads whose inputs when is the clock's, so a few thousand runs of several jobs may find nothing.
    assert_eq!(said.status, Some(i32::from(summary["errors"] != 0)), "{said:?}");
    assert_eq!(summary["runs"], 3_000);
    assert_eq!(summary["reason"], "done");
    let findings = lines.iter().filter(|line| line["type"] == "finding").count() as u64;
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(findings, count("errors") + count("warnings"));
    assert_eq!(count("inputs"), scratch.files("artifacts/puppet/corpus").len() as u64);
    let logs = scratch.files("artifacts/puppet/findings/logs");
    assert_eq!(logs.keys().collect::<Vec<_>>(), ["worker-0.log", "worker-1.log", "worker-2.log"]);
}

#[test]
fn a_finding_that_cannot_be_written_is_printed() {
    let scratch = Scratch::new("unwritten");
    assert_eq!(scratch.run(&SHORT).status, Some(1));
    let findings = scratch.files("artifacts/puppet/findings");
    let name = findings.keys().find(|name| name.ends_with(".bin")).unwrap();
    // A directory where the file should go.
    std::fs::create_dir_all(scratch.path("full").join(name)).unwrap();
    let said = scratch.run(&[&SHORT[..], &["--corpus", "other", "--artifacts", "full"]].concat());
    assert_eq!(said.status, Some(1), "{said:?}");
    let complaint = format!("cannot write full/{name}: ");
    let line = said.out.lines().find(|line| line.contains(&complaint)).expect(&said.out);
    let hex = line.rsplit(' ').next().unwrap();
    assert!(hex.starts_with("01") && hex.len() >= 2 * 44, "{line}");
    assert!(scratch.files("full").len() >= findings.len() - 2, "the others were written");
}

/// Sends a signal to a process.
fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Waits until `ready` or a minute has passed.
#[track_caller]
fn wait_until(ready: impl Fn() -> bool) {
    let began = Instant::now();
    while !ready() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_ends_a_campaign_in_order() {
    let scratch = Scratch::new("ctrl-c");
    let child = scratch.start(&["fuzz", "nvme", "--jobs", "2"]);
    wait_until(|| scratch.files("artifacts/nvme/corpus").len() > 3);
    // Twice, as `timeout` and a terminal do.
    send("-INT", child.id());
    send("-INT", child.id());
    let said = Said::of(child.wait_with_output().unwrap());
    assert!(said.status.is_some_and(|status| status <= 1), "{said:?}");
    assert!(said.err.contains("fuzzing nvme until Ctrl-C"), "{said:?}");
    assert!(said.out.contains("lockstorm: interrupted: "), "{said:?}");
    assert!(scratch.files("artifacts/nvme/corpus").len() > 3, "the corpus is kept");
    let logs = scratch.files("artifacts/nvme/findings/logs");
    assert!(logs.keys().all(|name| name.ends_with(".log")), "{:?}", logs.keys());
}

#[test]
#[cfg(target_os = "linux")]
fn a_worker_that_somebody_kills_is_replaced_and_is_no_finding() {
    let scratch = Scratch::new("killed");
    let mut child = scratch.start(&["fuzz", "nvme", "--seconds", "600"]);
    wait_until(|| scratch.files("artifacts/nvme/corpus").len() > 3);
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let workers = || -> Vec<u32> {
        let pids = std::fs::read_to_string(&children).unwrap_or_default();
        pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    };
    let first = workers();
    send("-KILL", first[0]);
    wait_until(|| workers().len() == 1 && workers() != first);
    send("-INT", child.id());
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(child.wait().unwrap().code().is_some_and(|status| status <= 1));
    assert!(err.contains("worker 0 ended by itself (signal: 9"), "{err}");
    assert!(!out.contains("driver.crashed"), "{out}");
}

#[test]
fn examples_of_earlier_campaigns_are_tried_first() {
    let scratch = Scratch::new("earlier");
    let bytes = packed(&scratch, "a.bin", RECURSIVE);
    let replay = scratch.run(&["run", "puppet", "a.bin", "--format", "json"]).json_lines();
    let finding = &replay[0]["findings"][0];
    let (rule, id) = (finding["rule"].as_str().unwrap(), finding["id"].as_str().unwrap());
    std::fs::create_dir(scratch.path("old")).unwrap();
    scratch.write(&format!("old/{rule}-{id}.bin"), &bytes);
    let said = scratch.run(&["fuzz", "puppet", "--runs", "1", "--artifacts", "old"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.out.contains(finding["line"].as_str().unwrap()), "{said:?}");
    assert!(said.out.contains("done: 1 run in"), "{said:?}");
}

#[test]
fn show_reads_what_pack_writes_from_any_directory() {
    let scratch = Scratch::new("paths");
    std::fs::create_dir(scratch.path("my dir")).unwrap();
    scratch.write("my dir/it's.ron", RECURSIVE.as_bytes());
    let said = scratch.run(&["pack", "my dir/it's.ron", "-o", "my dir/-x.bin"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(Path::new(&scratch.path("my dir/-x.bin")).exists());
    assert_eq!(scratch.run(&["show", "my dir/-x.bin"]).status, Some(0));
}

#[test]
fn a_legend_comes_with_a_trace_and_once() {
    let scratch = Scratch::new("legend");
    scratch.write("default.ron", b"(version: 1)");
    let legend = |said: &Said| said.out.matches("virtual time since the start").count();
    let said = scratch.run(&["run", "nvme", "default.ron", "default.ron", "--trace"]);
    assert_eq!((said.status, legend(&said)), (Some(0), 1), "{said:?}");
    assert_eq!(legend(&scratch.run(&["run", "nvme", "default.ron"])), 0);
    scratch.run(&["run", "nvme", "missing.ron", "--trace"]).is_unusable(&["missing.ron"]);
}

/// A ring as a driver keeps it (`lockstorm::checked::record`), with one violation.
fn ring() -> Vec<u8> {
    use lockstorm::checked::record::{
        HEADER_BYTES, MAGIC, RECORD_BYTES, RECORDS, RING_BYTES, VERSION,
    };
    let mut ring = vec![0; RING_BYTES];
    ring[..8].copy_from_slice(&MAGIC);
    ring[8..10].copy_from_slice(&VERSION.to_le_bytes());
    ring[10..12].copy_from_slice(&(RECORD_BYTES as u16).to_le_bytes());
    ring[12..16].copy_from_slice(&(RECORDS as u32).to_le_bytes());
    ring[16] = 1;
    let record = &mut ring[HEADER_BYTES..];
    record[0] = 1;
    record[24..38].copy_from_slice(b"lock.recursive");
    record[56] = 1;
    ring
}

#[test]
fn check_reads_a_drivers_ring_alone_and_in_a_memory_dump() {
    let scratch = Scratch::new("ring");
    let dump = [&[7; 1000][..], b"LOCKSTRM by chance", &ring(), &[9; 50]].concat();
    scratch.write("ring.bin", &ring());
    scratch.write("memory.dmp", &dump);
    for file in ["ring.bin", "memory.dmp"] {
        let said = scratch.run(&["check", file]);
        assert_eq!(said.status, Some(1), "{said:?}");
        let line = "VIOLATION lock.recursive error: ";
        assert!(said.out.contains("1 finding") && said.out.contains(line), "{said:?}");
    }
    scratch.write("cut.bin", &ring()[..500]);
    scratch.run(&["check", "cut.bin"]).is_unusable(&["cut.bin", "cut short"]);
    scratch.write("other.bin", b"MZ and so on");
    scratch.run(&["check", "other.bin"]).is_unusable(&["other.bin", "JSON lines", "ring"]);
}
