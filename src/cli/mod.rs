//! The command line: one file for each subcommand.
//!
//! Results go to standard output and stay readable by machine (`--format json`); progress and errors go to
//! standard error. An error is one line that says what is wrong, where, and what to do. Exit status:
//! 0 nothing found, 1 a violation, 2 the input or the call is unusable.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};

mod check;
mod corpus;
mod drivers;
mod explore;
mod failure;
mod fuzz;
mod input;
mod keep;
mod locks;
mod minimise;
mod mutants;
mod output;
mod pack;
mod progress;
mod reports;
mod rules;
mod run;
mod seed;
mod show;
mod trace;
mod triage;
mod worker;

use failure::Failure;
use output::Output;

/// A fuzzer for the lock paths of Windows StorPort miniport drivers.
///
/// Runs a miniport on a simulated multiprocessor that behaves like StorPort, lets the fuzzer decide every
/// request, interrupt, DPC, timer, reset and context switch, and reports the first rule of
/// StorPort's locking contract that the miniport breaks, with a scenario that replays it bit for bit.
#[derive(Debug, Parser)]
#[command(name = "lockstorm", version, max_term_width = 100, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  lockstorm fuzz                         fuzz the nvme miniport until Ctrl-C
  lockstorm fuzz nvme --seconds 60       for a minute
  lockstorm run nvme artifacts/nvme/findings/*.bin
                                         replay what was found
  lockstorm triage nvme artifacts/nvme/findings -o triage/nvme
                                         one bug each, with its shortest scenario
  lockstorm rules lock.order             explain a rule

Exit status: 0 nothing found, 1 a violation, 2 the input or the call is unusable.";

#[derive(Debug, Subcommand)]
enum Command {
    Fuzz(fuzz::Arguments),
    Run(run::Arguments),
    Seed(seed::Arguments),
    Show(show::Arguments),
    Pack(pack::Arguments),
    Triage(triage::Arguments),
    Minimise(minimise::Arguments),
    Explore(explore::Arguments),
    Mutants(mutants::Arguments),
    Check(check::Arguments),
    Rules(rules::Arguments),
    Corpus(corpus::Arguments),
    Locks(locks::Arguments),
    Drivers(drivers::Arguments),
    #[command(hide = true)]
    Worker(worker::Arguments),
    #[command(hide = true)]
    TriageWorker(triage::WorkerArguments),
    #[command(hide = true)]
    MutantsWorker(mutants::WorkerArguments),
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What a subcommand comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing was found.
    Clean,
    /// Something broke a rule.
    Violation,
    /// Some input was unusable; what was wrong has been said.
    Unusable,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> ExitCode {
        ExitCode::from(match verdict {
            Verdict::Clean => 0,
            Verdict::Violation => 1,
            Verdict::Unusable => 2,
        })
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    match run(std::env::args_os()) {
        Ok(verdict) => verdict.into(),
        Err(failure) => {
            failure.tell();
            Verdict::Unusable.into()
        }
    }
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<Verdict, Failure> {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let mut output = Output::new();
    let verdict = match arguments.command {
        Command::Fuzz(arguments) => fuzz::run(&arguments, &mut output),
        Command::Run(arguments) => run::run(&arguments, &mut output),
        Command::Seed(arguments) => seed::run(&arguments, &mut output),
        Command::Show(arguments) => show::run(&arguments, &mut output),
        Command::Pack(arguments) => pack::run(&arguments),
        Command::Triage(arguments) => triage::run(&arguments, &mut output),
        Command::Minimise(arguments) => minimise::run(&arguments, &mut output),
        Command::TriageWorker(arguments) => triage::work(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments, &mut output),
        Command::MutantsWorker(arguments) => mutants::work(&arguments),
        Command::Check(arguments) => check::run(&arguments, &mut output),
        Command::Explore(arguments) => explore::run(&arguments, &mut output),
        Command::Rules(arguments) => rules::run(&arguments, &mut output),
        Command::Corpus(arguments) => corpus::run(&arguments, &mut output),
        Command::Locks(arguments) => locks::run(&arguments, &mut output),
        Command::Drivers(arguments) => drivers::run(&arguments, &mut output),
        Command::Worker(arguments) => worker::run(&arguments),
    }?;
    output.finish()?;
    Ok(verdict)
}

/// Help is printed as it is; a mistake in the call becomes one line.
fn explain(error: &clap::Error) -> Result<Verdict, Failure> {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_help {
        // A reader that went away does not make the call wrong.
        let _ = error.print();
        let asked_for = error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        return Ok(if asked_for { Verdict::Clean } else { Verdict::Unusable });
    }
    Err(Failure::new(one_line(&error.to_string())))
}

/// What clap says in several lines: the error, then its tips. Of the usage only the subcommand is kept, to
/// point at its help.
fn one_line(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut subcommand = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(usage) = line.strip_prefix("Usage: lockstorm ") {
            let word = usage.split(' ').next().unwrap_or_default();
            subcommand = if word.starts_with(['<', '[', '-']) { "" } else { word };
        } else if !line.starts_with("For more information") {
            let line = line.strip_prefix("error: ").unwrap_or(line);
            parts.push(line.strip_prefix("tip: ").unwrap_or(line));
        }
    }
    let space = if subcommand.is_empty() { "" } else { " " };
    let line = parts.join("; ").replace(":; ", ": ");
    format!("{line}; see 'lockstorm {subcommand}{space}--help'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_mistake_in_the_call_is_one_line_with_its_tip() {
        let parse = |arguments: &[&str]| {
            Arguments::try_parse_from(arguments).expect_err("a mistake").to_string()
        };
        let line = one_line(&parse(&["lockstorm", "fuzz", "nvme", "--second", "3"]));
        assert!(!line.contains('\n') && line.contains("--second") && line.contains("--seconds"));
        assert!(line.ends_with("see 'lockstorm fuzz --help'"), "{line}");
        let line = one_line(&parse(&["lockstorm", "run"]));
        assert!(!line.contains('\n') && line.contains("<DRIVER>"), "{line}");
    }
}
