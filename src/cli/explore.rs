//! `lockstorm explore`: every schedule of a scenario within a bound.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::failure::{Failure, reason};
use super::fuzz::{policy, replay, seconds};
use super::output::Output;
use super::{Format, Verdict, input};
use crate::engine::findings::write_whole;
use crate::engine::{report_deadly_signals, run_begins, run_ends};
use crate::explore::{
    self, Bound, Exploration, Lot, Memory, Outcome, Reduction, Sight, draw, explore,
};
use crate::harness::{Harness, Target};
use crate::report::number::counted;
use crate::rules::{Finding, Severity};
use crate::scenario::{PolicyKind, Scenario, text};

/// Cover every schedule of a scenario within a bound
///
/// A schedule departs from the calm course when it switches to another processor, delivers an interrupt, or lets the
/// device act early. Covers every schedule with at most so many departures, fewest first, whatever schedule the scenario
/// itself has, and says that none of them breaks a rule, or prints the violation that needs the fewest. Schedules that
/// come to the same, because they differ in the order of steps that do not concern each other, are run once, in rare
/// cases a few times. That takes for granted that memory which is touched under a lock is guarded by one that is held,
/// and that what is touched without a lock may be anything (see --guarded-memory and --every-point). Exit status 1 if an
/// error was found, 0 if there is none within the bound, 2 if there was no time to tell. With --random, schedules are
/// drawn at random instead: nothing is proved (exit status 0 if none breaks a rule), and what needs more departures than
/// can all be tried is found sooner.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm explore puppet examples/scenarios/run-deadlock-broken.ron --preemptions 2
  lockstorm explore nvme examples/scenarios/nvme-first-light.ron --preemptions 1 --every-point
  lockstorm explore puppet small.ron --rule run.deadlock -o deadlock.ron
  lockstorm explore nvme examples/scenarios/nvme-first-light.ron --random --schedules 100000")]
pub(super) struct Arguments {
    /// The driver; 'lockstorm drivers' lists them
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// A scenario, as bytes or as RON text
    file: PathBuf,
    /// Departures of a schedule, at most
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(..=16))]
    preemptions: u8,
    /// Run schedules that come to the same, too; takes nothing for granted
    #[arg(long)]
    every_point: bool,
    /// Take it that the driver touches memory that processors share only under locks: more schedules come to the same
    #[arg(long, conflicts_with_all = ["every_point", "random"])]
    guarded_memory: bool,
    /// Draw schedules at random instead of running every one
    #[arg(long, conflicts_with_all = ["preemptions", "every_point"])]
    random: bool,
    /// Draw from this policy only [default: from all]
    #[arg(long, value_name = "POLICY", requires = "random", value_parser = policy)]
    schedule: Option<PolicyKind>,
    /// Draw from this seed
    #[arg(long, value_name = "N", requires = "random", default_value_t = 1)]
    seed: u64,
    /// End after so many schedules
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    schedules: u64,
    /// Look for this rule's violation only [default: any error]
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Let warnings count as errors
    #[arg(long)]
    warnings_as_errors: bool,
    /// Where the violation's scenario goes, as RON text
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to write the result
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let driver = input::driver(&arguments.driver, &arguments.device)?;
    let scenario = input::scenario(&arguments.file)?;
    let mut harness = Harness::open(&driver, Box::leak(Box::default()))
        .map_err(|error| input::unusable(&error))?;
    let bound = Bound {
        departures: arguments.preemptions.into(),
        schedules: arguments.schedules,
        every_point: arguments.every_point,
    };
    let wanted = |finding: &Finding| match &arguments.rule {
        Some(rule) => finding.rule.rule().id == rule,
        None => arguments.warnings_as_errors || finding.severity == Severity::Error,
    };
    report_deadly_signals(|line| format!("{line}\n"));
    explore::prepare(&mut harness, !arguments.random);
    let bar = bar();
    let mut progress = |schedules| {
        if let Some(bar) = &bar {
            bar.set_message(counted(schedules, "schedule"));
            bar.tick();
        }
    };
    let began = Instant::now();
    let mut subject = Watched { harness: &mut harness, memory: arguments.guarded_memory };
    let exploration = if arguments.random {
        let (policy, seed, schedules) = (arguments.schedule, arguments.seed, arguments.schedules);
        let lot = Lot { policy, seed, schedules };
        draw(&mut subject, &scenario, lot, &wanted, &mut progress)
    } else {
        explore(&mut subject, &scenario, bound, &wanted, &mut progress)
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let elapsed = began.elapsed();
    if let (Outcome::Found(found), Some(path)) = (&exploration.outcome, &arguments.output) {
        let text = format!("// {}\n{}", found.finding, text::write(&found.scenario));
        write_whole(path, text.as_bytes())
            .map_err(|error| Failure::at("write", path, reason(&error)))?;
    }
    match arguments.format {
        Format::Json => output.json(&Line::of(&exploration, bound, seconds(elapsed))),
        Format::Text => tell(&exploration, arguments, &driver, elapsed.as_secs_f64(), output),
    }
    Ok(match exploration.outcome {
        Outcome::Found(_) => Verdict::Violation,
        Outcome::Complete if exploration.out_of_reach == 0 => Verdict::Clean,
        Outcome::Spent if arguments.random => Verdict::Clean,
        Outcome::Complete | Outcome::Spent => Verdict::Unusable,
    })
}

