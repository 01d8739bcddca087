//! Random fleets: the rows of a main and a replica, in the columns of a real database, and the customization of the
//! replica.
//!
//! The two sides know nothing of each other but use few ids, names and dates, so that they often meet: the same row,
//! the same id for another row, the same unique name under another id. References resolve; where the schema
//! declares no foreign key they rarely dangle, as they do in real databases.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use kuma_replicator::config::{Customization, Settings};
use kuma_replicator::cycle::History;
use kuma_replicator::error::Result;
use kuma_replicator::host::kuma::database::Database;
use kuma_replicator::model::catalog::{self, Class};
use kuma_replicator::model::configuration::{Configuration, Row, Table, UploadedFile};
use kuma_replicator::model::value::Value;
use kuma_replicator::plan::{Plan, plan};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::instance::{Instance, Version};
use super::rows::{i, r, t};

/// The dates at which monitors were made: the same id with another one is another monitor.
const CREATED: [&str; 2] = ["2026-01-01 00:00:00", "2026-02-02 00:00:00"];

/// A server's database, which is filled again and again.
pub(crate) struct Server {
    /// Holds the files as long as this lives.
    pub(crate) instance: Instance,
    database: Database,
}

impl Server {
    /// A server that was just set up.
    pub(crate) fn new(version: Version) -> Self {
        let name = if version == Version::One { "kuma-1.23-empty" } else { "kuma-2.5.3-empty" };
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let instance = Instance::copy_of(&fixtures.join(name), version);
        let database = Database::new(instance.path());
        Self { instance, database }
    }

    /// The rows on the server without settings, of which these fleets have none in common.
    pub(crate) fn export(&self) -> Configuration {
        let mut configuration = self.database.export().unwrap().configuration;
        configuration.tables.retain(|table| table.spec.name != catalog::SETTING);
        configuration
    }

    /// Writes a plan, as an apply does while Uptime Kuma is stopped.
    pub(crate) fn write(&self, changes: &Plan, wanted: &Configuration) -> Result<()> {
        let claim = self.database.claim(Duration::ZERO)?;
        assert_eq!(claim.write(changes, wanted, History::Remove)?, Vec::<String>::new());
        Ok(())
    }

    /// Makes it a server that has exactly `configuration`.
    pub(crate) fn fill(&self, configuration: &Configuration) {
        self.write(&plan(&self.export(), configuration), configuration).unwrap();
        assert_eq!(self.export(), *configuration);
    }
}

/// The tables of a version without rows, and for each a row of nothing but defaults.
struct Schema {
    tables: Vec<(Table, Row)>,
}

fn schema(version: Version) -> &'static Schema {
    static SCHEMAS: [OnceLock<Schema>; 2] = [OnceLock::new(), OnceLock::new()];
    SCHEMAS[usize::from(version == Version::Two)].get_or_init(|| {
        let server = Server::new(version);
        let tables = server.export().tables.into_iter();
        Schema {
            tables: tables
                .map(|table| (Table { rows: Vec::new(), ..table.clone() }, defaults(&server, &table)))
                .collect(),
        }
    })
}

/// What SQLite would store in the columns of a row of which nothing is said; something in those that must have a
/// value.
fn defaults(server: &Server, table: &Table) -> Row {
    let connection = server.instance.open();
    let default = |column: &String| {
        let sql = r#"SELECT type, "notnull", coalesce(dflt_value, 'NULL') FROM pragma_table_info(?1) WHERE name = ?2"#;
        let (kind, required, default): (String, bool, String) = connection
            .query_row(sql, [table.spec.name, column], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        let kind = kind.to_uppercase();
        let numeric = kind.starts_with("INT") || kind == "BOOLEAN" || kind == "DOUBLE";
        let value: String = connection.query_row(&format!("SELECT quote({default})"), [], |row| row.get(0)).unwrap();
        match value.trim_matches('\'') {
            "NULL" if !required => Value::Null,
            "NULL" if numeric => i(0),
            "NULL" => t("?"),
            number if kind == "DOUBLE" => r(number.parse().unwrap()),
            number if numeric => i(number.parse().unwrap()),
            _ if kind == "DATETIME" => t(CREATED[0]),
            text => t(text),
        }
    };
    table.columns.iter().map(default).collect()
}

/// What random rows are made of. Zeros make the plainest.
type Seeds = [u8; 8];

#[derive(Debug, Clone)]
struct Draft {
    entities: BTreeMap<&'static str, BTreeMap<i64, Seeds>>,
    links: BTreeMap<&'static str, Vec<Seeds>>,
    content: u8,
}

fn draft(users: std::ops::Range<usize>) -> impl Strategy<Value = Draft> {
    let seeds = || prop::array::uniform8(prop_oneof![2 => Just(0_u8), 3 => 0..12_u8]);
    let named =
        |class: fn(Class) -> bool| catalog::TABLES.iter().filter(move |spec| class(spec.class)).map(|spec| spec.name);
    let entities: Vec<_> = named(|class| class != Class::Link)
        .map(|name| match name {
            catalog::USER => (Just(name), btree_map(1..4_i64, seeds(), users.clone())),
            catalog::MONITOR => (Just(name), btree_map(1..7_i64, seeds(), 0..7)),
            _ => (Just(name), btree_map(1..4_i64, seeds(), 0..4)),
        })
        .collect();
    let links: Vec<_> = named(|class| class == Class::Link).map(|name| (Just(name), vec(seeds(), 0..5))).collect();
    (entities, links, 0..2_u8).prop_map(|(entities, links, content)| Draft {
        entities: entities.into_iter().collect(),
        links: links.into_iter().collect(),
        content,
    })
}

/// One of several.
fn one<T: Copy>(of: &[T], seed: u8) -> T {
    of[usize::from(seed) % of.len()]
}

/// The first of several from `seed` on that is not taken yet, so that it is unique.
fn free<'a>(of: &[&'a str], seed: u8, taken: &mut BTreeSet<&'a str>) -> Option<&'a str> {
    let found =
        (0..of.len()).map(|step| of[(usize::from(seed) + step) % of.len()]).find(|name| !taken.contains(name))?;
    taken.insert(found);
    Some(found)
}

