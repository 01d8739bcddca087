//! Icons of status pages: with real servers on both sides, and with an agent that is killed while it puts them there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::Test;
use crate::chance::{Chance, Rounds};
use crate::news::News;
use crate::stand_in::{open, put_in_place};
use crate::steps::stopping;
use crate::target::{Target, holds};
use crate::testbed::{Error, Kuma, Machine, Result, signal};
use crate::world::{Pair, Setup, expect, fails, sql};

pub const TESTS: &[Test] = &[
    ("an_apply_killed_while_it_puts_icons_in_place_leaves_each_old_or_new", killed),
    ("the_icon_of_a_status_page_arrives_with_it_and_none_is_a_warning", arrives),
];

/// The beginning of every PNG; Uptime Kuma looks no further.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// How many icons travel at once.
const ICONS: usize = 100;

/// The most rounds in which the short time between commit and last rename is aimed at.
const MOST: usize = 60;

/// Uploads an icon as the page does: a status page is saved with a data URL.
fn set_icon(kuma: &mut Kuma, content: &[u8]) -> Result<()> {
    let image = format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(content));
    kuma.call("changeStatusPage", json!(["one", { "icon": image }, []])).map(drop)
}

fn uploads(machine: &Machine) -> PathBuf {
    machine.kuma_data().join("upload")
}

/// What a host has below `upload/`, temporary files included.
fn files(machine: &Machine) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(uploads(machine))? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
    }
    Ok(files)
}

/// The last warning in the journal of a host.
fn warned(machine: &Machine) -> Result<String> {
    let warnings = machine.journal(&["KUMA_EVENT=warning"])?;
    Ok(warnings.last().and_then(|entry| entry["MESSAGE"].as_str()).unwrap_or_default().to_owned())
}

fn arrives() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let mut kuma = pair.main_kuma()?;
        let monitor = kuma.add_monitor("web", "http://127.0.0.1:3001/")?;
        kuma.add_status_page("One", "one", "group", &[monitor])?;
        for content in ["first", "another"] {
            let icon = [PNG, content.as_bytes()].concat();
            set_icon(&mut kuma, &icon)?;
            pair.replicate()?;
            pair.assert_equal()?;
            assert_eq!(files(replica)?, [("logo1.png".to_owned(), icon)].into());
            let path = sql(replica, "SELECT icon FROM status_page")?;
            replica.sh(&format!(
                "curl -sf 'http://127.0.0.1:3001{}' | cmp - /var/lib/uptime-kuma/upload/logo1.png
                 test \"$(stat -c '%U %a' /var/lib/uptime-kuma/upload/logo1.png)\" = 'uptime-kuma 644'",
                path.trim()
            ))?;
        }
        assert!(
            main.journal(&["KUMA_EVENT=warning"])?.is_empty() && replica.journal(&["KUMA_EVENT=warning"])?.is_empty()
        );

        // Missing or too large: reported by its name, and the page comes without it.
        let icon = uploads(main).join("logo1.png");
        let there = files(replica)?;
        for (title, content, said) in [
            ("Missing", None, "uploaded file logo1.png is left out: it is missing"),
            ("Large", Some(4 * 1024 * 1024 + 1), "uploaded file logo1.png is left out: it has more than 4194304 bytes"),
        ] {
            match content {
                None => std::fs::remove_file(&icon)?,
                Some(size) => std::fs::write(&icon, vec![0; size])?,
            }
            sql(main, &format!("UPDATE status_page SET title = '{title}'"))?;
            pair.replicate()?;
            holds(warned(main)? == said, || format!("not reported: {said}"))?;
            assert_eq!(sql(replica, "SELECT title FROM status_page")?.trim(), title);
            // What is there is not taken away.
            assert_eq!(files(replica)?, there);
            expect(main, 0, "unchanged")?;
            expect(replica, 0, "up to date")?;
        }
        // It travels again as soon as it can.
        std::fs::write(&icon, vec![0; 4 * 1024 * 1024])?;
        pair.replicate()?;
        pair.assert_equal()
    })
}

/// Gives each page on the main another icon, by a new name in its row and other bytes under the name of the file.
fn new_icons(main: &Machine, round: usize) -> Result<()> {
    let script = format!(
        "cd /var/lib/uptime-kuma/upload
         head -c {ICONS}0000 /dev/urandom | split -b 10000 -a 3 --numeric-suffixes=1 --additional-suffix=.png - logo
         sqlite3 -cmd '.timeout 5000' ../kuma.db \
             \"UPDATE status_page SET icon = printf('/upload/logo%03d.png?t={round}', id)\""
    );
    main.sh(&script).map(drop)
}

/// What is waited for, since the first file was there, before the agent is killed.
type Wait = fn(&Machine, Duration);

/// Some time; the last file; the end of the log of the database, which goes after the commit; the first rename.
const WAITS: &[Wait] = &[
    |_, some| std::thread::sleep(some),
    |replica, _| spin(|| temporary(replica, ICONS - 1).exists()),
    |replica, _| spin(|| !replica.kuma_data().join("kuma.db-wal").exists()),
    |replica, _| spin(|| !temporary(replica, ICONS - 1).exists() && !replica.kuma_data().join("kuma.db-wal").exists()),
];

/// Looks without a pause, as what is looked for is not there for long; if it is missed, the round is another one.
fn spin(seen: impl Fn() -> bool) {
    let since = Instant::now();
    while !seen() && since.elapsed() < Duration::from_secs(20) {}
}

/// Where a file is until it gets its name.
fn temporary(replica: &Machine, number: usize) -> PathBuf {
    uploads(replica).join(format!(".kuma-replicator.{number}"))
}

