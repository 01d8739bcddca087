//! Servers to keep a repository at, real ones and such as only seem to be. Each ends with the value it belongs to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::parts::{Repository, lacking};

/// A server with its data.
pub(crate) struct Server {
    process: Child,
    /// A repository there.
    pub(crate) url: String,
    data: TempDir,
}

impl Server {
    /// An S3 server from the testbed.
    pub(crate) fn s3() -> std::result::Result<Self, Failed> {
        let mut command = Command::new(python()?);
        command.args(["-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0"]);
        Self::start(command, "Running on http://", |address| format!("s3:http://{address}/a-bucket/path"))
    }

    /// A REST server that wants a user and a password.
    pub(crate) fn rest() -> std::result::Result<Self, Failed> {
        Self::rest_with("http", &[])
    }

    /// One that does not let snapshots be removed, nor anything but locks.
    pub(crate) fn rest_that_removes_nothing() -> std::result::Result<Self, Failed> {
        Self::rest_with("http", &["--append-only"])
    }

    /// The same behind TLS.
    pub(crate) fn rest_with_tls(certificate: &Path, key: &Path) -> std::result::Result<Self, Failed> {
        let (certificate, key) = (certificate.to_str().expect("a path"), key.to_str().expect("a path"));
        Self::rest_with("https", &["--cert", certificate, "--key", key])
    }

    fn rest_with(scheme: &str, arguments: &[&str]) -> std::result::Result<Self, Failed> {
        if Command::new("rclone").arg("version").output().is_err() {
            return Err(lacking("rclone"));
        }
        let mut command = Command::new("rclone");
        command.args(["serve", "restic", "--addr", "127.0.0.1:0", "--user", "someone", "--pass", "right-secret"]);
        command.args(arguments).arg("data");
        Self::start(command, &format!("Serving restic REST API on {scheme}://"), |address| {
            format!("rest:{scheme}://someone:right-secret@{address}/path/")
        })
    }

    /// Where its data are.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    fn start(
        mut command: Command,
        greeting: &str,
        url: impl FnOnce(&str) -> String,
    ) -> std::result::Result<Self, Failed> {
        let data = tempfile::tempdir()?;
        let mut process = command.current_dir(data.path()).stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(process.stderr.take().expect("standard error"));
        let (mut line, mut all) = (String::new(), String::new());
        while said.read_line(&mut line)? > 0 {
            if let Some((_, address)) = line.split_once(greeting) {
                let address: String = address.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
                let url = url(&address);
                // A server that nobody listens to would stop at some point.
                thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
                return Ok(Self { process, url, data });
            }
            all.push_str(&std::mem::take(&mut line));
        }
        let _ = process.wait();
        Err(format!("the server did not start: {all}").into())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        let (_, rest) = self.url.split_once("//").expect("an address");
        rest.split('/').next().and_then(|rest| rest.rsplit('@').next()).expect("an address").to_owned()
    }

    /// A repository there, which is not created yet.
    pub(crate) fn repository(self) -> Repository {
        Repository::on(self)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The Python of the testbed's S3 server.
pub(crate) fn python() -> std::result::Result<PathBuf, Failed> {
    let python = testbed("s3/bin/python");
    if python.exists() { Ok(python) } else { Err(lacking("S3 server; run tests/testbed/provision")) }
}

/// Where `tests/testbed/provision` puts this.
pub(crate) fn testbed(name: &str) -> PathBuf {
    let testbed = std::env::var_os("KUMA_REPLICATOR_TESTBED").map(PathBuf::from);
    testbed.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/testbed")).join(name)
}

/// A server that gives every request the same answer, or none.
pub(crate) struct Answering(u16);

impl Answering {
    /// The same answer without content.
    pub(crate) fn with(status: &'static str) -> Self {
        Self::start(move |mut stream, _| {
            read_head(&stream);
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        })
    }

    /// The same bytes.
    pub(crate) fn text(answer: String) -> Self {
        Self::start(move |mut stream, _| {
            read_head(&stream);
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// An answer that has no end.
    pub(crate) fn endless() -> Self {
        Self::start(|mut stream, _| {
            read_head(&stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[");
            while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
        })
    }

    /// No answer, on connections that stay open.
    pub(crate) fn never() -> Self {
        Self::start(|stream, open| open.push(stream))
    }

    /// The same; the second part of the result receives a message for each connection.
    pub(crate) fn never_but_reporting() -> (Self, mpsc::Receiver<()>) {
        let (sender, receiver) = mpsc::channel();
        let server = Self::start(move |stream, open| {
            open.push(stream);
            let _ = sender.send(());
        });
        (server, receiver)
    }

    fn start(mut serve: impl FnMut(TcpStream, &mut Vec<TcpStream>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            let mut open = Vec::new();
            listener.incoming().flatten().for_each(|stream| serve(stream, &mut open));
        });
        Self(port)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0)
    }
}

fn read_head(stream: &TcpStream) {
    let mut request = BufReader::new(stream.try_clone().expect("a stream"));
    let mut line = String::new();
    while request.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
}

/// A port where nobody listens.
pub(crate) fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}
