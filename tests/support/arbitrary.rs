//! Random configurations: any value that SQLite can hold, ids as Uptime Kuma gives them, tables with and
//! without rows, files.

use kuma_replicator::model::catalog::{self, Class, TableSpec};
use kuma_replicator::model::configuration::{Configuration, Row, Table, UploadedFile};
use kuma_replicator::model::value::Value;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;

/// Texts that formats tend to break.
pub(crate) const TEXTS: &[&str] = &[
    "",
    "null",
    "NULL",
    "true",
    "0",
    "007",
    "1.0",
    "1e3",
    "0x10",
    "  v  ",
    "\u{0}",
    "a\u{0}b",
    "\u{1}\u{1f}\u{7f}\u{80}",
    "\"quoted\" \\ back\\slash / %s",
    "line;\r\nCOMMIT;\n-- x",
    "\t",
    "\u{2028}\u{2029}\u{feff}\u{200d}",
    "\u{d7ff}\u{e000}\u{fffd}\u{ffff}",
    "\u{10000}\u{10ffff}",
    "👩\u{200d}👩\u{200d}👧",
    "{\"$blob\":\"AA==\"}",
    "/upload/logo1.png?t=1",
    "é e\u{301}",
];

/// Reals that formats tend to break; SQLite stores NaN as NULL, so there is none.
pub(crate) const REALS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    1.5,
    48.0,
    0.1,
    -0.1,
    1e15,
    1e16,
    1e17,
    1e21,
    1e-5,
    1e-7,
    123_456_789.123_456_79,
    9_007_199_254_740_993.0,
    9_223_372_036_854_775_807.0,
    18_446_744_073_709_551_616.0,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    f64::EPSILON,
    5e-324,
    2.225_073_858_507_201e-308,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// Any value but NULL.
pub(crate) fn present() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        select(&[0, 1, -1, 1 << 53, i64::MAX, i64::MIN][..]).prop_map(Value::Integer),
        any::<u64>().prop_map(|bits| Value::Real(f64::from_bits(bits))).prop_filter("SQLite has no NaN", not_nan),
        select(REALS).prop_map(Value::Real),
        select(TEXTS).prop_map(Value::text),
        any::<String>().prop_map(Value::text),
        vec(any::<u8>(), 0..12).prop_map(|bytes| Value::Text(bytes.into())),
        vec(any::<u8>(), 0..12).prop_map(|bytes| Value::Blob(bytes.into())),
    ]
}

fn not_nan(value: &Value) -> bool {
    !matches!(value, Value::Real(real) if real.is_nan())
}

/// Any value.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 4 => present()]
}

/// Few values, so that rows often are equal or nearly so.
fn common_value() -> impl Strategy<Value = Value> {
    select(vec![Value::Null, Value::Integer(1), Value::Real(1.0), Value::text("1"), Value::text("")])
}

/// The columns of a random table beside its id; some are keywords, some do not look like names at all.
const COLUMNS: &[&str] = &["name", "default", "group", "value", "x y", "\"", "ü", "table", "size"];

fn shape(spec: &'static TableSpec) -> BoxedStrategy<Table> {
    if spec.class == Class::Setting {
        return Just(Table::new(spec, ["key", "type", "value"].map(str::to_owned).to_vec())).boxed();
    }
    let columns = subsequence(COLUMNS, 1..5);
    let all = move |columns: Vec<&str>| {
        let known = spec.identity_columns.iter().copied().chain(spec.ordered_within);
        columns.into_iter().chain(known).map(str::to_owned).collect()
    };
    columns.prop_map(move |columns| Table::new(spec, all(columns))).boxed()
}

fn shapes() -> impl Strategy<Value = Vec<Table>> {
    let tables: Vec<_> = catalog::TABLES.iter().map(shape).collect();
    (tables, 0..=catalog::TABLES.len(), 0..=catalog::TABLES.len())
        .prop_map(|(tables, from, to)| tables.into_iter().take(from.max(to)).skip(from.min(to)).collect())
}

fn rows(table: Table, value: BoxedStrategy<Value>, ids: BoxedStrategy<i64>) -> BoxedStrategy<Table> {
    let width = table.columns.len();
    let id = table.identity();
    let settings = table.spec.class == Class::Setting;
    let content = vec(value, width).prop_map(Row::from);
    let fill = move |rows: Vec<Row>| {
        let mut table = table.clone();
        table.rows = rows;
        table.sort();
        table
    };
    match id {
        Some(at) if settings => btree_map(0..catalog::SETTINGS.len(), content, 0..6)
            .prop_map(move |rows| {
                rows.into_iter()
                    .map(|(number, mut row)| {
                        row[at] = Value::text(catalog::SETTINGS[number].key);
                        row
                    })
                    .collect()
            })
            .prop_map(fill)
            .boxed(),
        None => vec(content, 0..6).prop_map(fill).boxed(),
        Some(id) => btree_map(ids, content, 0..6)
            .prop_map(move |rows| {
                rows.into_iter()
                    .map(|(number, mut row)| {
                        row[id] = Value::Integer(number);
                        row
                    })
                    .collect()
            })
            .prop_map(fill)
            .boxed(),
    }
}

fn files() -> impl Strategy<Value = Vec<UploadedFile>> {
    btree_map("[a-z0-9][a-zA-Z0-9._-]{0,8}", vec(any::<u8>(), 0..40), 0..3)
        .prop_map(|files| files.into_iter().map(|(name, content)| UploadedFile { name, content }).collect())
}

/// Any configuration.
pub(crate) fn configuration() -> impl Strategy<Value = Configuration> {
    let ids = Union::new([(1..60_i64).boxed(), any::<i64>().boxed()]).boxed();
    shapes().prop_flat_map(move |shapes| {
        let tables: Vec<_> = shapes.into_iter().map(|table| rows(table, value().boxed(), ids.clone())).collect();
        let zone = proptest::option::of("[A-Z][a-z]{2,8}(/[A-Z][a-z_]{2,8})?".prop_map(|name| name.parse().unwrap()));
        (tables, files(), zone).prop_map(|(tables, files, zone)| Configuration { tables, files, zone })
    })
}

/// Two configurations of the same schema that have much in common.
pub(crate) fn pair() -> impl Strategy<Value = (Configuration, Configuration)> {
    shapes().prop_flat_map(|shapes| {
        let one = || {
            let filled: Vec<_> =
                shapes.iter().map(|table| rows(table.clone(), common_value().boxed(), (1..7_i64).boxed())).collect();
            (filled, files()).prop_map(|(tables, files)| Configuration { tables, files, zone: None })
        };
        (one(), one())
    })
}
