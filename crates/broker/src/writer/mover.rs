//! A thread that moves the store's log into its file: whoever has something to be kept does not wait for the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::live_log::{LiveLog, Watch};

/// The thread; it ends with the value.
pub(super) struct Mover {
    asked: Option<SyncSender<()>>,
    is_at_it: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// `moves` moves the log, and `done` is called whenever it has.
    pub(super) fn start(
        moves: impl Fn() + Send + 'static,
        log: Arc<LiveLog>,
        done: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        // One that is at work, and one that waits: more would find nothing to do.
        let (asked, asks) = sync_channel(1);
        let is_at_it = Arc::new(AtomicBool::new(false));
        let at_it = Arc::clone(&is_at_it);
        let thread = thread::Builder::new().name("mover".to_owned()).spawn(move || {
            let _watch = Watch::new(&log);
            while asks.recv().is_ok() {
                moves();
                at_it.store(false, Ordering::Release);
                done();
            }
        })?;
        Ok(Self { asked: Some(asked), is_at_it, thread: Some(thread) })
    }

    /// Asks for it, unless that has been done already.
    pub(super) fn ask(&self) {
        self.is_at_it.store(true, Ordering::Release);
        // Full: it will. Disconnected: it has panicked, which ends the broker. Neither waits.
        let _ = self.asked.iter().try_for_each(|asked| asked.try_send(()));
    }

    /// Whether it was asked and has not been done since: it calls when it is.
    pub(super) fn is_at_it(&self) -> bool {
        self.is_at_it.load(Ordering::Acquire)
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.asked = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed.
            let _ = thread.join();
        }
    }
}
