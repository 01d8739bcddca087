//! A main that has something new to publish, again and again.

use serde_json::Value;

use crate::stand_in::drop_in;
use crate::testbed::{Machine, Result};
use crate::world::{Pair, invocation, state};

/// Services may be started as often as a test likes.
pub const OFTEN: &str = "[Unit]\nStartLimitIntervalSec=0\n";

/// How many tags there are; each is renamed in each round, so that a mix of two rounds shows.
const TAGS: usize = 300;

/// The newest snapshot.
#[derive(Debug, Clone)]
pub struct Newest {
    /// Its id, or the first digits of it.
    pub snapshot: String,
    /// The digest of its configuration.
    pub digest: String,
    /// Its sequence.
    pub sequence: u64,
}

impl Newest {
    /// Whether an id in a state is its own; a main knows its snapshots by the first digits.
    pub fn is(&self, id: &Value) -> bool {
        id.as_str().is_some_and(|id| id.starts_with(&self.snapshot))
    }
}

/// A main whose configuration changes.
pub struct News<'a> {
    main: &'a Machine,
    round: usize,
    invocation: String,
}

impl<'a> News<'a> {
    /// Fills the main with a configuration and publishes it.
    pub fn new(pair: &'a Pair) -> Result<(Self, Newest)> {
        let main = &pair.main;
        let mut kuma = pair.main_kuma()?;
        for name in ["one", "two", "three"] {
            kuma.add_monitor(name, "http://127.0.0.1:3001/api/entry-page")?;
        }
        kuma.add_notification("hook", "http://127.0.0.1:9/")?;
        for machine in [main, &pair.replica] {
            drop_in(machine, "kuma-replicator", OFTEN)?;
            machine.run(&["systemctl", "daemon-reload"])?;
        }
        change(
            main,
            &format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {TAGS})
                 INSERT INTO tag (id, name, color) SELECT i, 'tag', '#000000' FROM n;"
            ),
        )?;
        let mut news = Self { main, round: 0, invocation: invocation(main)? };
        let newest = news.publish()?;
        Ok((news, newest))
    }

    /// Changes, adds and removes rows, and publishes them.
    pub fn publish(&mut self) -> Result<Newest> {
        self.change(&format!("round {}", self.round + 1))?;
        self.main.run(&["systemctl", "start", "kuma-replicator.service"])?;
        self.newest()
    }

    /// Changes, adds and removes rows; the first monitor gets this name.
    pub fn change(&mut self, name: &str) -> Result<()> {
        self.round += 1;
        let (round, old, new) = (self.round, 99 + self.round, 100 + self.round);
        let tag = 1 + self.round % TAGS;
        change(
            self.main,
            &format!(
                "UPDATE monitor SET name = '{name}', description = 'round {round}' WHERE id = 1;
                 UPDATE monitor SET interval = {} WHERE id = 2;
                 UPDATE notification SET name = 'hook {round}';
                 UPDATE tag SET name = 'tag ' || id || ' round {round}';
                 DELETE FROM monitor_tag WHERE monitor_id = {old};
                 DELETE FROM monitor_notification WHERE monitor_id = {old};
                 DELETE FROM monitor WHERE id = {old};
                 INSERT INTO monitor (id, name, active, user_id, interval, url, type)
                     VALUES ({new}, 'of round {round}', 0, 1, 60, 'http://127.0.0.1:3001/', 'http');
                 INSERT INTO monitor_tag (monitor_id, tag_id, value) VALUES ({new}, {tag}, '{round}');
                 INSERT INTO monitor_notification (monitor_id, notification_id) VALUES ({new}, 1);",
                20 + round % 40
            ),
        )
    }

    /// Takes the run of Uptime Kuma as it is since a boot.
    pub fn booted(&mut self) -> Result<()> {
        self.invocation = invocation(self.main)?;
        Ok(())
    }

    /// What the main has published last; fails if that is not what it has, or if its own Uptime Kuma was touched.
    pub fn newest(&self) -> Result<Newest> {
        let state = state(self.main)?;
        let main = &state["main"];
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("not published: {state}"));
        if main.get("publishing").is_some() || invocation(self.main)? != self.invocation {
            return Err(format!("the main has not published, or was restarted: {state}").into());
        }
        let published = &main["published"];
        Ok(Newest {
            snapshot: text(&published["snapshot"])?,
            digest: text(&published["content"]["digest"])?,
            sequence: published["sequence"].as_u64().ok_or("no sequence")?,
        })
    }
}

fn change(main: &Machine, statements: &str) -> Result<()> {
    let script = format!("BEGIN IMMEDIATE; {statements} COMMIT;");
    main.run(&["sqlite3", "-bail", "-cmd", ".timeout 5000", "/var/lib/uptime-kuma/kuma.db", &script]).map(drop)
}
