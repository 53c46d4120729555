//! The database file: its tables, its settings, and whether it is one of ours.
//!
//! This is a stored format: tables only change together with [`SCHEMA_VERSION`].

use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use cloakroom_engine::ports::LedgerError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::disk;

const FILE: &str = "ledger.db";

/// Marks the file as a ledger of Cloakroom (`PRAGMA application_id`): "Clkr".
const APPLICATION_ID: i32 = 0x436c_6b72;

/// The version of the tables (`PRAGMA user_version`).
const SCHEMA_VERSION: i32 = 1;

const PAGE_BYTES: i32 = 4096;

/// What the writer keeps of the file in memory. A commit in which a page was split or merged walks through the whole table
/// of kept pages (balancing borrows a page number beyond all others, and what is beyond the end of the file is dropped).
const WRITER_CACHE_KIB: i32 = 8 * 1024;

/// What each reader beside the writer keeps. Every commit of the writer empties it, which takes time for each page there is
/// room for: SQLite walks through a table that has grown with the most that was ever in it.
const READER_CACHE_KIB: i32 = 512;

/// What a reader of a ledger that nobody writes keeps.
const UNUSED_CACHE_KIB: i32 = 8 * 1024;

/// The log is cut back to this after it had to grow, as under a reader that took long.
const LOG_KEPT_BYTES: i64 = 64 * 1024 * 1024;

/// Each connection prepares every statement once.
const STATEMENTS_MAX: usize = 48;

/// How many faults of one file are told.
const FAULTS_MAX: u32 = 100;

/// Texts are stored as blobs: they compare as bytes, and may hold any character.
///
/// - A stream is known by its number everywhere else; its row is made with the first record that names it, and stays.
/// - Events lie in the order of their arrival, so that the end of the file is all that a new one touches; an index finds
///   them by position.
/// - `record` holds every kind that has no table of its own, under the keys of [`crate::key`].
/// - `attention` mirrors what heads and cursors say of themselves; subscriber 0 stands for the head.
const TABLES: &str = "
    CREATE TABLE stream(id INTEGER PRIMARY KEY, source BLOB NOT NULL, key BLOB NOT NULL, head BLOB, UNIQUE(source, key));
    CREATE TABLE event(id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, position BLOB NOT NULL, value BLOB NOT NULL, UNIQUE(stream, position));
    CREATE TABLE subscriber(id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE);
    CREATE TABLE cursor(subscriber INTEGER NOT NULL, stream INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY(subscriber, stream)) WITHOUT ROWID;
    CREATE TABLE record(key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE attention(kind INTEGER NOT NULL, due INTEGER NOT NULL, stream INTEGER NOT NULL, subscriber INTEGER NOT NULL, PRIMARY KEY(kind, due, stream, subscriber)) WITHOUT ROWID;
";

/// Opens the one connection that writes. Makes folder and file on first use.
pub(super) fn open_writer(folder: &Path) -> Result<Connection, LedgerError> {
    let is_new = !folder.join(FILE).exists();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| LedgerError::Unavailable(format!("cannot create {folder:?}: {error}")))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(folder.join(FILE), flags).map_err(|e| failed(&e))?;
    let is_ours = identify(&db)?;
    set_up_writer(&db, is_ours).map_err(|e| failed(&e))?;
    if is_new {
        let parent = folder.parent().unwrap_or(Path::new("."));
        for folder in [folder, parent] {
            disk::sync_directory(folder)
                .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        }
    }
    Ok(db)
}

/// Opens a connection that carries the log over while the writer is open.
pub(super) fn open_carrier(folder: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(folder.join(FILE), flags).map_err(|e| failed(&e))?;
    db.pragma_update(None, "synchronous", "FULL")
        .map_err(|e| failed(&e))?;
    Ok(db)
}

/// Opens a connection that reads while the writer is open: it sees whole transactions that are durable.
pub(super) fn open_reader(folder: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(folder.join(FILE), flags).map_err(|e| failed(&e))?;
    set_up_reader(&db, READER_CACHE_KIB).map_err(|e| failed(&e))?;
    Ok(db)
}

