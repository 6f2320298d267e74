//! What Dockside keeps: one SQLite file, its tables (`schema.sql`), and what one transaction is.
//!
//! [`Store`] is the one writer. Its operations take part in the transaction that is open; nothing is
//! kept before [`Store::commit`] returns. After an operation that failed comes [`Store::roll_back`]:
//! SQLite may have rolled back already (the disk is full), and then keeps what follows alone.
//! [`Reader`] looks at what was committed, from any thread. Neither knows MQTT: qualities, flags and
//! properties are numbers and bytes here.

mod audit;
mod backup;
mod checkpoint;
mod docks;
mod events;
mod flight_tasks;
mod marks;
mod migrate;
mod open;
mod read;
mod restore;
mod rows;
mod seen;
mod sessions;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;

pub use self::audit::Audit;
pub use self::backup::{BackupError, backup, restore};
pub use self::checkpoint::Mover;
pub use self::docks::Dock;
pub use self::events::Usage;
pub use self::flight_tasks::{FlightTask, Followed};
pub use self::open::{OpenError, Store};
pub use self::read::{Chunk, Reader};
pub use self::restore::{Kept, KeptRetained, KeptSession, KeptShare};
pub use self::rows::{Event, Exchange, Grant, Message, Queued, Session, Subscription, Will};
pub use self::seen::Seen;

/// Why the store could not do something: what SQLite says.
pub type Error = rusqlite::Error;

/// Whether an error is about what was to be kept, and another job may succeed.
#[must_use]
pub fn is_of_one_job(error: &Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch};
    let own = [ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch];
    error.sqlite_error_code().is_some_and(|code| own.contains(&code))
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Durability {
    /// What was committed survives a kill of the process at any instant.
    #[default]
    Commit,
    /// It survives a power cut: every commit waits for the disk.
    Sync,
    /// Answers do not wait for the commit.
    Memory,
}

/// Number of a message: they grow in the order of acceptance, across restarts.
pub type Seq = u64;

/// Whoever reads messages at its own pace: a session, or a group of shared subscriptions.
pub type ReaderId = u64;

/// The file in the data directory.
#[must_use]
pub fn file(dir: &std::path::Path) -> PathBuf {
    dir.join("dockside.db")
}
