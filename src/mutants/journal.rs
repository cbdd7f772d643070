//! What has been hunted so far, on disk: a line of JSON for each mutant.
//!
//! Lines are only appended, so that a hunt that is interrupted, or killed, loses nothing but the line that it was
//! writing; a line that is cut off is no line. The first line says what everything was done with: another build of
//! driver or rules, another corpus or another seed begin anew.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hunt::Trail;

/// The version of the journal's format.
const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    mutants_journal: u32,
    /// The driver's name.
    driver: String,
    /// What tells one build of driver and rules, and one corpus, from another.
    build: String,
}

impl Heading {
    /// The heading for a driver.
    #[must_use]
    pub fn new(driver: &str, build: String) -> Heading {
        Heading { mutants_journal: VERSION, driver: driver.into(), build }
    }
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The mutant's name.
    pub id: String,
    /// The budget that it was hunted with, in milliseconds.
    pub budget_ms: u64,
    /// What came of it.
    pub trail: Trail,
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    done: BTreeMap<String, Line>,
}

impl Journal {
    /// Opens the journal at `path`; begins a new one where there is none, or one that is about something else.
    ///
    /// # Errors
    ///
    /// It cannot be read or written.
    pub fn open(path: &Path, heading: &Heading) -> io::Result<Journal> {
        let done = match File::open(path) {
            Ok(file) => read(BufReader::new(file), heading)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        // Anew, without the torn line of a death.
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        let mut journal = Journal { file, done };
        journal.write(heading)?;
        for line in journal.done.clone().into_values() {
            journal.write(&line)?;
        }
        Ok(journal)
    }

    /// What came of a mutant: one that survived counts only if it was hunted as long as `budget_ms`.
    #[must_use]
    pub fn trail(&self, id: &str, budget_ms: u64) -> Option<&Trail> {
        let line = self.done.get(id)?;
        (line.trail.kill.is_some() || line.budget_ms >= budget_ms).then_some(&line.trail)
    }

    /// Notes what came of one.
    ///
    /// # Errors
    ///
    /// The line cannot be written.
    pub fn note(&mut self, line: Line) -> io::Result<()> {
        self.write(&line)?;
        self.done.insert(line.id.clone(), line);
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line).map_err(io::Error::other)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }
}

fn read(lines: impl BufRead, heading: &Heading) -> io::Result<BTreeMap<String, Line>> {
    let mut lines = lines.split(b'\n');
    let Some(first) = lines.next().transpose()? else { return Ok(BTreeMap::new()) };
    if serde_json::from_slice::<Heading>(&first).ok().as_ref() != Some(heading) {
        return Ok(BTreeMap::new());
    }
    let mut done = BTreeMap::new();
    for line in lines {
        if let Ok(line) = serde_json::from_slice::<Line>(&line?) {
            done.insert(line.id.clone(), line);
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_believed_for_the_same_build_and_budget_only() {
        let path = std::env::temp_dir().join(format!("mutants-journal-{}", std::process::id()));
        let heading = Heading::new("nvme", "1".into());
        let survived =
            Line { id: "a".into(), budget_ms: 100, trail: Trail { runs: 7, ms: 100, kill: None } };
        let mut journal = Journal::open(&path, &heading).unwrap();
        journal.note(survived.clone()).unwrap();
        drop(journal);
        let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(b"{\"id\":\"b\",\"budg").unwrap();
        let journal = Journal::open(&path, &heading).unwrap();
        assert_eq!(journal.trail("a", 100), Some(&survived.trail));
        assert_eq!(journal.trail("a", 101), None, "hunted for less time");
        assert_eq!(journal.trail("b", 0), None, "a torn line");
        drop(journal);
        let journal = Journal::open(&path, &Heading::new("nvme", "2".into())).unwrap();
        assert_eq!(journal.trail("a", 0), None, "another build");
        std::fs::remove_file(&path).unwrap();
    }
}
