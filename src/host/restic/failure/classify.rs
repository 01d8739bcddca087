//! What restic means when it fails.
//!
//! Pure. Exit codes have a meaning since restic 0.17 (10, 11) and 0.17.1 (12), see "Exit codes" in its manual under
//! scripting. Earlier versions exit with 1 in nearly all cases, and only the text differs. For a missing, an
//! unreachable and a refused repository the text differs only in the middle, hence the order of [`SIGNS`].
//!
//! 0.14 gives up at once if it finds no repository, and retries for up to 15 minutes to load a missing file; 0.18 does
//! the opposite.

use crate::error::Kind;

/// Parts of restic's text in lower case and what they mean; the first one that is found counts.
const SIGNS: &[(Kind, &[&str])] = &[
    (Kind::WrongPassword, &["wrong password or no key found"]),
    (
        Kind::PasswordMissing,
        &[
            "resolving password failed",
            "an empty password is not",
            "unable to read password",
            "cannot read both password",
        ],
    ),
    (Kind::ResticMissing, &[NO_PROGRAM]),
    (Kind::RepositoryLocked, &["repository is already locked"]),
    (
        Kind::DiskFull,
        &[
            "no space left on device",
            "disk quota exceeded",
            "insufficient storage",
            "quota exceeded",
            "limit exceeded",
            // B2, for its daily and its storage caps.
            "cap exceeded",
        ],
    ),
    (
        // Before "denied": a firewall answers a connect() with "permission denied".
        Kind::RepositoryUnreachable,
        &[
            "dial tcp",
            "dial udp",
            "no such host",
            "could not resolve hostname",
            "connection refused",
            "connection reset",
            "connection timed out",
            "broken pipe",
            "network is unreachable",
            "no route to host",
            "i/o timeout",
            "timeout awaiting response",
            "timeout exceeded",
            "deadline exceeded",
            "handshake",
            "tls: ",
            "x509: ",
            "host key verification failed",
            // S3 answers with the status of a refused access.
            SKEWED[0],
            SKEWED[1],
            "slow down",
            "slowdown",
            "reduce your request rate",
            "internal error. please try again",
            "(429)",
            "429 too many requests",
            "(500)",
            "500 internal server error",
            "(502)",
            "502 bad gateway",
            "(503)",
            "503 service unavailable",
            "(504)",
            "504 gateway",
        ],
    ),
    (
        // Before "missing": S3 says of an unknown key id that it "does not exist".
        Kind::RepositoryDenied,
        &[
            "access denied",
            "accessdenied",
            "access key id you provided does not exist",
            "invalidaccesskeyid",
            "request signature we calculated does not match",
            "signaturedoesnotmatch",
            "no credentials found",
            "authorization header",
            "(401)",
            "401 unauthorized",
            "(403)",
            "403 forbidden",
            "permission denied",
            "operation not permitted",
            "read-only file system",
            // B2: the call, the status and often nothing more.
            "($b2_account_",
            ": 401:",
            ": 403:",
            "stat: 401",
            "stat: 403",
            // Azure, by the library of restic 0.14, and by that of later ones.
            "no azure authentication information",
            "azure: account name is not valid",
            "statuscode=403",
            "response 401:",
            "response 403:",
            "authenticationfailed",
            "authorizationfailure",
            "authorizationpermissionmismatch",
            // Google.
            "could not find default credentials",
            "error getting credentials using google",
            "googleapi: error 401",
            "googleapi: error 403",
        ],
    ),
    (
        Kind::RepositoryMissing,
        &[
            "repository does not exist",
            "parsing repository location failed",
            "invalid backend",
            "bucket name ",
            "specified bucket does not exist",
            "nosuchbucket",
            "didn't find section in config file",
        ],
    ),
    (
        // A helper program died or closed the connection and gave no reason.
        Kind::RepositoryUnreachable,
        &["unable to start the sftp session", "error talking http to rclone", "unexpected eof"],
    ),
    (
        Kind::SnapshotDamaged,
        &[
            "not found in repository",
            "not found in snapshot",
            "not found in index",
            "ciphertext verification failed",
            "invalid data returned",
            "hash does not match",
            "loading tree for snapshot",
            "cannot load subtree",
        ],
    ),
];

/// What Go says if a program that restic runs is not installed.
pub(super) const NO_PROGRAM: &str = "executable file not found in $path";

/// S3's messages for a wrong clock on this host.
pub(super) const SKEWED: &[&str; 2] = &["request time and the server's time", "requesttimetooskewed"];

/// The back ends' messages for something missing.
const ABSENT: &[&str] =
    &["does not exist", "doesn't exist", "no such file", "no such key", "nosuchkey", "not found", "notfound", "(404)"];

/// The kind of the failure of a restic with this exit code (`None`: killed by a signal) and this text.
pub(in crate::host::restic) fn classify(exit: Option<i32>, stderr: &str) -> Kind {
    match exit {
        Some(10) => return Kind::RepositoryMissing,
        Some(11) => return Kind::RepositoryLocked,
        Some(12) => return Kind::WrongPassword,
        _ => {}
    }
    // The last error counts first, and then the errors that it retried.
    let (retries, last): (Vec<&str>, Vec<&str>) =
        stderr.lines().filter(|line| !is_warning(line)).partition(|line| is_retry(line));
    let last = last.join("\n");
    if is_cut_short(&last) {
        return Kind::SnapshotDamaged;
    }
    sign(&last).or_else(|| sign(&retries.join("\n"))).unwrap_or(Kind::ResticFailed)
}

