//! A proxy in front of a repository server that breaks what passes, as bad networks, servers and rights do.
//!
//! It speaks just enough HTTP/1.1 for restic: one request per connection, bodies of a known length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Network, Result};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is passed on.
    None,
    /// Every n-th is answered with 500.
    FailEvery(usize),
    /// All are, from the one on that comes after so many.
    FailAfter(usize),
    /// The connection is reset in the middle of each pack and snapshot, in either direction.
    Reset,
    /// Of packs and snapshots that are downloaded half is missing, and the length says that this is all.
    Cut,
    /// One bit in the middle of what is downloaded of packs is another.
    Flip,
    /// Of packs that are uploaded the server gets, and acknowledges, only one half.
    Lose,
    /// It is never answered.
    Stall,
    /// It is answered at 1 KiB a second.
    Slow,
    /// It is refused for its credentials.
    Deny,
    /// It is refused for its time.
    Skew,
    /// It is refused if it removes something, as storage does that keeps everything for a time.
    Keep,
}

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    writes: AtomicUsize,
    /// Requests since the fault was set.
    since: AtomicUsize,
}

struct Shared {
    server: String,
    fault: Mutex<Fault>,
    read_only: bool,
    counts: Counts,
}

/// A running proxy. It serves until the test ends.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts one on loopback in front of the server at an address.
    pub(crate) fn start(server: &str) -> Result<Self> {
        Self::start_at("127.0.0.1", server, None, false)
    }

    /// The same, and every write is refused.
    pub(crate) fn read_only(server: &str) -> Result<Self> {
        Self::start_at("127.0.0.1", server, None, true)
    }

    /// Starts one on a network, in front of the server at an address there.
    pub(crate) fn on(network: &Network, server: &str) -> Result<Self> {
        Self::start_at(Network::ADDRESS, server, Some(network.namespace()?), false)
    }

    /// The same, and every write is refused.
    pub(crate) fn read_only_on(network: &Network, server: &str) -> Result<Self> {
        Self::start_at(Network::ADDRESS, server, Some(network.namespace()?), true)
    }

    fn start_at(address: &str, server: &str, namespace: Option<File>, read_only: bool) -> Result<Self> {
        let (fault, counts) = (Mutex::new(Fault::None), Counts::default());
        let shared = Arc::new(Shared { server: server.to_owned(), fault, read_only, counts });
        let (sender, receiver) = mpsc::channel();
        let (place, serving) = (format!("{address}:0"), Arc::clone(&shared));
        thread::spawn(move || {
            // The threads that this one starts are on the network, too.
            let listener = namespace
                .map_or(Ok(()), |file| Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?))
                .and_then(|()| TcpListener::bind(place));
            let address = listener.as_ref().map_err(ToString::to_string).and_then(|listener| {
                listener.local_addr().map(|address| address.to_string()).map_err(|error| error.to_string())
            });
            let _ = sender.send(address);
            for client in listener.iter().flat_map(TcpListener::incoming).flatten() {
                let shared = Arc::clone(&serving);
                // A client or a server that hangs up is no news here.
                thread::spawn(move || shared.serve(client));
            }
        });
        let address = receiver.recv()?.map_err(|error| format!("cannot start the proxy: {error}"))?;
        Ok(Proxy { address, shared })
    }

    /// Lets this happen to all requests from now on.
    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = fault;
        self.shared.counts.since.store(0, Ordering::SeqCst);
    }

    /// How many requests there were so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.counts.requests.load(Ordering::SeqCst)
    }

    /// How many of them would have changed something, had they got through.
    pub(crate) fn writes(&self) -> usize {
        self.shared.counts.writes.load(Ordering::SeqCst)
    }
}

/// A request, or an answer: its first line, its header fields, its body.
struct Message {
    first: String,
    fields: Vec<String>,
    body: Vec<u8>,
}