fn bar() -> Option<ProgressBar> {
    let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner)?;
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {spinner} {msg}") {
        bar.set_style(style);
    }
    Some(bar)
}

/// A harness under the watchdog.
struct Watched<'a> {
    harness: &'a mut Harness,
    /// The user says that locks guard all shared memory.
    memory: bool,
}

impl explore::Subject for Watched<'_> {
    fn observe(&mut self, scenario: &Scenario) -> Sight<'_> {
        run_begins();
        self.harness.run(scenario);
        run_ends();
        self.harness.sight()
    }

    fn memory(&self, scenario: &Scenario) -> Memory {
        match explore::Subject::memory(self.harness, scenario) {
            Memory::Anything if self.memory => Memory::Nothing,
            memory => memory,
        }
    }

    fn watch(&mut self, on: bool) {
        explore::prepare(self.harness, on);
    }
}

fn tell(
    exploration: &Exploration,
    arguments: &Arguments,
    driver: &Target,
    seconds: f64,
    output: &mut Output,
) {
    let schedules = counted(exploration.schedules, "schedule");
    let departures = counted(arguments.preemptions.into(), "departure");
    let far = match exploration.out_of_reach {
        0 => "complete within the bound".to_owned(),
        far => format!("but {} cannot be said in a scenario", counted(far, "place")),
    };
    match exploration.reduction {
        Reduction::Held | Reduction::Unasked => {}
        Reduction::Surprised => output.line(
            "lockstorm: it cannot be told which schedules come to the same: every one was run",
        ),
        Reduction::Barren => {
            output.line("lockstorm: hardly any schedules come to the same here: every one was run")
        }
    }
    match &exploration.outcome {
        Outcome::Complete => output.line(format_args!(
            "lockstorm: no violation in {schedules} of at most {departures}: {far} ({seconds:.1} s; \
             {} followed without a run, {} met again)",
            counted(exploration.equivalent, "schedule"),
            counted(exploration.known_states, "state"),
        )),
        Outcome::Spent if arguments.random => output.line(format_args!(
            "lockstorm: no violation in {schedules} drawn at random from seed {} ({seconds:.1} s)",
            arguments.seed
        )),
        Outcome::Spent => output.line(format_args!(
            "lockstorm: no violation in {schedules} of at most {departures}, and there are more: \
             not complete (see --schedules; {seconds:.1} s)"
        )),
        Outcome::Found(found) => {
            let fewest = if arguments.random { "" } else { ", the fewest there are," };
            output.line(format_args!(
                "lockstorm: a violation with {}{fewest} in schedule {} ({seconds:.1} s)",
                counted(found.departures as u64, "departure"),
                exploration.schedules,
            ));
            output.line(found.finding);
            match &arguments.output {
                Some(path) => output.line(format_args!("next: {} --trace", replay(driver, path))),
                None => output.text(&text::write(&found.scenario)),
            }
        }
    }
}

/// The result for programs.
#[derive(Serialize)]
struct Line {
    outcome: &'static str,
    departures: usize,
    schedules: u64,
    equivalent: u64,
    known_states: u64,
    out_of_reach: u64,
    /// Whether schedules that come to the same were run once, or why not.
    reduction: &'static str,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<String>,
}

impl Line {
    fn of(exploration: &Exploration, bound: Bound, seconds: f64) -> Line {
        let (outcome, found) = match &exploration.outcome {
            Outcome::Complete => ("complete", None),
            Outcome::Spent => ("spent", None),
            Outcome::Found(found) => ("found", Some(found)),
        };
        Line {
            outcome,
            departures: bound.departures,
            schedules: exploration.schedules,
            equivalent: exploration.equivalent,
            known_states: exploration.known_states,
            out_of_reach: exploration.out_of_reach,
            reduction: match exploration.reduction {
                Reduction::Held => "held",
                Reduction::Unasked => "unasked",
                Reduction::Surprised => "surprised",
                Reduction::Barren => "barren",
            },
            seconds,
            finding: found.map(|found| found.finding.to_string()),
            scenario: found.map(|found| text::write(&found.scenario)),
        }
    }
}
