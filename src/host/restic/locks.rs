//! Locks: making one to prove that this host may write, and stale ones, which killed restics of this host left: those of
//! publishes, and the exclusive ones of forgets and prunes.
//!
//! `restic unlock` removes more than those: every lock older than 30 minutes, of any host, and every lock under this
//! host's name whose process it cannot signal, which may be a running prune of another user (internal/restic/lock.go,
//! `Stale`, the same in 0.14 and 0.18). A process that loses a lock that it needs may lose data. So it only runs if, by
//! its own rules, it would remove nothing but the locks of killed restics of this host.

use jiff::{SignedDuration, Timestamp};
use rustix::process::Pid;
use serde::Deserialize;

use super::failure;
use super::process::End;
use super::repository::Restic;
use super::run::Output;
use crate::error::{Error, Kind, Result};

/// The age from which restic considers a lock stale. A running restic renews its own every 5 minutes.
const STALE_AGE: SignedDuration = SignedDuration::from_mins(30);

/// The age from which a lock of another host may become stale while this code runs.
const NEARLY_STALE_AGE: SignedDuration = SignedDuration::from_mins(25);

/// The largest number of locks that is handled. More of them are left to an administrator.
const MAX_LOCKS: usize = 32;

/// A lock as `restic cat lock` shows it.
#[derive(Debug, Clone, Deserialize)]
struct Lock {
    time: Timestamp,
    hostname: String,
    pid: i32,
    /// restic leaves it out for root.
    #[serde(default)]
    uid: u32,
}

/// This host, as it compares itself with locks.
struct Here<'a> {
    /// Its name in locks.
    host: &'a str,
    /// The user that restic runs as.
    uid: u32,
    now: Timestamp,
}

impl Restic {
    /// Proves that this host may store something in the repository: restic makes a lock there and removes it. If only the
    /// removal failed, returns why: a publish is possible all the same.
    ///
    /// # Errors
    /// Any failure of restic, [`Kind::RepositoryLocked`] while it is pruned included.
    pub async fn check_publishable(&self) -> Result<Option<String>> {
        let what = format!("cannot write into repository {}", self.repository);
        let finished = self.finish(&what, ["cat", "config"], None, Output::Answer).await?;
        match failure::left_lock(&finished.messages.text()) {
            Some(line) if !matches!(finished.end, End::Interrupted) => Ok(Some(self.credentials.secrets().mask(line))),
            _ => self.check(&what, &finished, Output::Answer).map(|()| None),
        }
    }

    /// Removes the locks that killed restics of `host`, this host, left behind, once they are stale. Returns their
    /// number. Removes none if restic could not remove these without removing others.
    ///
    /// # Errors
    /// Any failure of restic, such as a lock that was removed in the meantime.
    pub async fn remove_stale_locks(&self, host: &str) -> Result<usize> {
        let what = format!("cannot remove stale locks from repository {}", self.repository);
        let ids = ids(&self.run(&what, ["list", "locks", "--no-lock"], None, Output::Answer).await?);
        if ids.len() > MAX_LOCKS {
            let cause = format!("it has {} locks", ids.len());
            return Err(Error::new(Kind::ResticFailed, what)
                .because(cause)
                .with_hint("restic unlock removes the stale ones"));
        }
        let mut found = Vec::new();
        for id in &ids {
            let output = self.run(&what, ["cat", "lock", id, "--no-lock"], None, Output::Answer).await?;
            let lock: Lock = serde_json::from_slice(&output)
                .map_err(|error| Error::new(Kind::ResticFailed, what.clone()).because(error))?;
            found.push(lock);
        }
        let uid = self.user.as_ref().map_or_else(|| rustix::process::getuid().as_raw(), |user| user.uid);
        let here = Here { host, uid, now: Timestamp::now() };
        let stale = stale(&found, &here, is_alive);
        if stale > 0 {
            self.run(&what, ["unlock"], None, Output::Answer).await?;
        }
        Ok(stale)
    }
}