impl Message {
    fn length(fields: &[String]) -> Option<usize> {
        let value = |line: &String| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        };
        fields.iter().find_map(value)
    }

    /// Without a body; none if nothing comes.
    fn head(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" if lines.is_empty() => {}
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let first = lines.remove(0);
        // Each connection serves one request; and what is expected is there.
        let hop = |line: &String| {
            let name = line.split(':').next().unwrap_or_default();
            ["connection", "expect", "proxy-connection"].iter().any(|hop| name.eq_ignore_ascii_case(hop))
        };
        lines.retain(|line| !hop(line));
        lines.push("Connection: close".to_owned());
        Ok(Some(Message { first, fields: lines, body: Vec::new() }))
    }

    fn set_length(&mut self) {
        self.fields.retain(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
        self.fields.push(format!("Content-Length: {}", self.body.len()));
    }

    fn head_bytes(&self) -> Vec<u8> {
        format!("{}\r\n{}\r\n\r\n", self.first, self.fields.join("\r\n")).into_bytes()
    }

    fn send(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(&self.head_bytes())?;
        stream.write_all(&self.body)
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let fault = *self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut from = BufReader::new(client.try_clone()?);
        let Some(mut request) = Message::head(&mut from)? else { return Ok(()) };
        // With a proxy in its environment the client names the server in the request.
        if let Some((method, rest)) = request.first.split_once(" http://") {
            let path = rest.split_once('/').map_or("", |(_, path)| path);
            request.first = format!("{method} /{path}");
            request.fields.retain(|line| !line.to_ascii_lowercase().starts_with("host:"));
            request.fields.push(format!("Host: {}", self.server));
        }
        let writes = !["GET ", "HEAD ", "OPTIONS "].iter().any(|method| request.first.starts_with(method));
        self.counts.requests.fetch_add(1, Ordering::SeqCst);
        self.counts.writes.fetch_add(usize::from(writes), Ordering::SeqCst);
        let number = self.counts.since.fetch_add(1, Ordering::SeqCst) + 1;

        let of_pack = request.first.contains("/data/");
        let of_object = of_pack || request.first.contains("/snapshots/");
        let length = Message::length(&request.fields).unwrap_or(0);
        if fault == Fault::Stall {
            // Until the client has had enough.
            return io::copy(&mut from, &mut io::sink()).map(drop);
        }
        if fault == Fault::Reset && of_object && length > 0 {
            from.read_exact(&mut vec![0; length / 2])?;
            return reset(&client);
        }
        request.body = vec![0; length];
        from.read_exact(&mut request.body)?;
        let refusal = match fault {
            _ if writes && self.read_only => Some(("403 Forbidden", "AccessDenied", "Access Denied.")),
            Fault::Deny => Some(("403 Forbidden", "AccessDenied", "Access Denied.")),
            Fault::Skew => Some((
                "403 Forbidden",
                "RequestTimeTooSkewed",
                "The difference between the request time and the server's time is too large.",
            )),
            Fault::Keep if request.first.starts_with("DELETE ") => {
                Some(("403 Forbidden", "AccessDenied", "Access Denied."))
            }
            Fault::FailEvery(nth) if number.is_multiple_of(nth) => Some(FAILED),
            Fault::FailAfter(good) if number > good => Some(FAILED),
            _ => None,
        };
        let is_head = request.first.starts_with("HEAD ");
        if let Some((status, code, message)) = refusal {
            let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>").into_bytes();
            let fields = vec!["Content-Type: application/xml".to_owned(), "Connection: close".to_owned()];
            let mut answer = Message { first: format!("HTTP/1.1 {status}"), fields, body };
            answer.set_length();
            if is_head {
                answer.body.clear();
            }
            return answer.send(&mut client);
        }
        if fault == Fault::Lose && writes && of_pack {
            request.body.truncate(length / 2);
            request.set_length();
        }

        let mut server = TcpStream::connect(&self.server)?;
        request.send(&mut server)?;
        let mut server = BufReader::new(server);
        let Some(mut answer) = Message::head(&mut server)? else { return Ok(()) };
        server.read_to_end(&mut answer.body)?;
        let half = answer.body.len() / 2;
        match fault {
            Fault::Reset if of_object && half > 0 => {
                client.write_all(&answer.head_bytes())?;
                client.write_all(answer.body.get(..half).unwrap_or_default())?;
                return reset(&client);
            }
            Fault::Cut if of_object && half > 0 => {
                answer.body.truncate(half);
                answer.set_length();
            }
            Fault::Flip if of_pack => answer.body.iter_mut().skip(half).take(1).for_each(|byte| *byte ^= 1),
            Fault::Slow => {
                for piece in [answer.head_bytes(), answer.body].concat().chunks(128) {
                    thread::sleep(Duration::from_millis(125));
                    client.write_all(piece)?;
                }
                return Ok(());
            }
            _ => {}
        }
        answer.send(&mut client)
    }
}

const FAILED: (&str, &str, &str) =
    ("500 Internal Server Error", "InternalError", "We encountered an internal error. Please try again.");

/// Ends a connection in a way that the other end takes for a failure, and not for the end of what was sent.
fn reset(stream: &TcpStream) -> io::Result<()> {
    // What was sent before is given the time to arrive: a reset discards it.
    thread::sleep(Duration::from_millis(50));
    Ok(set_socket_linger(stream, Some(Duration::ZERO))?)
}
