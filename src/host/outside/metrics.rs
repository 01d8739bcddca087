//! What a cycle leaves for Prometheus.

use std::time::Duration;

use crate::config::Settings;
use crate::cycle::Event;
use crate::host::store::{see, with_counters};
use crate::host::system::textfile;
use crate::logging;
use crate::metrics::{self, Known};
use crate::model::state::State;

use super::Directories;

/// Remembers how long a cycle took, and writes the metrics file if one is configured. What fails here fails no cycle: a file
/// that cannot be written is reported once.
pub fn tell_prometheus(settings: &Settings, state: &State, directories: &Directories, took: Duration) {
    let told = with_counters(&directories.state, |counters| {
        counters.took(took);
        see(counters, &directories.state, state);
        let before = counters.fault.take();
        let path = settings.metrics_file.as_ref()?;
        let text = metrics::text(&Known { settings, state, counters });
        let error = textfile::write(path, &text, &directories.state).err()?;
        let fault = format!("{}; hint: {}", error.chain(), error.hint());
        counters.fault = Some(fault.clone());
        (before.as_ref() != Some(&fault)).then_some(fault)
    });
    if let Ok(Some(text)) = told {
        logging::report(&Event::Warning { text });
    }
}
