//! restic's messages, word for word, and the kinds of error that they become.

use std::path::Path;

use super::{advice, classify, hopeless, is_gone, is_interrupted, left_lock, left_out, not_removed, unsaved_token};
use crate::config::Settings;
use crate::error::Kind;

/// `text` in the place where restic 0.14 puts the cause of not being able to open a repository.
fn opening_error(text: &str, location: &str) -> String {
    format!("Fatal: unable to open config file: {text}\nIs there a repository at the following location?\n{location}")
}

/// From real runs of restic 0.14.0 of Debian 12.
#[test]
fn knows_the_words_of_restic_0_14() {
    let s3 = "s3:http://127.0.0.1:5055/bucket/path";
    let rest = "rest:http://user:***@127.0.0.1:8000/path/";
    let at_opening = [
        (Kind::RepositoryMissing, "stat /srv/repo/config: no such file or directory", "/srv/repo"),
        (Kind::RepositoryMissing, "<config/> does not exist", rest),
        (Kind::RepositoryMissing, "Stat: The specified key does not exist.", s3),
        (Kind::RepositoryMissing, "Stat: The specified bucket does not exist", s3),
        (Kind::RepositoryMissing, "client.GetObject: Bucket name cannot be shorter than 3 characters", s3),
        (
            Kind::RepositoryUnreachable,
            "client.Head: Head \"http://127.0.0.1:1/x/config\": dial tcp 127.0.0.1:1: connect: connection refused",
            rest,
        ),
        (
            Kind::RepositoryUnreachable,
            "Stat: Get \"http://dead.invalid/bucket/?location=\": dial tcp: lookup dead.invalid on 192.0.2.53:53: no such host",
            s3,
        ),
        (Kind::RepositoryUnreachable, "unexpected HTTP response (500): 500 Internal Server Error", rest),
        (Kind::RepositoryUnreachable, "Stat: 503 Service Unavailable", s3),
        (Kind::RepositoryDenied, "Stat: 401 Unauthorized", s3),
        (Kind::RepositoryDenied, "Stat: Access Denied.", s3),
        (Kind::RepositoryDenied, "unexpected HTTP response (401): 401 Unauthorized", rest),
        (Kind::RepositoryDenied, "unexpected HTTP response (403): 403 Forbidden", rest),
    ];
    for (kind, text, location) in at_opening {
        assert_eq!(classify(Some(1), &opening_error(text, location)), kind, "{text}");
    }
    let cases = [
        (Kind::WrongPassword, "Fatal: wrong password or no key found"),
        (Kind::PasswordMissing, "Fatal: an empty password is not a password"),
        (Kind::PasswordMissing, "Resolving password failed: Fatal: /srv/password does not exist"),
        (Kind::PasswordMissing, "Resolving password failed: fork/exec /srv/ask: no such file or directory"),
        (
            Kind::RepositoryLocked,
            "unable to create lock in backend: repository is already locked exclusively by PID 22447 on vm by root (UID 0, GID 0)\n\
             lock was created at 2026-11-23 08:01:09 (2.073793639s ago)\nstorage ID 8f5a06fc\n\
             the `unlock` command can be used to remove stale locks",
        ),
        (
            Kind::DiskFull,
            "Fatal: unable to save snapshot: write /srv/repo/data/7a/7a91-tmp-1288320513: no space left on device",
        ),
        (
            Kind::RepositoryDenied,
            "Fatal: unable to open repository at /srv/repo: ReadDir: open /srv/repo/keys: permission denied",
        ),
        (Kind::RepositoryDenied, "Fatal: create repository at /srv/repo failed: mkdir /srv/repo: permission denied"),
        (
            Kind::RepositoryDenied,
            "Fatal: create repository at rest:http://127.0.0.1:8000/ failed: Fatal: server response unexpected: 403 Forbidden (403)",
        ),
        (
            Kind::RepositoryUnreachable,
            "subprocess ssh: ssh: connect to host 127.0.0.1 port 1: Connection refused\n\
             Fatal: unable to open repository at sftp://root@127.0.0.1:1//x: unable to start the sftp session, error: EOF",
        ),
        (
            Kind::RepositoryMissing,
            "rclone: 2026/11/23 08:00:25 Failed to create file system for \"nope:x\": didn't find section in config file\n\
             Fatal: unable to open repository at rclone:nope:x: error talking HTTP to rclone: Get \"http://localhost/file-5\": unexpected EOF",
        ),
        (
            Kind::RepositoryMissing,
            "Fatal: parsing repository location failed: invalid backend\n\
             If the repository is in a local directory, you need to add a `local:` prefix",
        ),
        (
            Kind::SnapshotDamaged,
            "loading tree for snapshot \"a4912d36\" failed: id 756f962aa85a307f76cedccbbbfc653f not found in repository",
        ),
        (
            Kind::SnapshotDamaged,
            "Load(<data/947f28c9a9>, 226, 0) returned error, retrying after 15.394871241s: unexpected EOF\n\
             loading tree for snapshot \"55e8d406\" failed: ReadFull(<data/947f28c9a9>): unexpected EOF",
        ),
        (Kind::SnapshotDamaged, "cannot dump file: path \"/kuma-replicator.jsonl\" not found in snapshot"),
        (Kind::ResticFailed, "Fatal: create repository at /srv/repo failed: config file already exists"),
        (Kind::ResticFailed, "unknown flag: --retry-lock"),
        (Kind::ResticFailed, ""),
    ];
    for (kind, text) in cases {
        assert_eq!(classify(Some(1), text), kind, "{text}");
    }
}