/// Whether a monitor can be the parent of another one: this order has no cycles.
fn above(parent: i64, child: i64) -> bool {
    let rank = |id: i64| (id * 4) % 7;
    rank(parent) > rank(child)
}

impl Draft {
    fn ids(&self, table: &str) -> Vec<i64> {
        self.entities[table].keys().copied().collect()
    }

    /// The id of a row of `table`, or NULL.
    fn refer(&self, table: &str, seed: u8) -> Value {
        let ids = self.ids(table);
        if ids.is_empty() { Value::Null } else { i(one(&ids, seed)) }
    }

    /// The same, and often NULL.
    fn maybe(&self, table: &str, seed: u8) -> Value {
        if seed.is_multiple_of(2) { Value::Null } else { self.refer(table, seed / 2) }
    }

    /// The same where no foreign key is declared.
    fn loose(&self, table: &str, seed: u8) -> Value {
        if seed == 11 { i(9) } else { self.refer(table, seed) }
    }

    fn values<'a>(
        &self,
        table: &str,
        id: i64,
        s: Seeds,
        taken: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<(&'a str, Value)>> {
        let plain = |seed: u8| i64::from(seed % 2);
        Some(match table {
            "user" => vec![
                ("username", t(free(&["admin", "bob", "carol", "dave"], s[0], taken)?)),
                ("password", t(one(&["$2a$1", "$2a$2"], s[1]))),
                ("active", i(i64::from(s[2] < 10))),
            ],
            "api_key" => match self.refer(catalog::USER, s[0]) {
                Value::Null => return None,
                user => vec![("name", t(one(&["k", "l"], s[1]))), ("user_id", user)],
            },
            "proxy" => vec![("user_id", i(1)), ("host", t(one(&["h1", "h2"], s[0]))), ("active", i(1 - plain(s[1])))],
            "docker_host" | "remote_browser" => vec![("user_id", i(1)), ("name", t(one(&["d1", "d2"], s[0])))],
            "tag" => vec![("name", t(one(&["prod", "test", "dev"], s[0]))), ("color", t(one(&["red", "#000"], s[1])))],
            "notification" => vec![
                ("name", t(one(&["mail", "chat"], s[0]))),
                ("user_id", i(1)),
                ("config", t(one(&["{}", "[]"], s[1]))),
            ],
            "status_page" => vec![
                ("slug", t(free(&["one", "two", "three", "four"], s[0], taken)?)),
                ("title", t(one(&["a", "b"], s[1]))),
                ("icon", t(one(&["/icon.svg", "/upload/logo1.png?t=1", "/upload/logo2.png"], s[2]))),
                ("theme", t("auto")),
            ],
            "group" => vec![("name", t(one(&["g", "h"], s[0]))), ("status_page_id", self.loose("status_page", s[1]))],
            "incident" => {
                vec![("title", t(one(&["x", "y"], s[0]))), ("status_page_id", self.loose("status_page", s[1]))]
            }
            "monitor" => {
                let parents: Vec<i64> =
                    self.ids(catalog::MONITOR).into_iter().filter(|&parent| above(parent, id)).collect();
                let parent =
                    if parents.is_empty() || s[7].is_multiple_of(2) { Value::Null } else { i(one(&parents, s[7] / 2)) };
                vec![
                    ("name", t(one(&["web", "web (old)", "db 1", "db 2", "all"], s[0]))),
                    ("type", t(one(&["http", "group", "push", "docker"], s[1]))),
                    ("active", if s[2] == 11 { t("true") } else { i(i64::from(s[2] < 6)) }),
                    ("created_date", t(one(&CREATED, s[3] / 5))),
                    ("timeout", r(one(&[48.0, 16.5], s[3]))),
                    ("user_id", if s[4] == 11 { Value::Null } else { self.refer(catalog::USER, s[4]) }),
                    ("proxy_id", self.maybe("proxy", s[5])),
                    ("docker_host", self.maybe("docker_host", s[6])),
                    ("remote_browser", self.maybe("remote_browser", s[6] / 3)),
                    ("parent", parent),
                ]
            }
            "maintenance" => vec![
                ("title", t(one(&["m", "n"], s[0]))),
                ("description", t("")),
                ("user_id", self.maybe(catalog::USER, s[1])),
            ],
            "status_page_cname" => vec![
                ("domain", t(free(&["a.org", "b.org", "c.org"], s[1], taken)?)),
                ("status_page_id", self.refer("status_page", s[0])),
            ],
            link => {
                let spec = catalog::find(link).unwrap();
                let ends = spec.references.iter().zip(s).map(|(it, seed)| (it.column, self.refer(it.parent, seed)));
                let value = ("value", t(one(&["", "v"], s[2])));
                ends.chain([value]).collect()
            }
        })
    }

