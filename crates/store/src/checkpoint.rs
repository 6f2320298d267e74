//! When the write-ahead log is moved into the file, and by whom: it waits for the disk, which whoever commits need not.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::open::CHECKPOINT_PAGES;
use crate::{Error, Store};

/// The length of the log that there may be, in parts of that at which it is moved ([`Store::bound`]).
const LONGEST: f64 = 4.0;

/// How long a dock's event waits for those who read, at most.
const READ: Duration = Duration::from_millis(5);

/// How long the log is, and from when on it is too long.
pub(crate) struct Checkpoints {
    log: Arc<Log>,
    pub(crate) at: u32,
    /// How long whoever moves the log waits for those who read.
    waits: Duration,
    is_put_off: bool,
}

/// What is known of the log.
pub(crate) struct Log {
    pages: AtomicU32,
    /// How much of it a [`Mover`] has moved.
    moved: AtomicU32,
    /// It could not move all that was there when it began: somebody reads.
    is_read: AtomicBool,
    /// What is committed next may be the first in it.
    begins: AtomicBool,
    /// Held by whoever moves it: SQLite lets one, and sends the others away.
    moving: Mutex<()>,
    /// How many read what sessions wait for.
    reads: Mutex<usize>,
    read: Condvar,
    /// The store's file. Whoever has a connection to it, but for one query, has this value, and drops it last: closing any
    /// descriptor of a file ends all locks that the process has on it (<https://www.sqlite.org/howtocorrupt.html>, 2.2),
    /// and another process would take the store for closed.
    file: File,
}

/// Somebody reads: the log does not begin anew meanwhile, unless all of it was in the file before.
pub(crate) struct Read<'a>(&'a Log);

impl Drop for Read<'_> {
    fn drop(&mut self) {
        *self.0.reads() -= 1;
        self.0.read.notify_all();
    }
}

impl Log {
    fn new(file: File) -> Self {
        Self {
            file,
            pages: AtomicU32::new(0),
            moved: AtomicU32::new(0),
            is_read: AtomicBool::new(false),
            begins: AtomicBool::new(true),
            moving: Mutex::default(),
            reads: Mutex::default(),
            read: Condvar::new(),
        }
    }

    fn reads(&self) -> MutexGuard<'_, usize> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to read; waits while the log is moved by whoever adds to it.
    pub(crate) fn read(&self) -> Read<'_> {
        *self.reads() += 1;
        Read(self)
    }

    /// Nobody begins to read while this is held, and nobody reads, unless somebody does for long.
    fn unread(&self, waits: Duration) -> MutexGuard<'_, usize> {
        let unread = self.read.wait_timeout_while(self.reads(), waits, |reads| *reads > 0);
        unread.unwrap_or_else(PoisonError::into_inner).0
    }

    fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was moved into the file, or emptied.
    fn moved(&self) {
        // The next commit tells how long it is then.
        self.pages.store(0, Ordering::Relaxed);
        self.begins.store(true, Ordering::Relaxed);
    }
}

/// A second connection, which moves the log while the first one commits. SQLite lets both at it: what is committed
/// meanwhile stays in the log.
pub struct Mover {
    // Closed before the log goes, which has the file.
    connection: Connection,
    log: Arc<Log>,
}

impl Mover {
    /// Moves the log into the file, as far as nobody reads it, and waits for the disk.
    pub fn move_log(&self) {
        let _moving = self.log.moving();
        // Where somebody else is at it, it is as where somebody reads.
        let (pages, moved) = move_log(&self.connection).unwrap_or((1, 0));
        // SQLite syncs the file only with the end of the log; whoever moves that would wait for all of it.
        let _ = self.log.file.sync_data();
        self.log.is_read.store(moved < pages, Ordering::Relaxed);
        self.log.moved.store(moved, Ordering::Release);
        // The next commit tells how long it is: it begins anew if nothing was added meanwhile.
        self.log.begins.store(true, Ordering::Relaxed);
    }
}