/// From real runs of restic 0.18.0 of Debian 13.
#[test]
fn knows_the_words_of_restic_0_18() {
    let stat = |text: &str| format!("Stat(<config/>) failed: {text}\n{}", opening_error(text, "/srv/repo"));
    let cases = [
        (
            Some(10),
            Kind::RepositoryMissing,
            opening_error("<config/> does not exist", "/srv/repo")
                .replace("Fatal: ", "Fatal: repository does not exist: "),
        ),
        (Some(1), Kind::RepositoryDenied, stat("unexpected HTTP response (401): 401 Unauthorized")),
        (Some(1), Kind::RepositoryDenied, stat("Stat: Access Denied.")),
        (
            Some(1),
            Kind::RepositoryUnreachable,
            "Fatal: create repository at rest:http://127.0.0.1:1/x/ failed: Fatal: unable to open repository at rest:http://127.0.0.1:1/x/: \
             Post \"http://127.0.0.1:1/x/?create=true\": dial tcp 127.0.0.1:1: connect: connection refused"
                .to_owned(),
        ),
        (
            Some(1),
            Kind::SnapshotDamaged,
            "Load(<data/10e9c9aec3>, 44, 0) failed: open /srv/repo/data/10/10e9: no such file or directory\n\
             Fatal: cannot dump file: ReadFull(<data/10e9c9aec3>): open /srv/repo/data/10/10e9: no such file or directory"
                .to_owned(),
        ),
    ];
    for (exit, kind, text) in cases {
        assert_eq!(classify(exit, &text), kind, "{text}");
    }
    let short = "Fatal: loading tree for snapshot \"d3cdbcdf\" failed: ReadFull(<data/9863c7900e>): cached file <data/9863c7900e> is too short";
    assert_eq!(classify(Some(1), short), Kind::SnapshotDamaged);
}

/// Taken from the sources and the manual of restic 0.17 and 0.18, and from what its back ends answer.
#[test]
fn knows_later_restics_and_other_back_ends() {
    let missing = "Fatal: repository does not exist: unable to open config file: stat /srv/repo/config: no such file or directory\n\
                   Is there a repository at the following location?\n/srv/repo";
    let cases = [
        (Some(10), Kind::RepositoryMissing, missing),
        (Some(1), Kind::RepositoryMissing, missing),
        (Some(10), Kind::RepositoryMissing, ""),
        (Some(11), Kind::RepositoryLocked, "Failed to lock repository"),
        (Some(12), Kind::WrongPassword, "Fatal: wrong password or no key found"),
        (Some(130), Kind::ResticFailed, ""),
        (None, Kind::ResticFailed, ""),
        (Some(1), Kind::PasswordMissing, "Fatal: Resolving password failed: Fatal: /srv/password does not exist"),
        (
            Some(1),
            Kind::PasswordMissing,
            "Fatal: an empty password is not allowed by default. Pass the flag `--insecure-no-password`",
        ),
        (
            Some(1),
            Kind::RepositoryDenied,
            "Fatal: unable to open config file: Stat: The AWS Access Key Id you provided does not exist in our records.",
        ),
        (
            Some(1),
            Kind::RepositoryDenied,
            "subprocess ssh: git@host: Permission denied (publickey).\nFatal: unable to start the sftp session, error: EOF",
        ),
        (
            Some(1),
            Kind::RepositoryUnreachable,
            "Fatal: unable to open config file: Stat: The difference between the request time and the server's time is too large.",
        ),
        (
            Some(1),
            Kind::RepositoryUnreachable,
            "Stat(<config/>) returned error, retrying after 1.1s: Head \"https://host/config\": x509: certificate signed by unknown authority",
        ),
        (Some(1), Kind::RepositoryUnreachable, "dial tcp 192.0.2.1:443: connect: permission denied"),
    ];
    for (exit, kind, text) in cases {
        assert_eq!(classify(exit, text), kind, "{exit:?} {text}");
    }
}

