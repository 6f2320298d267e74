//! Files that a listener depends on, read again when they change.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What was read from files and can be exchanged while the listener serves.
pub(crate) trait Watched: Send + Sync {
    /// The first of its files, for the log.
    fn file(&self) -> &Path;

    /// Whether a file is another one than when it was last read.
    fn has_changed(&self) -> bool;

    /// Reads the files again; whoever connects from now on meets what they say.
    ///
    /// # Errors
    /// What is wrong with them: what was read before stays.
    fn reload(&self) -> Result<(), String>;
}

/// What files looked like when they were last read, well or not.
#[derive(Debug)]
pub(super) struct Seen<const FILES: usize>(Mutex<[Option<Stamp>; FILES]>);

/// Enough of a file's metadata to see that it is another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl<const FILES: usize> Seen<FILES> {
    /// Files as they are now; to be called before they are read, so that no change is missed.
    pub(super) fn now(files: [&Path; FILES]) -> Self {
        Self(Mutex::new(files.map(stamp)))
    }

    /// They are read again.
    pub(super) fn again(&self, files: [&Path; FILES]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = files.map(stamp);
    }

    /// Whether one of them is another one now.
    pub(super) fn differ(&self, files: [&Path; FILES]) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) != files.map(stamp)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let stamp = |metadata: Metadata| Stamp {
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    };
    fs::metadata(file).ok().map(stamp)
}

/// Looks at the files and reads them again when they are others, until it is dropped.
pub(crate) async fn watch(watched: Arc<dyn Watched>) {
    let mut every = tokio::time::interval(LOOK);
    loop {
        every.tick().await;
        let watched = Arc::clone(&watched);
        // Files may be on a disk that is slow.
        let looked = tokio::task::spawn_blocking(move || {
            if watched.has_changed() {
                reload(&*watched);
            }
        });
        if looked.await.is_err() {
            tracing::error!("looking at a listener's files failed; it is tried again");
        }
    }
}

/// Reads files again and says what came of it; whether it is what they say now that is used.
pub(crate) fn reload(watched: &dyn Watched) -> bool {
    let file = watched.file().display();
    let outcome = watched.reload();
    match &outcome {
        Ok(()) => tracing::info!("{file} was read again"),
        Err(error) => tracing::error!("{error}; what was read before stays in use"),
    }
    outcome.is_ok()
}
