//! A triage from beginning to end: replays what is new, minimises what has no smallest scenario yet, writes.

use std::io;
use std::path::{Path, PathBuf};

use super::artifact::{self, Found, Origin, Stamp};
use super::bucket::{Triage, Unusable};
use super::crew::{Hand, Start};
use super::journal::{Came, FileRecord, Journal, MinimalRecord};
use super::minimise::Limits;
use super::sha1::Sha1;
use super::store::Store;
use crate::engine::crew::{CannotAsk, spread};
use crate::engine::interrupted;
use crate::harness::Target;
use crate::scenario::{Scenario, codec, text};

/// What a triage is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The driver.
    pub driver: Target,
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// The triage's folder, which is left out of `paths`.
    pub folder: PathBuf,
    /// Workers side by side.
    pub jobs: usize,
    /// How long to minimise each bucket; `None` not at all.
    pub minimise: Option<Limits>,
}

/// Who is told how it goes.
pub trait Audience {
    /// So many of so many are done.
    fn progress(&mut self, work: Work, done: usize, of: usize);
}

/// Kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Files are replayed.
    Replay,
    /// Buckets are minimised.
    Minimise,
}

/// What has come of it.
#[derive(Debug)]
pub struct Done {
    /// Everything that is known of the folder's bugs.
    pub triage: Triage,
    /// Files that were replayed this time.
    pub replayed: usize,
    /// Buckets that were minimised this time.
    pub minimised: usize,
    /// Runs that this took.
    pub minimise_runs: u64,
    /// Files passed over because of their names.
    pub passed_over: u64,
    /// Somebody asked to stop before everything was done.
    pub interrupted: bool,
}

/// Why a triage ends before its end.
#[derive(Debug)]
pub enum CannotSort {
    /// The triage's folder cannot be read or written.
    Folder(io::Error),
    /// A worker does not answer.
    Worker(CannotAsk),
}

impl From<io::Error> for CannotSort {
    fn from(error: io::Error) -> Self {
        CannotSort::Folder(error)
    }
}

impl From<CannotAsk> for CannotSort {
    fn from(error: CannotAsk) -> Self {
        CannotSort::Worker(error)
    }
}

/// Does it.
///
/// # Errors
///
/// See [`CannotSort`].
pub fn run(
    plan: &Plan,
    store: &Store,
    journal: &mut Journal,
    start: &Start<'_>,
    audience: &mut dyn Audience,
) -> Result<Done, CannotSort> {
    let found = Found::under(&plan.paths, &plan.folder);
    let replayed = replay(plan, &found, journal, start, audience)?;
    let (minimised, minimise_runs) = match plan.minimise {
        Some(limits) => minimise(plan, limits, journal, start, audience)?,
        None => (0, 0),
    };
    let mut triage = Triage::of(journal, &plan.driver);
    for (file, error) in found.unreadable {
        triage.unusable.push(Unusable { file, reason: error.to_string() });
    }
    store.write(&triage)?;
    journal.compact()?;
    let passed_over = found.passed_over;
    let interrupted = interrupted();
    Ok(Done { triage, replayed, minimised, minimise_runs, passed_over, interrupted })
}

/// Replays the files that are new or have changed, and those that another build replayed.
fn replay(
    plan: &Plan,
    found: &Found,
    journal: &mut Journal,
    start: &Start<'_>,
    audience: &mut dyn Audience,
) -> Result<usize, CannotSort> {
    let stale = journal.files.values().filter(|record| !record.is_fresh());
    let stale = stale.map(|record| record.file.clone()).filter(|file| file.is_file());
    let mut files: Vec<PathBuf> = found.files.iter().cloned().chain(stale).collect();
    files.sort_unstable();
    files.dedup();
    files.retain(|file| !Stamp::of(file).is_ok_and(|stamp| journal.knows(file, stamp)));
    let (mut done, mut failure) = (0, None);
    spread(
        &files,
        plan.jobs,
        |_| Hand::new(start),
        |hand, file| look_at(hand, file, &plan.driver.name()),
        |record| {
            let noted = record.map_err(CannotSort::from).and_then(|r| Ok(journal.note_file(r)?));
            done += 1;
            audience.progress(Work::Replay, done, files.len());
            failure = noted.err();
            failure.is_none()
        },
    );
    failure.map_or(Ok(done), Err)
}

