//! The reports of a triage: a page for each bug, the list of them, and the forms that other programs read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::fuzz::replay;
use super::triage::day;
use crate::engine::findings::write_whole;
use crate::harness::Target;
use crate::report::index::{self, Bug, Findings};
use crate::report::page::{self, Page};
use crate::report::{markdown, perfetto, sarif};
use crate::scenario::text;
use crate::triage::bucket::{Bucket, Triage};
use crate::triage::crew::Hand;
use crate::triage::sort::CannotSort;

/// What is written, and of what.
pub(super) struct Reports<'a> {
    pub(super) folder: &'a Path,
    pub(super) driver: &'a Target,
    pub(super) triage: &'a Triage,
    /// Where source files are looked for.
    pub(super) sources: &'a [PathBuf],
}

impl Reports<'_> {
    /// Writes all of them.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or a worker does not answer.
    pub(super) fn write(&self, hand: &mut Hand<'_>) -> Result<(), CannotSort> {
        let mut bugs = Vec::new();
        for bucket in &self.triage.buckets {
            bugs.push(self.bug(bucket, hand)?);
        }
        let findings = Findings {
            driver: &self.triage.driver,
            bugs,
            files: self.triage.files,
            lost: self.triage.lost.iter().map(|file| file.display().to_string()).collect(),
            unusable: self
                .triage
                .unusable
                .iter()
                .map(|unusable| (unusable.file.display().to_string(), unusable.reason.clone()))
                .collect(),
        };
        let sarif =
            serde_json::to_vec_pretty(&sarif::render(&findings)).map_err(io::Error::other)?;
        write_whole(&self.folder.join("findings.sarif"), &sarif)?;
        write_whole(&self.folder.join("findings.md"), markdown::render(&findings).as_bytes())?;
        write_whole(&self.folder.join("index.html"), index::render(&findings).as_bytes())?;
        Ok(())
    }

    /// Writes a bug's page and its trace.
    fn bug<'b>(&self, bucket: &'b Bucket, hand: &mut Hand<'_>) -> Result<Bug<'b>, CannotSort> {
        let folder = self.folder.join(&bucket.folder);
        let file = ["minimal.ron", "smallest.ron"].map(|name| folder.join(name));
        let file = file.into_iter().find(|file| file.is_file());
        let scenario = file.as_ref().map_or_else(|| Ok(String::new()), fs::read_to_string)?;
        let replay = replay(self.driver, file.as_deref().unwrap_or(&bucket.smallest.file));
        let told = match text::read(scenario.as_bytes()) {
            Ok(scenario) => hand.tell(&scenario, bucket.bug)?,
            Err(_) => None,
        };
        let mut page = String::new();
        if let Some(told) = &told {
            let html = page::render(&Page {
                told,
                driver: &self.triage.driver,
                scenario: &scenario,
                replay: &replay,
                folders: self.sources,
                index: Some("../index.html"),
            });
            write_whole(&folder.join("index.html"), html.as_bytes())?;
            let trace = perfetto::render(&self.triage.driver, &told.timeline).to_string();
            write_whole(&folder.join("perfetto.json"), trace.as_bytes())?;
            page = format!("{}/index.html", bucket.folder);
        }
        Ok(Bug {
            breach: &bucket.breach,
            files: bucket.files,
            seen: (day(bucket.first_seen), day(bucket.last_seen)),
            size: bucket.size().map_or_else(String::new, |size| size.to_string()),
            page,
            replay,
            scenario,
        })
    }
}
