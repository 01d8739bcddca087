//! Hosts and repositories to test with. Whatever is started here ends with the value it
//! belongs to.

use std::fs::{self, File};
use std::future::Future;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use kuma_replicator::config::Settings;
use kuma_replicator::error::{Kind, Result};
use kuma_replicator::host::restic::Restic;
use kuma_replicator::host::store::Store;
use kuma_replicator::host::system::interrupt::Interrupt;
use kuma_replicator::host::{Directories, System};
use kuma_replicator::model::digest::Digest;
use kuma_replicator::model::manifest::{FORMAT, Place};
use kuma_replicator::model::snapshot::{MainId, Tags};
use libtest_mimic::{Completion, Failed};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::servers::{Server, testbed};
use crate::testbed::make_quick;

/// The password of every repository here.
pub(crate) const PASSWORD: &str = "the-secret-password";

/// The credentials for S3 servers, which take any.
const AWS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "aws-secret-key")];

/// What no message may contain.
const SECRETS: [&str; 5] = [PASSWORD, "another-secret-password", "url-secret", "right-secret", "aws-secret-key"];

/// The longest that anything that will surely happen may take on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Writes snapshots with consecutive sequences beside an existing one: repository, its id, first, last.
/// The format is that of restic's "design" document: nonce, AES-256-CTR, Poly1305-AES.
pub(crate) const MANY: &str = r#"
import base64, hashlib, json, os, subprocess, sys
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305
repository, original, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
cat = lambda *what: json.loads(subprocess.check_output(["restic", "cat", "--no-lock", *what]))
key = cat("masterkey")
k, r, secret = (base64.b64decode(part) for part in (key["mac"]["k"], key["mac"]["r"], key["encrypt"]))
snapshot = cat("snapshot", original)
tags = [tag for tag in snapshot["tags"] if not tag.startswith("sequence=")]
for sequence in range(first, last + 1):
    text = json.dumps(snapshot | {"tags": tags + [f"sequence={sequence}"]}).encode()
    nonce = os.urandom(16)
    sealed = Cipher(algorithms.AES(secret), modes.CTR(nonce)).encryptor().update(text)
    mask = Cipher(algorithms.AES(k), modes.ECB()).encryptor().update(nonce)
    sealed = nonce + sealed + Poly1305.generate_tag(r + mask, sealed)
    with open(f"{repository}/snapshots/{hashlib.sha256(sealed).hexdigest()}", "wb") as file:
        file.write(sealed)
"#;

/// Says that a test cannot run because the machine has no `what`.
pub(crate) fn lacking(what: &str) -> Failed {
    format!("{LACKING}{what}").into()
}

const LACKING: &str = "this machine has no ";

/// A test that cannot run is skipped, but not where everything must be there.
pub(crate) fn skip(failed: Failed) -> std::result::Result<Completion, Failed> {
    match failed.message().filter(|message| message.starts_with(LACKING)) {
        Some(message) if std::env::var_os("CI").is_none() => Ok(Completion::ignored_with(message)),
        _ => Err(failed),
    }
}

/// Runs `future` on a runtime like that of the program.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Bytes that do not compress to nothing.
pub(crate) fn dump(size: usize) -> Vec<u8> {
    let mut state = size as u64 | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// Tags for `dump`.
pub(crate) fn tags(sequence: u64, dump: &[u8]) -> Tags {
    let main: MainId = "0123456789abcdef0123456789abcdef".parse().expect("an id");
    Tags {
        fleet: main.clone(),
        format: FORMAT,
        place: Place { main, epoch: 1, sequence },
        digest: Digest::of(dump),
        schema: Digest::of(b"schema"),
    }
}

/// Where dumps are kept, with what keeps it alive.
pub(crate) struct Repository {
    pub(crate) url: String,
    _directory: Option<TempDir>,
    _server: Option<Server>,
}

impl Repository {
    /// Whatever is at `url`.
    pub(crate) fn at(url: &str) -> Self {
        Self { url: url.to_owned(), _directory: None, _server: None }
    }

    /// The one of a server, which is not created yet.
    pub(crate) fn on(server: Server) -> Self {
        Self { url: server.url.clone(), _directory: None, _server: Some(server) }
    }

    /// A folder that is not there yet.
    pub(crate) fn folder() -> Self {
        // Not below /tmp, which the service cannot see.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let url = directory.path().join("repository").to_str().expect("a path").to_owned();
        Self { url, _directory: Some(directory), _server: None }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.url)
    }
}