/// Pages of the log, and how many of them are in the file. Where it cannot, the next one does: nothing that was committed
/// depends on it.
fn move_log(connection: &Connection) -> Result<(u32, u32), Error> {
    let mut moves = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
    moves.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}

impl Checkpoints {
    /// In place of SQLite's own, which come with the commit that makes the log too long.
    pub(crate) fn new(connection: &mut Connection, file: File) -> Result<Self, Error> {
        let log = Arc::new(Log::new(file));
        let seen = Arc::clone(&log);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.pages.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { log, at: CHECKPOINT_PAGES, waits: READ, is_put_off: false })
    }

    /// The log was moved into the file, or emptied.
    pub(crate) fn moved(&self) {
        self.log.moved();
    }

    /// Something was committed.
    pub(crate) fn committed(&self) {
        self.log.begins.store(false, Ordering::Relaxed);
    }

    /// Whether the next commit may be the first in the log.
    pub(crate) fn begins_log(&self) -> bool {
        self.log.begins.load(Ordering::Relaxed)
    }

    pub(crate) fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }

    fn pages(&self) -> u32 {
        self.log.pages.load(Ordering::Relaxed)
    }
}

impl Store {
    /// Nothing is committed for a while: whoever else wants to may move the log.
    pub fn let_marks_go(&mut self) {
        self.marks.let_go();
    }

    /// Whether commits from now on leave the log as long as it is: somebody else moves it into the file.
    pub fn put_checkpoints_off(&mut self, are_put_off: bool) {
        self.checkpoints.is_put_off = are_put_off;
    }

    /// Whether the log is so long that it should be moved.
    #[must_use]
    pub fn is_checkpoint_due(&self) -> bool {
        self.log_fill() >= 1.0
    }

    /// Whether a [`Mover`] could not move all of the log that was there when it began last, as somebody reads.
    #[must_use]
    pub fn is_log_read(&self) -> bool {
        self.checkpoints.log.is_read.load(Ordering::Relaxed)
    }

    /// Pages of the log that no [`Mover`] has moved.
    #[must_use]
    pub fn log_rest(&self) -> u32 {
        let log = &self.checkpoints.log;
        log.pages.load(Ordering::Relaxed).saturating_sub(log.moved.load(Ordering::Acquire))
    }

    /// Pages of the log.
    #[must_use]
    pub fn log_pages(&self) -> u32 {
        self.checkpoints.pages()
    }

    /// How long the log is: 1 is so long that it should be moved.
    #[must_use]
    pub fn log_fill(&self) -> f64 {
        f64::from(self.checkpoints.pages()) / f64::from(self.checkpoints.at)
    }

    /// Whether it is three times as long: a [`Mover`] moves what there is, and where something is always added the log
    /// never begins anew, unless whoever adds moves the rest.
    #[must_use]
    pub fn is_checkpoint_overdue(&self) -> bool {
        self.log_fill() >= 3.0
    }

    /// Moves the log into the file and waits for the disk, and for those who read, some milliseconds: unless a [`Mover`] is at it. That
    /// is waited for only where the log would otherwise be longer than it may be.
    pub fn checkpoint(&mut self) {
        let log = Arc::clone(&self.checkpoints.log);
        let moving = match self.log_fill() >= LONGEST {
            true => Some(log.moving()),
            false => log.moving.try_lock().ok(),
        };
        if moving.is_some() {
            self.marks.let_go();
            let _unread = log.unread(self.checkpoints.waits);
            self.checkpoints.moved();
            let _ = move_log(&self.connection);
        }
    }

