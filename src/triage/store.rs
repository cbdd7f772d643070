//! The folder of a triage.
//!
//! | file | what it is |
//! | --- | --- |
//! | `buckets.json` | [`Triage`] |
//! | `RULE-BUG/smallest.bin`, `.ron` | the smallest file that shows the bug, as bytes and as text |
//! | `RULE-BUG/minimal.bin`, `.ron` | what is left of it when it is minimised |
//! | `index.html`, `findings.md`, `findings.sarif` | the bugs, for people, for an issue tracker, for other programs |
//! | `RULE-BUG/index.html`, `perfetto.json` | the page of a bug; its run for ui.perfetto.dev |
//! | `RULE-BUG/regression.rs` | a test that fails as long as the driver has the bug |
//! | `journal.jsonl` | what has been done (see [`journal`](super::journal)); delete it to do everything anew |
//!
//! Every file but the journal is written beside its place and renamed, so that nobody ever sees half of one.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::artifact;
use super::bucket::{Bucket, Triage};
use super::regression::{Runner, regression_test};
use crate::engine::findings::write_whole;
use crate::scenario::{Scenario, codec, text};

/// The folder of a triage, which only one process at a time works in.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Holds the lock as long as it is open.
    _lock: File,
}

impl Store {
    /// Opens the folder, made if it is not there; `None` if another process works in it.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn open(folder: &Path) -> io::Result<Option<Store>> {
        fs::create_dir_all(folder)?;
        let lock =
            File::options().write(true).create(true).truncate(false).open(folder.join(".lock"))?;
        // SAFETY: the descriptor is open.
        let status = unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if status == 0 {
            return Ok(Some(Store { folder: folder.to_owned(), _lock: lock }));
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) }
    }

    /// Where the journal is.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal.jsonl")
    }

    /// Writes everything but the journal.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write(&self, triage: &Triage) -> io::Result<()> {
        for bucket in &triage.buckets {
            self.write_bucket(triage, bucket)?;
        }
        self.remove_old_folders(triage)?;
        let json = serde_json::to_vec_pretty(triage).map_err(io::Error::other)?;
        write_whole(&self.folder.join("buckets.json"), &json)
    }

    fn write_bucket(&self, triage: &Triage, bucket: &Bucket) -> io::Result<()> {
        let folder = self.folder.join(&bucket.folder);
        fs::create_dir_all(&folder)?;
        let smallest = artifact::read_bytes(&bucket.smallest.file)
            .ok()
            .and_then(|bytes| artifact::scenario(&bucket.smallest.file, &bytes).ok());
        // A file that has gone away since leaves its copy behind.
        if let Some(scenario) = &smallest {
            write_scenario(&folder, "smallest", bucket, scenario)?;
        }
        let minimal = bucket.minimal.as_ref().and_then(|m| text::read(m.scenario.as_bytes()).ok());
        if let Some(scenario) = &minimal {
            write_scenario(&folder, "minimal", bucket, scenario)?;
        }
        let Some(scenario) = minimal.or(smallest) else { return Ok(()) };
        let test =
            regression_test(&bucket.breach, &scenario, &Runner::Driver(&triage.driver_arguments));
        write_whole(&folder.join("regression.rs"), test.as_bytes())
    }

    /// Removes what a bucket left under another rule's name, and buckets that no file shows any more.
    fn remove_old_folders(&self, triage: &Triage) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_bucket = name.rsplit_once('-').is_some_and(|(_, bug)| {
                bug.len() == 16 && bug.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            let is_there = triage.buckets.iter().any(|bucket| bucket.folder == name);
            if is_bucket && !is_there && entry.path().join("smallest.bin").is_file() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn write_scenario(
    folder: &Path,
    name: &str,
    bucket: &Bucket,
    scenario: &Scenario,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    codec::encode(scenario, &mut bytes);
    write_whole(&folder.join(format!("{name}.bin")), &bytes)?;
    let text = format!("// {}\n{}", bucket.breach.line, text::write(scenario));
    write_whole(&folder.join(format!("{name}.ron")), text.as_bytes())
}