/// A restic to test with.
pub(crate) struct Program {
    /// What it says its version is.
    pub(crate) version: String,
    /// Where programs are found, if not where this process finds them.
    path: Option<String>,
    template: OnceLock<Repository>,
}

impl Program {
    /// The one of this machine.
    pub(crate) fn installed() -> std::result::Result<Self, Failed> {
        Self::found(None).ok_or_else(|| lacking("restic"))
    }

    /// The one in this part of the testbed.
    pub(crate) fn unpacked(part: &str) -> std::result::Result<Self, Failed> {
        let directory = testbed(part).join("usr/bin");
        let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
        let found = if directory.exists() { Self::found(Some(path)) } else { None };
        found.ok_or_else(|| lacking(&format!("{part} in its testbed; run tests/testbed/provision")))
    }

    fn found(path: Option<String>) -> Option<Self> {
        let mut command = Command::new("restic");
        command.arg("version").envs(path.iter().map(|path| ("PATH", path)));
        let output = command.output().ok().filter(|output| output.status.success())?;
        let version = String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1)?.to_owned();
        Some(Self { version, path, template: OnceLock::new() })
    }

    /// A host that has this restic.
    pub(crate) fn host(&self, repository: &Repository) -> Host {
        Host {
            directory: tempfile::tempdir().expect("a directory"),
            url: repository.url.clone(),
            password: PASSWORD.to_owned(),
            program: "restic".to_owned(),
            path: self.path.clone(),
            timeout: PATIENCE,
            lines: AWS.map(|(name, value)| format!("{name}={value}")).to_vec(),
            options: Vec::new(),
        }
    }

    /// A folder with one snapshot, of sequence 1.
    pub(crate) fn template(&self) -> Repository {
        let template = self.template.get_or_init(|| {
            let repository = Repository::folder();
            let host = self.host(&repository);
            let restic = host.restic();
            assert!(run(restic.init()).expect("created"));
            // Where it cannot be had, the tests take longer.
            let _ = make_quick(Path::new(&repository.url), PASSWORD);
            let dump = dump(1000);
            run(restic.publish(&dump, &tags(1, &dump), "main")).expect("published");
            repository
        });
        let copy = Repository::folder();
        let status = Command::new("cp").args(["-a", &template.url, &copy.url]).status().expect("cp");
        assert!(status.success());
        copy
    }
}

/// A host with its configuration, its cache, and no repository.
pub(crate) struct Host {
    directory: TempDir,
    url: String,
    password: String,
    program: String,
    path: Option<String>,
    timeout: Duration,
    lines: Vec<String>,
    options: Vec<String>,
}

impl Host {
    /// Adds an option for restic's `-o`.
    pub(crate) fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Its configuration file and its cache.
    pub(crate) fn files(&self) -> (PathBuf, PathBuf) {
        (self.write(), self.cache())
    }

    pub(crate) fn password(mut self, password: &str) -> Self {
        self.password = password.to_owned();
        self
    }

