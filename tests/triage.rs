//! Triage as its users meet it: folders of artifacts go in, one bug each comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use lockstorm::scenario::{Scenario, codec, text};
use lockstorm::triage::bucket::Triage;

#[path = "support/planted.rs"]
mod planted;

use planted::{Fuzzer, MISTAKES};

/// A folder of its own for a test, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path =
            std::env::temp_dir().join(format!("lockstorm-triage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstorm"));
        command.args(arguments).current_dir(&self.0);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Triages the folder `in`.
    fn triage(&self) -> Triage {
        let output = self.run(&["triage", "puppet", "in", "-o", "out", "--format", "json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let written = fs::read_to_string(self.0.join("out/buckets.json")).unwrap();
        let triage = Triage::from_json(&text).unwrap();
        assert_eq!(triage, Triage::from_json(&written).unwrap());
        triage
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bytes(scenario: &Scenario) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(scenario, &mut bytes);
    bytes
}

/// Writes an artifact in the form that its number chooses, with its mistake's number at the end of its name.
fn write(scratch: &Scratch, number: usize, mistake: usize, scenario: &Scenario) {
    let (bytes, hash) = (bytes(scenario), format!("{number:038x}{mistake:02x}"));
    let (name, content) = match number % 5 {
        0 => (format!("in/libfuzzer/crash-{hash}"), bytes),
        1 => (format!("in/afl/default/crashes/id:{number:06},sig:06,op:{mistake:02x}"), bytes),
        2 => (format!("in/afl/default/hangs/id:{number:06},src:000001,op:{mistake:02x}"), bytes),
        // The name lies about what it is an example of.
        3 => (format!("in/findings/lock.order-{number:014x}{mistake:02x}.bin"), bytes),
        _ => (format!("in/by-hand/{number}-{mistake:02x}.ron"), text::write(scenario).into_bytes()),
    };
    scratch.write(&name, &content);
}

fn mistake_of(file: &Path) -> usize {
    let name = file.file_name().unwrap().to_str().unwrap();
    let stem = name.trim_end_matches(".bin").trim_end_matches(".ron");
    usize::from_str_radix(&stem[stem.len() - 2..], 16).unwrap()
}

#[test]
fn a_thousand_artifacts_of_twelve_mistakes_are_twelve_buckets() {
    let scratch = Scratch::new("thousand");
    let mut fuzzer = Fuzzer::new(0x5EED);
    for number in 0..1_000 {
        let mistake = number % MISTAKES.len();
        let scenario = fuzzer.artifact(mistake);
        write(&scratch, number, mistake, &scenario);
    }
    scratch.write("in/afl/default/fuzzer_stats", b"run_time : 1\n");
    scratch.write("in/afl/default/cmdline", b"target\n");
    let began = Instant::now();
    let triage = scratch.triage();
    let elapsed = began.elapsed();
    let mut kept = BTreeMap::new();
    for bucket in triage.buckets.iter().filter(|bucket| bucket.is_error()) {
        let mistakes: BTreeSet<_> = bucket.members.iter().map(|file| mistake_of(file)).collect();
        println!("{} {:?}: {mistakes:?}, {} files", bucket.folder, bucket.rules, bucket.files);
        for mistake in mistakes {
            kept.entry(mistake).or_insert_with(Vec::new).push(bucket.folder.clone());
        }
    }
    println!("{} files in {elapsed:?}", triage.files);
    assert_eq!(triage.errors(), MISTAKES.len());
    assert!(kept.len() == MISTAKES.len() && kept.values().all(|buckets| buckets.len() == 1));
    assert_eq!(triage.files, 1_000);
    assert!(triage.lost.is_empty() && triage.unusable.is_empty());
    assert!(elapsed < Duration::from_secs(60), "{elapsed:?}");
    for bucket in triage.buckets.iter().filter(|bucket| bucket.is_error()) {
        let size = bucket.size().expect("there was time");
        assert!(size.steps <= 3 && size.departures <= 2, "{}: {size}", bucket.folder);
    }
}

#[test]
fn what_cannot_be_used_is_listed_with_the_reason_and_the_rest_is_triaged() {
    let scratch = Scratch::new("unusable");
    let good = bytes(&planted::plain(4));
    scratch.write("in/good.bin", &good);
    scratch.write("in/empty", b"");
    scratch.write("in/cut-short", &good[..good.len() - 3]);
    scratch.write("in/other-version", &[&[9], &good[1..]].concat());
    scratch.write("in/not-a-scenario.ron", b"(version: 1, steps: [Raed()])");
    scratch.write("in/<img src=x>.bin", b"GIF89a");
    let triage = scratch.triage();
    assert_eq!((triage.files, triage.errors()), (6, 1));
    let reasons: BTreeMap<String, &str> = triage
        .unusable
        .iter()
        .map(|unusable| {
            let name = unusable.file.file_name().unwrap().to_str().unwrap().to_owned();
            (name, unusable.reason.as_str())
        })
        .collect();
    assert_eq!(reasons.len(), 5);
    assert!(reasons["empty"].contains("empty"));
    assert!(reasons["cut-short"].contains("ends in step"));
    assert!(reasons["other-version"].contains("version 9, expected 1"));
    assert!(
        reasons["not-a-scenario.ron"].contains("line 1")
            && reasons["not-a-scenario.ron"].contains("`Read`")
    );
    assert!(reasons["<img src=x>.bin"].contains("version 71"));
}

/// What a file's name says is text, not orders to a terminal; what is no text is no reason to give up.
#[cfg(unix)]
#[test]
fn names_of_files_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new("names");
    scratch.write("in/good.bin", &bytes(&planted::plain(4)));
    scratch.write("in/\u{1b}[2J\nx.bin", b"");
    let name = std::ffi::OsStr::from_bytes(b"in/\xFF.bin");
    fs::write(scratch.0.join(name), b"").unwrap();
    let output = scratch.run(&["triage", "puppet", "in", "-o", "out"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains('\u{1b}') && said.contains("not UTF-8"), "{said}");
    assert_eq!(scratch.triage().unusable.len(), 2);
}

#[test]
fn artifacts_of_another_driver_are_unusable() {
    let scratch = Scratch::new("other-driver");
    scratch.write("in/script.bin", &bytes(&planted::plain(4)));
    scratch.write("artifacts/puppet/findings/quiet.bin", &bytes(&Scenario::default()));
    let paths = ["in", "artifacts"];
    let output =
        scratch.run(&["triage", "nvme", paths[0], paths[1], "-o", "out", "--format", "json"]);
    let triage = Triage::from_json(&String::from_utf8(output.stdout).unwrap()).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let reasons: Vec<_> = triage.unusable.iter().map(|unusable| unusable.reason.as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("only the puppet plays")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("another driver, puppet")), "{reasons:?}");
    // The folder is this driver's from now on.
    let output = scratch.run(&["triage", "puppet", "in", "-o", "out"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a triage of the driver 'nvme'"));
}

#[test]
fn a_second_call_does_only_what_is_new() {
    let scratch = Scratch::new("incremental");
    scratch.write("in/order.bin", &bytes(&planted::plain(4)));
    let said = || {
        let output = scratch.run(&["triage", "puppet", "in", "-o", "out"]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(said().contains("1 file: 1 error and 0 warnings; 1 replayed, 1 bug"), "{}", said());
    assert!(said().contains("1 file: 1 error and 0 warnings; 0 replayed, 0 bugs"));
    scratch.write("in/order.ron", text::write(&planted::plain(4)).as_bytes());
    scratch.write("in/recursive.bin", &bytes(&planted::plain(5)));
    assert!(said().contains("3 files: 2 errors and 0 warnings; 2 replayed, 1 bug"));
}

/// A triage that is ended inside its work goes on with what is left when it is called again, and comes to the same.
fn is_resumed_after(name: &str, end: impl FnOnce(&mut Child)) {
    let scratch = Scratch::new(name);
    let mut fuzzer = Fuzzer::new(99);
    for number in 0..200 {
        let mistake = number % MISTAKES.len();
        let scenario = fuzzer.artifact(mistake);
        write(&scratch, number, mistake, &scenario);
    }
    let whole = scratch.triage();
    fs::rename(scratch.0.join("out"), scratch.0.join("whole")).unwrap();
    let mut command = scratch.command(&["triage", "puppet", "in", "-o", "out"]);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().unwrap();
    let journal = scratch.0.join("out/journal.jsonl");
    while !fs::metadata(&journal).is_ok_and(|metadata| metadata.len() > 4_000) {
        assert!(child.try_wait().unwrap().is_none(), "it has ended before");
        std::thread::yield_now();
    }
    end(&mut child);
    let status = child.wait().unwrap();
    let done = fs::read_to_string(&journal).unwrap().lines().count();
    assert!(done < 200, "it was done before: {status}, {done} lines");
    // As if it had been ended inside a line.
    let text = fs::read(&journal).unwrap();
    fs::write(&journal, &text[..text.len() - 7]).unwrap();
    let resumed = scratch.triage();
    let plain = |triage: &Triage| {
        let mut triage = triage.clone();
        triage.buckets.iter_mut().for_each(|bucket| bucket.minimal = None);
        triage.buckets
    };
    assert_eq!(plain(&resumed), plain(&whole));
}

#[test]
fn a_triage_that_is_killed_goes_on() {
    is_resumed_after("killed", |child| child.kill().unwrap());
}

/// As a terminal does it: every process of the foreground is told.
#[cfg(unix)]
#[test]
fn a_triage_that_is_interrupted_by_control_c_goes_on() {
    is_resumed_after("interrupted", |child| {
        let group = format!("-{}", child.id());
        let told = Command::new("kill").args(["-INT", "--", &group]).status().unwrap();
        assert!(told.success());
    });
}

#[test]
fn files_that_no_longer_reproduce_are_told() {
    let scratch = Scratch::new("lost");
    let quiet = bytes(&Scenario::default());
    scratch.write(&format!("in/crash-{:040x}", 1), &quiet);
    scratch.write(&format!("in/corpus/{:040x}", 2), &quiet);
    let triage = scratch.triage();
    assert_eq!((triage.lost.len(), triage.quiet, triage.buckets.len()), (1, 1, 0));
    // What another build showed and this one does not is lost, whatever its name.
    scratch.write("in/order.bin", &bytes(&planted::plain(4)));
    assert_eq!(scratch.triage().errors(), 1);
    scratch.write("in/order.bin", &quiet);
    let journal = scratch.0.join("out/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let (heading, rest) = text.split_once('\n').unwrap();
    let heading = heading.replace("\"build\":\"", "\"build\":\"another ");
    fs::write(&journal, format!("{heading}\n{rest}")).unwrap();
    let triage = scratch.triage();
    assert_eq!((triage.lost.len(), triage.quiet, triage.buckets.len()), (2, 1, 0));
    let folders = fs::read_dir(scratch.0.join("out")).unwrap().flatten();
    assert_eq!(folders.filter(|entry| entry.path().is_dir()).count(), 0);
}

/// The way of a new user, from a red campaign to the bug: every command but the first is one that the tool printed.
#[test]
fn the_printed_commands_lead_from_a_campaign_to_a_bug() {
    let scratch = Scratch::new("new-user");
    let first = scratch.run(&["fuzz", "puppet", "--runs", "8000", "--seed", "3"]);
    assert_eq!(first.status.code(), Some(1));
    scratch.run(&["triage", "puppet", "artifacts/puppet/findings", "-o", "triage"]);
    let told = scratch.run(&["triage", "puppet", "artifacts/puppet/findings", "-o", "triage"]);
    let told = String::from_utf8(told.stdout).unwrap();
    let (_, commands) = told.rsplit_once("next: ").expect("a next command");
    let folder = Path::new(env!("CARGO_BIN_EXE_lockstorm")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    for command in commands.lines().map(|line| line.trim().replace("less ", "cat ")) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).env("PATH", &path).current_dir(&scratch.0);
        let output = shell.output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{command}: {output:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{command}: {output:?}");
    }
}