#[allow(clippy::print_stderr)]
fn killed() -> Result<()> {
    Pair::test(&Setup::default(), |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        let (mut news, _) = News::new(pair)?;
        expect(replica, 0, "applied")?;
        put_in_place(replica)?;
        sql(
            main,
            &format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ICONS})
                 INSERT INTO status_page (id, slug, title, icon, theme) SELECT i, 's' || i, 't', '', 'light' FROM n"
            ),
        )?;
        new_icons(main, 0)?;
        let mut target = Target::new(replica)?;
        let newest = news.publish()?;
        // The first that is made is the last that gets its name.
        let window = at_files(&mut target, |_| {
            let since = Instant::now();
            spin(|| !temporary(replica, 0).exists());
            since.elapsed()
        })?;
        target.before = target.look()?;
        holds(target.before.digest == newest.digest, || "not applied at first".to_owned())?;

        let (mut chance, rounds) = (Chance::new()?, Rounds::new(12)?);
        let (seed, mut round, mut hits) = (chance.seed, 0, BTreeMap::<&str, usize>::new());
        let aimed = |hits: &BTreeMap<&str, usize>| {
            let between = ["after the commit", "among the renames"].iter().any(|phase| hits.contains_key(phase));
            between && hits.contains_key("staging")
        };
        while rounds.go_on(round) || (!aimed(&hits) && round < MOST) {
            let wait = WAITS.get(round % WAITS.len()).ok_or("no wait")?;
            round += 1;
            let old = files(replica)?;
            new_icons(main, round)?;
            let new = files(main)?;
            let newest = news.publish()?;
            let some = chance.within(window);
            at_files(&mut target, |agent| {
                wait(replica, some);
                signal(agent, Signal::KILL)
            })?;
            let failed = |what: &str| format!("seed {seed}, round {round}, after {some:?}: {what}");
            target.look().map_err(|error| failed(&error.to_string()))?;
            let phase = what_is_left(replica, round, &old, &new).map_err(|error| failed(&error.to_string()))?;
            *hits.entry(phase).or_default() += 1;

            // The next cycle puts all of it right, and leaves nothing else behind.
            target.begin()?;
            let healed = target.look()?;
            holds(healed.ended.1 == "success" && healed.digest == newest.digest, || failed(&format!("{healed:?}")))?;
            holds(files(replica)? == new, || failed("other files than the main's are there"))?;
            target.before = healed;
        }
        taken_back(main, replica, &mut news, round + 1)?;
        swept(main, replica, &mut news, &mut target)?;
        eprintln!("seed {seed}: within {window:?}, killed in {hits:?}");
        holds(aimed(&hits), || format!("nothing was killed where it matters: {hits:?}"))
    })
}

/// A roll back brings the icons back, too.
fn taken_back(main: &Machine, replica: &Machine, news: &mut News<'_>, round: usize) -> Result<()> {
    let old = files(replica)?;
    new_icons(main, round)?;
    news.change("poison")?;
    expect(main, 0, "published")?;
    fails(replica, 3, "rolled-back", "Uptime Kuma did not come up")?;
    holds(files(replica)? == old, || "the icons were not rolled back".to_owned())
}

/// What was half written goes, although the main has no icons any more when the next cycle runs.
fn swept(main: &Machine, replica: &Machine, news: &mut News<'_>, target: &mut Target<'_>) -> Result<()> {
    new_icons(main, 0)?;
    news.publish()?;
    at_files(target, |agent| signal(agent, Signal::KILL))?;
    target.look()?;
    let half = |machine| Ok::<_, Error>(files(machine)?.keys().filter(|name| name.starts_with('.')).count());
    holds(half(replica)? > 0, || "it was not killed in time".to_owned())?;
    sql(main, "UPDATE status_page SET icon = ''")?;
    news.publish()?;
    expect(replica, 0, "applied")?;
    holds(half(replica)? == 0, || "half a file is left".to_owned())
}

/// Begins an apply and does something to its agent as soon as the first file is there under its temporary name.
fn at_files<T>(target: &mut Target<'_>, what: impl FnOnce(Pid) -> T) -> Result<T> {
    let agent = stopping(target)?;
    open(target.replica, "stop");
    spin(|| temporary(target.replica, 0).exists());
    Ok(what(agent))
}

/// What a killed agent has left: rows and files all old, or rows new and each file old or new; and, perhaps, files
/// under temporary names.
fn what_is_left(
    replica: &Machine,
    round: usize,
    old: &BTreeMap<String, Vec<u8>>,
    new: &BTreeMap<String, Vec<u8>>,
) -> Result<&'static str> {
    let rounds = sql(replica, "SELECT DISTINCT substr(icon, instr(icon, '=') + 1) FROM status_page")?;
    let written = rounds.trim() == round.to_string();
    holds(written || rounds.trim() == (round - 1).to_string(), || format!("a mix of rows: {rounds}"))?;
    let there = files(replica)?;
    let temporary = there.keys().filter(|name| name.starts_with('.')).count();
    let mut renamed = 0;
    for (name, was) in old {
        let is = there.get(name).ok_or_else(|| format!("{name} is gone"))?;
        renamed += usize::from(is != was);
        holds(is == was || written && new.get(name) == Some(is), || format!("{name} is neither old nor new"))?;
    }
    Ok(match (written, temporary, renamed) {
        (false, _, _) => "staging",
        (true, 0, _) => "after the renames",
        (true, _, 0) => "after the commit",
        (true, _, _) => "among the renames",
    })
}