    /// Moves the log into the file and gives its bytes back to the file system; waits for those who read, some
    /// milliseconds, and does not where somebody reads for longer.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn empty_log(&mut self) -> Result<(), Error> {
        let log = Arc::clone(&self.checkpoints.log);
        let _moving = log.moving();
        self.marks.let_go();
        let _unread = log.unread(self.checkpoints.waits);
        self.checkpoints.moved();
        self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
    }

    /// Who moves the log on another thread; gone before [`Store::close`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn mover(&self) -> Result<Mover, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(self.path(), flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        // The log is on the disk before the file has it, and the file before the log begins anew.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Mover { connection, log: Arc::clone(&self.checkpoints.log) })
    }

    pub(crate) fn checkpoint_if_due(&mut self) {
        if !self.is_checkpoint_due() {
            return;
        }
        self.marks.let_go();
        if !self.checkpoints.is_put_off {
            self.checkpoint();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use tempfile::TempDir;

    use crate::tests::model;
    use crate::{Durability, Seen, Store};

    /// A reader that began before all of the log was in the file keeps it from beginning anew.
    #[test]
    fn the_log_begins_anew_though_somebody_always_reads() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        store.put_checkpoints_off(true);
        store.checkpoints.at = 4;
        // One read is over long before, however busy the machine is.
        store.checkpoints.waits = Duration::from_secs(60);
        let ends = &AtomicBool::new(false);
        let reader = store.reader().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    reader.chunk(1, (0, 1_000_000), (1_000, 1 << 20)).unwrap();
                }
            });
            let mut failed = 0;
            for seq in 1..=500 {
                store.begin().unwrap();
                model::write(&mut store, &[seq]).unwrap();
                store.commit().unwrap();
                if store.is_checkpoint_due() {
                    let before = store.log_fill();
                    store.checkpoint();
                    store.begin().unwrap();
                    store.seen(&Seen { wall_ms: seq, boot: 0, uptime_ms: 0 }).unwrap();
                    store.commit().unwrap();
                    failed += usize::from(store.log_fill() >= before);
                }
            }
            ends.store(true, Ordering::Relaxed);
            assert_eq!(failed, 0);
        });
    }

    /// Another process that closes the store as the last one moves the log and removes it.
    #[test]
    fn who_reads_and_closes_in_another_process_leaves_the_log() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        store.begin().unwrap();
        model::write(&mut store, &[1]).unwrap();
        store.commit().unwrap();
        let reader = store.reader().unwrap();
        let mover = store.mover().unwrap();
        mover.move_log();
        drop((mover, reader));
        let reads = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT count(*) FROM message').fetchone()); c.close()";
        let read = Command::new("python3").args(["-c", reads]).arg(store.path()).output();
        let Ok(read) = read else {
            assert!(std::env::var_os("CI").is_none(), "python3 is missing");
            eprintln!("SKIPPED: python3 is missing");
            return;
        };
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        assert!(dir.path().join("dockside.db-wal").exists());
    }

    #[test]
    fn a_mover_moves_the_log_while_another_connection_commits() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        store.put_checkpoints_off(true);
        store.checkpoints.at = 20;
        let mover = store.mover().unwrap();
        let mut numbers = Vec::new();
        let mut commit = |store: &mut Store| {
            numbers.push(1 + numbers.len() as u64);
            store.begin().unwrap();
            model::write(store, &numbers).unwrap();
            store.commit().unwrap();
        };
        while !store.is_checkpoint_overdue() {
            commit(&mut store);
        }
        assert!(store.is_checkpoint_due() && !store.waits_for_the_disk());
        // What is written meanwhile is none of its business.
        store.begin().unwrap();
        mover.move_log();
        store.commit().unwrap();
        commit(&mut store);
        mover.move_log();
        assert!(store.waits_for_the_disk(), "the log may begin anew");
        commit(&mut store);
        assert!(!store.is_checkpoint_due() && !store.waits_for_the_disk(), "it has");
        drop(mover);
        store.close().unwrap();
        let log = dir.path().join("dockside.db-wal");
        assert!(!log.exists(), "the file stands alone");
    }
}
