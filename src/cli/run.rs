//! `lockstorm run`: replays scenarios.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::Failure;
use super::keep::{Keep, Last};
use super::output::{Output, say};
use super::{Format, Verdict, input, trace};
use crate::engine::{report_deadly_signals, run_begins, run_ends};
use crate::harness::{Harness, Outcome, Target};
use crate::machine::End;
use crate::machine::mutation::Mutation;
use crate::mutants::spec;
use crate::report::number::counted;
use crate::report::words::microseconds;
use crate::rules::{Finding, Severity};
use crate::scenario::Scenario;

/// Replay scenarios
///
/// Runs each scenario twice, which must give the same events, and prints what it broke. Exit status 1 if an
/// error was found; warnings alone leave it 0 (see --warnings-as-errors).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm run nvme artifacts/nvme/findings/*.bin
  lockstorm run puppet examples/scenarios/lock-order-broken.ron --trace | less
  lockstorm run nvme --mutant swap:Dpc@src/core.rs:12:9 kill.bin --html kill.html   a kill of 'lockstorm mutants'
  lockstorm run nvme corpus/nvme/* --format json | jq -r 'select(.end != \"quiet\").file'")]
pub(super) struct Arguments {
    /// The driver; 'lockstorm drivers' lists them
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// Put a mistake into the driver's lock calls, as 'lockstorm mutants' prints it beside each kill
    #[arg(long, value_name = "SPEC", value_parser = spec::read, conflicts_with = "emit_test")]
    mutant: Option<Mutation>,
    /// Scenarios, as bytes or as RON text
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print every event of the run
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    keep: Keep,
    /// Let warnings count as errors, for the exit status
    #[arg(long)]
    warnings_as_errors: bool,
    /// How to write the verdicts: text, or a JSON object a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let driver = input::driver(&arguments.driver, &arguments.device)?;
    if let (Some(option), true) = (arguments.keep.option(), arguments.files.len() > 1) {
        return Err(Failure::new(format!("{option} takes the run of one file; name one")));
    }
    let harness = Harness::open(&driver, Box::leak(Box::default()))
        .map_err(|error| input::unusable(&error))?;
    let mut replay = Replay { harness, driver, arguments, legend: false };
    replay.harness.hash_events(true);
    replay.harness.mutate(arguments.mutant.clone());
    let mut tally = Tally::default();
    for path in &arguments.files {
        // One unusable file does not keep the others from being run.
        match input::scenario(path).and_then(|scenario| replay.file(path, &scenario, output)) {
            Ok(true) => tally.violations += 1,
            Ok(false) => tally.clean += 1,
            Err(failure) => {
                output.flush();
                failure.tell();
                tally.unusable += 1;
            }
        }
    }
    if arguments.format == Format::Text && arguments.files.len() > 1 {
        output.line(tally.line());
    }
    Ok(tally.verdict())
}

#[derive(Default)]
struct Tally {
    clean: u64,
    violations: u64,
    unusable: u64,
}

impl Tally {
    fn line(&self) -> String {
        let files = self.clean + self.violations + self.unusable;
        let unusable = match self.unusable {
            0 => String::new(),
            unusable => format!(", {unusable} unusable"),
        };
        let Tally { clean, violations, .. } = self;
        format!(
            "{}: {violations} with a violation, {clean} without{unusable}",
            counted(files, "file")
        )
    }

    /// What could not be judged is the gravest: a script must not take it for "nothing found".
    fn verdict(&self) -> Verdict {
        match (self.unusable, self.violations) {
            (0, 0) => Verdict::Clean,
            (0, _) => Verdict::Violation,
            _ => Verdict::Unusable,
        }
    }
}

/// Replays files on one driver.
struct Replay<'a> {
    harness: Harness,
    driver: Target,
    arguments: &'a Arguments,
    /// The legend of the traces has been written.
    legend: bool,
}

impl Replay<'_> {
    /// Runs a scenario twice and tells about it. Returns whether it violates.
    fn file(
        &mut self,
        path: &Path,
        scenario: &Scenario,
        output: &mut Output,
    ) -> Result<bool, Failure> {
        // What kills this process is told by a signal handler, which knows nothing of `output`.
        output.flush();
        report_deadly_signals(|line| self.last_words(path, line));
        let first = self.once(scenario, false);
        let records = self.arguments.trace || self.arguments.keep.wants_events();
        let second = self.once(scenario, records);
        if first.hash != second.hash {
            return Err(Failure::new(format!(
                "{}: two runs of it differ ({:016x} and {:016x}), so {} keeps state between runs \
                 or lockstorm has a bug; please report it",
                path.display(),
                first.hash,
                second.hash,
                self.driver.name()
            )));
        }
        if second.end == End::Unmodelled {
            return Err(Failure::new(format!(
                "{}: the driver calls {}, which has no model here, so the run cannot be judged",
                path.display(),
                self.harness.unmodelled()
            )));
        }
        self.warn_of_other_mistake(path);
        let Replay { harness, driver, arguments, .. } = self;
        let mutant = arguments.mutant.as_ref();
        arguments.keep.write(Last { harness, driver, mutant, scenario, path })?;
        match self.arguments.format {
            Format::Text => self.tell(path, scenario, &second, output),
            Format::Json => output.json(&self.line(path, &second)),
        }
        Ok(self.violates(&second))
    }

    /// A mistake that befalls nothing is easily taken for one that breaks nothing.
    fn warn_of_other_mistake(&mut self, path: &Path) {
        let Some(mutation) = &self.arguments.mutant else { return };
        if self.harness.mutated_calls() == 0 {
            say(&format!(
                "lockstorm: {}: the driver makes no such call at {} in this run, so it is run as it is",
                path.display(),
                mutation.place.spot
            ));
        }
    }

    fn once(&mut self, scenario: &Scenario, record: bool) -> Outcome {
        self.harness.record(record);
        run_begins();
        let outcome = self.harness.run(scenario);
        run_ends();
        outcome
    }

    fn violates(&mut self, outcome: &Outcome) -> bool {
        let warnings_count = self.arguments.warnings_as_errors;
        let findings = self.harness.findings();
        // A run that ends badly without a finding has found something all the same.
        (outcome.end != End::Quiet && findings.is_empty())
            || findings.iter().any(|found| warnings_count || found.severity == Severity::Error)
    }

    fn tell(&mut self, path: &Path, scenario: &Scenario, outcome: &Outcome, output: &mut Output) {
        if self.arguments.trace {
            if !self.legend {
                trace::write_legend(output);
                self.legend = true;
            }
            let processors = usize::from(scenario.setup.processors);
            trace::write(self.harness.events(), processors, output);
            output.line("");
        }
        let findings = self.harness.findings();
        let found = match findings.len() as u64 {
            0 => String::new(),
            n => format!(", {}", counted(n, "finding")),
        };
        output.line(format_args!(
            "{}: {}{found} ({}, {}, {} of virtual time, hash {:016x})",
            path.display(),
            end_name(outcome.end),
            counted(outcome.events, "event"),
            counted(outcome.decisions, "decision"),
            microseconds(outcome.virtual_ns),
            outcome.hash,
        ));
        for finding in findings {
            output.line(finding);
            for line in finding.race_lines() {
                output.line(format_args!("    {line}"));
            }
        }
    }

    fn line(&mut self, path: &Path, outcome: &Outcome) -> Line {
        let trace = self.arguments.trace;
        Line {
            file: path.display().to_string(),
            driver: self.driver.name().into_owned(),
            end: end_name(outcome.end),
            events: outcome.events,
            decisions: outcome.decisions,
            virtual_ns: outcome.virtual_ns,
            hash: format!("{:016x}", outcome.hash),
            mutated_calls: self.arguments.mutant.is_some().then(|| self.harness.mutated_calls()),
            findings: self.harness.findings().iter().map(FindingLine::new).collect(),
            trace: trace.then(|| self.harness.events().iter().map(trace::Row::new).collect()),
        }
    }

    /// What is printed if the driver kills this process, whose violation is `line`.
    fn last_words(&self, path: &Path, line: &str) -> String {
        match self.arguments.format {
            Format::Text => format!("{}: crashed\n{line}\n", path.display()),
            Format::Json => {
                let words = serde_json::json!({
                    "file": path.display().to_string(),
                    "driver": self.driver.name(),
                    "end": end_name(End::Crash),
                    "findings": [
                        { "rule": "driver.crashed", "severity": "error", "line": line }
                    ],
                });
                format!("{words}\n")
            }
        }
    }
}

fn end_name(end: End) -> &'static str {
    match end {
        End::Quiet => "quiet",
        End::Violation => "violation",
        End::Deadlock => "deadlock",
        End::Hang => "hang",
        End::Crash => "crashed",
        End::Unmodelled => "unmodelled",
    }
}

/// A verdict for programs.
#[derive(Serialize)]
struct Line {
    file: String,
    driver: String,
    end: &'static str,
    events: u64,
    decisions: u64,
    virtual_ns: u64,
    hash: String,
    /// Calls that the mistake befell, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    mutated_calls: Option<u32>,
    findings: Vec<FindingLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Vec<trace::Row>>,
}

#[derive(Serialize)]
pub(super) struct FindingLine {
    pub(super) id: String,
    pub(super) rule: String,
    pub(super) severity: String,
    pub(super) line: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) race: Vec<String>,
}

impl FindingLine {
    pub(super) fn new(finding: &Finding) -> FindingLine {
        FindingLine {
            id: format!("{:016x}", finding.id()),
            rule: finding.rule.rule().id.to_owned(),
            severity: finding.severity.to_string(),
            line: finding.to_string(),
            race: finding.race_lines().map(|line| line.to_string()).collect(),
        }
    }
}
