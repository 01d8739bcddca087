//! From what systemd says about Uptime Kuma's unit to where its data lies and which URL it answers on.
//!
//! [`layout`] is a pure function, so that every installation seen in the wild is a line in a table of tests;
//! [`read_files`] fetches what it needs from disk. Nothing here asks systemd, and nothing here checks that
//! the places exist. A setting of the operator wins over all of it; the caller passes those in.
//!
//! The precedences are those of Uptime Kuma's `server/database.js` and `server/config.js` (the same in
//! 1.23 and 2.x): empty values count as missing, `.env` never overrides the environment (dotenv), and
//! arguments are read as its `args-parser` does.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::config::Kuma;
use crate::error::{Error, Kind, Result};
use crate::host::system::{environment, files, users};
use crate::model::limits::MAX_SETTINGS;

/// Where this Uptime Kuma keeps its data, where it answers and where its program lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The directory of `kuma.db`, absolute; it may be or contain a symbolic link.
    pub data_directory: PathBuf,
    /// The base URL on this host, without a slash at the end.
    pub url: String,
    /// The directory of Uptime Kuma's `package.json`, if it can be told.
    pub application: Option<PathBuf>,
}

/// What systemd says about the unit, under the names of its D-Bus properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceProperties {
    /// `WorkingDirectory`, with `!` in front where it may be missing; `~` is the home of the user.
    pub working_directory: String,
    /// `Environment`: `NAME=value`, later ones win; the manager's own come first.
    pub environment: Vec<String>,
    /// `EnvironmentFiles`: path or pattern, and whether it may be missing.
    pub environment_files: Vec<(String, bool)>,
    /// `UnsetEnvironment`: names, or `NAME=value` for exactly that value.
    pub unset_environment: Vec<String>,
    /// The words of `ExecStart`, with the program first; systemd has resolved specifiers, not variables.
    pub arguments: Vec<String>,
    /// `User`, empty for root.
    pub user: String,
    /// `StateDirectory`, relative to `/var/lib`.
    pub state_directories: Vec<String>,
}

/// Contents of the files that can change the answer, as [`read_files`] brings them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The `EnvironmentFile=` files that exist, in order.
    pub environment: Vec<String>,
    /// `.env` in the working directory.
    pub dotenv: Option<String>,
    /// The home of the unit's user, if the working directory is `~`.
    pub home: Option<PathBuf>,
}

/// Finds out the layout; `explicit` settings win.
///
/// # Errors
/// [`Kind::Config`] if the data directory cannot be told and is not set.
pub fn layout(service: &ServiceProperties, files: &Files, explicit: &Kuma) -> Result<Layout> {
    let directory = working_directory(&service.working_directory, files.home.as_deref());
    let variables = variables(service, files);
    let arguments = arguments(&service.arguments, &variables, &service.state_directories);
    let variable = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let argument = |name: &str| arguments.get(name).map(String::as_str).filter(|value| !value.is_empty());

    let data_directory = match &explicit.data_directory {
        Some(directory) => directory.clone(),
        None => {
            let written = variable("DATA_DIR").or_else(|| argument("data-dir")).unwrap_or("./data/");
            resolve(directory.as_deref(), written).ok_or_else(|| {
                let what = format!("cannot tell where the data of {} lies: '{written}' of ~", explicit.unit);
                Error::new(Kind::Config, what).with_hint("set data-directory in [uptime-kuma]")
            })?
        }
    };
    let url = explicit.url.clone().unwrap_or_else(|| {
        let either = |name: &str, long: &str, short: &str| {
            argument(name).or_else(|| variable(long)).or_else(|| variable(short)).is_some()
        };
        let tls = either("ssl-key", "UPTIME_KUMA_SSL_KEY", "SSL_KEY")
            && either("ssl-cert", "UPTIME_KUMA_SSL_CERT", "SSL_CERT");
        let host = argument("host").or_else(|| variable("UPTIME_KUMA_HOST")).or_else(|| variable("HOST"));
        let port = [argument("port"), variable("UPTIME_KUMA_PORT"), variable("PORT")]
            .into_iter()
            .flatten()
            .find_map(port)
            .unwrap_or(3001);
        format!("{}://{}:{port}", if tls { "https" } else { "http" }, reachable(host))
    });
    let application = script_home(&service.arguments).or(directory).filter(|path| path != Path::new("/"));
    Ok(Layout { data_directory, url, application })
}

/// Reads the files that [`layout`] needs, as far as they exist. One that is no text is as good as missing:
/// systemd and Uptime Kuma do without it too.
///
/// # Errors
/// [`Kind::NotPermitted`] for one that this user may not read: systemd may, and it might name another
/// database.
pub fn read_files(service: &ServiceProperties) -> Result<Files> {
    let home_of = |user: &str| users::find(if user.is_empty() { "root" } else { user }).map(|user| user.home);
    let home = service.working_directory.ends_with('~').then(|| home_of(&service.user)).flatten();
    let mut files = Files { home, ..Files::default() };
    for (pattern, _) in &service.environment_files {
        for path in matching(pattern)? {
            files.environment.extend(read(&path)?);
        }
    }
    if let Some(directory) = working_directory(&service.working_directory, files.home.as_deref()) {
        files.dotenv = read(&directory.join(".env"))?;
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Option<String>> {
    readable(path, files::read_small_text(path, MAX_SETTINGS))
}

/// What was read of `path`, if it could be.
fn readable<T>(path: &Path, read: std::io::Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let what = format!("read {}, which belongs to the unit of Uptime Kuma", path.display());
            let hint = "let this user read it, or set data-directory and url in [uptime-kuma]";
            Err(Error::io(what, error).with_hint(hint))
        }
        read => Ok(read.ok()),
    }
}

