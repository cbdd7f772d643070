//! `lockstorm fuzz`: the main job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::failure::{Failure, nearest, reason};
use super::output::Output;
use super::progress;
use super::{Format, Verdict, corpus, input, worker};
use crate::engine::Mutation;
use crate::engine::campaign::{self, CannotRun, Plan, Reason, Summary};
use crate::engine::findings::Kept;
use crate::engine::known::Known;
use crate::engine::message::to_hex;
use crate::engine::{catch_interrupts, release_interrupts};
use crate::harness::Target;
use crate::report::number::{counted, grouped};
use crate::rules::RuleId;
use crate::scenario::PolicyKind;

/// Fuzz a driver: the main job
///
/// Runs until Ctrl-C, unless told otherwise, and keeps the corpus for the next time. A finding does not
/// end it: each distinct one is printed once and kept with its shortest example, as bytes (.bin) and as text
/// (.ron). Exit status 1 if an error was found; warnings alone leave it 0 (see --warnings-as-errors).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm fuzz                             the nvme driver, until Ctrl-C
  lockstorm fuzz nvme --seconds 60 --jobs 4  for a minute, on four processors
  lockstorm fuzz puppet --stop-at-first      until the first violation
  lockstorm fuzz nvme --runs 100000 --seed 7 --corpus \"$(mktemp -d)\"
                                             the same runs every time
  lockstorm fuzz nvme --schedule pct         with priorities instead of recorded preemptions
  lockstorm fuzz nvme --known known.txt      pass over what is listed in known.txt")]
pub(super) struct Arguments {
    /// The driver; 'lockstorm drivers' lists them
    #[arg(default_value = "nvme")]
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// End after so many seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// End after so many runs, of all jobs together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// Processes that fuzz side by side and share the corpus
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Seed of the random choices [default: another one every time]
    ///
    /// One job with a seed, a number of runs and an empty corpus directory does the same runs every time.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Who decides when a processor is preempted: 'recorded' decisions, 'random' ones, or 'pct', random priorities with
    /// change points [default: each input says]
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    schedule: Option<PolicyKind>,
    /// How inputs are mutated: as scenarios ('steps'), as bytes, or both ('mixed'). For scripts/benchmark
    #[arg(long, value_name = "HOW", value_parser = mutation, default_value = "mixed", hide = true)]
    mutation: Mutation,
    /// Where inputs that reach new coverage are kept [default: artifacts/DRIVER/corpus]
    ///
    /// What is there is run first. The inputs in corpus/DRIVER are run too, if that directory exists.
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Where examples of findings are kept [default: artifacts/DRIVER/findings]
    ///
    /// The engine's own messages go to the directory 'logs' in it.
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// A list of findings to pass over
    ///
    /// One a line: the id of a finding (the 16 digits in the name of its example), or the id of a rule.
    /// '#' begins a comment.
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// End at the first error
    #[arg(long)]
    stop_at_first: bool,
    /// Let warnings count as errors, for the exit status and for --stop-at-first
    #[arg(long)]
    warnings_as_errors: bool,
    /// How to write findings and the summary: text, or a JSON object a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let driver = input::driver_of_workers(&arguments.driver, &arguments.device)?;
    let plan = plan(arguments, driver)?;
    for directory in [&plan.corpus, &plan.findings, &plan.logs] {
        std::fs::create_dir_all(directory)
            .map_err(|error| Failure::at("make the directory", directory, reason(&error)))?;
    }
    for folder in [Some(&plan.corpus), plan.seeds.as_ref()].into_iter().flatten() {
        // libFuzzer goes into folders; a caged worker gets the files of the one folder.
        corpus::warn_of_the_rest(folder, !plan.driver.is_untrusted());
    }
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(format!("cannot find the program to start workers with: {}", reason(&error)))
    })?;
    catch_interrupts();
    let mut listener = progress::listener(arguments.format, &plan, output);
    listener.began(&greeting(&plan));
    let result = campaign::run(&plan, &|orders| worker::command(&program, orders), &mut *listener);
    release_interrupts();
    listener.ended();
    drop(listener);
    let summary = result.map_err(|error| match error {
        CannotRun::System(error) => {
            Failure::new(format!("cannot run a worker: {}", reason(&error)))
        }
        CannotRun::Driver(why) => Failure::new(why),
    })?;
    match arguments.format {
        Format::Text => tell(&summary, &plan, output),
        Format::Json => output.json(&Line::of(&summary, &plan)),
    }
    Ok(verdict(&summary, &plan))
}