/// The ids in the answer of `restic list locks`.
fn ids(output: &[u8]) -> Vec<String> {
    let is_id = |line: &&str| line.len() == 64 && line.bytes().all(|c| c.is_ascii_hexdigit());
    String::from_utf8_lossy(output).lines().map(str::trim).filter(is_id).map(str::to_owned).collect()
}

/// How many of `locks` killed restics of this host left behind; 0 if `restic unlock` would remove others, too.
fn stale(locks: &[Lock], here: &Here<'_>, is_alive: impl Fn(i32) -> bool) -> usize {
    let age = |lock: &Lock| here.now.duration_since(lock.time);
    let dead = |lock: &Lock| {
        lock.hostname == here.host && lock.uid == here.uid && age(lock) > STALE_AGE && !is_alive(lock.pid)
    };
    let safe = |lock: &Lock| lock.hostname != here.host && age(lock) < NEARLY_STALE_AGE;
    if locks.iter().all(|lock| dead(lock) || safe(lock)) { locks.iter().filter(|lock| dead(lock)).count() } else { 0 }
}

/// Whether a process with this id exists, even one that this process may not signal.
fn is_alive(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return false };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::{Here, Lock, ids, is_alive, stale};

    const DEAD: i32 = 7;
    const ALIVE: i32 = 8;

    /// A lock of a process on a host, so many minutes old.
    fn lock(hostname: &str, pid: i32, minutes: i64) -> Lock {
        let time = here().now - jiff::SignedDuration::from_mins(minutes);
        Lock { time, hostname: hostname.to_owned(), pid, uid: 0 }
    }

    fn here() -> Here<'static> {
        Here { host: "main", uid: 0, now: "2026-11-25T12:00:00Z".parse().expect("a time") }
    }

    #[test]
    fn only_stale_locks_of_this_host_are_removed() {
        let old = lock("main", DEAD, 31);
        let cases = [
            (1, "an old one of a dead process", vec![]),
            (2, "two of them", vec![lock("main", DEAD, 4000)]),
            (1, "beside a young one of another host", vec![lock("prune", DEAD, 3)]),
            (1, "beside one of another host whose clock is ahead", vec![lock("prune", DEAD, -90)]),
            (0, "beside an old one of another host, which restic would remove", vec![lock("prune", DEAD, 31)]),
            (0, "beside one of another host that is about to be old", vec![lock("prune", DEAD, 26)]),
            (0, "beside a young one of this host, which restic would signal", vec![lock("main", DEAD, 3)]),
            (0, "beside one of a process that runs", vec![lock("main", ALIVE, 31)]),
            (0, "beside one of another user", vec![Lock { uid: 1000, ..lock("main", DEAD, 31) }]),
        ];
        for (removed, what, others) in cases {
            let locks: Vec<Lock> = others.into_iter().chain([old.clone()]).collect();
            assert_eq!(stale(&locks, &here(), |pid| pid == ALIVE), removed, "{what}");
        }
        assert_eq!(stale(&[], &here(), |_| false), 0);
        assert_eq!(stale(&[lock("main", DEAD, 3)], &here(), |_| false), 0, "a young one alone");
        assert_eq!(stale(&[lock("prune", DEAD, 3)], &here(), |_| false), 0, "nothing of this host");
    }

    #[test]
    fn reads_what_restic_shows() {
        let text = r#"{ "time": "2026-11-25T10:04:51.161913066+01:00", "exclusive": false, "hostname": "main",
                        "username": "root", "pid": 22447 }"#;
        let lock: Lock = serde_json::from_str(text).expect("a lock");
        assert_eq!((lock.uid, lock.pid), (0, 22447));
        let id = "a4912d36b55740ba134d97546b2cbb5399ea7d830541a84564e1992d71957559";
        assert_eq!(ids(format!("{id}\nrepository 0aba4002 opened\n\n").as_bytes()), [id]);
    }

    #[test]
    fn knows_which_processes_exist() {
        assert!(is_alive(1) && is_alive(i32::try_from(std::process::id()).expect("a pid")));
        assert!(!is_alive(0) && !is_alive(i32::MAX));
    }
}
