//! Files that fuzzers leave behind: which there are, who wrote them, and what scenario each holds.
//!
//! | who | its files | what their names say |
//! | --- | --- | --- |
//! | libFuzzer | `crash-SHA1`, `timeout-SHA1`, `oom-SHA1`, `leak-SHA1`, `slow-unit-SHA1`; corpus `SHA1` | kind and content |
//! | AFL++ | `id:...` in `crashes`, `hangs` and `queue` of an instance | by its folder, the kind |
//! | `lockstorm fuzz` | `RULE-ID.bin` and `.ron` | the finding |
//! | people | anything, as bytes or as RON | nothing |
//!
//! A name never decides which bucket a file goes to. It decides whether a quiet replay is news ("no longer
//! reproduces"), and how strictly the bytes are read: what an engine wrote is read as its target read it, to the
//! last half of a decision; another file that ends too early is no scenario.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::sha1::Sha1;
use crate::scenario::codec::{self, FormatError};
use crate::scenario::text::{self, ReadError};
use crate::scenario::{Scenario, Step};

/// Folders deeper than this are not searched: a ring of symbolic links ends there.
const DEPTH_MAX: usize = 16;

/// Folders of an AFL++ instance that have artifacts; everything else in it is its own.
const AFL_FOLDERS: [&str; 3] = ["crashes", "hangs", "queue"];

/// The file that tells a folder to be an AFL++ instance.
const AFL_MARK: &str = "fuzzer_stats";

/// Who wrote a file, by its name and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// libFuzzer: a crash, a timeout, a leak, too much memory.
    LibFuzzer,
    /// libFuzzer: an input of its corpus.
    LibFuzzerCorpus,
    /// AFL++: a crash.
    AflCrash,
    /// AFL++: a hang.
    AflHang,
    /// AFL++: an input of its queue.
    AflQueue,
    /// `lockstorm fuzz`: an example of a finding.
    Lockstorm,
    /// Anybody.
    Other,
}

impl Origin {
    /// Who wrote the file at `path`.
    #[must_use]
    pub fn of(path: &Path) -> Origin {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_afl_name(&name) {
            let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
            let folder = folder.to_string_lossy();
            // A resumed AFL++ moves what it had to `crashes.2026-11-21-09:30:00`.
            return match folder.split('.').next() {
                Some("crashes") => Origin::AflCrash,
                Some("hangs") => Origin::AflHang,
                _ => Origin::AflQueue,
            };
        }
        match name.rsplit_once('-') {
            Some(("crash" | "timeout" | "oom" | "leak" | "minimized-from", hash))
                if is_hex(hash, 40) =>
            {
                Origin::LibFuzzer
            }
            Some(("slow-unit", hash)) if is_hex(hash, 40) => Origin::LibFuzzerCorpus,
            None if is_hex(&name, 40) => Origin::LibFuzzerCorpus,
            Some((_, rest)) if is_finding_name(rest) => Origin::Lockstorm,
            _ => Origin::Other,
        }
    }

    /// Whether the file was kept because it broke something.
    #[must_use]
    pub const fn claims_a_finding(self) -> bool {
        matches!(self, Origin::LibFuzzer | Origin::AflCrash | Origin::AflHang | Origin::Lockstorm)
    }
}

/// `id:000000,sig:06,src:000000...`, with `_` or `-` where a file system does not take colons.
fn is_afl_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("id") else { return false };
    let mut letters = rest.bytes();
    letters.next().is_some_and(|separator| b":_-".contains(&separator))
        && letters.take(6).filter(u8::is_ascii_digit).count() == 6
}

/// What follows the rule in the name of an example: `0123456789abcdef.bin`.
fn is_finding_name(rest: &str) -> bool {
    let stem = rest.strip_suffix(".bin").or_else(|| rest.strip_suffix(".ron"));
    stem.is_some_and(|id| is_hex(id, 16))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file as it lies there: enough to tell whether it is the one that was triaged before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its length.
    pub bytes: u64,
    /// When it was last written, in nanoseconds since 1970 (UTC); 0 if the file system does not say.
    pub written_ns: u64,
}

impl Stamp {
    /// The stamp of the file at `path`.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn of(path: &Path) -> io::Result<Stamp> {
        let metadata = fs::metadata(path)?;
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let written_ns = since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
        Ok(Stamp { bytes: metadata.len(), written_ns })
    }
}

/// The files under some paths.
#[derive(Debug, Default)]
pub struct Found {
    /// Those to be triaged, each once, in order of name.
    pub files: BTreeSet<PathBuf>,
    /// Files that are no artifacts by their name: logs, notes, AFL++'s own.
    pub passed_over: u64,
    /// Paths that cannot be read, with the reason.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

impl Found {
    /// The files under `paths`; in folders, what is an artifact by its name. `except` is left out.
    #[must_use]
    pub fn under(paths: &[PathBuf], except: &Path) -> Found {
        let mut found = Found::default();
        let except = fs::canonicalize(except).ok();
        for path in paths {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => found.search(path, except.as_deref(), 0),
                Ok(_) => found.take(path),
                Err(error) => found.unreadable.push((path.clone(), error)),
            }
        }
        found
    }

    fn take(&mut self, path: &Path) {
        // The journal, and every report, is text.
        if path.to_str().is_none() {
            let why = io::Error::other("its name is not UTF-8; give it another");
            return self.unreadable.push((path.to_string_lossy().into_owned().into(), why));
        }
        self.files.insert(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    }

    fn search(&mut self, folder: &Path, except: Option<&Path>, depth: usize) {
        if depth > DEPTH_MAX
            || except.is_some() && fs::canonicalize(folder).ok().as_deref() == except
        {
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable.push((folder.to_owned(), error)),
        };
        let is_afl = folder.join(AFL_MARK).is_file();
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let is_folder = path.is_dir();
            let is_afl_folder = AFL_FOLDERS.contains(&name.split('.').next().unwrap_or_default());
            if is_folder && !name.starts_with('.') && (!is_afl || is_afl_folder) {
                self.search(&path, except, depth + 1);
            } else if !is_folder && !is_afl && !is_no_artifact(&name) {
                self.take(&path);
            } else if !is_folder {
                self.passed_over += 1;
            }
        }
    }
}

