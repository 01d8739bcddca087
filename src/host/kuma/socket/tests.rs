//! The session against servers on loopback that say what a real one says, or what none should.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::token::tokens;
use super::{Tokens, probe, tell};
use crate::host::kuma::database::Credentials;
use crate::model::catalog;
use crate::model::configuration::{Configuration, Table};
use crate::model::server::Family;
use crate::model::told::Told;
use crate::model::value::Value;

const TWO: Family = Family::Two { minor: 5 };

/// A server that answers one `GET` after another with these bodies, every `POST` with `ok`, and then is gone. What it was
/// sent comes out of the receiver.
fn server(answers: Vec<String>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, received) = channel();
    thread::spawn(move || {
        let mut answers = answers.into_iter();
        loop {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            let (head, length) = loop {
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, _)) = text.split_once("\r\n\r\n") {
                    let lower = head.to_ascii_lowercase();
                    let length =
                        lower.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
                    break (head.to_owned(), length.unwrap_or(0));
                }
                match stream.read(&mut chunk) {
                    Ok(0) | Err(_) => return,
                    Ok(read) => request.extend_from_slice(&chunk[..read]),
                }
            };
            assert!(!head.to_ascii_lowercase().contains("\norigin:"), "{head}");
            while request.len() < head.len() + 4 + length {
                match stream.read(&mut chunk) {
                    Ok(0) | Err(_) => return,
                    Ok(read) => request.extend_from_slice(&chunk[..read]),
                }
            }
            let body = if head.starts_with("POST ") {
                let _ = sender.send(String::from_utf8_lossy(&request[head.len() + 4..]).into_owned());
                "ok".to_owned()
            } else {
                match answers.next() {
                    Some(body) => body,
                    None => return,
                }
            };
            let response =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(response.as_bytes());
        }
    });
    (url, received)
}

const OPEN: &str = r#"0{"sid":"abc-_1","upgrades":["websocket"],"pingInterval":25000,"maxPayload":1000000}"#;
const INFO: &str = "40{\"sid\":\"x\"}\u{1e}42[\"info\",{}]";

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn of_users(ids: &[i64]) -> Tokens {
    let users = ids.iter().map(|id| (*id, format!("user {id}"), "hash".to_owned())).collect();
    tokens(&Credentials { secret: "secret".to_owned(), users }, 1_700_000_000)
}

/// Monitors with their owners; those below zero are paused.
fn rows(monitors: &[(i64, i64)]) -> Configuration {
    let columns = [catalog::ID, catalog::ACTIVE, catalog::USER_ID].map(str::to_owned);
    let mut table = Table::new(catalog::find(catalog::MONITOR).expect("in the catalog"), columns.to_vec());
    for (id, user) in monitors {
        // The columns are sorted: active, id, user_id.
        table
            .rows
            .push(vec![Value::Integer(i64::from(*id > 0)), Value::Integer(id.abs()), Value::Integer(*user)].into());
    }
    Configuration { tables: vec![table], ..Configuration::default() }
}

fn told(monitors: impl IntoIterator<Item = i64>) -> Told {
    Told { monitors: monitors.into_iter().collect::<BTreeSet<i64>>(), ..Told::default() }
}

