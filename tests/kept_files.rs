//! The file of each release opens in this one. `tests/files` has one of each, `dockside-VERSION.db`, as a broker of that
//! version left it; `DOCKSIDE_WRITE_DATA_FILE=1 cargo test -p dockside-tests the_file_of_this_version` writes its own.

mod filled;
mod held;
mod served;

use std::path::{Path, PathBuf};
use std::{env, fs};

use dockside_store::{Durability, Store};
use rusqlite::Connection;
use tempfile::TempDir;

/// The tables of the first release. Files of older ones were never anybody's.
const FIRST_SCHEMA: i64 = 3;

/// A file is everybody's download.
const BYTES_AT_MOST: u64 = 128 << 10;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn kept_file(version: &str) -> PathBuf {
    repository().join(format!("tests/files/dockside-{version}.db"))
}

/// All of them, by version.
fn kept_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join("tests/files")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Versions that have a section in the changelog.
fn releases() -> Vec<String> {
    let changelog = fs::read_to_string(repository().join("CHANGELOG.md")).unwrap();
    let sections = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    let versions = sections.filter(|title| title.starts_with(|c: char| c.is_ascii_digit()));
    versions.map(|title| title.split(' ').next().unwrap_or(title).to_owned()).collect()
}

fn schema(file: &Path) -> i64 {
    let connection = Connection::open(file).unwrap();
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// A directory for a broker, with a copy of a file.
fn directory_with(file: &Path) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::copy(file, dockside_store::file(&dir.path().join("data"))).unwrap();
    dir
}

#[test]
fn every_kept_file_holds_today_what_was_in_it() {
    for file in kept_files() {
        eprintln!("{}", file.display());
        held::everything(directory_with(&file).path());
    }
}

#[tokio::test]
async fn clients_go_on_with_every_kept_file_where_they_were() {
    for file in kept_files() {
        eprintln!("{}", file.display());
        served::everything(directory_with(&file).path()).await;
    }
}

/// What a change of the tables must not do: leave nobody's files to try it on.
#[test]
fn there_is_a_file_of_every_release_and_of_every_older_schema() {
    let fresh = TempDir::new().unwrap();
    Store::open(fresh.path(), Durability::Commit).unwrap().close().unwrap();
    let newest = schema(&dockside_store::file(fresh.path()));
    let copies: Vec<_> = kept_files().iter().map(|file| directory_with(file)).collect();
    let of = |dir: &TempDir| schema(&dockside_store::file(&dir.path().join("data")));
    let schemas: Vec<i64> = copies.iter().map(of).collect();
    assert!(!schemas.is_empty(), "no file is kept");
    for older in FIRST_SCHEMA..newest {
        assert!(schemas.contains(&older), "no file of schema {older} is kept: {schemas:?}");
    }
    for version in releases() {
        assert!(kept_file(&version).exists(), "{version} was released, and no file of it is kept");
    }
    for file in kept_files() {
        let bytes = fs::metadata(&file).unwrap().len();
        assert!(bytes <= BYTES_AT_MOST, "{} has {bytes} bytes", file.display());
    }
}

/// Also without being written: this version's files are good for the next one's test.
#[tokio::test]
async fn the_file_of_this_version_is_one_that_can_be_kept() {
    let version = env!("CARGO_PKG_VERSION");
    let file = filled::file().await;
    held::everything(directory_with(&file.path).path());
    served::everything(directory_with(&file.path).path()).await;
    if env::var_os("DOCKSIDE_WRITE_DATA_FILE").is_some() {
        let was_released = releases().iter().any(|released| released == version);
        assert!(!was_released, "{version} was released: its file stays as it is");
        fs::copy(&file.path, kept_file(version)).unwrap();
    }
}
