//! From the schema of an older release to the newest, with a copy of the file as it was.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};

use crate::Error;
use crate::open::OpenError;

/// The schemas there ever were. A step that was released is never changed: files stand at both ends of it.
pub(crate) struct History<'a> {
    /// Makes the tables of the newest schema in an empty file.
    pub(crate) tables: &'a str,
    /// SQL from schema 1 to 2, from 2 to 3, and so on; it neither begins nor ends a transaction.
    pub(crate) steps: &'a [&'a str],
}

/// Those of this release.
pub(crate) const HISTORY: History<'static> = History {
    tables: include_str!("schema.sql"),
    steps: &[include_str!("schema_2.sql"), include_str!("schema_3.sql")],
};

impl History<'_> {
    /// Number of the newest schema; `PRAGMA user_version` of the file.
    pub(crate) fn newest(&self) -> i64 {
        1 + self.steps.len() as i64
    }
}

/// Why there is no copy of a file that has to be migrated.
pub(crate) enum NoCopy {
    Io(io::Error),
    Sqlite(Error),
}

impl NoCopy {
    pub(crate) fn into_open_error(self, file: &Path, copy: &Path) -> OpenError {
        let (is_full, detail) = match self {
            Self::Io(error) => {
                let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
                (full.contains(&error.kind()), error.to_string())
            }
            Self::Sqlite(error) => (is_full(&error), one_line(&error)),
        };
        let (file, copy) = (file.to_owned(), copy.to_owned());
        if is_full { OpenError::NoSpace(file, copy) } else { OpenError::NoCopy(file, copy, detail) }
    }
}

/// Brings the schema of a file to the newest, and counts the start: both or neither.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    schema: i64,
    history: &History<'_>,
) -> Result<u64, OpenError> {
    let newest = history.newest();
    let is_old = schema != 0 && schema < newest;
    if is_old {
        keep_copy(connection, path, schema)?;
    }
    let failed = |error| match is_old {
        true => OpenError::Migration(path.to_owned(), schema, newest, error),
        false => OpenError::Sqlite(path.to_owned(), error),
    };
    let transaction = connection.transaction().map_err(failed)?;
    bring_up(&transaction, schema, history).map_err(failed)?;
    let starts = count_start(&transaction).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(starts)
}

fn bring_up(
    transaction: &Transaction<'_>,
    schema: i64,
    history: &History<'_>,
) -> Result<(), Error> {
    if schema == history.newest() {
        return Ok(());
    }
    if schema == 0 {
        transaction.execute_batch(history.tables)?;
    }
    for (from, step) in (1..).zip(history.steps) {
        if schema != 0 && from >= schema {
            transaction.execute_batch(step)?;
        }
    }
    transaction.pragma_update(None, "user_version", history.newest())
}

fn count_start(transaction: &Transaction<'_>) -> Result<u64, Error> {
    let known = transaction
        .query_row("SELECT value FROM about WHERE name = 'starts'", [], |row| row.get::<_, i64>(0));
    let starts = known.optional()?.unwrap_or(0) + 1;
    transaction.execute(
        "INSERT INTO about (name, value) VALUES ('starts', ?1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![starts],
    )?;
    Ok(starts.cast_unsigned())
}

/// Where the copy of a file is that had this schema.
pub(crate) fn copy_of(path: &Path, schema: i64) -> PathBuf {
    beside(path, &format!(".schema-{schema}"))
}

/// The newest copy that a release can use which knows this schema.
pub(crate) fn newest_copy(path: &Path, known: i64) -> Option<PathBuf> {
    (1..=known).rev().map(|schema| copy_of(path, schema)).find(|copy| copy.exists())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// The old release can start on it, whatever becomes of the file.
fn keep_copy(connection: &Connection, path: &Path, schema: i64) -> Result<(), OpenError> {
    let copy = copy_of(path, schema);
    // Only a whole copy has the name of one, and an older one is there until then.
    let new = beside(&copy, ".new");
    let put = |()| {
        fs::rename(&new, &copy)?;
        // A new name is on the disk only when its directory is.
        copy.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    let kept = write_copy(connection, &new).and_then(|()| put(()).map_err(NoCopy::Io));
    kept.map_err(|error| {
        // Half a copy is none, and takes the space that there is too little of.
        let _ = fs::remove_file(&new);
        error.into_open_error(path, &copy)
    })
}

fn write_copy(connection: &Connection, to: &Path) -> Result<(), NoCopy> {
    // What a start that was killed has left.
    match fs::remove_file(to) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(NoCopy::Io(error)),
        _ => {}
    }
    // Made by us, so that nobody else can read it from the first byte on; SQLite fills an empty file.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let made = made.map_err(NoCopy::Io)?;
    let vacuum = connection.execute("VACUUM INTO ?1", params![to.to_string_lossy()]);
    vacuum.map_err(NoCopy::Sqlite)?;
    made.sync_all().map_err(NoCopy::Io)
}

pub(crate) fn is_full(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// What SQLite says, without the statement, which may be long.
pub(crate) fn one_line(error: &Error) -> String {
    let text = match error {
        Error::SqlInputError { msg, .. } => msg.clone(),
        error => error.to_string(),
    };
    text.lines().collect::<Vec<_>>().join(" ")
}
