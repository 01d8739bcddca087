//! What a host tells Prometheus: each metric declared once, and the counters behind some of them. Pure values: files are
//! written by `host`.
//!
//! | file | what is in it |
//! |---|---|
//! | `declared` | the table of all metrics: name, type, labels, help, values |
//! | `known` | what the values are taken from |
//! | `counters` | what is counted from the events, and outlasts the process |
//! | `exposition` | the text format of Prometheus |

mod counters;
mod declared;
mod exposition;
mod known;

pub use counters::{Counters, InForce};
pub use declared::{METRICS, Metric, Type};
pub use exposition::{Sample, text};
pub use known::Known;