#[test]
fn the_end_counts_more_than_what_was_retried_on_the_way() {
    let text = "Save(<lock/476a4fe22f>) returned error, retrying after 1s: dial tcp 192.0.2.1:443: i/o timeout\n\
                Fatal: wrong password or no key found";
    assert_eq!(classify(Some(1), text), Kind::WrongPassword);
    let text = "Save(<lock/476a4fe22f>) returned error, retrying after 1s: dial tcp 192.0.2.1:443: i/o timeout\n\
                unable to create lock in backend: context canceled";
    assert_eq!(classify(Some(1), text), Kind::RepositoryUnreachable);
    let text = "Load(<data/10e9c9aec3>, 44, 0) returned error, retrying after 1s: dial tcp 192.0.2.1:443: i/o timeout\n\
                Load(<data/10e9c9aec3>, 44, 0) failed: <data/10e9c9aec3> does not exist";
    assert_eq!(classify(Some(1), text), Kind::SnapshotDamaged);
    let text = "unable to open cache: mkdir /var/cache/x: permission denied\nFatal: something else";
    assert_eq!(classify(Some(1), text), Kind::ResticFailed);
}

#[test]
fn recognises_a_missing_snapshot() {
    let gone = [
        "invalid id \"deadbeef\": no matching ID found for prefix \"deadbeef\"",
        "Fatal: failed to find snapshot: no matching ID found for prefix \"deadbeef\"",
        "Fatal: failed to find snapshot: failed to load snapshot aaaaaaaa: open /srv/repo/snapshots/aaaa: no such file or directory",
        "Load(<snapshot/aaaaaaaaaa>, 0, 0) returned error, retrying after 552ms: <snapshot/aaaaaaaaaa> does not exist",
        "Load(<snapshot/aaaaaaaaaa>, 0, 0) failed: open /srv/repo/snapshots/aaaa: no such file or directory",
    ];
    for text in gone {
        assert!(is_gone(text), "{text}");
    }
    let other = [
        "Fatal: wrong password or no key found",
        "Load(<data/e479389b1c>, 0, 0) returned error, retrying after 552ms: open /srv/repo/data/e4/e479: no such file or directory",
        "Load(<snapshot/aaaaaaaaaa>, 0, 0) returned error, retrying after 552ms: dial tcp: i/o timeout",
    ];
    for text in other {
        assert!(!is_gone(text), "{text}");
    }
}

/// What `advice` says of a text, with the kind that it has.
fn advised(text: &str, repository: &str) -> (Kind, Option<String>) {
    let settings = format!("role = \"main\"\nrepository = \"{repository}\"");
    let settings = Settings::parse(&settings, Path::new("config.toml")).unwrap();
    let kind = classify(Some(1), text);
    (kind, advice(kind, text, &settings.repository))
}

#[test]
fn a_wrong_clock_or_certificate_is_named() {
    let cases = [
        (
            Some("clock of this host is wrong"),
            "Stat: The difference between the request time and the server's time is too large.",
        ),
        (
            Some("check the clock of this host"),
            "Head \"https://host/config\": x509: certificate has expired or is not yet valid: current time 2026-11-25T09:40:18Z is after 2025-01-01T00:00:00Z",
        ),
        (
            Some("certificate of the server"),
            "Head \"https://host/config\": x509: certificate signed by unknown authority",
        ),
        (None, "dial tcp 192.0.2.1:443: i/o timeout"),
        (None, ""),
    ];
    for (wanted, text) in cases {
        let (_, found) = advised(text, "s3:https://host/bucket");
        assert_eq!(wanted.is_some(), found.is_some(), "{text}");
        assert!(found.as_deref().unwrap_or_default().contains(wanted.unwrap_or_default()), "{found:?}");
    }
}

