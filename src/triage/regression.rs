//! A scenario as the source of a Rust test.
//!
//! The test fails as long as the driver has the bug and passes when it is mended. It knows the bug by its rule, its
//! locks and its callbacks, not by its line: the lines of a driver move.

use std::fmt::Write;

use crate::machine::MemoryWatch;
use crate::report::breach::Breach;
use crate::scenario::{Scenario, text};

/// What the test runs the scenario on.
#[derive(Clone, Copy, Debug)]
pub enum Runner<'a> {
    /// A driver, by the words that name it on a command line.
    Driver(&'a [String]),
    /// A core of the test's own crate: this is the path of its type.
    Core(&'a str),
}

impl<'a> Runner<'a> {
    /// How the driver's memory is watched.
    fn watch(&self) -> MemoryWatch {
        match self {
            Runner::Driver(words) => MemoryWatch::split(words).1,
            Runner::Core(_) => MemoryWatch::default(),
        }
    }

    /// The driver without that.
    fn unwatched(&self) -> Runner<'a> {
        match *self {
            Runner::Driver(words) => Runner::Driver(&words[..MemoryWatch::split(words).0]),
            core @ Runner::Core(_) => core,
        }
    }
}

/// The source of a test that fails as long as `scenario` shows the bug.
#[must_use]
pub fn regression_test(breach: &Breach, scenario: &Scenario, runner: &Runner<'_>) -> String {
    let locks: Vec<_> = breach.locks.iter().map(|lock| format!("{:?}", kind(lock))).collect();
    let scenario = text::write(scenario);
    let fence = fence(&scenario);
    let mut source = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        source.write_fmt(text).expect("a string takes whatever is written");
        source.push('\n');
    };
    line(format_args!(
        "//! A regression test, written by lockstorm {}.",
        env!("CARGO_PKG_VERSION")
    ));
    line(format_args!("//!"));
    for words in breach.line.split('\n') {
        line(format_args!("//! {}", plain(words)));
    }
    line(format_args!(""));
    line(format_args!("{}", uses(runner)));
    line(format_args!("const SCENARIO: &str = r{fence}\"{scenario}\"{fence};"));
    line(format_args!(""));
    line(format_args!("/// The bug: the rule, the kinds of locks, and the callbacks."));
    line(format_args!("const RULE: &str = {:?};", breach.rule));
    line(format_args!("const LOCKS: &[&str] = &[{}];", locks.join(", ")));
    line(format_args!("const CALLBACKS: &str = {:?};", breach.path.join(" > ")));
    line(format_args!("{}", BODY));
    line(format_args!("{}", run(runner)));
    source
}

/// A lock without its number: which of several like locks it is differs from run to run.
fn kind(lock: &str) -> &str {
    lock.split('(').next().unwrap_or(lock)
}

/// Enough `#` for a raw string.
fn fence(text: &str) -> String {
    let mut fence = String::from("#");
    while text.contains(&format!("\"{fence}")) {
        fence.push('#');
    }
    fence
}

/// Text that cannot leave its comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const BODY: &str = r#"
#[test]
fn the_bug_is_mended() {
    let scenario = text::read(SCENARIO.as_bytes()).expect("a scenario");
    let found = findings(&scenario).into_iter().find(is_the_bug);
    assert!(found.is_none(), "{}", found.expect("it is some"));
}

fn is_the_bug(finding: &Finding) -> bool {
    let locks: Vec<String> = finding.locks.iter().flatten().map(|lock| lock.to_string()).collect();
    let kinds: Vec<&str> = locks.iter().map(|lock| lock.split('(').next().unwrap_or(lock)).collect();
    let callbacks: Vec<&str> = finding.path.routines().iter().map(|routine| routine.name()).collect();
    finding.rule.rule().id == RULE && kinds == LOCKS && callbacks.join(" > ") == CALLBACKS
}
"#;

fn uses(runner: &Runner<'_>) -> String {
    let more = match runner.unwatched() {
        Runner::Driver([_]) => "use lockstorm::harness::{BuiltIn, Harness};",
        Runner::Driver(_) => {
            "use lockstorm::device::model::Model;\n\
             use lockstorm::harness::{Compiled, Harness, Target};"
        }
        Runner::Core(_) => "use lockstorm::device::model::Model;\nuse lockstorm::harness::Harness;",
    };
    format!(
        "{more}\nuse lockstorm::rules::Finding;\nuse lockstorm::scenario::{{Scenario, text}};\n"
    )
}

fn run(runner: &Runner<'_>) -> String {
    let mut harness = match runner.unwatched() {
        Runner::Driver([path, _, model, rest @ ..]) => format!(
            "    let device = Model::from_name({model:?}).expect(\"a device of lockstorm's\");\n    \
                 let driver = Target::Compiled(Compiled {{ path: {path:?}.into(), device, pci: {pci} }});\n    \
                 let mut harness =\n        \
                     Harness::open(&driver, Box::leak(Box::default())).expect(\"the driver\");",
            pci = rest.last().map_or("None".to_owned(), |file| format!("Some({file:?}.into())"))
        ),
        Runner::Driver(words) => format!(
            "    let driver = BuiltIn::from_name({:?}).expect(\"a driver of lockstorm's\");\n    \
                 let mut harness = Harness::alone(driver);",
            words.first().map_or("", String::as_str)
        ),
        Runner::Core(core) => format!(
            "    let mut harness =\n        \
                 Harness::of_core::<{core}>(Model::Bare, Box::leak(Box::default()));"
        ),
    };
    let MemoryWatch { events, preempts } = runner.watch();
    if runner.watch().is_on() {
        let watch = "lockstorm::machine::MemoryWatch";
        harness.push_str(&format!(
            "\n    harness.watch_memory({watch} {{ events: {events}, preempts: {preempts} }});"
        ));
    }
    format!(
        "fn findings(scenario: &Scenario) -> Vec<Finding> {{\n{harness}\n    \
             harness.run(scenario);\n    \
             harness.findings().to_vec()\n\
         }}"
    )
}
