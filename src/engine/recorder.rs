//! The flight recorder: the input that a worker runs, where its parent can read it after a crash.
//!
//! A driver that breaks its process leaves no chance to report anything from inside: the stack may be
//! gone, or the process may spin for ever. So the worker copies each input into a small shared mapping of
//! a file before it runs it (some 20 ns), and the parent reads the file when the worker is dead.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use super::INPUT_MAX;

/// Room for the longest input, and a byte of how it is run, which some workers write behind it.
const ROOM: usize = INPUT_MAX + 1;

/// What the file holds, in the host's byte order: parent and worker are the same program.
#[repr(C)]
struct Record {
    /// Runs begun and ended: odd while an input is running.
    turns: AtomicU64,
    /// Bytes of the input.
    length: AtomicU64,
    /// The input.
    bytes: [u8; ROOM],
}

const HEADER: usize = std::mem::offset_of!(Record, bytes);

/// The worker's side.
#[derive(Debug)]
pub struct Recorder {
    record: *mut Record,
}

impl Recorder {
    /// Maps the file at `path`, made anew.
    ///
    /// # Errors
    ///
    /// The file cannot be made or mapped.
    pub fn create(path: &Path) -> io::Result<Recorder> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let length = size_of::<Record>();
        // Written and not only made longer: a mapping of a file that has no room on its disk dies of the first store.
        file.write_all(&vec![0; length])?;
        let record = map(&file, length)?.cast();
        Ok(Recorder { record })
    }

    /// An input is about to run. What is longer than any scenario is cut.
    #[inline]
    pub fn begin(&self, input: &[u8]) {
        let length = input.len().min(ROOM);
        // SAFETY: the mapping is as long as a Record and lives as long as the process; this process alone
        // writes to it, from one thread.
        unsafe {
            (&raw mut (*self.record).bytes).cast::<u8>().copy_from(input.as_ptr(), length);
            (*self.record).length.store(length as u64, Ordering::Relaxed);
            compiler_fence(Ordering::Release);
            (*self.record).turns.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It has run.
    #[inline]
    pub fn end(&self) {
        // SAFETY: as in `begin`.
        unsafe { (*self.record).turns.fetch_add(1, Ordering::Relaxed) };
    }

    /// Counts runs from here on.
    pub fn restart(&self) {
        // SAFETY: as in `begin`.
        unsafe { (*self.record).turns.store(0, Ordering::Relaxed) };
    }
}

/// Maps `length` bytes of a file, shared with every other process that maps it.
fn map(file: &File, length: usize) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice disturbs nobody.
    let memory = unsafe {
        libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if memory == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(memory.cast()) }
}

/// What a worker left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Inputs that it began to run.
    pub runs: u64,
    /// The input that was running when it died, if one was.
    pub input: Option<Vec<u8>>,
}

/// The parent's side: what the worker of this file was doing. `None` if it had not come so far.
#[must_use]
pub fn remains(path: &Path) -> Option<Remains> {
    let file = std::fs::read(path).ok()?;
    let (header, bytes) = file.split_at_checked(HEADER)?;
    let word = |at: usize| Some(u64::from_ne_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let turns = word(std::mem::offset_of!(Record, turns))?;
    let length = usize::try_from(word(std::mem::offset_of!(Record, length))?).ok()?;
    let input = if turns % 2 == 1 { bytes.get(..length).map(<[u8]>::to_vec) } else { None };
    Some(Remains { runs: turns.div_ceil(2), input })
}

/// A recorder's file, gone when its worker is done with.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// The file for worker `worker` of this process, in `directory`.
    #[must_use]
    pub fn new(directory: &Path, worker: usize) -> Place {
        // The process id keeps two campaigns on the same directory apart.
        Place(directory.join(format!("worker-{worker}-{}.input", std::process::id())))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Best effort: it may never have been made, and nothing depends on it any more.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_reads_the_input_that_was_running_and_only_that() {
        let place = Place::new(&std::env::temp_dir(), 4711);
        let recorder = Recorder::create(place.path()).unwrap();
        assert_eq!(remains(place.path()), Some(Remains { runs: 0, input: None }));
        recorder.begin(&[1, 2, 3]);
        assert_eq!(remains(place.path()), Some(Remains { runs: 1, input: Some(vec![1, 2, 3]) }));
        recorder.end();
        assert_eq!(remains(place.path()), Some(Remains { runs: 1, input: None }));
        recorder.restart();
        assert_eq!(remains(place.path()), Some(Remains { runs: 0, input: None }));
        let path = place.path().to_path_buf();
        drop(place);
        assert_eq!(remains(&path), None);
    }

    #[test]
    fn an_input_longer_than_any_scenario_is_cut() {
        let place = Place::new(&std::env::temp_dir(), 4712);
        let recorder = Recorder::create(place.path()).unwrap();
        recorder.begin(&[7; ROOM + 100]);
        assert_eq!(remains(place.path()).unwrap().input, Some(vec![7; ROOM]));
    }
}