/// The files of an `EnvironmentFile=` pattern, sorted. Only one `*`, in the last component, is understood;
/// as in glob(7) it does not stand for a dot at the beginning.
fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('*'));
    let (Some((start, end)), Some(directory)) = (name, path.parent()) else { return Ok(vec![path.to_owned()]) };
    let fits = |name: &str| {
        let rest = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        rest.is_some() && (start.starts_with('.') || !name.starts_with('.'))
    };
    let entries = readable(directory, fs::read_dir(directory))?.into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.filter(|entry| entry.file_name().to_str().is_some_and(fits)).map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

/// The directory the service starts in; `None` if it is a home that is not known. Without
/// `WorkingDirectory=` a system service starts in `/`.
fn working_directory(written: &str, home: Option<&Path>) -> Option<PathBuf> {
    match written.trim_start_matches('!') {
        "" => Some("/".into()),
        "~" => home.map(Path::to_owned),
        directory => Some(PathBuf::from(directory)).filter(|directory| directory.is_absolute()),
    }
}

/// `written` relative to `directory`, without `.` in it; `..` stays, as it may follow a symbolic link.
fn resolve(directory: Option<&Path>, written: &str) -> Option<PathBuf> {
    let path = match directory {
        Some(directory) => directory.join(written),
        None if Path::new(written).is_absolute() => written.into(),
        None => return None,
    };
    Some(path.components().collect())
}

/// What the process finds in its environment, in systemd.exec(5)'s order, and then what dotenv adds.
fn variables(service: &ServiceProperties, files: &Files) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    all.extend(service.environment.iter().filter_map(|text| pair(text)));
    for text in &files.environment {
        all.extend(lenient(text));
    }
    for unset in &service.unset_environment {
        match unset.split_once('=') {
            Some((name, value)) if all.get(name).is_some_and(|old| old == value) => all.remove(name),
            Some(_) => None,
            None => all.remove(unset),
        };
    }
    for (name, value) in files.dotenv.as_deref().map(dotenv).unwrap_or_default() {
        all.entry(name).or_insert(value);
    }
    all
}

/// An `EnvironmentFile=`: systemd ignores lines it does not understand, and takes the rest.
fn lenient(text: &str) -> Vec<(String, String)> {
    environment::parse(text)
        .unwrap_or_else(|_| text.lines().filter_map(|line| environment::parse(line).ok()).flatten().collect())
}

/// A `.env` as dotenv 16 reads it: `export` allowed, quotes removed, `#` ends an unquoted value. Values
/// over several lines are left out; none of ours has one.
fn dotenv(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let line = line.trim();
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let quoted = ['"', '\'', '`'].into_iter().find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
        let value = match quoted {
            Some((inside, _)) => inside,
            None => value.split('#').next().unwrap_or_default().trim_end(),
        };
        (!name.is_empty() && name.chars().all(plain)).then(|| (name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// The `--name=value` words, variables filled in; the last one wins. A command hidden in `sh -c` is not
/// taken apart.
fn arguments(
    words: &[String],
    variables: &BTreeMap<String, String>,
    state_directories: &[String],
) -> BTreeMap<String, String> {
    let value_of = |name: &str| match (variables.get(name), name) {
        (Some(value), _) => value.clone(),
        (None, "STATE_DIRECTORY") => {
            let paths: Vec<String> = state_directories.iter().map(|name| format!("/var/lib/{name}")).collect();
            paths.join(":")
        }
        (None, _) => String::new(),
    };
    let filled = words.iter().skip(1).map(|word| match word.strip_prefix('$') {
        Some(name) if !name.starts_with(['{', '$']) => value_of(name),
        _ => fill(word, value_of),
    });
    let option = |word: String| {
        let word = word.strip_prefix('-').map(|word| word.strip_prefix('-').unwrap_or(word))?;
        let (name, value) = word.split_once(['=', ' '])?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    filled.filter_map(option).collect()
}

/// `word` with every `${NAME}` replaced, as systemd.service(5) does it under "Command lines".
fn fill(word: &str, value_of: impl Fn(&str) -> String) -> String {
    let mut pieces = word.split("${");
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((name, rest)) => filled.extend([value_of(name).as_str(), rest]),
            None => filled.extend(["${", piece]),
        }
    }
    filled
}

/// A port as JavaScript's `parseInt` reads it: leading digits count, anything else is passed over.
fn port(text: &str) -> Option<u16> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// A host as it is written in a URL, through which a listener on `host` can be reached from here.
fn reachable(host: Option<&str>) -> String {
    let Some(host) = host else { return "127.0.0.1".to_owned() };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => "127.0.0.1".to_owned(),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => "[::1]".to_owned(),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    }
}

/// The application's directory, from an absolute path to `server/server.js` in the command.
fn script_home(words: &[String]) -> Option<PathBuf> {
    let script = words.iter().skip(1).map(Path::new).find(|path| path.ends_with("server/server.js"))?;
    Some(script.parent()?.parent()?.to_owned()).filter(|path| path.is_absolute())
}
