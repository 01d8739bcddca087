//! Locks that this host's own publishes left behind because they were killed.
//!
//! `restic unlock` removes more than those: every lock older than 30 minutes, whoever's it is, and every lock
//! under this host's name whose process it cannot signal, which for want of rights may be a prune that is alive
//! (internal/restic/lock.go, `Stale`, the same in 0.14 and 0.18). Whoever loses a lock that it needs may lose data.
//! So restic is only asked if, by its rules, all that it will remove is what was left behind here.

use jiff::{SignedDuration, Timestamp};
use rustix::process::Pid;
use serde::Deserialize;

use super::repository::{MAX_ANSWER, Restic};
use crate::error::{Error, Kind, Result};

/// From this age on restic takes a lock for stale. A living restic renews its own every 5 minutes.
const STALE: SignedDuration = SignedDuration::from_mins(30);

/// A lock of somebody else that gets this old might be stale to restic a moment later.
const NEARLY_STALE: SignedDuration = SignedDuration::from_mins(25);

/// More locks than anybody has who works with one repository: they are left to a person.
const MANY: usize = 32;

/// A lock as `restic cat lock` shows it.
#[derive(Debug, Clone, Deserialize)]
struct Lock {
    time: Timestamp,
    exclusive: bool,
    hostname: String,
    pid: i32,
    /// Left out for root.
    #[serde(default)]
    uid: u32,
}

/// Who asks.
struct Asker<'a> {
    /// The name of this host, by which locks name it.
    host: &'a str,
    /// The user that this process and its restic run as.
    uid: u32,
    /// The time here.
    now: Timestamp,
}

impl Restic {
    /// Removes the locks that publishes of `host`, which is this one, left behind when they were killed, once they
    /// are so old that nobody can own them; returns how many. Leaves all locks alone where restic could not remove
    /// these without removing others.
    ///
    /// # Errors
    /// Any failure of restic, such as a lock that went in the meantime.
    pub async fn remove_left_locks(&self, host: &str) -> Result<usize> {
        let what = format!("cannot see to the locks in repository {}", self.repository);
        let ids = ids(&self.run(&what, ["list", "locks", "--no-lock"], None, MAX_ANSWER).await?);
        if ids.len() > MANY {
            let cause = format!("there are {} of them", ids.len());
            return Err(Error::new(Kind::ResticFailed, what)
                .because(cause)
                .with_hint("restic unlock removes stale ones"));
        }
        let mut found = Vec::new();
        for id in &ids {
            let output = self.run(&what, ["cat", "lock", id, "--no-lock"], None, MAX_ANSWER).await?;
            let lock: Lock = serde_json::from_slice(&output)
                .map_err(|error| Error::new(Kind::ResticFailed, what.clone()).because(error))?;
            found.push(lock);
        }
        let uid = self.user.as_ref().map_or_else(|| rustix::process::getuid().as_raw(), |user| user.uid);
        let asker = Asker { host, uid, now: Timestamp::now() };
        let left = left_behind(&found, &asker, is_alive);
        if left > 0 {
            self.run(&what, ["unlock"], None, MAX_ANSWER).await?;
        }
        Ok(left)
    }
}

/// The ids in the answer of `restic list locks`.
fn ids(output: &[u8]) -> Vec<String> {
    let is_id = |line: &&str| line.len() == 64 && line.bytes().all(|c| c.is_ascii_hexdigit());
    String::from_utf8_lossy(output).lines().map(str::trim).filter(is_id).map(str::to_owned).collect()
}

/// How many of `locks` were left behind by this host, if `restic unlock` would remove these and no other.
fn left_behind(locks: &[Lock], asker: &Asker<'_>, is_alive: impl Fn(i32) -> bool) -> usize {
    let age = |lock: &Lock| asker.now.duration_since(lock.time);
    let dead = |lock: &Lock| {
        lock.hostname == asker.host
            && lock.uid == asker.uid
            && !lock.exclusive
            && age(lock) > STALE
            && !is_alive(lock.pid)
    };
    let safe = |lock: &Lock| lock.hostname != asker.host && age(lock) < NEARLY_STALE;
    if locks.iter().all(|lock| dead(lock) || safe(lock)) { locks.iter().filter(|lock| dead(lock)).count() } else { 0 }
}

/// Whether there is a process with this id; one that may not be signalled is there.
fn is_alive(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return false };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::{Asker, Lock, ids, is_alive, left_behind};

    const DEAD: i32 = 7;
    const ALIVE: i32 = 8;

    /// A lock of a process on a host, so many minutes old.
    fn lock(hostname: &str, pid: i32, minutes: i64) -> Lock {
        let time = asker().now - jiff::SignedDuration::from_mins(minutes);
        Lock { time, exclusive: false, hostname: hostname.to_owned(), pid, uid: 0 }
    }

    fn asker() -> Asker<'static> {
        Asker { host: "main", uid: 0, now: "2026-11-25T12:00:00Z".parse().expect("a time") }
    }

    #[test]
    fn only_what_this_host_left_behind_is_ever_removed() {
        let old = lock("main", DEAD, 31);
        let cases = [
            (1, "an old one of a dead process", vec![]),
            (2, "two of them", vec![lock("main", DEAD, 4000)]),
            (1, "beside a young one of another host", vec![lock("prune", DEAD, 3)]),
            (1, "beside one of another host whose clock is ahead", vec![lock("prune", DEAD, -90)]),
            (0, "beside an old one of another host, which restic would remove", vec![lock("prune", DEAD, 31)]),
            (0, "beside one of another host that is about to be old", vec![lock("prune", DEAD, 26)]),
            (0, "beside a young one of this host, which restic would signal", vec![lock("main", DEAD, 3)]),
            (0, "beside one of a process that lives", vec![lock("main", ALIVE, 31)]),
            (0, "beside one of another user", vec![Lock { uid: 1000, ..lock("main", DEAD, 31) }]),
            (0, "beside an exclusive one", vec![Lock { exclusive: true, ..lock("main", DEAD, 31) }]),
        ];
        for (removed, what, others) in cases {
            let locks: Vec<Lock> = others.into_iter().chain([old.clone()]).collect();
            assert_eq!(left_behind(&locks, &asker(), |pid| pid == ALIVE), removed, "{what}");
        }
        assert_eq!(left_behind(&[], &asker(), |_| false), 0);
        assert_eq!(left_behind(&[lock("main", DEAD, 3)], &asker(), |_| false), 0, "a young one alone");
        assert_eq!(left_behind(&[lock("prune", DEAD, 3)], &asker(), |_| false), 0, "nothing of this host");
    }

    #[test]
    fn reads_what_restic_shows() {
        let text = r#"{ "time": "2026-11-25T10:04:51.161913066+01:00", "exclusive": false, "hostname": "main",
                        "username": "root", "pid": 22447 }"#;
        let lock: Lock = serde_json::from_str(text).expect("a lock");
        assert_eq!((lock.uid, lock.pid, lock.exclusive), (0, 22447, false));
        let id = "a4912d36b55740ba134d97546b2cbb5399ea7d830541a84564e1992d71957559";
        assert_eq!(ids(format!("{id}\nrepository 0aba4002 opened\n\n").as_bytes()), [id]);
    }

    #[test]
    fn knows_the_living() {
        assert!(is_alive(1) && is_alive(i32::try_from(std::process::id()).expect("a pid")));
        assert!(!is_alive(0) && !is_alive(i32::MAX));
    }
}