/// Names that no fuzzer gives to an input.
fn is_no_artifact(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    name.starts_with('.')
        || ["log", "tmp", "txt", "md", "json", "jsonl", "html", "svg", "rs"].contains(&ending)
}

/// A file's bytes, of which no more are read than a scenario can have, and one to tell that there are more.
///
/// # Errors
///
/// Those of the file system.
pub fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(codec::FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The scenario in a file's bytes.
///
/// # Errors
///
/// Why they are none, in words.
pub fn scenario(path: &Path, bytes: &[u8]) -> Result<Scenario, String> {
    let error = match text::read_either(bytes) {
        Ok(scenario) => return Ok(scenario),
        Err(error) => error,
    };
    let origin = Origin::of(path);
    let is_short = matches!(
        error,
        ReadError::Bytes(
            FormatError::TruncatedHeader { .. }
                | FormatError::TruncatedStep { .. }
                | FormatError::TruncatedDecision { .. }
        )
    );
    match origin {
        Origin::AflCrash | Origin::AflHang | Origin::AflQueue if is_short => {
            Ok(codec::decode(bytes))
        }
        Origin::LibFuzzer | Origin::LibFuzzerCorpus if is_short && is_whole(path, bytes) => {
            Ok(codec::decode(bytes))
        }
        Origin::LibFuzzer | Origin::LibFuzzerCorpus if !is_whole(path, bytes) => {
            Err(format!("{error}; its name says that libFuzzer wrote other bytes"))
        }
        _ => Err(error.to_string()),
    }
}

/// Whether a file of libFuzzer's has the content that its name says.
fn is_whole(path: &Path, bytes: &[u8]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hash = name.rsplit('-').next().unwrap_or_default();
    Sha1::of(bytes).to_string().eq_ignore_ascii_case(hash)
}

/// Why a file whose scenario stays quiet was probably made for another driver than `driver`, if it was: it lies
/// where `lockstorm fuzz` keeps another's, or all that it does is play a script, which only the puppet can.
#[must_use]
pub fn is_of_another_driver(path: &Path, scenario: &Scenario, driver: &str) -> Option<String> {
    use crate::harness::BuiltIn;
    let places: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let other = places.windows(2).find_map(|pair| {
        let named = BuiltIn::from_name(&pair[1])?.name();
        (["artifacts", "corpus"].contains(&&*pair[0]) && named != driver).then_some(named)
    });
    if let Some(other) = other {
        return Some(format!("it lies among the artifacts of another driver, {other}"));
    }
    // What an engine makes has lines of scripts for every driver.
    if driver == BuiltIn::Puppet.name() || Origin::of(path) != Origin::Other {
        return None;
    }
    let steps = scenario.steps.len();
    let is_script = |step: &Step| matches!(step, Step::Script(_));
    let scripted = scenario.steps.iter().filter(|step| is_script(step)).count();
    (scripted > 0 && 2 * scripted >= steps).then(|| {
        format!(
            "made for another driver: {scripted} of its {steps} steps are lines of a script, which \
             only the puppet plays"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_who_wrote_a_file() {
        let of = |name: &str| Origin::of(Path::new(name));
        let hash = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert_eq!(of(&format!("out/crash-{hash}")), Origin::LibFuzzer);
        assert_eq!(of(&format!("out/slow-unit-{hash}")), Origin::LibFuzzerCorpus);
        assert_eq!(of(&format!("corpus/{hash}")), Origin::LibFuzzerCorpus);
        assert_eq!(of("out/default/crashes/id:000000,sig:06,src:000001"), Origin::AflCrash);
        assert_eq!(of("out/default/crashes.2026-01-01/id_000000,sig_06"), Origin::AflCrash);
        assert_eq!(of("out/default/hangs/id:000001,src:000002"), Origin::AflHang);
        assert_eq!(of("out/default/queue/id:000123,time:0"), Origin::AflQueue);
        assert_eq!(of("findings/lock.order-0123456789abcdef.ron"), Origin::Lockstorm);
        assert_eq!(of("crash-1"), Origin::Other);
        assert_eq!(of("identity.bin"), Origin::Other);
    }

    #[test]
    fn what_an_engine_wrote_is_read_as_its_target_read_it() {
        let whole = codec::decode(&[codec::VERSION; codec::HEADER_BYTES + codec::STEP_BYTES]);
        let mut bytes = Vec::new();
        codec::encode(&whole, &mut bytes);
        bytes.push(3);
        let read = |name: &str, bytes: &[u8]| scenario(Path::new(name), bytes);
        assert!(read("half.bin", &bytes).is_err());
        assert_eq!(read("crashes/id:000000,sig:06", &bytes).unwrap(), codec::decode(&bytes));
        let name = format!("crash-{}", Sha1::of(&bytes));
        assert_eq!(read(&name, &bytes).unwrap(), codec::decode(&bytes));
        let error = read(&name, &bytes[..bytes.len() - 2]).unwrap_err();
        assert!(error.contains("other bytes"), "{error}");
        bytes[0] = 9;
        assert!(read("crashes/id:000000,sig:06", &bytes).unwrap_err().contains("version 9"));
        assert!(read("empty", &[]).unwrap_err().contains("empty"));
    }
}