/// From real runs of restic 0.14.0 and 0.18.0; the answers of B2, Azure and Google from reports of their users.
#[test]
fn each_cause_has_its_kind_and_its_advice() {
    let cases = [
        (
            Kind::ResticMissing,
            "apt install openssh-client",
            "sftp:u@h:/x",
            "Fatal: unable to open repository at sftp:u@h:/x: cmd.Start: exec: \"ssh\": executable file not found in $PATH",
        ),
        (
            Kind::ResticMissing,
            "apt install rclone",
            "rclone:x:y",
            "Fatal: create repository at rclone:x:y failed: Fatal: unable to open repository at rclone:x:y: exec: \"rclone\": executable file not found in $PATH",
        ),
        (
            Kind::RepositoryDenied,
            "ReadWritePaths=/srv/repo below",
            "/srv/repo",
            "Save(<lock/16cc019f61>) returned error, retrying after 552.330144ms: open /srv/repo/locks/16cc-tmp-3742651128: read-only file system",
        ),
        (
            Kind::RepositoryDenied,
            "owner and mode of /srv/repo",
            "/srv/repo",
            "Fatal: unable to open repository at /srv/repo: ReadDir: open /srv/repo/keys: permission denied",
        ),
        (
            Kind::DiskFull,
            "raise the cap",
            "b2:bucket:x",
            "Save(<data/011a19a1fa>) returned error, retrying after 552.330144ms: Close: b2_upload_file: 403: Cannot upload files, storage cap exceeded. See the Caps & Alerts page to increase your cap.",
        ),
        (
            Kind::DiskFull,
            "raise the cap",
            "b2:bucket:x",
            "Stat(<config/>) returned error, retrying after 422.083712ms: Stat: b2_download_file_by_name: 403: Cannot download file, download bandwidth or transaction (Class B) cap exceeded. See the Caps & Alerts page to increase your cap.",
        ),
        (
            Kind::RepositoryDenied,
            "right to list, read and write",
            "b2:bucket:x",
            "Stat(<config/>) failed: Stat: b2_download_file_by_name: 403:\nFatal: unable to open config file: Stat: b2_download_file_by_name: 403:\nIs there a repository at the following location?\nb2:bucket:x",
        ),
        (
            Kind::RepositoryDenied,
            "B2_ACCOUNT_ID",
            "b2:bucket:x",
            "Fatal: unable to open repository at b2:bucket:x: b2.NewClient: b2_authorize_account: 401:",
        ),
        (
            Kind::RepositoryDenied,
            "B2_ACCOUNT_ID",
            "b2:bucket:x",
            "Fatal: unable to open repository at b2:bucket:x: Fatal: unable to open B2 backend: Account ID ($B2_ACCOUNT_ID) is empty",
        ),
        (
            Kind::RepositoryDenied,
            "AZURE_ACCOUNT_KEY",
            "azure:container:/",
            "Fatal: unable to open repository at azure:bucket:/x: no azure authentication information found",
        ),
        (
            Kind::RepositoryDenied,
            "GOOGLE_APPLICATION_CREDENTIALS",
            "gs:bucket:/x",
            "Fatal: unable to open repository at gs:bucket:/x: getStorageClient: google: could not find default credentials. See https://cloud.google.com/docs/authentication/external/set-up-adc for more information",
        ),
        (
            Kind::RepositoryDenied,
            "GOOGLE_APPLICATION_CREDENTIALS",
            "gs:bucket:/x",
            "Fatal: unable to open repository at gs:bucket:/x: getStorageClient: google: error getting credentials using GOOGLE_APPLICATION_CREDENTIALS environment variable: open /nonexistent.json: no such file or directory",
        ),
        (
            Kind::RepositoryMissing,
            "built without it",
            "azure:container:/",
            "Fatal: parsing repository location failed: invalid backend\nIf the repository is in a local directory, you need to add a `local:` prefix",
        ),
        (
            Kind::RepositoryUnreachable,
            ": ssh kuma@backup.example.org;",
            "sftp:kuma@backup.example.org:/srv/kuma",
            "subprocess ssh: Host key verification failed.\nFatal: unable to open repository at sftp:kuma@backup.example.org:/srv/kuma: unable to start the sftp session, error: EOF",
        ),
        (
            Kind::RepositoryUnreachable,
            ": ssh -p 2222 kuma@[2001:db8::7];",
            "sftp://kuma@[2001:db8::7]:2222//srv/kuma",
            "subprocess ssh: Host key verification failed.",
        ),
        (
            Kind::RepositoryUnreachable,
            "ssh-keygen -R",
            "sftp:kuma@backup.example.org:/srv/kuma",
            "subprocess ssh: @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nsubprocess ssh: Host key verification failed.",
        ),
    ];
    for (kind, said, repository, text) in cases {
        let (found, advice) = advised(text, repository);
        assert_eq!(found, kind, "{text}");
        assert!(advice.as_deref().is_some_and(|advice| advice.contains(said)), "{advice:?}: {text}");
    }
    // Kinds that need no more than their own hint.
    let cases = [
        (
            Kind::RepositoryDenied,
            "Fatal: create repository at gs:bucket:/x failed: service.Buckets.Get: googleapi: Error 403: x@y.iam.gserviceaccount.com does not have storage.buckets.get access to the Google Cloud Storage bucket., forbidden",
        ),
        (
            Kind::RepositoryDenied,
            "Fatal: unable to open config file: storage: service returned error: StatusCode=403, ErrorCode=AuthenticationFailed, ErrorMessage=Server failed to authenticate the request.",
        ),
        (
            Kind::RepositoryDenied,
            "Stat(<config/>) returned error, retrying after 1.2s: client.GetProperties: HEAD https://a.blob.core.windows.net/b/config\n\
             RESPONSE 403: 403 Server failed to authenticate the request.\nERROR CODE: AuthenticationFailed",
        ),
    ];
    for (kind, text) in cases {
        assert_eq!(advised(text, "gs:bucket:/x"), (kind, None), "{text}");
    }
}

