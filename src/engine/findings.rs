//! What a campaign has found: each distinct finding once, with its shortest example, on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::known::Known;
use super::message::Found;
use crate::scenario::{codec, text};

/// What became of a finding that a worker reported.
#[derive(Debug)]
pub enum Offer {
    /// The first of its kind; its example is kept.
    New,
    /// Seen before; this example is shorter and takes the other's place.
    Shorter,
    /// Seen before, with an example no longer than this.
    Seen,
    /// On the list of known ones.
    Known,
}

/// A distinct finding.
#[derive(Debug)]
pub struct Kept {
    /// The finding with its shortest example.
    pub found: Found,
    /// Where the example lies, or why it could not be written.
    pub artifact: Result<PathBuf, String>,
}

/// The findings of one campaign.
#[derive(Debug)]
pub struct Findings {
    directory: PathBuf,
    known: Known,
    kept: BTreeMap<u64, Kept>,
    passed_over: BTreeSet<u64>,
}

impl Findings {
    /// None yet; their artifacts go to `directory`.
    #[must_use]
    pub fn new(directory: PathBuf, known: Known) -> Findings {
        Findings { directory, known, kept: BTreeMap::new(), passed_over: BTreeSet::new() }
    }

    /// Takes a finding; what is new or shorter is written at once.
    pub fn offer(&mut self, found: Found) -> Offer {
        if self.known.contains(found.id, &found.rule) {
            self.passed_over.insert(found.id);
            return Offer::Known;
        }
        let offer = match self.kept.get(&found.id) {
            None => Offer::New,
            Some(kept) if found.input.len() < kept.found.input.len() => Offer::Shorter,
            Some(_) => return Offer::Seen,
        };
        let artifact = write_artifact(&self.directory, &found);
        self.kept.insert(found.id, Kept { found, artifact });
        offer
    }

    /// Writes again what could not be written, or has gone since. Returns how many examples that mended.
    pub fn restore(&mut self) -> usize {
        let mut restored = 0;
        for kept in self.kept.values_mut() {
            if kept.artifact.as_ref().is_ok_and(|path| path.exists()) {
                continue;
            }
            kept.artifact = write_artifact(&self.directory, &kept.found);
            restored += usize::from(kept.artifact.is_ok());
        }
        restored
    }

    /// One that was kept.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Kept> {
        self.kept.get(&id)
    }

    /// All, by rule and id.
    #[must_use]
    pub fn all(&self) -> Vec<&Kept> {
        let mut all: Vec<&Kept> = self.kept.values().collect();
        all.sort_by(|a, b| (&a.found.rule, a.found.id).cmp(&(&b.found.rule, b.found.id)));
        all
    }

    /// How many distinct ones are only warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.kept.values().filter(|kept| kept.found.warning).count()
    }

    /// How many distinct ones are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.kept.len() - self.warnings()
    }

    /// How many distinct ones were on the list of known ones.
    #[must_use]
    pub fn passed_over(&self) -> usize {
        self.passed_over.len()
    }
}

/// Writes the example as bytes and as text, and returns where the bytes are.
fn write_artifact(directory: &Path, found: &Found) -> Result<PathBuf, String> {
    let stem = directory.join(format!("{}-{:016x}", found.rule, found.id));
    let bytes = append(&stem, ".bin");
    let say = |path: &Path, error: io::Error| format!("cannot write {}: {error}", path.display());
    write_whole(&bytes, &found.input).map_err(|error| say(&bytes, error))?;
    let ron = append(&stem, ".ron");
    let text = format!("// {}\n{}", found.line, text::write(&codec::decode(&found.input)));
    write_whole(&ron, text.as_bytes()).map_err(|error| say(&ron, error))?;
    Ok(bytes)
}

/// The path with `ending` behind it. A rule's id has a dot, so `with_extension` would cut it.
fn append(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Writes a file so that nobody ever sees half of it: beside its place first, then renamed.
///
/// # Errors
///
/// Those of the file system; what was at `path` is untouched then.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = append(path, &format!(".{}.tmp", std::process::id()));
    let write = || -> io::Result<()> {
        std::fs::File::create(&beside)?.write_all(content)?;
        std::fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // Best effort: the error that matters is the first.
        let _ = std::fs::remove_file(&beside);
    })
}

/// Examples that earlier campaigns left in `directory`, in order of name. Deaths of the process are
/// left out: a worker that began with one would never begin.
#[must_use]
pub fn earlier_examples(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut examples: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "bin"))
        .filter(|path| {
            path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"driver."))
        })
        .collect();
    examples.sort();
    examples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: u64, rule: &str, input: &[u8]) -> Found {
        let (rule, line) = (rule.into(), "line".into());
        Found { id, rule, warning: false, line, input: input.to_vec(), runs: 0 }
    }

    /// A directory that is gone at the end of the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path =
                std::env::temp_dir().join(format!("lockstorm-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_shortest_example_wins_and_lies_on_disk() {
        let scratch = Scratch::new("shortest");
        let mut findings = Findings::new(scratch.0.clone(), Known::default());
        assert!(matches!(findings.offer(found(1, "lock.order", &[1, 2, 3])), Offer::New));
        assert!(matches!(findings.offer(found(1, "lock.order", &[1, 2, 4])), Offer::Seen));
        assert!(matches!(findings.offer(found(1, "lock.order", &[1, 2])), Offer::Shorter));
        let path = scratch.0.join("lock.order-0000000000000001.bin");
        assert_eq!(std::fs::read(&path).unwrap(), [1, 2]);
        assert_eq!(findings.get(1).unwrap().artifact, Ok(path.clone()));
        assert!(std::fs::exists(scratch.0.join("lock.order-0000000000000001.ron")).unwrap());
        assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 2);
        assert_eq!(earlier_examples(&scratch.0), [path]);
    }

    #[test]
    fn known_findings_are_passed_over_and_counted_once() {
        let scratch = Scratch::new("known");
        let known = Known::parse("lock.order").unwrap();
        let mut findings = Findings::new(scratch.0.clone(), known);
        for _ in 0..2 {
            assert!(matches!(findings.offer(found(1, "lock.order", &[1])), Offer::Known));
        }
        assert_eq!((findings.errors(), findings.passed_over()), (0, 1));
        assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0);
    }

    #[test]
    fn a_write_that_fails_keeps_the_finding() {
        let scratch = Scratch::new("fails");
        let mut findings = Findings::new(scratch.0.join("absent"), Known::default());
        assert!(matches!(findings.offer(found(1, "lock.order", &[1])), Offer::New));
        let error = findings.get(1).unwrap().artifact.clone().unwrap_err();
        assert!(error.contains("lock.order-0000000000000001.bin"), "{error}");
        assert_eq!(findings.errors(), 1);

        // Once there is a place for it, it goes there; and so again if it is lost.
        std::fs::create_dir(scratch.0.join("absent")).unwrap();
        assert_eq!(findings.restore(), 1);
        let path = findings.get(1).unwrap().artifact.clone().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [1]);
        assert_eq!(findings.restore(), 0);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(findings.restore(), 1);
        assert!(path.exists());
    }
}
