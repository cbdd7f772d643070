//! `lockstorm triage`: from a folder of crashes to one bug each.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::{Failure, reason};
use super::fuzz::{quoted, replay};
use super::output::{Output, say, visible};
use super::reports::Reports;
use super::worker::served;
use super::{Format, Verdict, input};
use crate::engine::{catch_interrupts, interrupted, release_interrupts};
use crate::harness::Target;
use crate::report::number::counted;
use crate::triage::artifact::Stamp;
use crate::triage::bucket::{Bucket, Triage};
use crate::triage::crew::Hand;
use crate::triage::journal::{Heading, Journal, OpenError};
use crate::triage::minimise::Limits;
use crate::triage::sort::{self, Audience, CannotSort, Done, Plan, Work};
use crate::triage::store::Store;
use crate::triage::worker;

/// Sort what fuzzers found by bug, and make each small
///
/// Replays every file, groups those that show the same bug, and minimises the smallest of each group. Takes what
/// libFuzzer, AFL++ and 'lockstorm fuzz' leave behind, and scenarios as bytes or RON text; in folders, whatever is
/// none by its name is passed over. A second call with the same folder does only what is new, and an
/// interrupted one goes on. Exit status 1 if a bug is an error; warnings alone leave it 0
/// (see --warnings-as-errors).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm triage nvme artifacts/nvme/findings -o triage/nvme
  lockstorm triage puppet out/default crash-* -o triage/puppet --jobs 2
  lockstorm triage nvme findings -o triage/nvme --format json | jq -r '.buckets[].breach.line'")]
pub(super) struct Arguments {
    /// The driver; 'lockstorm drivers' lists them
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// Files, and folders of files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where the result goes
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Processes side by side [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// A folder to look for source files in; may be given several times [default: this one]
    #[arg(long, value_name = "DIR")]
    source: Vec<PathBuf>,
    /// Leave scenarios as they are
    #[arg(long)]
    no_minimise: bool,
    /// Let warnings count as errors, for the exit status
    #[arg(long)]
    warnings_as_errors: bool,
    /// How to write the result: text, or the JSON that buckets.json has
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let driver = input::driver_of_workers(&arguments.driver, &arguments.device)?;
    for path in &arguments.paths {
        path.symlink_metadata().map_err(|error| Failure::at("read", path, reason(&error)))?;
    }
    let folder = &arguments.output;
    let no_folder = |error| Failure::at("write to", folder, reason(&error));
    let store = Store::open(folder).map_err(no_folder)?.ok_or_else(|| {
        Failure::at("write to", folder, "another triage is at work there; wait for it")
    })?;
    let program = program()?;
    let heading = Heading::new(&driver.name(), build(&program, &driver));
    let mut journal = Journal::open(&store.journal(), heading)
        .map_err(|error| no_journal(&store.journal(), &error))?;
    let plan = Plan {
        driver: driver.clone(),
        paths: arguments.paths.clone(),
        folder: folder.clone(),
        jobs: jobs(arguments),
        minimise: (!arguments.no_minimise).then(Limits::default),
    };
    let start = || worker_command(&program, &driver);
    let began = Instant::now();
    catch_interrupts();
    let mut bar = Bar::new();
    let done = sort::run(&plan, &store, &mut journal, &start, &mut bar);
    bar.end();
    let done = done.and_then(|done| {
        let mut sources = arguments.source.clone();
        sources.push(PathBuf::from("."));
        let reports = Reports { folder, driver: &driver, triage: &done.triage, sources: &sources };
        reports.write(&mut Hand::new(&start)).map(|()| done)
    });
    let was_interrupted = interrupted();
    release_interrupts();
    let done = done.map_err(|error| match error {
        CannotSort::Folder(error) => no_folder(error),
        CannotSort::Worker(error) => Failure::new(error.to_string()),
    })?;
    match arguments.format {
        Format::Json => output.json(&done.triage),
        Format::Text => {
            let teller = Teller { plan: &plan, done: &done, output };
            teller.tell(began.elapsed().as_secs_f64());
        }
    }
    if was_interrupted {
        return Err(Failure::new(format!(
            "interrupted; the same command goes on where it stopped (what is done lies in {})",
            folder.display()
        )));
    }
    Ok(verdict(&done.triage, arguments.warnings_as_errors))
}

fn jobs(arguments: &Arguments) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    arguments.jobs.map_or_else(cores, usize::from)
}

