//! Answers of an Uptime Kuma in every state, spoken by a socket, and what is made of them.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::*;

/// A server on loopback that gives one answer per connection, then stops listening.
fn server(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /api/entry-page HTTP/1.1\r\n"));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

const READY: &str = r#"{"type":"entryPage","entryPage":"dashboard"}"#;

#[test]
fn answers_are_told_apart() {
    let table = [
        (http("200 OK", READY), None),
        (http("200 OK", r#"{"type":"entryPage","entryPage":null}"#), None),
        (http("200 OK", r#"{"type":"statusPageMatchedDomain","statusPageSlug":"x"}"#), None),
        (http("200 OK", r#"{"type":"setup-database"}"#), Some("choose a database")),
        (http("200 OK", r#"{"type":"somethingElse"}"#), Some("'somethingElse'")),
        (http("200 OK", "<html>Migration is in progress</html>"), Some("not the JSON")),
        (http("404 Not Found", "<html></html>"), Some("migrates")),
        (http("302 Found\r\nLocation: http://192.0.2.1/", ""), Some("status 302")),
        (http("503 Service Unavailable", ""), Some("status 503")),
        (http("200 OK", &format!("{READY}{}", " ".repeat(100_000))), Some("reading its answer")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{".to_owned(), Some("reading its answer")),
        ("SSH-2.0-x\r\n".to_owned(), Some("")),
        (String::new(), Some("")),
    ];
    for (answer_text, expected) in table {
        let url = server(vec![answer_text.clone()]);
        match (run(answer(&url)), expected) {
            (Ok(()), None) => {}
            (Err(reason), Some(part)) => assert!(reason.contains(part), "{answer_text:?}: {reason}"),
            (result, _) => panic!("{answer_text:?}: {result:?}"),
        }
    }
}

#[test]
fn a_closed_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(run(answer(&url)).unwrap_err().contains("refused"));
}

#[test]
fn waits_through_a_migration() {
    let url = server(vec![http("404 Not Found", ""), http("404 Not Found", ""), http("200 OK", READY)]);
    run(wait(&url, Duration::from_secs(60), async || Ok(true))).unwrap();
}

#[test]
fn the_last_reason_is_kept_at_the_deadline() {
    let url = server(vec![http("404 Not Found", "")]);
    let error = run(wait(&url, Duration::ZERO, async || Ok(true))).unwrap_err();
    assert_eq!(error.kind(), Kind::Unhealthy);
    assert!(error.chain().contains("migrates"), "{error:?}");
}

#[test]
fn a_server_that_ended_is_not_waited_for() {
    let url = server(vec![http("503 Service Unavailable", ""), http("200 OK", READY)]);
    let asked = Cell::new(0);
    let still_running = async || {
        asked.set(asked.get() + 1);
        Ok(asked.get() < 2)
    };
    let error = run(wait(&url, Duration::from_secs(60), still_running)).unwrap_err();
    assert_eq!(error.kind(), Kind::Unhealthy);
    assert!(error.chain().contains("ended"), "{error:?}");
}