/// Reads a file and runs what it says.
fn look_at(hand: &mut Hand<'_>, file: &Path, driver: &str) -> Result<FileRecord, CannotAsk> {
    let stamp = Stamp::of(file).unwrap_or(Stamp { bytes: 0, written_ns: 0 });
    let came = match read(file) {
        Ok(scenario) => judge(hand, file, &scenario, driver)?,
        Err(reason) => Came::Unusable { reason },
    };
    Ok(FileRecord {
        file: file.to_owned(),
        stamp,
        origin: Origin::of(file),
        came,
        before: Vec::new(),
    })
}

fn read(file: &Path) -> Result<Scenario, String> {
    let bytes = artifact::read_bytes(file).map_err(|error| error.to_string())?;
    artifact::scenario(file, &bytes)
}

fn judge(
    hand: &mut Hand<'_>,
    file: &Path,
    scenario: &Scenario,
    driver: &str,
) -> Result<Came, CannotAsk> {
    let replay = hand.replay(scenario)?;
    let unusable = |reason| Ok(Came::Unusable { reason });
    if !replay.stable {
        return unusable(format!(
            "two runs of it differ: {driver} keeps state between runs, or lockstorm has a bug"
        ));
    }
    if replay.breaches.is_empty() && replay.unmodelled {
        return unusable(format!("{driver} calls a routine that lockstorm has no model for"));
    }
    if replay.breaches.is_empty()
        && let Some(reason) = artifact::is_of_another_driver(file, scenario, driver)
    {
        return unusable(reason);
    }
    let mut bytes = Vec::new();
    codec::encode(scenario, &mut bytes);
    Ok(Came::Ran { scenario: Sha1::of(&bytes).to_string(), breaches: replay.breaches })
}

/// Minimises the buckets that have no smallest scenario yet.
fn minimise(
    plan: &Plan,
    limits: Limits,
    journal: &mut Journal,
    start: &Start<'_>,
    audience: &mut dyn Audience,
) -> Result<(usize, u64), CannotSort> {
    let triage = Triage::of(journal, &plan.driver);
    let work: Vec<(u64, PathBuf)> = triage
        .buckets
        .iter()
        .filter(|bucket| bucket.minimal.is_none())
        .map(|bucket| (bucket.bug, bucket.smallest.file.clone()))
        .collect();
    let (mut done, mut runs, mut failure) = (0, 0, None);
    spread(
        &work,
        plan.jobs,
        |_| Hand::new(start),
        |hand, (bug, file)| smallest(hand, *bug, file, limits),
        |record| {
            let noted = record.map_err(CannotSort::from).and_then(|record| {
                let Some(record) = record else { return Ok(()) };
                runs += record.minimal.runs;
                Ok(journal.note_minimal(record)?)
            });
            done += 1;
            audience.progress(Work::Minimise, done, work.len());
            failure = noted.err();
            failure.is_none()
        },
    );
    failure.map_or(Ok((done, runs)), Err)
}

/// Minimises a bucket; `None` if its file has changed meanwhile.
fn smallest(
    hand: &mut Hand<'_>,
    bug: u64,
    file: &Path,
    limits: Limits,
) -> Result<Option<MinimalRecord>, CannotAsk> {
    let Ok(scenario) = read(file) else { return Ok(None) };
    let Some(minimal) = hand.minimise(&scenario, bug, limits)? else { return Ok(None) };
    let Ok(scenario) = text::read(minimal.scenario.as_bytes()) else { return Ok(None) };
    let replay = hand.replay(&scenario)?;
    let breach = replay.breaches.into_iter().find(|breach| breach.bug == bug);
    Ok(breach.map(|breach| MinimalRecord { bug, minimal, breach }))
}