    pub(crate) fn program(mut self, program: &str) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Lets restic find no other program.
    pub(crate) fn alone(mut self) -> Self {
        let everything = self.path.take().or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
        let mut restics = everything.split(':').map(|directory| Path::new(directory).join("restic"));
        let restic = restics.find(|restic| restic.is_file()).expect("a restic in PATH");
        let directory = self.directory.path().join("alone");
        std::fs::create_dir(&directory).expect("a directory");
        std::os::unix::fs::symlink(restic, directory.join("restic")).expect("a link");
        self.path = directory.to_str().map(str::to_owned);
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds a line to the environment file.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// From now on one can see when restic is gone.
    pub(crate) fn watched(&mut self) -> Life {
        let fifo = self.directory.path().join(format!("life-{}", self.lines.len()));
        make_fifo(&fifo);
        self.program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/restic/program").to_owned();
        self.lines.push(format!("TEST_LIFE={}", fifo.display()));
        // Opened at once, so that no restic waits for a reader, however many of them there are.
        let life = rustix::fs::open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("the FIFO");
        rustix::fs::fcntl_setfl(&life, OFlags::empty()).expect("a reader that waits");
        Life(life.into())
    }

    /// From now on `script` is run in place of restic.
    pub(crate) fn script(&mut self, script: &str) -> Life {
        self.lines.push(format!("TEST_SCRIPT={}", quoted(script)));
        self.watched()
    }

    /// Writes the configuration and what it names; returns its path.
    fn write(&self) -> PathBuf {
        let file = |name: &str| self.directory.path().join(name);
        fs::write(file("password"), format!("{}\n", self.password)).expect("the password file");
        let path = self.path.iter().map(|path| format!("PATH={}", quoted(path)));
        let lines: Vec<String> = self.lines.iter().cloned().chain(path).collect();
        fs::write(file("environment"), lines.join("\n")).expect("the environment file");
        let text = format!(
            "role = \"main\"\nrepository = {:?}\n[restic]\nprogram = {:?}\npassword-file = {:?}\nenvironment-file = {:?}\ntimeout = \"{}s\"\noptions = {:?}\n",
            self.url,
            self.program,
            file("password"),
            file("environment"),
            self.timeout.as_secs(),
            self.options,
        );
        fs::write(file("config.toml"), text).expect("the configuration");
        file("config.toml")
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache/restic")
    }

    /// Its repository, as the agent sees it.
    pub(crate) fn restic(&self) -> Restic {
        open(&self.write(), &self.cache(), Interrupt::never()).expect("restic")
    }

    /// The agent of this host.
    pub(crate) fn system(&self, interrupt: Interrupt) -> System {
        let config = self.write();
        let text = fs::read_to_string(&config).expect("the configuration");
        let settings = Settings::parse(&text, &config).expect("settings");
        let directories = Directories { state: self.directory.path().join("state"), cache: self.cache() };
        let store = Store::lock(&directories.state).expect("the store");
        System::new(settings, config, directories, store, interrupt)
    }

    /// The error of `result`, which must be of this kind and contain no secret.
    pub(crate) fn fails<T>(&self, result: Result<T>, kind: Kind) -> String {
        let error = result.err().unwrap_or_else(|| panic!("no {} with {}", kind.name(), self.url));
        let text = format!("{error:?}");
        assert_eq!(error.kind(), kind, "with {}: {text}", self.url);
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        text
    }

    /// Runs a program in an environment in which it finds the repository too.
    pub(crate) fn tool(&self, program: &str, arguments: &[&str]) {
        self.feed(program, arguments, "");
    }

    /// Runs such a program and gives it `input` to read.
    pub(crate) fn feed(&self, program: &str, arguments: &[&str], input: &str) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(input.as_bytes()).and_then(|()| file.rewind()).expect("input");
        let output = self.command(program, arguments).stdin(file).output().expect(program);
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What such a program writes.
    pub(crate) fn says(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program, arguments).output().expect(program);
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The exit code of such a program.
    pub(crate) fn code(&self, program: &str, arguments: &[&str]) -> i32 {
        self.command(program, arguments).output().expect(program).status.code().expect("an exit code")
    }

    /// Starts such a program.
    pub(crate) fn start(&self, program: &str, arguments: &[&str]) -> Child {
        self.command(program, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect(program)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("RESTIC_REPOSITORY", &self.url)
            .env("RESTIC_PASSWORD", &self.password)
            .env("RESTIC_CACHE_DIR", self.cache())
            .envs(AWS)
            .envs(self.path.iter().map(|path| ("PATH", path)))
            .stdin(Stdio::null());
        command
    }

    /// Starts an agent of its own that fetches a snapshot once.
    pub(crate) fn fetcher(&self, id: &str) -> Child {
        self.agent(&["env", &format!("TEST_AGENT_FETCH={id}")])
    }

    /// Starts an agent of its own that publishes once, behind `prefix` if there is one.
    pub(crate) fn agent(&self, prefix: &[&str]) -> Child {
        let this = std::env::current_exe().expect("this program");
        let mut command = match prefix {
            [] => Command::new(&this),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&this);
                command
            }
        };
        command.env("TEST_AGENT", self.write()).env("TEST_AGENT_CACHE", self.cache());
        command.stdout(Stdio::piped()).spawn().expect("an agent")
    }
}

