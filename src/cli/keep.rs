//! What `lockstorm run` writes to files about a run: its events, its page, its trace, a test.

use std::path::{Path, PathBuf};

use super::failure::{Failure, reason};
use crate::engine::findings::write_whole;
use crate::harness::{Harness, Target};
use crate::machine::mutation::Mutation;
use crate::record::jsonl::{self, Heading};
use crate::report::breach::Breach;
use crate::report::page::{self, Page};
use crate::report::perfetto;
use crate::report::told::{self, Told};
use crate::scenario::{Scenario, text};
use crate::triage::regression::{Runner, regression_test};

/// What to write.
#[derive(Debug, clap::Args)]
pub(super) struct Keep {
    /// Write every event of the run to a file, as JSON lines ('lockstorm check' reads it)
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Write a page that tells the run: what was broken, the timeline, the locks, the source
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the run as a trace for ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    perfetto: Option<PathBuf>,
    /// Write a Rust test that fails as long as the driver has the bug
    #[arg(long, value_name = "FILE")]
    emit_test: Option<PathBuf>,
    /// A folder to look for source files in, for --html; may be given several times [default: this one]
    #[arg(long, value_name = "DIR")]
    source: Vec<PathBuf>,
}

/// A run that has just ended.
pub(super) struct Last<'a> {
    pub(super) harness: &'a mut Harness,
    pub(super) driver: &'a Target,
    /// The mistake that was put into it.
    pub(super) mutant: Option<&'a Mutation>,
    pub(super) scenario: &'a Scenario,
    /// The scenario's file.
    pub(super) path: &'a Path,
}

impl Keep {
    /// The first option that was given; each of them takes the run of one file.
    pub(super) fn option(&self) -> Option<&'static str> {
        let options = [
            ("--events", &self.events),
            ("--html", &self.html),
            ("--perfetto", &self.perfetto),
            ("--emit-test", &self.emit_test),
        ];
        options.into_iter().find(|(_, path)| path.is_some()).map(|(option, _)| option)
    }

    /// Whether the events of the run are needed.
    pub(super) fn wants_events(&self) -> bool {
        self.events.is_some() || self.html.is_some() || self.perfetto.is_some()
    }

    /// Writes what was asked for.
    pub(super) fn write(&self, mut last: Last<'_>) -> Result<(), Failure> {
        if let Some(file) = &self.events {
            let heading = Heading::of_run(&last.driver.name(), last.scenario);
            write(file, &jsonl::write(&heading, last.harness.events()))?;
        }
        if self.html.is_some() || self.perfetto.is_some() {
            self.draw(&mut last)?;
        }
        if let Some(file) = &self.emit_test {
            write(file, &test(&mut last)?)?;
        }
        Ok(())
    }

    fn draw(&self, last: &mut Last<'_>) -> Result<(), Failure> {
        let findings = last.harness.findings().to_vec();
        let told = Told::of(last.harness.events(), &findings, told::gravest(&findings));
        let driver = last.driver.name();
        if let Some(file) = &self.html {
            let mut folders = self.source.clone();
            folders.push(PathBuf::from("."));
            let page = Page {
                told: &told,
                driver: &driver,
                scenario: &text::write(last.scenario),
                replay: &super::mutants::replay(last.driver, last.mutant, last.path),
                folders: &folders,
                index: None,
            };
            write(file, &page::render(&page))?;
        }
        if let Some(file) = &self.perfetto {
            write(file, &perfetto::render(&driver, &told.timeline).to_string())?;
        }
        Ok(())
    }
}

/// A test for the gravest of what the run broke.
fn test(last: &mut Last<'_>) -> Result<String, Failure> {
    let words = last.driver.arguments();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let finding = told::gravest(last.harness.findings())
        .ok_or_else(|| Failure::at("make a test of", last.path, "it breaks no rule"))?;
    Ok(regression_test(&Breach::of(finding), last.scenario, &Runner::Driver(&words)))
}

/// Writes a file whole or not at all.
fn write(path: &Path, content: &str) -> Result<(), Failure> {
    write_whole(path, content.as_bytes())
        .map_err(|error| Failure::at("write", path, reason(&error)))
}
