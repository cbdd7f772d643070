//! `lockstorm minimise`: one scenario, as small as it can be.

use std::path::PathBuf;

use super::failure::{Failure, reason};
use super::output::{Output, say};
use super::{Verdict, input, triage};
use crate::engine::crew::CannotAsk;
use crate::engine::findings::write_whole;
use crate::report::number::counted;
use crate::rules::Severity;
use crate::scenario::{Scenario, codec, text};
use crate::triage::crew::Hand;
use crate::triage::minimise::Limits;

/// Make a scenario as small as it can be
///
/// Leaves out and calms whatever the bug does not need: steps, processors, messages, settings, context switches and
/// interrupts, in this order. Prints what is left as RON text. 'lockstorm triage' does the same for each bug that it
/// finds. Exit status 1 if there is a bug to keep, 0 if the scenario breaks nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm minimise nvme artifacts/nvme/findings/lock.order-0123456789abcdef.bin
  lockstorm minimise puppet crash-* -o small.ron --runs 1000000")]
pub(super) struct Arguments {
    /// The driver; 'lockstorm drivers' lists them
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// A scenario, as bytes or as RON text
    file: PathBuf,
    /// The rule whose bug is kept [default: the error, or the first warning]
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Where the result goes, as RON text or, if the name ends in .bin, as bytes [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// End after so many runs
    #[arg(long, value_name = "N", default_value_t = Limits::default().runs)]
    runs: u64,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let driver = input::driver_of_workers(&arguments.driver, &arguments.device)?;
    let scenario = input::scenario(&arguments.file)?;
    let program = triage::program()?;
    let start = || triage::worker_command(&program, &driver);
    let mut hand = Hand::new(&start);
    let lost = |error: CannotAsk| Failure::new(error.to_string());
    let breaches = hand.replay(&scenario).map_err(lost)?.breaches;
    let wanted = match &arguments.rule {
        Some(rule) => breaches.iter().find(|breach| breach.rule == *rule),
        None => {
            let error = breaches.iter().find(|breach| breach.severity == Severity::Error);
            error.or(breaches.first())
        }
    };
    let Some(breach) = wanted else {
        let what = arguments.rule.as_ref().map_or("nothing".into(), |rule| format!("not {rule}"));
        let file = arguments.file.display();
        say(&format!("lockstorm: {file} breaks {what}: there is no bug to keep"));
        return Ok(Verdict::Clean);
    };
    let limits = Limits { runs: arguments.runs, ..Limits::default() };
    // A deadlock may become the cycle of lock orders that it came of, unless the rule was named.
    let bug = if arguments.rule.is_some() { breach.id } else { breach.bug };
    let minimal = hand.minimise(&scenario, bug, limits).map_err(lost)?.ok_or_else(|| {
        Failure::at("minimise", &arguments.file, "its bug comes and goes between runs")
    })?;
    let smallest = text::read(minimal.scenario.as_bytes())
        .map_err(|error| Failure::at("minimise", &arguments.file, error))?;
    let breaches = hand.replay(&smallest).map_err(lost)?.breaches;
    let left = breaches.iter().find(|left| left.bug == breach.bug).unwrap_or(breach);
    say(&left.line);
    say(&format!(
        "lockstorm: {} -> {}, in {}{}",
        minimal.before,
        minimal.after,
        counted(minimal.runs, "run"),
        if minimal.finished { "" } else { "; there were no more runs, see --runs" },
    ));
    let text = format!("// {}\n{}", left.line, minimal.scenario);
    match &arguments.output {
        None => output.text(&text),
        Some(path) => {
            let is_bytes = path.extension().is_some_and(|ending| ending == "bin");
            let content = if is_bytes { bytes(&smallest) } else { text.into_bytes() };
            write_whole(path, &content)
                .map_err(|error| Failure::at("write", path, reason(&error)))?;
        }
    }
    Ok(Verdict::Violation)
}

fn bytes(scenario: &Scenario) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(scenario, &mut bytes);
    bytes
}