pub(super) fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::new(format!("cannot find the program to start workers with: {}", reason(&error)))
    })
}

/// What tells this build of lockstorm, its rules and its drivers, from another, and a compiled driver as well.
pub(super) fn build(program: &Path, driver: &Target) -> String {
    let stamp = |path: &Path| {
        let stamp = Stamp::of(path).ok();
        stamp.map_or_else(String::new, |s| format!(" {} {}", s.bytes, s.written_ns))
    };
    let mut build = format!("{}{}", env!("CARGO_PKG_VERSION"), stamp(program));
    build.push_str(&driver.file().map_or_else(String::new, stamp));
    if let Target::Watched(_, watch) = driver {
        build.push_str(&format!(" {}", watch.arguments().join(" ")));
    }
    build
}

fn no_journal(path: &Path, error: &OpenError) -> Failure {
    match error {
        OpenError::Io(error) => Failure::at("go on with", path, reason(error)),
        OpenError::OtherDriver(other) => Failure::at(
            "go on with",
            path,
            format_args!("it is a triage of the driver '{other}'; give another folder"),
        ),
        OpenError::NotAJournal => Failure::at(
            "go on with",
            path,
            "it is no journal of this version of lockstorm; give another folder, or delete it",
        ),
    }
}

/// What could not be used at all is the gravest; single files are told in the result.
fn verdict(triage: &Triage, warnings_count: bool) -> Verdict {
    let bugs = if warnings_count { triage.buckets.len() } else { triage.errors() };
    match bugs {
        0 if triage.files > 0 && triage.unusable.len() == triage.files => Verdict::Unusable,
        0 => Verdict::Clean,
        _ => Verdict::Violation,
    }
}

/// The command that runs a worker; read back in [`work`].
pub(super) fn worker_command(program: &Path, driver: &Target) -> Command {
    let mut command = Command::new(program);
    command.arg("triage-worker").args(driver.arguments());
    command
}

/// Run scenarios for 'lockstorm triage'
#[derive(Debug, clap::Args)]
pub(super) struct WorkerArguments {
    driver: String,
    #[command(flatten)]
    device: input::Device,
}

pub(super) fn work(arguments: &WorkerArguments) -> Result<Verdict, Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "'triage-worker' is what 'lockstorm triage' starts; run that instead",
        ));
    }
    let driver = input::driver(&arguments.driver, &arguments.device)?;
    served(worker::serve(&driver))
}

/// Progress: a bar on a terminal, a line now and then elsewhere.
struct Bar {
    bar: Option<ProgressBar>,
    work: Option<Work>,
    said: Instant,
}

impl Bar {
    fn new() -> Bar {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0));
        Bar { bar, work: None, said: Instant::now() }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Audience for Bar {
    fn progress(&mut self, work: Work, done: usize, of: usize) {
        let verb = match work {
            Work::Replay => "replaying",
            Work::Minimise => "minimising",
        };
        if let Some(bar) = &self.bar {
            if self.work != Some(work) {
                let template = "{elapsed:>4} [{bar:24}] {msg} {pos}/{len}";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style.progress_chars("=> "));
                }
                bar.set_message(verb);
                bar.set_length(of as u64);
            }
            bar.set_position(done as u64);
        } else if self.said.elapsed().as_secs() >= 2 {
            self.said = Instant::now();
            say(&format!("lockstorm: {verb}: {done} of {of}"));
        }
        self.work = Some(work);
    }
}