#[test]
fn an_incomplete_listing_is_reported() {
    let cases = [
        (
            Some(Kind::SnapshotDamaged),
            "could not load snapshot 13362049: load <snapshot/1336204960>: invalid data returned",
        ),
        (
            Some(Kind::SnapshotDamaged),
            "Ignoring \"1336204960875f04\": failed to load snapshot 13362049: LoadRaw(<snapshot/1336204960>): invalid data returned",
        ),
        (Some(Kind::SnapshotDamaged), "could not load snapshot 13362049: something new"),
        (Some(Kind::RepositoryUnreachable), "could not load snapshot 13362049: read: connection reset by peer"),
        (Some(Kind::RepositoryDenied), "could not load snapshot 13362049: Access Denied."),
        (None, "could not load snapshot 13362049: open /srv/repo/snapshots/1336: no such file or directory"),
        (None, "Ignoring \"1336204960875f04\": failed to load snapshot 13362049: <snapshot/1336204960> does not exist"),
        (None, "unable to open cache: mkdir /var/cache/x: permission denied"),
        (None, ""),
    ];
    for (kind, text) in cases {
        assert_eq!(left_out(text).map(|(kind, _)| kind), kind, "{text}");
    }
    assert_eq!(
        left_out("one\ncould not load snapshot 1\nthree"),
        Some((Kind::SnapshotDamaged, "could not load snapshot 1"))
    );
}

#[test]
fn recognises_an_interrupted_restic() {
    let text = "signal terminated received, cleaning up\nFatal: unable to open config file: context canceled";
    assert!(is_interrupted(text));
    assert!(!is_interrupted("Fatal: unable to open config file: context canceled"));
}

