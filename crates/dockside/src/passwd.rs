//! `dockside passwd FILE USER`: adds a user, changes a password, removes a user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dockside_access::hash::Hash;
use dockside_access::password_file::{PasswordFile, check_user, with_user};

use crate::{BAD_CONFIGURATION, CANNOT_CREATE, CANNOT_READ, fail};

/// What to do with which file.
pub(crate) struct Change {
    pub(crate) file: PathBuf,
    pub(crate) user: String,
    pub(crate) delete: bool,
}

/// Does it, and says what it did.
pub(crate) fn passwd(change: &Change) -> ExitCode {
    let Change { file, user, delete } = change;
    if let Err(detail) = check_user(user) {
        return fail(BAD_CONFIGURATION, detail);
    }
    let hash = if *delete {
        None
    } else {
        match ask(user).and_then(|password| Hash::create(password.as_bytes())) {
            Ok(hash) => Some(hash),
            Err(detail) => return fail(BAD_CONFIGURATION, &detail),
        }
    };
    match rewrite(file, user, hash.as_ref()) {
        Ok(done) => {
            println!("{done}: user {user} in {}", file.display());
            println!("a running broker takes it over with SIGHUP (systemctl reload dockside)");
            ExitCode::SUCCESS
        }
        Err((code, detail)) => fail(code, &format!("{}: {detail}", file.display())),
    }
}

/// The password, twice from a terminal, or the first line of what is not one.
fn ask(user: &str) -> Result<String, String> {
    let text = |error: io::Error| format!("the password cannot be read: {error}");
    let password = if io::stdin().is_terminal() {
        let prompt = format!("password of {user}: ");
        let first = rpassword::prompt_password(prompt).map_err(text)?;
        let second = rpassword::prompt_password("the same again: ").map_err(text)?;
        if first != second {
            return Err("the two passwords differ; nothing was changed".to_owned());
        }
        first
    } else {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(text)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        return Err("an empty password is none; nothing was changed".to_owned());
    }
    Ok(password)
}

/// Replaces the file as a whole, so that a broker which reads it meanwhile finds the old or the new
/// one; owner and mode stay.
fn rewrite(file: &Path, user: &str, hash: Option<&Hash>) -> Result<&'static str, (u8, String)> {
    let unmade = |error: io::Error| (CANNOT_CREATE, format!("cannot be written: {error}"));
    // A link is followed: what it points to is replaced.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let dir = match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let dir_handle = File::open(dir).map_err(unmade)?;
    // Two of us at once would lose one's user.
    dir_handle.lock().map_err(unmade)?;
    let old = match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err((CANNOT_READ, format!("cannot be read: {error}"))),
    };
    let text = old.as_deref().unwrap_or_default();
    let users = PasswordFile::parse(text).map_err(|invalid| {
        let first = invalid.first().map(|i| format!("line {}: {}", i.line, i.detail));
        (CANNOT_READ, first.unwrap_or_default())
    })?;
    let known = users.contains(user);
    let done = match (hash, known) {
        (None, false) => return Err((CANNOT_READ, format!("has no user {user:?}"))),
        (None, true) => "removed",
        (Some(_), true) => "changed",
        (Some(_), false) => "added",
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = dir.join(format!(".{name}.{}", std::process::id()));
    let written = write_new(&new, &with_user(text, user, hash), old.is_some().then_some(&file))
        .and_then(|()| fs::rename(&new, &file))
        .and_then(|()| dir_handle.sync_all());
    written.map(|()| done).map_err(|error| {
        // It may not be there.
        let _ = fs::remove_file(&new);
        unmade(error)
    })
}

/// Mode 0600, or owner and mode of the file it will replace.
fn write_new(new: &Path, text: &str, like: Option<&PathBuf>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    if let Some(like) = like {
        let metadata = fs::metadata(like)?;
        chown(new, Some(metadata.uid()), Some(metadata.gid()))?;
        let mode = metadata.permissions().mode() & 0o770;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