/// Opens a ledger that nobody uses without changing it. The path is that of a file to remove afterwards.
pub(super) fn open_unused(folder: &Path) -> Result<(Connection, Option<PathBuf>), LedgerError> {
    let path = folder.join(FILE);
    let beside = |end: &str| folder.join(format!("{FILE}{end}"));
    let has_log = std::fs::metadata(beside("-wal")).is_ok_and(|log| log.len() > 0);
    // A log left behind by a crash is read together with the file, by an index that is made in memory if there is an old
    // one on disk, and else in a file, which goes away again.
    let index = beside("-shm");
    let (how, leftover) = match (has_log, index.exists()) {
        (false, _) => ("immutable=1", None),
        (true, true) => ("mode=ro&readonly_shm=1", None),
        (true, false) => ("mode=ro", Some(index)),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let address = format!("file:{}?{how}", uri_path(&path));
    let db = Connection::open_with_flags(address, flags).map_err(|e| failed(&e))?;
    if !identify(&db)? {
        return Err(foreign());
    }
    set_up_reader(&db, UNUSED_CACHE_KIB).map_err(|e| failed(&e))?;
    Ok((db, leftover))
}

fn set_up_writer(db: &Connection, has_tables: bool) -> rusqlite::Result<()> {
    db.pragma_update(None, "page_size", PAGE_BYTES)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    db.pragma_update(None, "journal_size_limit", LOG_KEPT_BYTES)?;
    set_up_statements(db)?;
    if !has_tables {
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        ))?;
    }
    Ok(())
}

fn set_up_reader(db: &Connection, cache_kib: i32) -> rusqlite::Result<()> {
    db.pragma_update(None, "cache_size", -cache_kib)?;
    set_up_statements(db)
}

fn set_up_statements(db: &Connection) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Otherwise a range is planned anew for each value it is asked with.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Whether there are tables of ours. An error when there is something else.
fn identify(db: &Connection) -> Result<bool, LedgerError> {
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let tables = |db: &Connection| {
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
            row.get::<_, i64>(0)
        })
    };
    let found = number("application_id")
        .and_then(|id| Ok((id, number("user_version")?, tables(db)?)))
        .map_err(|error| failed(&error))?;
    match found {
        (0, 0, 0) => Ok(false),
        (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(true),
        (APPLICATION_ID, version, _) => Err(LedgerError::Corrupt(format!(
            "it has format {version}, and this version of cloakroom knows {SCHEMA_VERSION}; use the version that wrote it"
        ))),
        _ => Err(foreign()),
    }
}

fn foreign() -> LedgerError {
    LedgerError::Corrupt(format!("{FILE} is no ledger of cloakroom"))
}

/// What is wrong with the file, beyond what single reads notice. `deep` compares indexes with their tables, too.
pub(super) fn faults(db: &Connection, deep: bool) -> Result<Vec<String>, LedgerError> {
    let check = if deep {
        "integrity_check"
    } else {
        "quick_check"
    };
    let told = || {
        let mut statement = db.prepare(&format!("PRAGMA {check}({FAULTS_MAX})"))?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    match told() {
        Ok(told) => Ok(told.into_iter().filter(|line| line != "ok").collect()),
        Err(error) => match failed(&error) {
            LedgerError::Corrupt(fault) => Ok(vec![fault]),
            error => Err(error),
        },
    }
}

/// What an error of the database means for the caller.
pub(super) fn failed(error: &rusqlite::Error) -> LedgerError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            LedgerError::Corrupt(error.to_string())
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            LedgerError::Unavailable("another process uses this ledger".to_owned())
        }
        Some(_) => LedgerError::Unavailable(error.to_string()),
        // Not the database's own: a column is not of the kind that was written.
        None => LedgerError::Corrupt(error.to_string()),
    }
}

/// A path as it stands in a `file:` address.
fn uri_path(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