#[test]
fn the_secret_is_proved_by_a_user_that_does_not_exist() {
    for (family, before, answer, expected) in [
        (Family::One, INFO, r#"430[{"ok":false,"msg":"The user is inactive or deleted."}]"#, ""),
        (TWO, "40{}\u{1e}42[\"loginRequired\"]", r#"430[{"ok":false,"msg":"authUserInactiveOrDeleted"}]"#, ""),
        (TWO, "40{}\u{1e}42[\"autoLogin\"]", r#"430[{"ok":false,"msg":"authUserInactiveOrDeleted"}]"#, ""),
        (Family::One, INFO, r#"430[{"ok":false,"msg":"Invalid token."}]"#, "Invalid token."),
        (TWO, "40{}\u{1e}42[\"loginRequired\"]", r#"430[{"ok":false,"msg":"authInvalidToken"}]"#, "authInvalidToken"),
        (Family::One, INFO, r#"430[{"ok":true}]"#, "accepts the token of a user that does not exist"),
    ] {
        let (url, sent) = server(texts(&[OPEN, before, answer]));
        let result = probe(&url, family, &of_users(&[1]));
        match result {
            Ok(()) => assert_eq!(expected, "", "{answer}"),
            Err(reason) => assert!(!expected.is_empty() && reason.contains(expected), "{answer}: {reason}"),
        }
        let sent: Vec<String> = sent.try_iter().collect();
        assert!(sent[0] == "40" && sent[1].starts_with("420[\"loginByToken\",\"ey"), "{sent:?}");
    }
}

#[test]
fn one_session_for_each_owner_and_one_batch_for_1_23() {
    let big = format!("42[\"monitorList\",{{\"x\":\"{}\"}}]", "x".repeat(3 << 20));
    let session = |answers: &str| vec![OPEN.to_owned(), INFO.to_owned(), answers.to_owned()];
    let mut all = session(&format!("{big}\u{1e}2\u{1e}430[{{\"ok\":true}}]"));
    all.push(
        "431[{\"ok\":true}]\u{1e}433[{\"ok\":true}]\u{1e}434[{\"ok\":true}]\u{1e}435[]\u{1e}432[{\"ok\":true}]"
            .to_owned(),
    );
    all.extend(session("430[{\"ok\":true}]"));
    all.push("431[{\"ok\":true}]\u{1e}432[]".to_owned());
    let (url, sent) = server(all);
    let rows = rows(&[(1, 1), (-2, 1), (3, 7)]);
    assert_eq!(tell(&url, Family::One, &of_users(&[1, 7]), &told([1, 2, 3, 9]), &rows), Ok(()));
    let sent: Vec<String> = sent.try_iter().filter(|text| !text.contains("loginByToken")).collect();
    // Pages show monitors, so their cache is emptied, too.
    let first = "421[\"resumeMonitor\",1]\u{1e}422[\"pauseMonitor\",2]\u{1e}423[\"deleteMonitor\",9]\u{1e}\
        424[\"addMaintenanceStatusPage\",0,[]]\u{1e}425[\"logout\"]";
    let second = "421[\"resumeMonitor\",3]\u{1e}422[\"logout\"]";
    let end = "41\u{1e}1";
    assert_eq!(sent, ["40", "3", first, end, "40", second, end]);
}

#[test]
fn twenty_at_a_time_for_2_x() {
    let answers = |ids: std::ops::RangeInclusive<usize>| -> String {
        ids.map(|id| format!("43{id}[{{\"ok\":true}}]")).collect::<Vec<_>>().join("\u{1e}")
    };
    let (url, sent) = server(vec![
        OPEN.to_owned(),
        "40{}".to_owned(),
        // What comes before this is dropped by the server.
        "42[\"loginRequired\"]".to_owned(),
        "42[\"monitorList\",{}]\u{1e}42[\"statusPageList\",{}]".to_owned(),
        answers(1..=20),
        answers(21..=22),
    ]);
    let ids: Vec<(i64, i64)> = (1..=21).map(|id| (id, 1)).collect();
    assert_eq!(tell(&url, TWO, &of_users(&[1]), &told(1..=21), &rows(&ids)), Ok(()));
    let sent: Vec<String> = sent.try_iter().collect();
    let batches: Vec<usize> = sent.iter().map(|text| text.matches("resumeMonitor").count()).collect();
    assert_eq!(batches, [0, 0, 20, 1, 0], "{sent:?}");
    assert!(!sent.concat().contains("logout"));
}

#[test]
fn a_server_that_does_not_keep_to_the_protocol_is_given_up() {
    let lists = "430[{\"ok\":true}]";
    let refused = "431[{\"ok\":false,\"msg\":\"You do not own this monitor.\"}]\u{1e}432[{\"ok\":true}]\u{1e}433[]";
    for (answers, expected) in [
        (vec![], ""),
        (vec!["<html>"], "does not speak engine.io 4"),
        (vec!["0{\"sid\":\"a&b\"}"], "the id of its session is not one"),
        (vec!["0{}"], "does not speak engine.io 4"),
        (vec![OPEN, "1"], "closed the session"),
        (vec![OPEN, "44{\"message\":\"no\"}"], "refuses the connection"),
        (vec![OPEN, INFO, "430[{\"ok\":false,\"msg\":\"Invalid token.\"}]"], "refuses the log-in: Invalid token."),
        (vec![OPEN, INFO, lists, refused], "refuses resumeMonitor 1: You do not own this monitor."),
        (vec![OPEN, INFO, lists, "431[7]\u{1e}432[{\"ok\":true}]\u{1e}433[]"], "refuses resumeMonitor 1"),
        (vec![OPEN, INFO, lists, "431", "43x[]", "437[{\"ok\":true}]", "1"], "closed the session"),
        (vec![OPEN, INFO, lists], ""),
    ] {
        let (url, _sent) = server(texts(&answers));
        let reason = tell(&url, Family::One, &of_users(&[1]), &told([1]), &rows(&[(1, 1)])).expect_err("no server");
        assert!(reason.contains(expected), "{answers:?}: {reason}");
    }
    let (url, _sent) = server(texts(&[OPEN]));
    let reason = tell(&url, Family::One, &of_users(&[]), &told([1]), &rows(&[(1, 1)])).expect_err("no user");
    assert!(reason.contains("user 1 may not log in"), "{reason}");
}
