//! Room for what a campaign finds: its folders may vanish and its disk may fill up, and both are told.
//!
//! libFuzzer writes an input to the corpus and looks no further, so that without this nobody would know. Findings are
//! safe either way: the parent keeps each with its example until the end.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Less is a full disk: room for some inputs.
const BYTES_MIN: u64 = 64 * 1024;

/// What is known of the folders of a campaign.
#[derive(Debug)]
pub(super) struct Room {
    folders: Vec<PathBuf>,
    /// Folders that cannot be made, and whose loss has been told.
    lost: Vec<PathBuf>,
    /// Told that the disk is full, and that is so still.
    full: bool,
}

impl Room {
    /// Of these folders, of which the first says which disk it is.
    pub(super) fn new<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) -> Room {
        let folders = folders.into_iter().cloned().collect();
        Room { folders, lost: Vec::new(), full: false }
    }

    /// Looks again, and makes the folders that have vanished. Returns what there is to tell.
    pub(super) fn look(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        for folder in &self.folders {
            let told = self.lost.contains(folder);
            if folder.is_dir() {
                self.lost.retain(|lost| lost != folder);
            } else if let Err(error) = std::fs::create_dir_all(folder) {
                if !told {
                    news.push(format!(
                        "{} has vanished and cannot be made: {error}",
                        folder.display()
                    ));
                    self.lost.push(folder.clone());
                }
            } else {
                self.lost.retain(|lost| lost != folder);
                news.push(format!("{} had vanished; it is made again, empty", folder.display()));
            }
        }
        let full = self
            .folders
            .first()
            .and_then(|folder| free(folder))
            .is_some_and(|bytes| bytes < BYTES_MIN);
        if full && !self.full {
            let folder = self.folders[0].display();
            news.push(format!(
                "the disk of {folder} is full: new inputs are not kept; free some space"
            ));
        }
        self.full = full;
        news
    }
}

/// Bytes that are free on the disk of a folder; `None` where that cannot be asked.
fn free(folder: &Path) -> Option<u64> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut room = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path ends with a NUL, and all zeroes are a value of the structure, which the call fills in.
    let (status, room) =
        unsafe { (libc::statvfs(path.as_ptr(), room.as_mut_ptr()), room.assume_init()) };
    #[allow(clippy::unnecessary_cast, reason = "the fields' widths differ between systems")]
    let bytes = (room.f_bavail as u64).saturating_mul(room.f_frsize as u64);
    (status == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_vanishes_is_told_once_and_made_again() {
        let folder = std::env::temp_dir().join(format!("lockstorm-room-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let inner = folder.join("inner");
        let mut room = Room::new([&inner]);
        assert_eq!(room.look().len(), 1);
        assert!(inner.is_dir());
        assert_eq!(room.look(), [""; 0]);

        // A file is in its place: nothing can be made there.
        std::fs::remove_dir(&inner).unwrap();
        std::fs::write(&inner, "").unwrap();
        let news = room.look();
        assert!(news[0].contains("cannot be made"), "{news:?}");
        assert_eq!(room.look(), [""; 0]);
        std::fs::remove_file(&inner).unwrap();
        assert_eq!(room.look().len(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_disk_has_some_room_or_none() {
        assert!(free(&std::env::temp_dir()).is_some());
        assert_eq!(free(Path::new("/proc/absent")), None);
    }
}