    fn build(&self, version: Version) -> Configuration {
        // What this version has no table for, nothing refers to.
        let mut known = self.clone();
        for (name, rows) in &mut known.entities {
            if !schema(version).tables.iter().any(|(table, _)| table.spec.name == *name) {
                rows.clear();
            }
        }
        let mut configuration = Configuration::default();
        for (empty, defaults) in &schema(version).tables {
            let mut table = empty.clone();
            let mut taken = BTreeSet::new();
            let rows: Vec<(i64, Seeds)> = match known.entities.get(table.spec.name) {
                Some(rows) => rows.iter().map(|(id, seeds)| (*id, *seeds)).collect(),
                None => known.links[table.spec.name].iter().map(|seeds| (0, *seeds)).collect(),
            };
            for (id, seeds) in rows {
                let Some(values) = known.values(table.spec.name, id, seeds, &mut taken) else { continue };
                let mut row = defaults.clone();
                for (column, value) in values.into_iter().chain([("id", i(id))]) {
                    if let Some(at) = table.position(column) {
                        row[at] = value;
                    }
                }
                table.rows.push(row);
            }
            if table.spec.class == Class::Link {
                let ends: Vec<usize> =
                    table.spec.references.iter().map(|it| table.position(it.column).unwrap()).collect();
                table.rows.retain(|row| ends.iter().all(|&at| row[at] != Value::Null));
            }
            table.sort();
            configuration.tables.push(table);
        }
        let content = vec![self.content];
        let names = configuration.upload_names().into_iter();
        configuration.files = names.map(|name| UploadedFile { name, content: content.clone() }).collect();
        configuration
    }
}

/// A main, a replica, and the customization of the latter.
#[derive(Clone)]
pub(crate) struct Fleet {
    /// Of both.
    pub(crate) version: Version,
    /// The rows of the main: a user can log in there.
    pub(crate) main: Configuration,
    /// The rows of the replica; perhaps no user can log in.
    pub(crate) here: Configuration,
    /// The customization as written.
    pub(crate) text: String,
    /// The customization.
    pub(crate) customization: Customization,
}

impl fmt::Debug for Fleet {
    /// Only what is not as by default: a row of a monitor has a hundred values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "customization:\n{}", self.text)?;
        for (name, side) in [("main", &self.main), ("here", &self.here)] {
            writeln!(f, "{name}:\n{}", shown(side, self.version))?;
        }
        Ok(())
    }
}

/// The rows of `configuration` with what is not as by default.
pub(crate) fn shown(configuration: &Configuration, version: Version) -> String {
    let mut lines = String::new();
    for table in &configuration.tables {
        let (_, defaults) = schema(version).tables.iter().find(|(empty, _)| empty.spec == table.spec).unwrap();
        for row in &table.rows {
            let cells = table.columns.iter().zip(row.iter().zip(defaults));
            let cells = cells
                .filter(|(_, (value, default))| value != default)
                .map(|(column, (value, _))| format!(" {column}={value}"));
            lines += &format!("  {}{}\n", table.spec.name, cells.collect::<String>());
        }
    }
    lines
}

