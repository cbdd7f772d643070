//! What a triage has done so far, on disk: a line of JSON for each file replayed and each bucket minimised.
//!
//! Lines are only appended, so that a triage that is interrupted, or killed, loses nothing but the line that it was
//! writing; a line that is cut off is no line. At the end the journal is written anew without what later lines have
//! replaced. The first line says for which driver it is, and for which build of it: what another build did is not
//! believed, but remembered, to tell what no longer reproduces.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::artifact::{Origin, Stamp};
use super::minimise::Minimal;
use crate::engine::findings::write_whole;
use crate::report::breach::Breach;

/// The version of the journal's format.
const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Version of the format.
    pub triage_journal: u32,
    /// The driver's name.
    pub driver: String,
    /// What tells one build of driver and rules from another.
    pub build: String,
}

impl Heading {
    /// The heading for a driver.
    #[must_use]
    pub fn new(driver: &str, build: String) -> Heading {
        Heading { triage_journal: VERSION, driver: driver.into(), build }
    }
}

/// A file that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Where it lies, from the root.
    pub file: PathBuf,
    /// How it lay there.
    pub stamp: Stamp,
    /// Who wrote it.
    pub origin: Origin,
    /// What came of it.
    pub came: Came,
    /// The bugs that an earlier build showed on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
}

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// It is a scenario, and was run.
    Ran {
        /// SHA-1 of the scenario's plain bytes: equal for all files that say the same.
        scenario: String,
        /// What it broke.
        breaches: Vec<Breach>,
    },
    /// It could not be.
    Unusable {
        /// Why.
        reason: String,
    },
}

impl FileRecord {
    /// What it broke.
    #[must_use]
    pub fn breaches(&self) -> &[Breach] {
        match &self.came {
            Came::Ran { breaches, .. } => breaches,
            Came::Unusable { .. } => &[],
        }
    }
}

/// A bucket's smallest scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinimalRecord {
    /// The bucket.
    #[serde(with = "crate::report::hex")]
    pub bug: u64,
    /// The scenario, with what it took.
    pub minimal: Minimal,
    /// What it breaks, told by a replay.
    pub breach: Breach,
}

/// A line after the first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    File(FileRecord),
    Minimal(Box<MinimalRecord>),
}

/// The journal of a folder.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    heading: Heading,
    appending: Option<File>,
    /// Files by where they lie.
    pub files: BTreeMap<PathBuf, FileRecord>,
    /// Smallest scenarios by bucket.
    pub minimal: BTreeMap<u64, MinimalRecord>,
}

/// Why a journal cannot be gone on with.
#[derive(Debug)]
pub enum OpenError {
    /// The file system says no.
    Io(io::Error),
    /// It is another driver's: this is its name.
    OtherDriver(String),
    /// It is no journal of this version.
    NotAJournal,
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        OpenError::Io(error)
    }
}

impl Journal {
    /// Opens the journal at `path`, or begins one. With another build in its heading, what its files broke becomes
    /// what they broke before.
    ///
    /// # Errors
    ///
    /// It cannot be read or written, or is not this driver's.
    pub fn open(path: &Path, heading: Heading) -> Result<Journal, OpenError> {
        let mut journal = Journal {
            path: path.to_owned(),
            heading,
            appending: None,
            files: BTreeMap::new(),
            minimal: BTreeMap::new(),
        };
        match File::open(path) {
            Ok(file) => journal.read(BufReader::new(file))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        // Without the torn line of a death, and with today's heading.
        journal.compact()?;
        Ok(journal)
    }

    fn read(&mut self, lines: impl BufRead) -> Result<(), OpenError> {
        let mut lines = lines.lines();
        let Some(first) = lines.next() else { return Ok(()) };
        let old: Heading = serde_json::from_str(&first?).map_err(|_| OpenError::NotAJournal)?;
        if old.triage_journal != VERSION {
            return Err(OpenError::NotAJournal);
        }
        if old.driver != self.heading.driver {
            return Err(OpenError::OtherDriver(old.driver));
        }
        let believed = old.build == self.heading.build;
        for line in lines {
            // The last line may be torn, and its end no text.
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(Line::File(mut record)) => {
                    if !believed {
                        record.forget();
                    }
                    self.files.insert(record.file.clone(), record);
                }
                Ok(Line::Minimal(record)) if believed => {
                    let record = *record;
                    self.minimal.insert(record.bug, record);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the file was looked at as it lies there now.
    #[must_use]
    pub fn knows(&self, file: &Path, stamp: Stamp) -> bool {
        self.files.get(file).is_some_and(|record| record.stamp == stamp)
    }

    /// Notes a file.
    ///
    /// # Errors
    ///
    /// The line cannot be written.
    pub fn note_file(&mut self, mut record: FileRecord) -> io::Result<()> {
        if let Some(old) = self.files.get(&record.file) {
            record.before.clone_from(&old.before);
        }
        self.append(&Line::File(record.clone()))?;
        self.files.insert(record.file.clone(), record);
        Ok(())
    }

    /// Notes a bucket's smallest scenario.
    ///
    /// # Errors
    ///
    /// The line cannot be written.
    pub fn note_minimal(&mut self, record: MinimalRecord) -> io::Result<()> {
        self.append(&Line::Minimal(Box::new(record.clone())))?;
        self.minimal.insert(record.bug, record);
        Ok(())
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line).map_err(io::Error::other)?;
        text.push(b'\n');
        let file = match &mut self.appending {
            Some(file) => file,
            closed => closed.insert(OpenOptions::new().append(true).create(true).open(&self.path)?),
        };
        file.write_all(&text)
    }

    /// Writes it anew, without what was replaced.
    ///
    /// # Errors
    ///
    /// It cannot be written; what was there is untouched then.
    pub fn compact(&mut self) -> io::Result<()> {
        self.appending = None;
        let mut text = serde_json::to_vec(&self.heading).map_err(io::Error::other)?;
        let files = self.files.values().cloned().map(Line::File);
        let minimal = self.minimal.values().cloned().map(|record| Line::Minimal(Box::new(record)));
        for line in files.chain(minimal) {
            text.push(b'\n');
            serde_json::to_writer(&mut text, &line).map_err(io::Error::other)?;
        }
        text.push(b'\n');
        write_whole(&self.path, &text)
    }
}

impl FileRecord {
    /// It must be looked at again; what it broke is what it broke before.
    fn forget(&mut self) {
        // A length that no file has.
        self.stamp.bytes = u64::MAX;
        let bugs: Vec<_> =
            self.breaches().iter().map(|breach| format!("{:016x}", breach.bug)).collect();
        if !bugs.is_empty() {
            self.before = bugs;
        }
    }

    /// Whether it has been looked at by this build.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.stamp.bytes != u64::MAX
    }
}