/// Whether the requested snapshot is not in the repository.
pub(in crate::host::restic) fn is_gone(stderr: &str) -> bool {
    stderr.lines().map(str::to_lowercase).any(|line| {
        line.contains("no matching id found")
            || (line.contains("failed to load snapshot") || line.contains("load(<snapshot/")) && is_absent(&line)
    })
}

/// The line in which a restic that lists snapshots and exits with 0 reports that it left one out because it could not
/// read it, and the kind of that failure. A snapshot that was removed in the meantime does not count.
pub(in crate::host::restic) fn left_out(stderr: &str) -> Option<(Kind, &str)> {
    let is_about_one =
        |line: &&str| line.contains("could not load snapshot") || line.contains("failed to load snapshot");
    let line = stderr.lines().find(|line| is_about_one(line) && !is_absent(&line.to_lowercase()))?;
    Some((sign(line).unwrap_or(Kind::SnapshotDamaged), line))
}

/// The last line in which restic says that it could not remove its own lock, which it has made before.
pub(in crate::host::restic) fn left_lock(stderr: &str) -> Option<&str> {
    let is_left = |line: &&str| line.starts_with("Remove(<lock/") || line.starts_with("error while unlocking");
    stderr.lines().rfind(|line| is_left(line) && !is_absent(&line.to_lowercase()))
}

/// The last line in which a restic that removes snapshots, and may exit with 0, says that it could not remove one, and the
/// kind of that failure. One that is gone already does not count.
pub(in crate::host::restic) fn not_removed(stderr: &str) -> Option<(Kind, &str)> {
    let is_left = |line: &&str| line.starts_with("Remove(<snapshot/") || line.starts_with("unable to remove");
    let lines: Vec<&str> = stderr.lines().filter(is_left).collect();
    let mut left = lines.iter().filter(|line| !is_absent(&line.to_lowercase()));
    let last = left.clone().next_back()?;
    // That of a later restic gives no reason; the line before does.
    let line = left.rfind(|line| sign(line).is_some()).unwrap_or(last);
    Some((sign(line).unwrap_or(Kind::ResticFailed), line))
}

/// The line in which rclone says that it could not save its configuration, with the token that it has renewed. It goes
/// on with the new one, and the next rclone begins with the old one, which some providers accept only once.
pub(in crate::host::restic) fn unsaved_token(stderr: &str) -> Option<&str> {
    stderr.lines().rfind(|line| line.starts_with("rclone: ") && line.contains("Failed to save config"))
}

/// Whether restic reports that it received a signal. 0.14 then exits with a code of its own or by the signal, 0.18 with
/// exit code 1.
pub(in crate::host::restic) fn is_interrupted(stderr: &str) -> bool {
    stderr.lines().any(|line| line.starts_with("signal ") && line.ends_with(" received, cleaning up"))
}

/// The kind of the failure in a line that announces a retry, if no retry will succeed, or if restic has not begun yet
/// and the next cycle can retry as well. restic itself retries for up to 15 minutes.
pub(in crate::host::restic) fn hopeless(line: &str) -> Option<Kind> {
    if !is_retry(line) {
        return None;
    }
    let line = line.to_lowercase();
    match sign(&line) {
        kind if line.starts_with("stat(<config/>)") => Some(kind.unwrap_or(Kind::ResticFailed)),
        Some(kind @ (Kind::RepositoryDenied | Kind::DiskFull | Kind::SnapshotDamaged)) => Some(kind),
        // Such as a lock or an index that another host has just removed.
        None if line.starts_with("load(") && is_absent(&line) => Some(Kind::ResticFailed),
        _ => None,
    }
}

fn sign(text: &str) -> Option<Kind> {
    let text = text.to_lowercase();
    let found = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| text.contains(sign)));
    found.map(|(kind, _)| *kind).or_else(|| {
        let about = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
        if !is_absent(&text) {
            None
        } else if about(&["unable to open config file", "unable to open repository", "stat(<config/>)"]) {
            Some(Kind::RepositoryMissing)
        } else {
            about(&["load(<data/", "readfull(<data/"]).then_some(Kind::SnapshotDamaged)
        }
    })
}

/// Whether restic gave up on data that are too short. A broken transfer gives the same message, but restic retries ten
/// times before it gives up.
fn is_cut_short(stderr: &str) -> bool {
    let text = stderr.to_lowercase();
    text.lines().any(|line| {
        line.contains("readfull(<data/") && (line.contains("unexpected eof") || line.contains("is too short"))
    })
}

fn is_absent(lower: &str) -> bool {
    ABSENT.iter().any(|sign| lower.contains(sign))
}

fn is_retry(line: &str) -> bool {
    line.contains("returned error, retrying after")
}

/// Warnings about the local cache, which restic can do without.
fn is_warning(line: &str) -> bool {
    line.starts_with("unable to open cache") || line.starts_with("unable to create temporary directory for cache")
}
