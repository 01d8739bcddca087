//! restic's answers in JSON.
//!
//! Pure. Everyone who can write to the repository decides what is in a listing. A snapshot that cannot be understood is
//! returned as unreadable, and none takes more memory than its text.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::model::limits::{MAX_HOST, MAX_SNAPSHOTS, MAX_TAGS};
use crate::model::looked::{Looked, Names};
use crate::model::snapshot::{Listing, PATH, Snapshot, SnapshotId, Tags};

/// Reads the answer of `restic snapshots --json`.
///
/// # Errors
/// If it is not a listing, or has more than [`MAX_SNAPSHOTS`].
pub fn looked(output: &[u8]) -> Result<Looked, serde_json::Error> {
    struct Answer(Looked);

    impl<'de> Deserialize<'de> for Answer {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_option(Snapshots).map(Self)
        }
    }

    serde_json::from_slice(output).map(|Answer(looked)| looked)
}

/// Reads a list of snapshots, or `null`, which is an empty one.
struct Snapshots;

impl<'de> Visitor<'de> for Snapshots {
    type Value = Looked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of snapshots")
    }

    fn visit_none<E>(self) -> Result<Looked, E> {
        Ok(Looked::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Looked, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Looked, A::Error> {
        let (mut listing, mut names) = (Listing::default(), Vec::new());
        while let Some(entry) = entries.next_element::<Entry>()? {
            names.push(entry.id.clone());
            entry.add_to(&mut listing);
            if listing.snapshots.len() + listing.unreadable.len() > MAX_SNAPSHOTS {
                let what = format!("it has more than {MAX_SNAPSHOTS} snapshots; remove some with restic forget");
                return Err(serde::de::Error::custom(what));
            }
        }
        let own = listing.snapshots.len() + listing.unreadable.len();
        listing.others = names.len().saturating_sub(own);
        Ok(Looked { listing, names: names.into_iter().collect::<Names>() })
    }
}

#[derive(Deserialize)]
struct Entry {
    id: SnapshotId,
    time: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    paths: Strings,
    #[serde(default)]
    tags: Strings,
}

impl Entry {
    fn add_to(self, listing: &mut Listing) {
        let Self { id, time, hostname, paths, tags } = self;
        if !paths.first.iter().any(|path| path == PATH) || !Tags::are_marked(&tags.first) {
            return;
        }
        let parsed = Tags::from_strings(&tags.first)
            .map_err(|error| error.to_string())
            .and_then(|parsed| if tags.more { Err(format!("it has more than {MAX_TAGS} tags")) } else { Ok(parsed) });
        let time = time.parse::<Timestamp>().map_err(|error| format!("its time is malformed: {error}"));
        match (parsed, time) {
            _ if hostname.len() > MAX_HOST => {
                listing.unreadable.push((id, format!("its host name has more than {MAX_HOST} bytes")));
            }
            (Ok(tags), Ok(time)) => listing.snapshots.push(Snapshot { id, time, host: hostname, tags }),
            (Err(reason), _) | (_, Err(reason)) => listing.unreadable.push((id, reason)),
        }
    }
}

/// The first [`MAX_TAGS`] of a list of strings, and whether it is longer.
#[derive(Default)]
struct Strings {
    first: Vec<String>,
    more: bool,
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstStrings;

        impl<'de> Visitor<'de> for FirstStrings {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings")
            }

            fn visit_none<E>(self) -> Result<Strings, E> {
                Ok(Strings::default())
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Strings, D::Error> {
                deserializer.deserialize_seq(self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Strings, A::Error> {
                let mut strings = Strings::default();
                while strings.first.len() < MAX_TAGS
                    && let Some(text) = texts.next_element()?
                {
                    strings.first.push(text);
                }
                while texts.next_element::<IgnoredAny>()?.is_some() {
                    strings.more = true;
                }
                Ok(strings)
            }
        }

        deserializer.deserialize_option(FirstStrings)
    }
}

/// The id of the new snapshot in the answer of `restic backup --json`.
///
/// # Errors
/// If it contains none.
pub fn published(output: &[u8]) -> Result<SnapshotId, String> {
    #[derive(Deserialize)]
    struct Message {
        message_type: String,
        snapshot_id: Option<SnapshotId>,
    }
    let messages = output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    messages
        .filter(|message| message.message_type == "summary")
        .find_map(|message| message.snapshot_id)
        .ok_or_else(|| "restic reported success, but no snapshot id".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{looked, published};
    use crate::model::snapshot::Listing;

    fn listing(output: &[u8]) -> Result<Listing, serde_json::Error> {
        looked(output).map(|looked| looked.listing)
    }

    const TAGS: [&str; 8] = [
        "kuma-replicator",
        "format=1",
        "main=0123456789abcdef0123456789abcdef",
        "fleet=0123456789abcdef0123456789abcdef",
        "epoch=1",
        "sequence=7",
        "digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "schema=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ];

    fn entry(path: &str, time: &str, tags: &str) -> String {
        format!(
            r#"{{"time":"{time}","tree":"756f","paths":["{path}"],"hostname":"h","username":"root","tags":{tags},"id":"a4912d36b55740ba134d97546b2cbb5399ea7d830541a84564e1992d71957559","short_id":"a4912d36"}}"#
        )
    }

    #[test]
    fn lists_only_snapshots_of_this_program() {
        let time = "2026-11-23T08:00:22.669506791+01:00";
        let good = serde_json::to_string(&TAGS).expect("tags");
        let path = "/kuma-replicator.jsonl";
        // answer, readable, unreadable
        let cases = [
            ("[]".to_owned(), 0, 0),
            ("null".to_owned(), 0, 0),
            (format!("[{}]", entry(path, time, &good)), 1, 0),
            (format!("[{},{}]", entry(path, time, &good), entry(path, time, &good)), 2, 0),
            (format!("[{}]", entry("/etc", time, &good)), 0, 0),
            (format!("[{}]", entry(path, time, "[]")), 0, 0),
            (format!("[{}]", entry(path, time, r#"["format=1"]"#)), 0, 0),
            (format!("[{}]", entry(path, time, r#"["kuma-replicator"]"#)), 0, 1),
            (format!("[{}]", entry(path, time, &good.replace("epoch=1", "epoch=x"))), 0, 1),
            (format!("[{}]", entry(path, time, &good.replace("epoch=1\"", "epoch=1\",\"epoch=2\""))), 0, 1),
            (format!("[{}]", entry(path, "yesterday", &good)), 0, 1),
        ];
        for (answer, readable, unreadable) in cases {
            let found = listing(answer.as_bytes()).unwrap_or_else(|error| panic!("{answer}: {error}"));
            assert_eq!((found.snapshots.len(), found.unreadable.len()), (readable, unreadable), "{answer}");
            let all = answer.matches("\"id\":").count();
            assert_eq!(found.others, all - readable - unreadable, "{answer}");
        }
        let many =
            |count: usize| serde_json::to_string(&[&TAGS[..], &vec!["x"; count - TAGS.len()]].concat()).expect("tags");
        for (count, found) in [(64, (1, 0)), (65, (0, 1)), (5000, (0, 1))] {
            let listing = listing(format!("[{}]", entry(path, time, &many(count))).as_bytes()).expect("listing");
            assert_eq!((listing.snapshots.len(), listing.unreadable.len()), found, "{count} tags");
        }
        let host =
            entry(path, time, &good).replace("\"hostname\":\"h\"", &format!("\"hostname\":\"{}\"", "h".repeat(256)));
        assert_eq!(listing(format!("[{host}]").as_bytes()).expect("listing").unreadable.len(), 1, "a long host name");
        let one = listing(format!("[{}]", entry(path, time, &good)).as_bytes()).expect("listing");
        let snapshot = one.snapshots.first().expect("snapshot");
        assert_eq!((snapshot.id.short(), snapshot.host.as_str()), ("a4912d36", "h"));
        assert_eq!(snapshot.tags.place.sequence, 7);
        for answer in ["", "{}", "[{}]", "[", r#"[{"id":"x","time":"y"}]"#] {
            assert!(listing(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    #[test]
    fn finds_the_id_of_the_new_snapshot() {
        let status = r#"{"message_type":"status","percent_done":0,"total_files":1}"#;
        let cases = [
            (format!("{status}\n{{\"message_type\":\"summary\",\"snapshot_id\":\"899f56da\"}}\n"), Ok("899f56da")),
            ("noise\n{\"message_type\":\"summary\",\"snapshot_id\":\"899f56da\"}".to_owned(), Ok("899f56da")),
            (format!("{status}\n{{\"message_type\":\"summary\"}}\n"), Err(())),
            (format!("{status}\n"), Err(())),
            (String::new(), Err(())),
        ];
        for (answer, wanted) in cases {
            let found = published(answer.as_bytes()).map(|id| id.to_string());
            assert_eq!(found.as_deref().map_err(|_| ()), wanted, "{answer}");
        }
    }
}
