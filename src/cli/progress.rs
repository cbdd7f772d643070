//! How a campaign is told while it runs: a bar on a terminal, plain lines elsewhere, JSON for programs.
//!
//! Findings go to standard output, everything else to standard error; with JSON all goes to standard output.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Format;
use super::fuzz::{replay, seconds};
use super::output::{Output, say};
use crate::engine::campaign::{Audience, Plan, Progress};
use crate::engine::findings::Kept;
use crate::engine::message::to_hex;
use crate::harness::Target;
use crate::report::number::{counted, grouped};

/// An audience that is also told the beginning and the end.
pub(super) trait Listener: Audience {
    fn began(&mut self, greeting: &str);
    fn ended(&mut self);
}

/// The listener that fits where the output goes.
pub(super) fn listener<'a>(
    format: Format,
    plan: &Plan,
    output: &'a mut Output,
) -> Box<dyn Listener + 'a> {
    let driver = plan.driver.clone();
    match format {
        Format::Json => Box::new(Json { output, clock: Clock::new() }),
        Format::Text if std::io::stderr().is_terminal() => {
            Box::new(Terminal { output, driver, bar: bar(plan), goal: (plan.time, plan.runs) })
        }
        Format::Text => Box::new(Plain { output, driver, clock: Clock::new() }),
    }
}

/// A finding in text: its line, and how to see it again.
fn write_finding(output: &mut Output, driver: &Target, kept: &Kept) {
    output.line(&kept.found.line);
    match &kept.artifact {
        Ok(path) => output.line(format_args!("  replay: {}", replay(driver, path))),
        Err(error) => {
            output.line(format_args!("  {error}; its bytes: {}", to_hex(&kept.found.input)));
        }
    }
    output.flush();
}

/// Progress in a line.
fn status(progress: &Progress) -> String {
    format!(
        "{}  {}/s  {}  {}  {}",
        counted(progress.total.runs, "run"),
        grouped(progress.rate as u64),
        counted(progress.corpus.features, "feature"),
        counted(progress.corpus.inputs, "input"),
        counted((progress.errors + progress.warnings) as u64, "finding"),
    )
}

/// Lets something happen only every two seconds.
struct Clock(Instant);

impl Clock {
    const EVERY: Duration = Duration::from_secs(2);

    fn new() -> Clock {
        Clock(Instant::now())
    }

    fn strikes(&mut self) -> bool {
        let strikes = self.0.elapsed() >= Self::EVERY;
        if strikes {
            self.0 = Instant::now();
        }
        strikes
    }
}

/// Plain lines.
struct Plain<'a> {
    output: &'a mut Output,
    driver: Target,
    clock: Clock,
}

impl Audience for Plain<'_> {
    fn found(&mut self, kept: &Kept) {
        write_finding(self.output, &self.driver, kept);
    }

    fn note(&mut self, text: &str) {
        say(&format!("lockstorm: {text}"));
    }

    fn progress(&mut self, progress: &Progress) {
        if self.clock.strikes() {
            say(&format!("{:5} s  {}", progress.elapsed.as_secs(), status(progress)));
        }
    }

    fn is_gone(&self) -> bool {
        self.output.is_gone()
    }
}

impl Listener for Plain<'_> {
    fn began(&mut self, greeting: &str) {
        say(&format!("lockstorm: {greeting}"));
    }

    fn ended(&mut self) {}
}

/// A progress bar, with findings above it.
struct Terminal<'a> {
    output: &'a mut Output,
    driver: Target,
    bar: ProgressBar,
    /// Time and runs after which the campaign ends.
    goal: (Option<Duration>, Option<u64>),
}

/// A bar towards the end, or a spinner if there is none in sight.
fn bar(plan: &Plan) -> ProgressBar {
    const PARTS: u64 = 1000;
    let (bar, template) = if plan.time.is_some() || plan.runs.is_some() {
        (ProgressBar::new(PARTS), "{elapsed:>4} [{bar:24}] {wide_msg}")
    } else {
        (ProgressBar::new_spinner(), "{elapsed:>4} {spinner} {wide_msg}")
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

impl Terminal<'_> {
    /// How much of the nearer of the two ends is reached, in parts of the bar.
    fn position(&self, progress: &Progress) -> u64 {
        let time = self.goal.0.map(|goal| progress.elapsed.as_secs_f64() / goal.as_secs_f64());
        let runs = self.goal.1.map(|goal| progress.total.runs as f64 / goal as f64);
        let done = time.into_iter().chain(runs).fold(0.0, f64::max);
        (done.min(1.0) * self.bar.length().unwrap_or_default() as f64) as u64
    }
}

impl Audience for Terminal<'_> {
    fn found(&mut self, kept: &Kept) {
        let Terminal { output, driver, bar, .. } = self;
        bar.suspend(|| write_finding(output, driver, kept));
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| say(&format!("lockstorm: {text}")));
    }

    fn progress(&mut self, progress: &Progress) {
        self.bar.set_message(status(progress));
        if self.bar.length().is_some() {
            self.bar.set_position(self.position(progress));
        }
        self.bar.tick();
    }

    fn is_gone(&self) -> bool {
        self.output.is_gone()
    }
}

impl Listener for Terminal<'_> {
    fn began(&mut self, greeting: &str) {
        say(&format!("lockstorm: {greeting}"));
    }

    fn ended(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// JSON objects, one a line.
struct Json<'a> {
    output: &'a mut Output,
    clock: Clock,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Began {
        text: &'a str,
    },
    Note {
        text: &'a str,
    },
    Progress {
        seconds: f64,
        runs: u64,
        runs_per_second: u64,
        features: u64,
        inputs: u64,
        errors: usize,
        warnings: usize,
    },
    Finding {
        id: String,
        rule: &'a str,
        severity: &'static str,
        line: &'a str,
        /// The example's path; absent if it could not be written.
        artifact: Option<&'a Path>,
        /// The example's bytes as hexadecimal digits.
        input: String,
        /// Inputs that the worker had run when it found it; 0 if nobody counted.
        after_runs: u64,
    },
}

impl Json<'_> {
    fn write(&mut self, line: &Line<'_>) {
        self.output.json(line);
        self.output.flush();
    }
}

impl Audience for Json<'_> {
    fn found(&mut self, kept: &Kept) {
        let found = &kept.found;
        self.write(&Line::Finding {
            id: format!("{:016x}", found.id),
            rule: &found.rule,
            severity: if found.warning { "warning" } else { "error" },
            line: &found.line,
            artifact: kept.artifact.as_deref().ok(),
            input: to_hex(&found.input),
            after_runs: found.runs,
        });
    }

    fn note(&mut self, text: &str) {
        self.write(&Line::Note { text });
    }

    fn progress(&mut self, progress: &Progress) {
        if self.clock.strikes() {
            self.write(&Line::Progress {
                seconds: seconds(progress.elapsed),
                runs: progress.total.runs,
                runs_per_second: progress.rate as u64,
                features: progress.corpus.features,
                inputs: progress.corpus.inputs,
                errors: progress.errors,
                warnings: progress.warnings,
            });
        }
    }

    fn is_gone(&self) -> bool {
        self.output.is_gone()
    }
}

impl Listener for Json<'_> {
    fn began(&mut self, greeting: &str) {
        self.write(&Line::Began { text: greeting });
    }

    fn ended(&mut self) {}
}
