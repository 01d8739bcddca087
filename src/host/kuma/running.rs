//! What the processes of a running Uptime Kuma show of themselves: the databases that they have open, and the ports on which
//! they listen. Nothing is opened but `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The databases of Uptime Kuma that these processes have open, as far as this process may see that.
pub fn databases(processes: &[u32]) -> Vec<PathBuf> {
    let open = processes.iter().flat_map(|id| open_files(*id));
    // What was removed has " (deleted)" after its name.
    open.filter(|path| path.is_absolute() && path.file_name().is_some_and(|name| name == "kuma.db"))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The TCP ports on which these processes listen, as far as this process may see that, and on this network.
pub fn ports(processes: &[u32]) -> Vec<u16> {
    let sockets: BTreeSet<String> = processes
        .iter()
        .flat_map(|id| open_files(*id))
        .filter_map(|path| Some(path.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = processes.iter().flat_map(|id| ["tcp", "tcp6"].map(|table| format!("/proc/{id}/net/{table}")));
    let tables: Vec<String> = tables.filter_map(|table| fs::read_to_string(table).ok()).collect();
    let ports: BTreeSet<u16> =
        tables.iter().flat_map(|table| table.lines()).filter_map(|line| listening(line, &sockets)).collect();
    ports.into_iter().collect()
}

/// What the open files of a process are, as `/proc` names them.
fn open_files(process: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(Path::new("/proc").join(process.to_string()).join("fd"));
    entries.into_iter().flatten().flatten().filter_map(|entry| fs::read_link(entry.path()).ok())
}

/// The port of a line of `/proc/net/tcp` (proc(5)), if one of these sockets listens on it.
fn listening(line: &str, sockets: &BTreeSet<String>) -> Option<u16> {
    /// `TCP_LISTEN`.
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, state, socket) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (_, port) = address.rsplit_once(':')?;
    (*state == LISTENS && sockets.contains(*socket)).then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{databases, ports};

    #[test]
    fn a_process_shows_its_database_and_its_port() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("kuma.db");
        let _database = std::fs::File::create(&path).expect("a file");
        let _other = std::fs::File::create(directory.path().join("other.db")).expect("a file");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let this = [std::process::id()];
        assert!(databases(&this).contains(&path));
        assert!(databases(&this).iter().all(|path| path.ends_with("kuma.db")));
        assert!(ports(&this).contains(&port));
        assert!(ports(&[0]).is_empty() && databases(&[0]).is_empty());
    }
}
