//! Running this program as its service would run: as a unit of its own, which exists only meanwhile, with the settings of
//! kuma-replicator.service.
//!
//! They are copied as text from the files that systemd reads, drop-ins included: so none is missing, whatever an
//! administrator wrote there. Only what is about the cycle itself is replaced: the program, and how it ends.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::config::UnitName;
use crate::error::{Error, Kind, Result};
use crate::host::kuma::systemd::{BOOTED, Systemd, UnitFiles};
use crate::host::system::files;
use crate::host::system::interrupt::Interrupt;
use crate::model::limits::MAX_SETTINGS;

/// The service of this program.
pub const SERVICE: &str = "kuma-replicator.service";

/// The directory of a running process of this kind, with its id after it.
const PLACE: &str = "/run/kuma-replicator-check-";

/// How long the unit, which runs, may take to connect its output, which it has done before.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest line that is read from it, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// What replaces the same settings of the service: it runs once, gets no input, notifies no other unit, and leaves the
/// directories of the service where they are.
const ONCE: &str = "ExecCondition=
ExecStartPre=
ExecStart=
ExecStartPost=
ExecReload=
ExecStop=
ExecStopPost=
Type=exec
Restart=no
RemainAfterExit=no
NotifyAccess=none
WatchdogSec=0
TimeoutStartSec=60
TimeoutStopSec=15
RuntimeMaxSec=1h
RuntimeDirectoryPreserve=yes
StandardInput=null
StandardError=journal
";

/// This program, running with the settings of its service. What it writes on standard output can be read here.
#[derive(Debug)]
pub struct AsService {
    systemd: Systemd,
    unit: UnitName,
    output: Option<BufReader<UnixStream>>,
    interrupt: Interrupt,
    /// Whether systemd has not read the newest settings of the service.
    pub needs_reload: bool,
    _place: Place,
}

impl AsService {
    /// Whether systemd runs on this host.
    pub fn is_possible() -> bool {
        Path::new(BOOTED).is_dir()
    }

    /// Starts this program with these arguments; `None` if the service is not installed.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] if systemd cannot start it, as it could not start the service; [`Kind::BusUnavailable`].
    pub async fn start(arguments: &[&str], interrupt: &Interrupt) -> Result<Option<Self>> {
        let name = |text: &str| UnitName::new(text).map_err(|reason| Error::new(Kind::Bug, reason));
        let systemd = Systemd::connect().await?;
        let Some(files) = systemd.unit_files(&name(SERVICE)?).await? else { return Ok(None) };
        let unit = name(&format!("kuma-replicator-check-{}.service", std::process::id()))?;
        let program = std::env::current_exe().map_err(|error| Error::io("find this program", error))?;
        let program = program.to_string_lossy();
        let command: Vec<&str> = [&*program].into_iter().chain(arguments.iter().copied()).collect();
        let place = Place::new(&unit)?;
        let listener =
            UnixListener::bind(place.socket()).map_err(|error| Error::io("make a socket for the results", error))?;
        place.write_unit(&text(&settings(&files)?, files.dynamic_user.as_deref(), &command, &place.socket()))?;
        let needs_reload = files.needs_reload;
        let mut started =
            Self { systemd, unit, output: None, interrupt: interrupt.clone(), needs_reload, _place: place };
        match started.connect(&listener).await {
            Ok(()) => Ok(Some(started)),
            Err(error) => {
                started.end().await;
                Err(error)
            }
        }
    }

    async fn connect(&mut self, listener: &UnixListener) -> Result<()> {
        self.systemd.begin(&self.unit).await.map_err(|error| {
            let hint = error.hint().to_owned();
            Error::new(error.kind(), format!("systemd cannot start {SERVICE} on this host"))
                .because(error)
                .with_hint(hint)
        })?;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, listener.accept()).await.map_err(io::Error::from);
        let (stream, _) =
            connected.and_then(|accepted| accepted).map_err(|error| Error::io("receive the results", error))?;
        self.output = Some(BufReader::new(stream));
        Ok(())
    }

    /// The next line that it writes; `None` when it has ended.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] if this process received a signal to stop; if the line cannot be read or is too long.
    pub async fn line(&mut self) -> Result<Option<String>> {
        let Some(output) = &mut self.output else { return Ok(None) };
        let mut line = Vec::new();
        let mut limited = output.take(MAX_LINE);
        let read = tokio::select! {
            biased;
            read = limited.read_until(b'\n', &mut line) => read,
            () = self.interrupt.wait() => {
                return Err(Error::new(Kind::Interrupted, "received a signal to stop"));
            }
        };
        read.map_err(|error| Error::io("receive the results", error))?;
        if line.is_empty() {
            return Ok(None);
        }
        if !line.ends_with(b"\n") {
            return Err(Error::new(Kind::Files, "cannot receive the results: a line is cut"));
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    /// Ends it, if it still runs, and says how it ended.
    pub async fn end(self) -> String {
        let ended = self.systemd.ended(&self.unit).await.unwrap_or_else(|error| error.chain());
        // A unit that systemd does not know any more is as good.
        let _ = self.systemd.discard(&self.unit).await;
        ended
    }
}

/// The files of a running process of this kind, which are gone when this is dropped.
#[derive(Debug)]
struct Place {
    directory: PathBuf,
    unit: PathBuf,
}

impl Place {
    fn new(unit: &UnitName) -> Result<Self> {
        let directory = PathBuf::from(format!("{PLACE}{}", std::process::id()));
        // Left by a process with the same id that was killed.
        let _ = fs::remove_dir_all(&directory);
        let made = DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| Error::io(format!("make {}", directory.display()), error))?;
        Ok(Self { directory, unit: Path::new(BOOTED).join(unit.as_ref()) })
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("results")
    }

    fn write_unit(&self, text: &str) -> Result<()> {
        // A drop-in may contain a secret.
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.unit);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| Error::io(format!("write {}", self.unit.display()), error))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left is gone with the next boot, and starts nothing.
        let _ = fs::remove_file(&self.unit);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The settings of the service in these files.
