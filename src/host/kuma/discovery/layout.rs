//! From the unit of Uptime Kuma to its data directory and its URL: a pure function, so that every installation in the
//! wild is a line in a table of tests. It does not check that the places exist. The operator's settings win.
//!
//! The precedences are those of Uptime Kuma's `server/database.js` and `server/config.js` (the same in 1.23 and 2.x):
//! empty values count as missing, `.env` never overrides the environment (dotenv), and arguments are read as
//! `args-parser` reads them.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::properties::ServiceProperties;
use super::variables::{arguments, variables};
use crate::config::Kuma;
use crate::error::{Error, Kind, Result};

/// Where an Uptime Kuma keeps its data, where it answers and where its program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The directory of `kuma.db`, absolute; it may be or contain a symbolic link.
    pub data_directory: PathBuf,
    /// The base URL on this host, without a slash at the end.
    pub url: String,
    /// The directory of its `package.json`, if that is known.
    pub application: Option<PathBuf>,
    /// Whether the data directory is a guess: the unit names none, and starts a program that may name one.
    pub guessed: bool,
}

impl Layout {
    /// Where the database is.
    pub fn database(&self) -> PathBuf {
        self.data_directory.join("kuma.db")
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guess = if self.guessed { " (a guess: the unit names no data directory)" } else { "" };
        write!(f, "data in {}{guess}, answers on {}", self.data_directory.display(), self.url)
    }
}

/// The layout of the unit `service`; `explicit` settings win.
///
/// # Errors
/// [`Kind::Config`] if the data directory is neither set nor known.
pub fn layout(service: &ServiceProperties, files: &Files, explicit: &Kuma) -> Result<Layout> {
    let directory = service.start_directory(files.home.as_deref());
    let variables = variables(service, files);
    let arguments = arguments(&service.arguments, &variables, &service.state_directories);
    let variable = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let argument = |name: &str| arguments.get(name).map(String::as_str).filter(|value| !value.is_empty());

    let named = variable("DATA_DIR").or_else(|| argument("data-dir"));
    let starts_server = service.arguments.iter().any(|word| Path::new(word).ends_with("server/server.js"));
    let guessed = explicit.data_directory.is_none() && named.is_none() && !starts_server;
    let data_directory = match &explicit.data_directory {
        Some(directory) => directory.clone(),
        None => {
            let written = named.unwrap_or("./data/");
            resolve(directory.as_deref(), written).ok_or_else(|| {
                let what =
                    format!("cannot find the data directory of {}: '{written}' in ~, which is unknown", explicit.unit);
                Error::new(Kind::Config, what).with_hint("set data-directory in [uptime-kuma]")
            })?
        }
    };
    let url = explicit.url.clone().unwrap_or_else(|| url(&variable, &argument));
    let application = script_home(&service.arguments).or(directory).filter(|path| path != Path::new("/"));
    Ok(Layout { data_directory, url, application, guessed })
}

/// The URL of a server with these variables and arguments.
fn url<'a>(variable: &dyn Fn(&str) -> Option<&'a str>, argument: &dyn Fn(&str) -> Option<&'a str>) -> String {
    let any = |name: &str, long: &str, short: &str| {
        argument(name).or_else(|| variable(long)).or_else(|| variable(short)).is_some()
    };
    let tls = any("ssl-key", "UPTIME_KUMA_SSL_KEY", "SSL_KEY") && any("ssl-cert", "UPTIME_KUMA_SSL_CERT", "SSL_CERT");
    let host = argument("host").or_else(|| variable("UPTIME_KUMA_HOST")).or_else(|| variable("HOST"));
    let port = [argument("port"), variable("UPTIME_KUMA_PORT"), variable("PORT")];
    let port = port.into_iter().flatten().find_map(port_number).unwrap_or(3001);
    format!("{}://{}:{port}", if tls { "https" } else { "http" }, reachable(host))
}

/// `written` relative to `directory`, without `.`. A `..` stays, as it may follow a symbolic link.
fn resolve(directory: Option<&Path>, written: &str) -> Option<PathBuf> {
    let path = match directory {
        Some(directory) => directory.join(written),
        None if Path::new(written).is_absolute() => written.into(),
        None => return None,
    };
    Some(path.components().collect())
}

/// A port as JavaScript's `parseInt` reads it: only leading digits count.
fn port_number(text: &str) -> Option<u16> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// The host for a URL under which this host reaches a listener on `host`.
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

/// The directory of the application, if the command has an absolute path to `server/server.js`.
fn script_home(words: &[String]) -> Option<PathBuf> {
    let script = words.iter().skip(1).map(Path::new).find(|path| path.ends_with("server/server.js"))?;
    Some(script.parent()?.parent()?.to_owned()).filter(|path| path.is_absolute())
}
