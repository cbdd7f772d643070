//! README.md keeps what it promises: its commands are commands, what it shows is what they print, its scenario
//! is one, and the files that it names exist.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::End;
use lockstorm::scenario::text;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The code blocks in that language, without their fences; what programs print is in language `text`, drawings in
/// none.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut inside = None;
    for line in readme.lines() {
        match (line.strip_prefix("```"), &mut inside) {
            (Some(fence), None) => inside = Some((fence == language, String::new())),
            (Some(_), Some(_)) => {
                let (wanted, block) = inside.take().unwrap();
                blocks.extend(wanted.then_some(block));
            }
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(inside.is_none(), "a block has no end");
    blocks
}

/// The words of each command line, without its comment.
fn commands(readme: &str) -> Vec<Vec<String>> {
    let lines = blocks(readme, "sh").concat();
    lines
        .lines()
        .map(|line| {
            line.split(" #").next().unwrap().split_whitespace().map(str::to_owned).collect()
        })
        .collect()
}

/// What a command gives to lockstorm; `None` for cargo's other commands.
fn arguments(command: &[String]) -> Option<&[String]> {
    match command.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lockstorm", ..] => Some(&command[1..]),
        ["cargo", "run", "--release", "--", ..] => Some(&command[4..]),
        _ => None,
    }
}

fn lockstorm(arguments: &[String], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockstorm"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A place for files that commands write, from where they see the examples.
fn workplace() -> PathBuf {
    let place = std::env::temp_dir().join(format!("lockstorm-readme-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(place.join("examples/scenarios")).unwrap();
    for entry in std::fs::read_dir(root().join("examples/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let copy = place.join("examples/scenarios").join(path.file_name().unwrap());
        std::fs::copy(path, copy).unwrap();
    }
    place
}

#[test]
fn the_two_commands_come_first() {
    let commands = commands(&readme());
    assert_eq!(commands[0].join(" "), "cargo run --release -- fuzz");
    assert_eq!(commands[1].join(" "), "cargo test");
}

#[test]
fn every_command_is_one_and_prints_what_is_shown() {
    let readme = readme();
    let place = workplace();
    let mut printed = String::new();
    for command in commands(&readme) {
        let Some(arguments) = arguments(&command) else {
            let known = ["cargo test", "cargo run --release --example own_driver"];
            assert!(known.contains(&command.join(" ").as_str()), "{command:?}");
            continue;
        };
        let mut arguments = arguments.to_vec();
        // A campaign of one run, or of one kind of mutant, so that every option is taken but the time.
        match arguments[0].as_str() {
            "fuzz" => arguments.extend(["--runs", "1"].map(str::to_owned)),
            "mutants" => {
                arguments
                    .extend(["--explore", "1", "--only", "drop the acquire"].map(str::to_owned));
            }
            _ => {}
        }
        let output = lockstorm(&arguments, &place);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{command:?}: {output:?}");
        printed.push_str(&said);
    }
    std::fs::remove_dir_all(place).unwrap();
    let printed: Vec<String> = printed.lines().map(without_what_moves).collect();
    let shown = blocks(&readme, "text").concat();
    assert!(shown.lines().count() > 20, "{shown}");
    // "..." stands for lines that are left out.
    for line in shown.lines().filter(|line| *line != "...") {
        assert!(printed.contains(&without_what_moves(line)), "nothing prints {line:?}");
    }
}

/// The line without numbers that change with any edit of a driver: of its source lines, and of the hash of the
/// events, which covers them.
fn without_what_moves(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(at) =
        [".rs:", "hash "].iter().filter_map(|mark| Some(rest.find(mark)? + mark.len())).min()
    {
        kept.push_str(&rest[..at]);
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    kept + rest
}

#[test]
fn the_scenario_is_one() {
    let scenarios = blocks(&readme(), "ron");
    assert_eq!(scenarios.len(), 1);
    let scenario = text::read(scenarios[0].as_bytes()).unwrap();
    for driver in BuiltIn::ALL {
        let mut harness = Harness::alone(driver);
        assert_eq!(harness.run(&scenario).end, End::Quiet, "{driver:?}");
        assert_eq!(harness.findings(), [], "{driver:?}");
    }
}

#[test]
fn what_it_names_exists() {
    let readme = readme();
    let mut named = 0;
    for word in readme.split('`').skip(1).step_by(2) {
        let is_path = ["src/", "examples/", "tests/", "benches/", ".ci/", "LICENSE", "CHANGELOG"]
            .iter()
            .any(|folder| word.starts_with(folder));
        if is_path {
            assert!(root().join(word).exists(), "{word}");
            named += 1;
        }
    }
    assert!(named > 15, "{named}");
}