#[test]
fn gives_up_only_where_no_attempt_will_help_or_nothing_is_begun() {
    let retry = |cause: &str| format!("Save(<lock/476a4fe22f>) returned error, retrying after 552.330144ms: {cause}");
    let at_opening = |cause: &str| format!("Stat(<config/>) returned error, retrying after 1.438847492s: {cause}");
    let cases = [
        (Some(Kind::RepositoryDenied), retry("open /srv/repo/locks/476a-tmp-2667415129: permission denied")),
        (Some(Kind::RepositoryDenied), retry("client.PutObject: Access Denied.")),
        (Some(Kind::DiskFull), retry("write /srv/repo/data/7a/7a91: no space left on device")),
        (
            Some(Kind::SnapshotDamaged),
            "Load(<data/e479389b1c>, 0, 0) returned error, retrying after 552ms: open /srv/data/e4/e479: no such file or directory".to_owned(),
        ),
        (
            Some(Kind::ResticFailed),
            "Load(<lock/476a4fe22f>, 0, 0) returned error, retrying after 552ms: <lock/476a4fe22f> does not exist".to_owned(),
        ),
        (Some(Kind::RepositoryUnreachable), at_opening("dial tcp: lookup dead.invalid on 192.0.2.53:53: no such host")),
        (Some(Kind::RepositoryUnreachable), at_opening("unexpected HTTP response (500): 500 Internal Server Error")),
        (Some(Kind::RepositoryDenied), at_opening("Stat: 401 Unauthorized")),
        (Some(Kind::RepositoryMissing), at_opening("Stat: The specified bucket does not exist.")),
        (Some(Kind::ResticFailed), at_opening("unexpected HTTP response (418): 418 I'm a Teapot")),
        (None, retry("dial tcp 192.0.2.1:443: connect: connection refused")),
        (None, retry("503 Service Unavailable")),
        (None, retry("something new")),
        (None, "open /srv/repo/locks/476a-tmp-2667415129: permission denied".to_owned()),
    ];
    for (kind, line) in cases {
        assert_eq!(hopeless(&line), kind, "{line}");
    }
}

#[test]
fn a_lock_that_stays_and_a_token_that_is_lost_are_found() {
    let kept = "Remove(<lock/9b38cdc0b5>) returned error, retrying after 552.330144ms: blob not removed, server response: 403 Forbidden (403)";
    let newer = "Remove(<lock/0a7590505c>) failed: unexpected HTTP response (403): 403 Forbidden\n\
                 error while unlocking: unexpected HTTP response (403): 403 Forbidden";
    let refused = "Save(<lock/57d78d0b2d>) failed: open /r/locks/57d7-tmp-1783513508: permission denied\n\
                   unable to create lock in backend: open /r/locks/57d7-tmp-1783513508: permission denied";
    let removed = "Remove(<lock/9b38cdc0b5>) returned error, retrying after 1s: <lock/9b38cdc0b5> does not exist";
    for (text, left) in [(kept, true), (newer, true), (refused, false), (removed, false), ("", false)] {
        assert_eq!(left_lock(text).is_some(), left, "{text}");
    }
    let text = "rclone: 2026/11/26 14:09:11 ERROR : Failed to save config after 10 tries: failed to create temp file for \
                new config: open /root/.config/rclone/rclone.conf4047535060: read-only file system\nFatal: x";
    assert!(unsaved_token(text).is_some_and(|line| line.ends_with("read-only file system")));
    assert_eq!(unsaved_token("rclone: 2026/11/26 14:09:11 ERROR : x\n"), None);
}

#[test]
fn snapshots_that_stay_are_found_although_restic_succeeds() {
    let older = "Remove(<snapshot/110735516d>) returned error, retrying after 552.330144ms: blob not removed, server response: 403 Forbidden (403)";
    let newer = "Remove(<snapshot/d70b9bf83a>) failed: unexpected HTTP response (403): 403 Forbidden\n\
                 unable to remove snapshot/d70b9bf83a3386e60c from the repository";
    let gone = "Load(<snapshot/aaaaaaaaaa>, 0, 0) failed: open /r/snapshots/aaaa: no such file or directory\n\
                Ignoring \"aaaa\": failed to load snapshot aaaaaaaa: open /r/snapshots/aaaa: no such file or directory";
    let removed =
        "Remove(<snapshot/9b38cdc0b5>) returned error, retrying after 1s: <snapshot/9b38cdc0b5> does not exist";
    let unknown = "unable to remove snapshot/d70b9bf83a3386e60c from the repository";
    let cases = [
        (older, Some(Kind::RepositoryDenied)),
        (newer, Some(Kind::RepositoryDenied)),
        (unknown, Some(Kind::ResticFailed)),
        (gone, None),
        (removed, None),
        ("[0:00] 100.00%  1 / 1 files deleted", None),
    ];
    for (text, kind) in cases {
        assert_eq!(not_removed(text).map(|(kind, _)| kind), kind, "{text}");
    }
    assert!(not_removed(newer).is_some_and(|(_, line)| line.contains("403")), "the line that says why");
}
