//! `dockside backup FILE` and `dockside restore FILE`.

use std::path::Path;
use std::process::ExitCode;

use dockside::config::Config;
use dockside_store::{BackupError, OpenError};

use crate::{CANNOT_CREATE, CANNOT_READ, fail};

/// Copies what is kept, while a broker runs or not.
pub(crate) fn backup(config: &Config, to: &Path) -> ExitCode {
    match dockside_store::backup(&config.data.dir, to) {
        Ok(()) => {
            println!("{} is what was kept in {} now", to.display(), config.data.dir.display());
            ExitCode::SUCCESS
        }
        Err(error) => fail(code(&error), &error.to_string()),
    }
}

/// Puts a copy back.
pub(crate) fn restore(config: &Config, from: &Path) -> ExitCode {
    match dockside_store::restore(&config.data.dir, from) {
        Ok(()) => {
            println!(
                "{} is in place; what was there is dockside.db.before-restore",
                from.display()
            );
            ExitCode::SUCCESS
        }
        Err(error) => fail(code(&error), &error.to_string()),
    }
}

fn code(error: &BackupError) -> u8 {
    match error {
        BackupError::NoStore(_) | BackupError::Damaged(..) => CANNOT_READ,
        BackupError::Store(OpenError::Newer(..)) => CANNOT_READ,
        _ => CANNOT_CREATE,
    }
}