/// Tells the result to people.
struct Teller<'a> {
    plan: &'a Plan,
    done: &'a Done,
    output: &'a mut Output,
}

/// Files that are named; of the rest only the number.
const NAMED_MAX: usize = 10;

impl Teller<'_> {
    fn tell(self, seconds: f64) {
        let Teller { plan, done, output } = self;
        let triage = &done.triage;
        let warnings = triage.buckets.len() - triage.errors();
        output.line(format_args!(
            "lockstorm: {}: {} and {}; {} replayed, {} minimised in {}, {seconds:.1} s",
            counted(triage.files as u64, "file"),
            counted(triage.errors() as u64, "error"),
            counted(warnings as u64, "warning"),
            done.replayed,
            counted(done.minimised as u64, "bug"),
            counted(done.minimise_runs, "run"),
        ));
        let width = triage.buckets.iter().map(|bucket| bucket.rules[0].len()).max();
        for bucket in &triage.buckets {
            for line in row(bucket, width.unwrap_or_default()) {
                output.line(visible(&line));
            }
        }
        list(output, "no longer reproduce", &triage.lost, |file| file.display().to_string());
        list(output, "unusable", &triage.unusable, |unusable| {
            format!("{}: {}", unusable.file.display(), unusable.reason)
        });
        let quiet = triage.quiet as u64;
        if quiet + done.passed_over > 0 {
            output.line(format_args!(
                "quiet: {}; passed over by name: {}",
                counted(quiet, "file"),
                counted(done.passed_over, "file"),
            ));
        }
        if let Some(bucket) = triage.buckets.first() {
            next(output, plan, bucket);
        }
    }
}

/// A bucket in two lines.
fn row(bucket: &Bucket, width: usize) -> [String; 2] {
    let Bucket { breach, files, minimal, .. } = bucket;
    let also = match bucket.rules.get(1..) {
        Some(also) if !also.is_empty() => format!(", also as {}", also.join(", ")),
        _ => String::new(),
    };
    let size = minimal
        .as_ref()
        .map_or_else(String::new, |minimal| format!("; {} -> {}", minimal.before, minimal.after));
    let path = if breach.path.is_empty() { "StorPort".to_owned() } else { breach.path.join(" > ") };
    [
        format!(
            "  {:7}  {:width$}  {:>12}  [{path}] at {}{also}",
            breach.severity.to_string(),
            breach.rule,
            counted(*files as u64, "file"),
            breach.site,
        ),
        format!("           {} to {}{size}", day(bucket.first_seen), day(bucket.last_seen)),
    ]
}

fn list<T>(output: &mut Output, what: &str, items: &[T], line: impl Fn(&T) -> String) {
    if items.is_empty() {
        return;
    }
    output.line(format_args!("{what}: {}", counted(items.len() as u64, "file")));
    for item in items.iter().take(NAMED_MAX) {
        output.line(format_args!("  {}", visible(&line(item))));
    }
    if items.len() > NAMED_MAX {
        output.line(format_args!("  ... and {} more, in buckets.json", items.len() - NAMED_MAX));
    }
}

/// What to type next.
fn next(output: &mut Output, plan: &Plan, bucket: &Bucket) {
    let folder = plan.folder.join(&bucket.folder);
    let name = if bucket.minimal.is_some() { "minimal" } else { "smallest" };
    let scenario = folder.join(format!("{name}.ron"));
    output.line(format_args!("open: {}", quoted(&plan.folder.join("index.html"))));
    output.line(format_args!("next: {} --trace", replay(&plan.driver, &scenario)));
    output.line(format_args!("      lockstorm rules {}", bucket.breach.rule));
    output.line(format_args!("      less {}", quoted(&folder.join("regression.rs"))));
}

/// A day of the calendar (UTC): 2026-11-21. After "days_from_civil" of
/// <https://howardhinnant.github.io/date_algorithms.html>.
pub(super) fn day(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_795_225_199), "2026-11-21");
    }
}
