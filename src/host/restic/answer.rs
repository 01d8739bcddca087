//! What restic answers with `--json`: a list of snapshots, and the id of a new one. Pure.

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::snapshot::{Label, Listing, PATH, Snapshot, SnapshotId};

/// Reads the answer of `restic snapshots --json`.
pub(super) fn listing(output: &[u8]) -> Result<Listing, serde_json::Error> {
    #[derive(Deserialize)]
    struct Seen {
        id: SnapshotId,
        time: String,
        #[serde(default)]
        hostname: String,
        #[serde(default)]
        paths: Vec<String>,
        #[serde(default)]
        tags: Vec<String>,
    }
    let seen: Option<Vec<Seen>> = serde_json::from_slice(output)?;
    let mut listing = Listing::default();
    for Seen { id, time, hostname, paths, tags } in seen.unwrap_or_default() {
        if !paths.iter().any(|path| path == PATH) {
            continue;
        }
        let Some(label) = Label::from_tags(&tags) else { continue };
        let time = time.parse::<Timestamp>().map_err(|error| format!("its time is malformed: {error}"));
        match (label.map_err(|error| error.to_string()), time) {
            (Ok(label), Ok(time)) => listing.snapshots.push(Snapshot { id, time, host: hostname, label }),
            (Err(reason), _) | (_, Err(reason)) => listing.unreadable.push((id, reason)),
        }
    }
    Ok(listing)
}

/// Reads the id of the new snapshot out of the answer of `restic backup --json`.
pub(super) fn published(output: &[u8]) -> Result<SnapshotId, String> {
    #[derive(Deserialize)]
    struct Message {
        message_type: String,
        snapshot_id: Option<SnapshotId>,
    }
    let messages = output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    messages
        .filter(|message| message.message_type == "summary")
        .find_map(|message| message.snapshot_id)
        .ok_or_else(|| "restic reported success but no snapshot".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{listing, published};

    const TAGS: [&str; 7] = [
        "kuma-replicator",
        "format=1",
        "main=0123456789abcdef0123456789abcdef",
        "epoch=1",
        "sequence=7",
        "digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "schema=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ];

    fn seen(path: &str, time: &str, tags: &str) -> String {
        format!(
            r#"{{"time":"{time}","tree":"756f","paths":["{path}"],"hostname":"h","username":"root","tags":{tags},"id":"a4912d36b55740ba134d97546b2cbb5399ea7d830541a84564e1992d71957559","short_id":"a4912d36"}}"#
        )
    }

    #[test]
    fn lists_only_what_is_ours() {
        let time = "2026-11-23T08:00:22.669506791+01:00";
        let good = serde_json::to_string(&TAGS).expect("tags");
        let path = "/kuma-replicator.jsonl";
        // answer, readable, unreadable
        let cases = [
            ("[]".to_owned(), 0, 0),
            ("null".to_owned(), 0, 0),
            (format!("[{}]", seen(path, time, &good)), 1, 0),
            (format!("[{},{}]", seen(path, time, &good), seen(path, time, &good)), 2, 0),
            (format!("[{}]", seen("/etc", time, &good)), 0, 0),
            (format!("[{}]", seen(path, time, "[]")), 0, 0),
            (format!("[{}]", seen(path, time, r#"["format=1"]"#)), 0, 0),
            (format!("[{}]", seen(path, time, r#"["kuma-replicator"]"#)), 0, 1),
            (format!("[{}]", seen(path, time, &good.replace("epoch=1", "epoch=x"))), 0, 1),
            (format!("[{}]", seen(path, time, &good.replace("epoch=1\"", "epoch=1\",\"epoch=2\""))), 0, 1),
            (format!("[{}]", seen(path, "yesterday", &good)), 0, 1),
        ];
        for (answer, readable, unreadable) in cases {
            let found = listing(answer.as_bytes()).unwrap_or_else(|error| panic!("{answer}: {error}"));
            assert_eq!((found.snapshots.len(), found.unreadable.len()), (readable, unreadable), "{answer}");
        }
        let one = listing(format!("[{}]", seen(path, time, &good)).as_bytes()).expect("listing");
        let snapshot = one.snapshots.first().expect("snapshot");
        assert_eq!((snapshot.id.short(), snapshot.host.as_str()), ("a4912d36", "h"));
        assert_eq!(snapshot.label.place.sequence, 7);
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
