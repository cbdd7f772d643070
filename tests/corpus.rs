//! Corpora as the command line takes them: what they cover, and folders with anything in them.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lockstorm::scenario::{PolicyKind, codec};
use serde_json::Value;

/// A folder of its own for a test, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path =
            std::env::temp_dir().join(format!("lockstorm-corpus-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// Runs the program in the folder: exit status, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_lockstorm"))
            .args(arguments)
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn seeds(driver: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(driver)
}

/// A folder with all that somebody may have put there: five inputs, and four things that are none.
fn a_mess(folder: &Path) {
    std::fs::create_dir_all(folder.join("a folder/in it")).unwrap();
    std::fs::write(folder.join("empty"), []).unwrap();
    std::fs::write(folder.join("largest"), vec![0x5A; 1 << 20]).unwrap();
    std::fs::write(folder.join("foreign.exe"), b"MZ\x90\0 and so on").unwrap();
    std::fs::write(folder.join("text.ron"), "(version: 1, steps: [Flush()])").unwrap();
    std::fs::write(folder.join("wrong.ron"), "(version: 1, steps: [Flusch()])").unwrap();
    std::fs::copy(seeds("puppet").join("lock-cycle.bin"), folder.join("seed")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    let pipe = CString::new(folder.join("pipe").as_os_str().as_bytes()).unwrap();
    // SAFETY: a path that ends in a zero.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
}

#[test]
fn what_is_no_input_is_skipped_with_a_line() {
    let scratch = Scratch::new("mess");
    a_mess(&scratch.0.join("mess"));
    let (status, out, err) = scratch.run(&["corpus", "puppet", "mess"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("What 5 inputs cover"), "{out}");
    assert_eq!(err.lines().count(), 4, "{err}");
    for name in ["a folder", "wrong.ron", "dangling", "pipe"] {
        let line = err.lines().find(|line| line.contains(name));
        assert!(line.is_some_and(|line| line.contains("is skipped: ")), "{name}: {err}");
    }
}

#[test]
fn a_campaign_begins_with_whatever_its_corpus_has() {
    let scratch = Scratch::new("campaign");
    a_mess(&scratch.0.join("mess"));
    let (status, out, err) =
        scratch.run(&["fuzz", "nvme", "--runs", "3000", "--seed", "1", "--corpus", "mess"]);
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("no violation found"), "{out}");
    assert!(scratch.0.join("mess/foreign.exe").exists());
    let skipped: Vec<_> = err.lines().filter(|line| line.contains("is skipped: ")).collect();
    assert_eq!(skipped.len(), 2, "{err}");
    assert!(skipped[0].contains("dangling") && skipped[1].contains("pipe"), "{err}");
    assert!(err.contains("corpus in mess (6 inputs)"), "{err}");
}

#[test]
fn what_was_found_outlives_its_folder() {
    let scratch = Scratch::new("vanishes");
    let (artifacts, away) = (scratch.0.join("artifacts"), scratch.0.join("away"));
    let examples = |folder: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(folder.join("puppet/findings")).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.as_bytes().ends_with(b".bin")).collect()
    };
    let (status, out, err) = std::thread::scope(|scope| {
        scope.spawn(|| {
            // As soon as there is something to lose.
            let began = Instant::now();
            while examples(&artifacts).is_empty() && began.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::fs::rename(&artifacts, &away).unwrap();
        });
        scratch.run(&["fuzz", "puppet", "--seconds", "4", "--seed", "1"])
    });
    assert_eq!(status, Some(1), "{out}{err}");
    assert!(err.contains("findings had vanished; it is made again"), "{err}");
    let (lost, kept) = (examples(&away), examples(&artifacts));
    assert!(!lost.is_empty());
    for example in lost {
        assert!(kept.contains(&example), "{example:?} is lost");
    }
}

#[test]
fn seeds_are_told_in_pictures_and_json() {
    let scratch = Scratch::new("pictures");
    let folder = seeds("puppet");
    let folder = folder.to_str().unwrap();
    let (status, out, err) = scratch.run(&[
        "corpus", "puppet", folder, "--html", "a.html", "--svg", "a.svg", "--format", "json",
    ]);
    assert_eq!(status, Some(0), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["grids"].as_array().unwrap().len(), 4);
    let takes = |callback: &str, lock: &str, holding: &str| {
        report["acquires"].as_array().unwrap().iter().any(|acquire| {
            acquire["callback"] == callback
                && acquire["lock"] == lock
                && acquire["holding"] == holding
        })
    };
    // What the legal twin of lock.cycle does.
    assert!(takes("HwStorDpcRoutine", "StartIo", "nothing"), "{out}");
    assert!(takes("HwStorStartIo", "Dpc", "StartIo"), "{out}");
    let page = std::fs::read_to_string(scratch.0.join("a.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 4);
    for number in 1..=4 {
        let picture = std::fs::read_to_string(scratch.0.join(format!("a.{number}.svg"))).unwrap();
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    }
}

#[test]
fn a_minimal_corpus_covers_as_much() {
    let scratch = Scratch::new("minimal");
    let folder = seeds("puppet");
    let folder = folder.to_str().unwrap();
    let json = ["--format", "json"];
    let (_, all, _) = scratch.run(&["corpus", "puppet", folder, json[0], json[1]]);
    let again = ["corpus", "puppet", folder, folder, "--minimize", "small"];
    assert_eq!(scratch.run(&again).0, Some(0));
    let (_, small, _) = scratch.run(&["corpus", "puppet", "small", json[0], json[1]]);
    let [all, small]: [Value; 2] = [all, small].map(|text| serde_json::from_str(&text).unwrap());
    assert!(small["inputs"].as_u64() <= all["inputs"].as_u64());
    assert_eq!(
        small["acquires"].as_array().unwrap().len(),
        all["acquires"].as_array().unwrap().len()
    );
    assert_eq!(scratch.run(&again).0, Some(2), "a folder that is not empty");
}

#[test]
fn a_policy_is_part_of_what_is_found() {
    let scratch = Scratch::new("policy");
    let fuzz = ["fuzz", "puppet", "--runs", "20000", "--seed", "3", "--schedule", "pct"];
    assert_eq!(scratch.run(&fuzz).0, Some(1));
    let findings = scratch.0.join("artifacts/puppet/findings");
    let mut count = 0;
    for entry in std::fs::read_dir(findings).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|ending| ending == "bin") {
            let scenario = codec::read(&std::fs::read(&entry).unwrap()).unwrap();
            assert_eq!(scenario.policy.kind(), PolicyKind::Pct, "{entry:?}");
            count += 1;
        }
    }
    assert!(count > 5, "{count}");
    let (status, _, err) = scratch.run(&["fuzz", "--schedule", "fair"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("recorded, random, pct"), "{err}");
}
