//! The flight recorder: the input that a worker runs, where its parent can read it after a crash.
//!
//! A driver that breaks its process leaves no chance to report anything from inside: the stack may be
//! gone, or the process may spin for ever. So the worker copies each input into a small shared mapping of
//! a file before it runs it (some 20 ns), and the parent reads the file when the worker is dead. The parent has it open
//! all the time: what is in it is not lost with its folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
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
    /// Maps the file at `path`, the one that is there or a new one.
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

/// The parent's side: a recorder's file, gone when its worker is done with.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    file: Option<File>,
}

impl Place {
    /// The file for worker `worker` of this process, in `directory`.
    #[must_use]
    pub fn new(directory: &Path, worker: usize) -> Place {
        // The process id keeps two campaigns on the same directory apart.
        let name = format!("worker-{worker}-{}.input", std::process::id());
        Place { path: directory.join(name), file: None }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file for the next worker, empty, and its folder if that has vanished.
    ///
    /// # Errors
    ///
    /// Those of the file system; the worker will meet them, too.
    pub fn prepare(&mut self) -> io::Result<()> {
        self.file = None;
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&self.path)?;
        self.file = Some(file);
        Ok(())
    }

    /// What the worker was doing. `None` if it had not come so far.
    #[must_use]
    pub fn remains(&self) -> Option<Remains> {
        let mut content = vec![0; size_of::<Record>()];
        self.file.as_ref()?.read_exact_at(&mut content, 0).ok()?;
        let (header, bytes) = content.split_at_checked(HEADER)?;
        let word = |at: usize| Some(u64::from_ne_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let turns = word(std::mem::offset_of!(Record, turns))?;
        let length = usize::try_from(word(std::mem::offset_of!(Record, length))?).ok()?;
        let input = if turns % 2 == 1 { bytes.get(..length).map(<[u8]>::to_vec) } else { None };
        Some(Remains { runs: turns.div_ceil(2), input })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Best effort: it may never have been made, and nothing depends on it any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_reads_the_input_that_was_running_and_only_that() {
        let mut place = Place::new(&std::env::temp_dir(), 4711);
        assert_eq!(place.remains(), None);
        place.prepare().unwrap();
        assert_eq!(place.remains(), None);
        let recorder = Recorder::create(place.path()).unwrap();
        assert_eq!(place.remains(), Some(Remains { runs: 0, input: None }));
        recorder.begin(&[1, 2, 3]);
        assert_eq!(place.remains(), Some(Remains { runs: 1, input: Some(vec![1, 2, 3]) }));
        recorder.end();
        assert_eq!(place.remains(), Some(Remains { runs: 1, input: None }));
        recorder.restart();
        assert_eq!(place.remains(), Some(Remains { runs: 0, input: None }));
        // The next worker's begins with nothing, even if that worker never comes so far.
        recorder.begin(&[4]);
        place.prepare().unwrap();
        assert_eq!(place.remains(), None);
        let path = place.path().to_path_buf();
        drop(place);
        assert!(!path.exists());
    }

    #[test]
    fn an_input_longer_than_any_scenario_is_cut() {
        let mut place = Place::new(&std::env::temp_dir(), 4712);
        place.prepare().unwrap();
        let recorder = Recorder::create(place.path()).unwrap();
        recorder.begin(&[7; ROOM + 100]);
        assert_eq!(place.remains().unwrap().input, Some(vec![7; ROOM]));
    }

    #[test]
    fn what_was_running_is_not_lost_with_the_folder() {
        let folder =
            std::env::temp_dir().join(format!("lockstorm-recorder-{}", std::process::id()));
        let mut place = Place::new(&folder, 0);
        place.prepare().unwrap();
        let recorder = Recorder::create(place.path()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        recorder.begin(&[1, 2]);
        let running = Some(Remains { runs: 1, input: Some(vec![1, 2]) });
        assert_eq!(place.remains(), running);

        // The next worker has a folder again.
        place.prepare().unwrap();
        let next = Recorder::create(place.path()).unwrap();
        next.begin(&[1, 2]);
        assert_eq!(place.remains(), running);
        drop(place);
        std::fs::remove_dir(&folder).unwrap();
    }
}
