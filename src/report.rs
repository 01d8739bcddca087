//! What is printed: documents with one text form and one JSON form. The JSON is a contract
//! (`docs/format.md`): every document has a `version`, which rises when a field changes its meaning.
//!
//! Values are shown only where the catalog says that they may be; every other value is masked.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Role;
use crate::model::catalog::{Class, TableSpec};
use crate::model::configuration::Row;
use crate::model::snapshot::{Listing, Snapshot};
use crate::model::state::State;
use crate::model::value::Value;
use crate::plan::{Plan, Size, TablePlan, Update};

/// The version of all documents.
pub const VERSION: u32 = 1;

/// What stands in place of a value that may be a secret.
const MASK: &str = "(hidden)";

/// Prints `document` on standard output, as JSON or as text.
#[allow(clippy::print_stdout, reason = "the one place where documents are printed")]
pub fn print<D: Serialize + fmt::Display>(document: &D, json: bool) {
    if json {
        // Documents hold only strings, numbers and maps with string keys: this cannot fail.
        println!("{}", serde_json::to_string_pretty(document).unwrap_or_default());
    } else {
        println!("{document}");
    }
}

/// What `run` would do now.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    version: u32,
    role: Role,
    /// `unchanged`, `publish`, `up to date`, `apply`, `held`, or `import`.
    would: &'static str,
    /// Why, for people.
    message: String,
    snapshot: Option<Snapshot>,
    /// Whether Uptime Kuma would be restarted.
    restart: bool,
    size: Size,
    changes: Vec<Change>,
    files: Vec<String>,
}

/// One row change with secrets masked.
#[derive(Debug, Serialize)]
struct Change {
    #[serde(rename = "do")]
    action: &'static str,
    table: &'static str,
    row: String,
    columns: Vec<ColumnChange>,
}

/// One changed column.
#[derive(Debug, Serialize)]
struct ColumnChange {
    column: String,
    from: String,
    to: String,
}

impl PlanDocument {
    /// A document without row changes.
    pub fn new(role: Role, would: &'static str, message: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            role,
            would,
            message: message.into(),
            snapshot: None,
            restart: false,
            size: Size::default(),
            changes: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Names the snapshot that is meant.
    #[must_use]
    pub fn snapshot(mut self, snapshot: &Snapshot) -> Self {
        self.snapshot = Some(snapshot.clone());
        self
    }

    /// Adds the row changes.
    #[must_use]
    pub fn changes(mut self, plan: &Plan, restart: bool) -> Self {
        self.restart = restart && !plan.is_empty();
        self.size = plan.size();
        self.changes = plan.tables.iter().flat_map(table_changes).collect();
        self.files = plan.files.iter().map(|file| file.name.clone()).collect();
        self
    }
}

fn table_changes(table: &TablePlan) -> Vec<Change> {
    let change =
        |action, row: &Row, columns| Change { action, table: table.spec.name, row: row_name(table, row), columns };
    let deletes = table.deletes.iter().map(|row| change("remove", row, Vec::new()));
    let updates = table.updates.iter().map(|update| change("change", &update.to, column_changes(table, update)));
    let inserts = table.inserts.iter().map(|row| change("add", row, Vec::new()));
    deletes.chain(updates).chain(inserts).collect()
}

fn column_changes(table: &TablePlan, update: &Update) -> Vec<ColumnChange> {
    let show = |row: &Row, at: usize, column: &str| {
        row.get(at).map(|value| shown(table.spec, column, value)).unwrap_or_default()
    };
    update
        .changed()
        .filter_map(|at| {
            let column = table.columns.get(at)?;
            let (from, to) = (show(&update.from, at, column), show(&update.to, at, column));
            Some(ColumnChange { column: column.clone(), from, to })
        })
        .collect()
}

fn shown(spec: &TableSpec, column: &str, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        value if spec.shown.contains(&column) => value.to_string(),
        _ => MASK.to_owned(),
    }
}

/// A row by its id and its name for people, or, of a link, by what it joins.
fn row_name(table: &TablePlan, row: &Row) -> String {
    let value = |name: &str| table.columns.iter().position(|column| column == name).and_then(|at| row.get(at));
    let names: &[&str] = match table.spec.class {
        Class::Link => table.spec.shown,
        _ => &["id", "name", "title", "slug", "username"],
    };
    let parts: Vec<String> = names
        .iter()
        .filter_map(|name| value(name).map(|value| (name, value)))
        .filter(|(_, value)| !matches!(value, Value::Null))
        .map(
            |(name, value)| {
                if *name == "id" { value.to_string() } else { format!("{name} {}", shown(table.spec, name, value)) }
            },
        )
        .collect();
    parts.join(" ")
}

impl fmt::Display for PlanDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.would, self.message)?;
        for change in &self.changes {
            let sign = match change.action {
                "add" => '+',
                "remove" => '-',
                _ => '~',
            };
            write!(f, "\n  {sign} {} {}", change.table, change.row)?;
            for ColumnChange { column, from, to } in &change.columns {
                if from == to {
                    write!(f, "\n      {column}: changed {MASK}")?;
                } else {
                    write!(f, "\n      {column}: {from} → {to}")?;
                }
            }
        }
        for file in &self.files {
            write!(f, "\n  + upload/{file}")?;
        }
        if !self.changes.is_empty() || !self.files.is_empty() {
            write!(f, "\n{}", self.size)?;
            if self.restart {
                f.write_str("; Uptime Kuma is restarted once")?;
            }
        }
        Ok(())
    }
}

