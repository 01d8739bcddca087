//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use super::declared::{METRICS, Metric, Type};
use super::known::Known;

/// One value of a metric, with the values of its labels in the order in which the metric names them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: f64,
}

/// All metrics of a host, as a file for node_exporter's textfile collector.
pub fn text(known: &Known<'_>) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let Metric { name, help, .. } = metric;
        let kind = match metric.kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
        };
        let _ = writeln!(text, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"));
        let _ = writeln!(text, "# TYPE {name} {kind}");
        for Sample { labels, value } in metric.samples(known) {
            let _ = writeln!(text, "{name}{} {value}", shown(metric.labels, &labels));
        }
    }
    text
}

/// `{name="value",…}`, or nothing without labels.
fn shown(names: &[&str], values: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let pairs = names.iter().zip(values).map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(shown(&[], &[]), "");
        let values = ["a\\b".to_owned(), "\"c\"\nd é".to_owned()];
        assert_eq!(shown(&["one", "two"], &values), r#"{one="a\\b",two="\"c\"\nd é"}"#);
    }
}
