//! Where events go: to the journal if systemd runs this program, else to standard error. Those of an order that a
//! person types go to both.
//!
//! The journal gets `MESSAGE_ID` and the `KUMA_…` fields under exactly these names, so no field prefix is
//! set. Priorities: error 3, warning 4, a change 5 (notice), a cycle without one 6 (info).

use std::io::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cycle::{Event, Level, journal_fields};
use crate::error::Error;
use crate::terminal::{Look, Shape, StandardError, Tone};
use crate::text;

/// The target of failures: standard error shows them in a form of its own, see [`error`].
const FAILURE: &str = "kuma_replicator::failure";

/// The target of all other events.
const EVENT: &str = "kuma_replicator::event";

static CYCLE: OnceLock<String> = OnceLock::new();

/// The events so far, if they are kept.
static KEPT: Mutex<Option<Vec<Value>>> = Mutex::new(None);

/// Whether standard error shows events.
static SHOWN: OnceLock<()> = OnceLock::new();

/// Sends events to the journal or to standard error from now on; if a person `ordered` something on a terminal, to
/// both. An order is carried out without a journal, too.
pub fn init(ordered: bool) {
    if stderr_is_journal()
        && let Some(journal) = journal()
    {
        tracing_subscriber::registry().with(LevelFilter::DEBUG).with(OurTarget).with(journal).init();
        return;
    }
    SHOWN.get_or_init(|| ());
    let journal = journal().filter(|_| ordered).map(|journal| {
        // journalctl -u shows it with the messages of the unit, if root sent it; the sender is in other fields.
        let unit = ("OBJECT_SYSTEMD_UNIT", "kuma-replicator.service".to_owned());
        // As quiet as LogLevelMax= of the unit.
        journal.with_custom_fields([unit, ("KUMA_USER", user())]).with_filter(LevelFilter::INFO)
    });
    let plain = tracing_subscriber::fmt::layer()
        .with_writer(|| StandardError)
        .with_ansi(false)
        .with_level(false)
        .with_target(false)
        .without_time()
        .fmt_fields(MessageOnly)
        .with_filter(filter_fn(|metadata| metadata.target() != FAILURE));
    tracing_subscriber::registry().with(LevelFilter::DEBUG).with(OurTarget).with(plain).with(journal).init();
}

fn journal() -> Option<tracing_journald::Layer> {
    let layer = tracing_journald::layer().ok()?;
    let layer = layer.with_field_prefix(None).with_syslog_identifier("kuma-replicator".to_owned());
    Some(layer.with_priority_mappings(PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Notice,
        debug: Priority::Informational,
        trace: Priority::Debug,
    }))
}

/// The name of the person who typed the order: that of sudo(8), else of the login. It can be forged; `_UID` and
/// `_AUDIT_LOGINUID` of the kernel cannot.
fn user() -> String {
    let names = ["SUDO_USER", "LOGNAME", "USER"];
    let name = names.iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// Keeps all events from now on, for [`kept`].
pub fn keep() {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
}

/// The events that were kept, as JSON: `event`, `at`, `priority`, `message` and `fields`.
pub fn kept() -> Vec<Value> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Reports an event.
pub fn report(event: &Event) {
    if let Some(kept) = KEPT.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        kept.push(json!({
            "event": event.name(),
            "at": Timestamp::now(),
            "priority": event.level().priority(),
            "message": event.message(&TimeZone::system()),
            "fields": event.fields().values(),
        }));
    }
    let mut fields = event.fields();
    fields.hint = fields.hint.map(|hint| text::line(&hint).into_owned());
    let message = event.message(&TimeZone::system());
    let message = text::line(&message);
    let (message_id, name, cycle) = (event.message_id(), event.name(), cycle_id());
    macro_rules! emit {
        (($level:ident $target:ident) $($(#[$doc:meta])* $field:ident: $type:ty, $key:ident;)*) => {
            tracing::event!(
                target: $target,
                tracing::Level::$level,
                message_id,
                kuma_event = name,
                kuma_cycle = cycle,
                $($key = fields.$field,)*
                "{message}"
            )
        };
    }
    if let Event::Failed { error, .. } = event {
        if SHOWN.get().is_some() {
            self::error(error);
        }
        match event.level() {
            Level::Warning => journal_fields!(emit WARN FAILURE),
            Level::Notice | Level::Info => journal_fields!(emit DEBUG FAILURE),
            Level::Error => journal_fields!(emit ERROR FAILURE),
        }
        return;
    }
    match event.level() {
        Level::Error => journal_fields!(emit ERROR EVENT),
        Level::Warning => journal_fields!(emit WARN EVENT),
        Level::Notice => journal_fields!(emit INFO EVENT),
        Level::Info => journal_fields!(emit DEBUG EVENT),
    }
}

/// Prints a failure of a typed verb, once: with its causes, and the next thing to do.
pub fn error(error: &Error) {
    let text = format!("error: {}\nhint: {}", text::line(&error.chain()), text::line(error.hint()));
    let shown = Look::of_error().show(&text, |line| match line.strip_prefix("error:") {
        Some(_) => Shape { tone: Tone::Bad, painted: "error:".len(), indent: 0 },
        None => Shape { tone: Tone::Hint, painted: "hint:".len(), indent: 0 },
    });
    // If nobody reads it, the exit code says that it failed.
    let _ = writeln!(StandardError, "{shown}");
}

/// Reports a fault that ends nothing.
pub fn warning(message: &str) {
    tracing::warn!("{}", text::line(message));
}

/// The id of this cycle: systemd's invocation id, so that `journalctl` finds the messages of systemd about the same
/// run with it; a random one otherwise.
fn cycle_id() -> &'static str {
    CYCLE.get_or_init(|| {
        std::env::var("INVOCATION_ID")
            .or_else(|_| std::fs::read_to_string("/proc/sys/kernel/random/uuid"))
            .map(|id| id.trim().replace('-', ""))
            .unwrap_or_default()
    })
}

/// systemd.exec(5): `JOURNAL_STREAM` names device and inode of the stream if standard error is the journal.
fn stderr_is_journal() -> bool {
    let Ok(expected) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|stderr| format!("{}:{}", stderr.st_dev, stderr.st_ino) == expected)
}

/// Passes only the events of this crate: libraries return their errors.
struct OurTarget;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for OurTarget {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: tracing_subscriber::layer::Context<'_, S>) -> bool {
        metadata.target().starts_with("kuma_replicator")
    }
}

/// Shows the message without the fields.
struct MessageOnly;

impl<'writer> tracing_subscriber::fmt::FormatFields<'writer> for MessageOnly {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        writer: tracing_subscriber::fmt::format::Writer<'writer>,
        fields: R,
    ) -> std::fmt::Result {
        struct Visitor<'writer>(tracing_subscriber::fmt::format::Writer<'writer>, std::fmt::Result);
        impl tracing::field::Visit for Visitor<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.1 = write!(self.0, "{value:?}");
                }
            }
        }
        let mut visitor = Visitor(writer, Ok(()));
        fields.record(&mut visitor);
        visitor.1
    }
}