/// `text` as a value in an environment file.
fn quoted(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| "\\\"$`".contains(c).then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

fn open(config: &Path, cache: &Path, interrupt: Interrupt) -> Result<Restic> {
    let text = fs::read_to_string(config).expect("the configuration");
    let settings = Settings::parse(&text, config)?;
    Restic::new(&settings.restic, &settings.repository, cache, interrupt)
}

/// What this program does when it was started by [`Host::agent`].
pub(crate) fn agent() -> Option<ExitCode> {
    let config = PathBuf::from(std::env::var_os("TEST_AGENT")?);
    let cache = PathBuf::from(std::env::var_os("TEST_AGENT_CACHE")?);
    let fetched = std::env::var("TEST_AGENT_FETCH").ok();
    let work = async {
        let interrupt = Interrupt::install()?;
        let restic = open(&config, &cache, interrupt)?;
        match fetched {
            Some(id) => restic.fetch(&id.parse().expect("an id")).await.map(|_| "fetched"),
            None => {
                let dump = dump(1 << 20);
                restic.publish(&dump, &tags(2, &dump), "main").await.map(|_| "published")
            }
        }
    };
    println!("{}", run(work).unwrap_or_else(|error| error.kind().name()));
    // The most memory that it had, in KiB (proc(5)).
    let status = fs::read_to_string("/proc/self/status").expect("its status");
    println!("{}", status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak").trim());
    Some(ExitCode::SUCCESS)
}

/// What an agent answered.
pub(crate) fn answer(agent: Child) -> String {
    answer_with_peak(agent).0
}

/// The same, with the most memory it had, in KiB.
pub(crate) fn answer_with_peak(agent: Child) -> (String, u64) {
    let output = agent.wait_with_output().expect("the end of the agent");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, peak) = text.split_once('\n').expect("an answer");
    (answer.to_owned(), peak.trim().trim_end_matches(" kB").parse().expect("a number"))
}

/// An agent whose restic is in the middle of its work.
pub(crate) struct Agent {
    pub(crate) process: Child,
    pub(crate) life: Life,
    pub(crate) gate: Gate,
    pub(crate) _inside: File,
    pub(crate) _host: Host,
}

impl Agent {
    pub(crate) fn signal(&self, signal: Signal) {
        kill(&self.process.id().to_string(), signal);
    }
}

/// Signals the restic of `agent`, and not the agent.
pub(crate) fn signal_restic(agent: &Child, signal: Signal) {
    let children = format!("/proc/{id}/task/{id}/children", id = agent.id());
    kill(&fs::read_to_string(children).expect("the children of the agent"), signal);
}

fn kill(pid: &str, signal: Signal) {
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, signal).expect("a signal");
}

/// Knows when all restics are gone that have it open.
pub(crate) struct Life(File);

impl Life {
    /// Fails if one is still there, or none ever was.
    pub(crate) fn is_over(&self) {
        let (sender, receiver) = mpsc::channel();
        let mut life = self.0.try_clone().expect("the FIFO");
        thread::spawn(move || sender.send(life.read_to_end(&mut Vec::new())));
        let marks = receiver.recv_timeout(PATIENCE).expect("restic is still there").expect("its mark");
        assert!(marks > 0, "there was no restic");
    }
}

/// A FIFO in the place of an index: restic, its lock taken, waits there.
pub(crate) struct Gate {
    index: PathBuf,
    kept: PathBuf,
}

impl Gate {
    pub(crate) fn at_index(repository: &Repository) -> Self {
        let entries = fs::read_dir(repository.path().join("index")).expect("indexes");
        let indexes: Vec<PathBuf> = entries.map(|entry| entry.expect("an index").path()).collect();
        assert_eq!(indexes.len(), 1);
        let gate = Self { index: indexes[0].clone(), kept: repository.path().with_file_name("index") };
        fs::rename(&gate.index, &gate.kept).expect("the index aside");
        make_fifo(&gate.index);
        gate
    }

    /// Waits until a restic is there. It stays for as long as the result lives.
    pub(crate) fn wait(&self) -> File {
        let (sender, receiver) = mpsc::channel();
        let index = self.index.clone();
        thread::spawn(move || sender.send(File::options().write(true).open(index)));
        receiver.recv_timeout(PATIENCE).expect("no restic came by").expect("the gate")
    }

    /// Puts the index back.
    pub(crate) fn open(&self) {
        fs::rename(&self.kept, &self.index).expect("the index back");
    }
}

fn make_fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
}
