//! The counters in the state directory. They have a lock of their own, as a run that fails for want of the other one counts,
//! too; and they are written in place: that costs an unchanged cycle less than a new file, and needs no room on a full disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::directory::{applied_manifest, open_lock};
use crate::cycle::Event;
use crate::error::{Error, Kind, Result};
use crate::host::system::files::read_own;
use crate::logging;
use crate::metrics::Counters;
use crate::model::limits::MAX_STATE;
use crate::model::state::State;

pub(super) const COUNTERS: &str = "metrics.json";

/// How often the lock is tried, and the time in between: another process has it for less than a millisecond.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// Counts an event of a cycle or an order, if it is one that counts. If the counters cannot be written, that is lost: `check`
/// says why they cannot, and no cycle fails for it.
pub fn count(directory: &Path, event: &Event) {
    // Most events do not count, and cost nothing.
    if Counters::counts(event) {
        let _ = with_counters(directory, |counters| counters.count(event, uptime()));
    }
}

/// Changes the counters in `directory`. Damaged ones start again at zero, with a warning.
///
/// # Errors
/// If they cannot be read or written.
pub fn with_counters<T>(directory: &Path, change: impl FnOnce(&mut Counters) -> T) -> Result<T> {
    let path = directory.join(COUNTERS);
    let failed = |error: io::Error| Error::io(format!("write {}", path.display()), error);
    let file = open_lock(directory, COUNTERS)?;
    lock(&file)?;
    let old = read(&file).map_err(failed)?;
    let mut counters = parse(&path, &old);
    let result = change(&mut counters);
    let mut new = counters.render();
    // Blanks take the place of what was longer: cutting the file off would be a second step.
    new.resize(new.len().max(old.len()), b' ');
    if new != old {
        file.write_all_at(&new, 0).map_err(failed)?;
    }
    Ok(result)
}

/// The counters in `directory`: zero if there are none.
///
/// # Errors
/// If they exist and cannot be read.
pub fn read_counters(directory: &Path) -> Result<Counters> {
    let path = directory.join(COUNTERS);
    match read_own(&path, MAX_STATE) {
        Ok(bytes) => Ok(parse(&path, &bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Counters::default()),
        Err(error) => Err(Error::io(format!("read {}", path.display()), error)),
    }
}

/// Takes over what the state and the kept dump in `directory` say of the snapshot in force.
pub(in crate::host) fn see(counters: &mut Counters, directory: &Path, state: &State) {
    counters.see(state, || applied_manifest(directory));
}

fn parse(path: &Path, bytes: &[u8]) -> Counters {
    if bytes.trim_ascii().is_empty() {
        return Counters::default();
    }
    Counters::parse(bytes).unwrap_or_else(|| {
        let text = format!("the counters in {} cannot be used, and start again at zero", path.display());
        logging::report(&Event::Warning { text });
        Counters::default()
    })
}

fn lock(file: &File) -> Result<()> {
    for _ in 0..TRIES {
        if file.try_lock().is_ok() {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    Err(Error::new(Kind::AlreadyRunning, format!("another process has locked {COUNTERS}")))
}

fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > MAX_STATE {
        // It is damaged, and so is what is left of it.
        length = 1;
        file.set_len(1)?;
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The time since the boot of this host: no clock that is set changes it.
fn uptime() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}
