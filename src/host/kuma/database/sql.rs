//! SQL with names that are only known at run time, values, and what SQLite's errors mean.

use std::collections::BTreeSet;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, params_from_iter};

use crate::error::Kind;
use crate::model::value::Value;

pub(super) type Sql<T> = rusqlite::Result<T>;

impl ToSql for Value {
    fn to_sql(&self) -> Sql<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(bytes) => ValueRef::Text(bytes),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

pub(super) fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(bytes.into()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.into()),
    }
}

/// `name` as an identifier in SQL: several of Uptime Kuma's names are keywords.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `names` quoted and separated by commas.
pub(super) fn quoted_list(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",")
}

/// Executes a statement and returns the number of changed rows.
pub(super) fn execute(connection: &Connection, sql: &str, values: &[Value]) -> Sql<usize> {
    connection.prepare_cached(sql)?.execute(params_from_iter(values))
}

/// The column names of `table`; empty if there is no such table.
pub(super) fn columns(connection: &Connection, table: &str) -> Sql<Vec<String>> {
    connection.prepare_cached("SELECT name FROM pragma_table_info(?1)")?.query_map([table], |row| row.get(0))?.collect()
}

/// The names of all tables.
pub(super) fn table_names(connection: &Connection) -> Sql<BTreeSet<String>> {
    connection.prepare("SELECT name FROM sqlite_master WHERE type='table'")?.query_map([], |row| row.get(0))?.collect()
}

/// What an error of SQLite means (<https://www.sqlite.org/rescode.html>), if that does not depend on the operation.
pub(super) fn kind(error: &rusqlite::Error) -> Option<Kind> {
    if is_disk_full(error) {
        return Some(Kind::DiskFull);
    }
    Some(match error.sqlite_error_code()? {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Kind::DatabaseBusy,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Kind::DatabaseCorrupt,
        ErrorCode::DiskFull => Kind::DiskFull,
        ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen => Kind::NotPermitted,
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => Kind::Unwritable,
        ErrorCode::SystemIoFailure => Kind::Files,
        _ => return None,
    })
}

/// Whether the disk is full, which SQLite calls an I/O error when it cannot grow the shared memory beside the database.
pub(super) fn is_disk_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}
