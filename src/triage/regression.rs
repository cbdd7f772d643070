//! A scenario as the source of a Rust test.
//!
//! The test fails as long as the driver has the bug and passes when it is mended. It knows the bug by its rule, its
//! locks and its callbacks, not by its line: the lines of a driver move.

use std::fmt::Write;

use super::breach::Breach;
use crate::scenario::{Scenario, text};

/// What the test runs the scenario on.
#[derive(Clone, Copy, Debug)]
pub enum Runner<'a> {
    /// A driver that lockstorm's harness knows by this name.
    Driver(&'a str),
    /// A core of the test's own crate: this is the path of its type.
    Core(&'a str),
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
    let mut scenario = text::read(SCENARIO.as_bytes()).expect("a scenario");
    scenario.repair();
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

fn uses(runner: &Runner<'_>) -> &'static str {
    match runner {
        Runner::Driver(_) => {
            "use lockstorm::harness::{BuiltIn, Harness};\n\
             use lockstorm::rules::Finding;\n\
             use lockstorm::scenario::{Scenario, text};\n"
        }
        Runner::Core(_) => {
            "use lockstorm::device::bare::Bare;\n\
             use lockstorm::machine::{Driver, Machine, Port};\n\
             use lockstorm::rules::{Checker, Finding};\n\
             use lockstorm::scenario::{Scenario, text};\n\
             use lockstorm::storport::entry::initialization_data;\n"
        }
    }
}

fn run(runner: &Runner<'_>) -> String {
    match runner {
        Runner::Driver(name) => format!(
            "fn findings(scenario: &Scenario) -> Vec<Finding> {{\n    \
                 let driver = BuiltIn::from_name({name:?}).expect(\"a driver of lockstorm's\");\n    \
                 let mut harness = Harness::alone(driver);\n    \
                 harness.run(scenario);\n    \
                 harness.findings().to_vec()\n\
             }}"
        ),
        Runner::Core(core) => format!(
            "fn findings(scenario: &Scenario) -> Vec<Finding> {{\n    \
                 let data = initialization_data::<Port<Checker>, {core}>();\n    \
                 let driver = Driver {{ data, context: std::ptr::null_mut() }};\n    \
                 let mut machine = Machine::new(Checker::new(), Box::new(Bare::new()));\n    \
                 // SAFETY: the entry points are those of the core over this machine's port.\n    \
                 unsafe {{ machine.run(&driver, scenario) }};\n    \
                 machine.sink().findings().to_vec()\n\
             }}"
        ),
    }
}