fn settings(files: &UnitFiles) -> Result<String> {
    let mut kept = String::new();
    for path in &files.paths {
        let text = files::read_small_text(path, MAX_SETTINGS)
            .map_err(|error| Error::io(format!("read {}", path.display()), error))?;
        kept.push_str(&section(&text));
    }
    Ok(kept)
}

/// The lines of the section `[Service]` in the text of a unit file, with its own name in place of the specifiers that
/// would mean another unit.
fn section(text: &str) -> String {
    let (mut kept, mut inside, mut continued) = (String::new(), false, false);
    for line in text.lines() {
        let trimmed = line.trim();
        if !continued && trimmed.starts_with('[') {
            inside = trimmed == "[Service]";
        } else if inside {
            kept.push_str(&own_name(line));
            kept.push('\n');
        }
        continued = line.ends_with('\\');
    }
    // A file that ends with a continuation would swallow the first line of the next one.
    kept.push('\n');
    kept
}

/// `line` with the specifiers for the name of the unit (systemd.unit(5)) replaced.
fn own_name(line: &str) -> String {
    let bare = SERVICE.trim_end_matches(".service");
    let mut pieces = line.split("%%").map(|piece| {
        ["%N", "%p"].iter().fold(piece.replace("%n", SERVICE), |piece, specifier| piece.replace(specifier, bare))
    });
    let first = pieces.next().unwrap_or_default();
    pieces.fold(first, |line, piece| line + "%%" + &piece)
}

/// The unit file of a unit with these settings that runs `command` and writes its output into `socket`.
fn text(settings: &str, dynamic_user: Option<&str>, command: &[&str], socket: &Path) -> String {
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    let user = dynamic_user.map(|user| format!("User={user}\n")).unwrap_or_default();
    format!(
        "[Unit]\nDescription=See what {SERVICE} will be able to do\n\n[Service]\n{settings}{ONCE}{user}\
         StandardOutput=file:{}\nExecStart={}\n",
        socket.display(),
        words.join(" ")
    )
}

/// `word` as one word of a command line (systemd.service(5), "Command lines").
fn quoted(word: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{quoted, section, text};

    #[test]
    fn the_settings_of_the_service_are_kept_and_no_others() {
        let unit = "[Unit]\nOnFailure=mail@%n.service\n[Service]\n# why\nUMask=0077\nReadWritePaths=/a \\\n[b] \\\n /c\n\
                    Environment=N=%n P=%p Q=100%%n\n\n[Install]\nWantedBy=x\n [Service] \nUser=me";
        let kept = section(unit);
        assert_eq!(
            kept,
            "# why\nUMask=0077\nReadWritePaths=/a \\\n[b] \\\n /c\n\
             Environment=N=kuma-replicator.service P=kuma-replicator Q=100%%n\n\nUser=me\n\n"
        );
        let whole = text(&kept, Some("made-up"), &["/usr/bin/x", "--config=/a b"], Path::new("/run/x/results"));
        let last = |name: &str| whole.lines().rfind(|line| line.starts_with(name)).map(str::to_owned);
        assert_eq!(last("User="), Some("User=made-up".to_owned()));
        assert_eq!(last("UMask="), Some("UMask=0077".to_owned()));
        assert_eq!(last("ExecStart="), Some("ExecStart=\"/usr/bin/x\" \"--config=/a b\"".to_owned()));
        assert_eq!(last("ExecStopPost="), Some("ExecStopPost=".to_owned()));
        assert_eq!(last("StandardOutput="), Some("StandardOutput=file:/run/x/results".to_owned()));
    }

    #[test]
    fn a_file_that_ends_in_the_middle_of_a_line_swallows_nothing() {
        let kept = section("[Service]\nReadWritePaths=/a \\") + &section("[Service]\nUser=me\n");
        assert_eq!(kept, "ReadWritePaths=/a \\\n\nUser=me\n\n");
    }

    #[test]
    fn a_word_stays_a_word() {
        assert_eq!(quoted("a \"b\\ $c %d"), r#""a \"b\\ $$c %%d""#);
    }
}