fn plan(arguments: &Arguments, driver: Target) -> Result<Plan, Failure> {
    let own = driver.name().into_owned();
    let under_artifacts = |name| Path::new("artifacts").join(&own).join(name);
    let findings = arguments.artifacts.clone().unwrap_or_else(|| under_artifacts("findings"));
    let seeds = Path::new("corpus").join(driver.corpus());
    Ok(Plan {
        driver,
        jobs: arguments.jobs.into(),
        seed: arguments.seed.unwrap_or_else(seed_of_the_day),
        policy: arguments.schedule,
        mutation: arguments.mutation,
        runs: arguments.runs,
        time: arguments.seconds.map(Duration::from_secs),
        stop_at_first: arguments.stop_at_first,
        warnings_count: arguments.warnings_as_errors,
        corpus: arguments.corpus.clone().unwrap_or_else(|| under_artifacts("corpus")),
        seeds: seeds.is_dir().then_some(seeds),
        logs: findings.join("logs"),
        findings,
        known: arguments.known.as_deref().map_or(Ok(Known::default()), known)?,
    })
}

/// A policy by its name.
pub(super) fn policy(name: &str) -> Result<PolicyKind, String> {
    PolicyKind::from_name(name).ok_or_else(|| unknown(PolicyKind::ALL.map(PolicyKind::name)))
}

/// A way to mutate by its name.
pub(super) fn mutation(name: &str) -> Result<Mutation, String> {
    Mutation::from_name(name).ok_or_else(|| unknown(Mutation::ALL.map(Mutation::name)))
}

fn unknown(names: [&str; 3]) -> String {
    format!("it is one of {}", names.join(", "))
}

fn known(path: &Path) -> Result<Known, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::at("read", path, reason(&error)))?;
    Known::parse(&text).map_err(|error| {
        let names = RuleId::ALL.iter().map(|rule| rule.rule().id);
        let guess = nearest(&error.entry, names)
            .map_or_else(String::new, |rule| format!("; did you mean '{rule}'?"));
        let why = format!(
            "line {}: '{}' is neither the id of a finding (16 hexadecimal digits) nor of a rule{guess}",
            error.line, error.entry
        );
        Failure::at("read", path, why)
    })
}

/// A short number that differs from call to call; it is printed, so that the campaign can be repeated.
fn seed_of_the_day() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64 ^ u64::from(std::process::id()) << 20) % 1_000_000_000
}

/// What begins, and when it will end.
fn greeting(plan: &Plan) -> String {
    let end = match (plan.time, plan.runs) {
        (None, None) => "until Ctrl-C".into(),
        (Some(time), None) => format!("for {}", counted(time.as_secs(), "second")),
        (None, Some(runs)) => format!("for {}", counted(runs, "run")),
        (Some(time), Some(runs)) => {
            format!("for {} or {}", counted(time.as_secs(), "second"), counted(runs, "run"))
        }
    };
    let seeds = plan.seeds.as_ref().map_or_else(String::new, |seeds| {
        format!(", seeds from {} ({})", seeds.display(), counted(files(seeds), "file"))
    });
    format!(
        "fuzzing {} {end}: {}, seed {}, corpus in {} ({}){seeds}",
        plan.driver.name(),
        counted(plan.jobs as u64, "job"),
        plan.seed,
        plan.corpus.display(),
        counted(files(&plan.corpus), "input"),
    )
}

fn files(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_file()).count() as u64
}