/// Random fleets of one version.
pub(crate) fn fleet(version: Version) -> impl Strategy<Value = Fleet> {
    (draft(1..4), draft(0..4), customization()).prop_map(move |(main, here, (text, customization))| {
        let mut main = main.build(version);
        let users = main.table_mut(catalog::USER).unwrap();
        let active = users.position(catalog::ACTIVE).unwrap();
        users.rows[0][active] = i(1);
        Fleet { version, main, here: here.build(version), text, customization }
    })
}

/// Overrides that every database takes.
const OVERRIDES: &[&str] = &[
    "table = \"monitor\"\nset = { interval = 77 }\nwhere = { type = \"http\" }",
    "table = \"monitor\"\nset = { active = true, interval = 60.0 }\nwhere = { type = \"push\" }",
    "table = \"monitor\"\nset = { timeout = 30 }\nwhere = { timeout = 48 }",
    "table = \"monitor\"\nset = { interval = 78 }\nwhere = { proxy_id = 1 }",
    "table = \"monitor\"\nset = { proxy_id = 2 }\nwhere = { name = \"web\" }",
    "table = \"monitor\"\nclear = [\"docker_host\", \"proxy_id\"]\nwhere = { name = \"web\" }",
    "table = \"monitor\"\nclear = [\"proxy_id\"]\nwhere = { proxy_id = 1 }",
    "table = \"monitor\"\nclear = [\"parent\"]\nset = { type = \"docker\" }",
    "table = \"monitor_tag\"\nset = { value = \"w\" }\nwhere = { tag_id = 1 }",
    "table = \"monitor_tag\"\nset = { tag_id = 2 }",
    "table = \"group\"\nset = { status_page_id = 2 }\nwhere = { name = \"g\" }",
    "table = \"status_page\"\nset = { title = \"c\", icon = \"/icon.svg\" }\nwhere = { slug = \"one\" }",
    "table = \"notification\"\nset = { active = false }",
    "table = \"user\"\nset = { username = \"zoe\" }\nwhere = { id = 2 }",
    "table = \"user\"\nset = { active = 0 }\nwhere = { username = \"admin\" }",
    "table = \"proxy\"\nset = { host = \"h3\" }",
    "table = \"remote_browser\"\nset = { url = \"ws://x\" }",
];

/// Random customization, as written and as read, without any that is refused.
fn customization() -> impl Strategy<Value = (String, Customization)> {
    let rarely = |line: &'static str, names: Vec<&'static str>| {
        let some =
            subsequence(names.clone(), 1..=names.len().min(2)).prop_map(move |names| format!("{line} = {names:?}\n"));
        prop_oneof![4 => Just(String::new()), 1 => some]
    };
    let tables: Vec<&str> = catalog::TABLES.iter().map(|spec| spec.name).collect();
    let excluded = subsequence(tables, 1..4).prop_map(|names| format!("tables = {names:?}\n"));
    let replica = (
        select(vec!["", "", "strategy = \"default\"\n", "strategy = \"notifications-insert-merge\"\n"]),
        prop_oneof![5 => Just(""), 1 => Just("alerts = \"off\"\n")],
        select(vec!["", "paused-types = []\n", "paused-types = [\"http\", \"group\"]\n"]),
    );
    let exclude = (
        prop_oneof![1 => Just(String::new()), 1 => excluded],
        rarely("monitor-tags", vec!["prod", "test", "none"]),
        rarely("monitor-names", vec!["web", "db ?", "*old*", "w*"]),
        rarely("monitor-types", vec!["push", "docker", "group"]),
        rarely("monitor-groups", vec!["all", "web*", "nobody"]),
    );
    let keep = subsequence(vec!["user", "proxy", "docker-host", "remote-browser"], 0..4);
    let overrides = prop_oneof![1 => Just(Vec::new()), 1 => vec(select(OVERRIDES), 1..4)];
    (replica, exclude, keep, overrides).prop_filter_map("refused", |(replica, exclude, keep, overrides)| {
        let mut text = format!("{}{}{}", replica.0, replica.1, replica.2);
        text += &format!("[replica.exclude]\n{}{}{}{}{}", exclude.0, exclude.1, exclude.2, exclude.3, exclude.4);
        text += "[replica.local-entities]\n";
        text.extend(keep.iter().map(|table| format!("{table} = \"keep\"\n")));
        text.extend(overrides.iter().map(|one| format!("[[replica.overrides]]\n{one}\n")));
        Some((text.clone(), parse(&text).ok()?))
    })
}

/// The customization in what follows `[replica]` in a configuration file.
pub(crate) fn parse(replica: &str) -> Result<Customization> {
    let text = format!("role = \"replica\"\nrepository = \"/r\"\n[replica]\n{replica}");
    Ok(Settings::parse(&text, Path::new("config.toml"))?.replica.customization)
}