/// What this host remembers.
#[derive(Debug, Serialize)]
pub struct StatusDocument {
    version: u32,
    role: Role,
    repository: String,
    unit: String,
    /// `running` or `stopped`; none if it could not be found out.
    service: Option<&'static str>,
    /// Seconds since a cycle last ended as designed and not held; none if none did.
    last_success_age: Option<i64>,
    state: State,
    #[serde(skip)]
    now: Timestamp,
}

impl StatusDocument {
    /// The status at `now`.
    pub fn new(
        role: Role,
        repository: String,
        unit: String,
        service: Option<&'static str>,
        state: State,
        now: Timestamp,
    ) -> Self {
        let last_success_age = state.last_success.map(|at| now.duration_since(at).as_secs());
        Self { version: VERSION, role, repository, unit, service, last_success_age, state, now }
    }
}

impl fmt::Display for StatusDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = |at: &Timestamp| {
            let seconds = self.now.duration_since(*at).as_secs();
            format!("{} ({})", at.round(jiff::Unit::Second).unwrap_or(*at), ago(seconds))
        };
        writeln!(f, "role          {}", self.role)?;
        writeln!(f, "repository    {}", self.repository)?;
        writeln!(f, "uptime kuma   {} {}", self.unit, self.service.unwrap_or("unknown"))?;
        match &self.state.last {
            Some(last) => {
                let message = if last.message.is_empty() { String::new() } else { format!(": {}", last.message) };
                writeln!(f, "last cycle    {} {}{message}", when(&last.at), last.outcome)?;
            }
            None => writeln!(f, "last cycle    none yet")?,
        }
        match &self.state.last_success {
            Some(at) => writeln!(f, "last success  {}", when(at))?,
            None => writeln!(f, "last success  none yet")?,
        }
        if let Some(main) = &self.state.main {
            writeln!(f, "main id       {} epoch {}", main.id, main.epoch)?;
            match &main.published {
                Some(published) => writeln!(
                    f,
                    "published     {} snapshot {} sequence {} {} rows",
                    when(&published.at),
                    published.snapshot.short(),
                    published.sequence,
                    published.counts.values().sum::<u64>()
                )?,
                None => writeln!(f, "published     nothing yet")?,
            }
        }
        let replica = &self.state.replica;
        if let Some(applied) = &replica.applied {
            let (snapshot, place) = (applied.snapshot.short(), &applied.place);
            writeln!(
                f,
                "applied       {} snapshot {snapshot} epoch {} sequence {}",
                when(&applied.at),
                place.epoch,
                place.sequence
            )?;
        } else if self.role == Role::Replica {
            writeln!(f, "applied       nothing yet")?;
        }
        if let Some(refused) = &replica.refused {
            writeln!(
                f,
                "refused       {} snapshot {}: {}",
                when(&refused.at),
                refused.snapshot.short(),
                refused.reason
            )?;
        }
        if let Some(intent) = &replica.intent {
            writeln!(f, "unfinished    {} snapshot {}", when(&intent.since), intent.snapshot.short())?;
        }
        Ok(())
    }
}

/// A span in its largest whole unit.
fn ago(seconds: i64) -> String {
    match seconds {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}

/// The snapshots in the repository.
#[derive(Debug, Serialize)]
pub struct SnapshotsDocument {
    version: u32,
    snapshots: Vec<Snapshot>,
    unreadable: Vec<Unreadable>,
}

/// A snapshot with the mark of this program whose tags make no sense.
#[derive(Debug, Serialize)]
struct Unreadable {
    id: String,
    reason: String,
}

impl SnapshotsDocument {
    /// All snapshots of `listing`, newest first.
    pub fn new(listing: Listing) -> Self {
        let mut snapshots = listing.snapshots;
        snapshots.sort_by(|a, b| b.label.place.order().cmp(&a.label.place.order()).then(a.id.cmp(&b.id)));
        let unreadable = listing.unreadable.into_iter().map(|(id, reason)| Unreadable { id: id.to_string(), reason });
        Self { version: VERSION, snapshots, unreadable: unreadable.collect() }
    }
}

impl fmt::Display for SnapshotsDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8}  {:20}  {:>5}  {:>8}  {:12}  {:12}  host",
            "id", "time", "epoch", "sequence", "digest", "main"
        )?;
        for Snapshot { id, time, host, label } in &self.snapshots {
            let time = time.round(jiff::Unit::Second).unwrap_or(*time).to_string();
            let main: String = label.place.main.to_string().chars().take(12).collect();
            let (epoch, sequence) = label.place.order();
            write!(
                f,
                "\n{:8}  {time:20}  {epoch:>5}  {sequence:>8}  {:12}  {main:12}  {host}",
                id.short(),
                label.digest.short()
            )?;
        }
        for Unreadable { id, reason } in &self.unreadable {
            write!(f, "\n{id:.8}  not readable: {reason}")?;
        }
        Ok(())
    }
}

/// The results of `check`.
#[derive(Debug, Serialize)]
pub struct CheckDocument {
    version: u32,
    checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// `ok`, `warning` or `failed`.
    pub result: &'static str,
    /// What was found.
    pub message: String,
    /// What to do, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl CheckDocument {
    /// A document of these checks.
    pub fn new(checks: Vec<Check>) -> Self {
        Self { version: VERSION, checks }
    }
}

impl fmt::Display for CheckDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Check { name, result, message, hint }) in self.checks.iter().enumerate() {
            let line = if at > 0 { "\n" } else { "" };
            write!(f, "{line}{result:8} {name:14} {message}")?;
            if let Some(hint) = hint {
                write!(f, "\n{:8} {:14} → {hint}", "", "")?;
            }
        }
        Ok(())
    }
}