/// The summary for people.
fn tell(summary: &Summary, plan: &Plan, output: &mut Output) {
    let progress = &summary.progress;
    let why = match summary.reason {
        Reason::Spent => "done",
        Reason::FirstFinding => "ended at the first finding",
        Reason::Interrupted => "interrupted",
        Reason::WorkersDied => "ended because every worker died",
    };
    output.line(format_args!(
        "lockstorm: {why}: {} in {:.1} s ({}/s), {}, {}, {} in {}",
        counted(progress.total.runs, "run"),
        progress.elapsed.as_secs_f64(),
        grouped(progress.rate as u64),
        counted(progress.total.events, "event"),
        counted(progress.corpus.features, "coverage feature"),
        counted(files(&plan.corpus), "input"),
        plan.corpus.display(),
    ));
    let (errors, warnings) = (progress.errors as u64, progress.warnings as u64);
    let passed_over = match summary.findings.passed_over() as u64 {
        0 => String::new(),
        known => format!("; {known} known passed over"),
    };
    if errors + warnings == 0 {
        output.line(format_args!("lockstorm: no violation found{passed_over}"));
        return;
    }
    output.line(format_args!(
        "lockstorm: {} and {} in {}{passed_over}; the shortest of each rule:",
        counted(errors, "error"),
        counted(warnings, "warning"),
        plan.findings.display(),
    ));
    let groups = groups(&summary.findings.all());
    let width = groups.iter().map(|group| group.shortest.found.rule.len()).max();
    for group in &groups {
        output.line(group.row(width.unwrap_or_default()));
    }
    let gravest = groups.iter().find_map(|group| {
        Some((&group.shortest.found.rule, group.shortest.artifact.as_ref().ok()?))
    });
    if let Some((rule, path)) = gravest {
        output.line(format_args!("next: {} --trace", replay(&plan.driver, path)));
        output.line(format_args!("      lockstorm rules {rule}"));
    }
}

/// The findings of one rule and one severity.
struct Group<'a> {
    count: u64,
    shortest: &'a Kept,
}

/// Findings by rule, errors before warnings.
fn groups<'a>(findings: &[&'a Kept]) -> Vec<Group<'a>> {
    let mut groups = BTreeMap::new();
    for kept in findings.iter().copied() {
        let key = (kept.found.warning, &kept.found.rule);
        let group = groups.entry(key).or_insert(Group { count: 0, shortest: kept });
        group.count += 1;
        if kept.found.input.len() < group.shortest.found.input.len() {
            group.shortest = kept;
        }
    }
    groups.into_values().collect()
}

impl Group<'_> {
    /// Its line in the summary.
    fn row(&self, width: usize) -> String {
        let Kept { found, artifact } = self.shortest;
        let severity = if found.warning { "warning" } else { "error" };
        let what = match artifact {
            Ok(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Err(_) => format!("not written; its bytes: {}", to_hex(&found.input)),
        };
        let Group { count, .. } = self;
        format!("  {severity:7}  {:width$}  {count:5}  {what}", found.rule)
    }
}

/// The command that replays an example.
pub(super) fn replay(driver: &Target, path: &Path) -> String {
    let words = driver.arguments();
    let driver: Vec<_> = words.iter().map(|word| quoted(Path::new(word))).collect();
    format!("lockstorm run {} {}", driver.join(" "), quoted(path))
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,@%:=".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn verdict(summary: &Summary, plan: &Plan) -> Verdict {
    let counted = if plan.warnings_count { summary.progress.warnings } else { 0 };
    match summary.progress.errors + counted {
        0 if summary.reason == Reason::WorkersDied => Verdict::Unusable,
        0 => Verdict::Clean,
        _ => Verdict::Violation,
    }
}

/// The summary for programs.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    driver: String,
    seed: u64,
    reason: &'static str,
    seconds: f64,
    runs: u64,
    runs_per_second: u64,
    events: u64,
    virtual_ns: u64,
    features: u64,
    inputs: u64,
    errors: usize,
    warnings: usize,
    known: usize,
    corpus: &'a Path,
    artifacts: &'a Path,
}

impl<'a> Line<'a> {
    fn of(summary: &Summary, plan: &'a Plan) -> Line<'a> {
        let progress = &summary.progress;
        Line {
            kind: "summary",
            driver: plan.driver.name().into_owned(),
            seed: plan.seed,
            reason: match summary.reason {
                Reason::Spent => "done",
                Reason::FirstFinding => "first_finding",
                Reason::Interrupted => "interrupted",
                Reason::WorkersDied => "workers_died",
            },
            seconds: seconds(progress.elapsed),
            runs: progress.total.runs,
            runs_per_second: progress.rate as u64,
            events: progress.total.events,
            virtual_ns: progress.total.virtual_ns,
            features: progress.corpus.features,
            inputs: files(&plan.corpus),
            errors: progress.errors,
            warnings: progress.warnings,
            known: summary.findings.passed_over(),
            corpus: &plan.corpus,
            artifacts: &plan.findings,
        }
    }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_a_shell() {
        assert_eq!(quoted(Path::new("artifacts/nvme/a.bin")), "artifacts/nvme/a.bin");
        assert_eq!(quoted(Path::new("my dir/it's.bin")), "'my dir/it'\\''s.bin'");
    }
}
