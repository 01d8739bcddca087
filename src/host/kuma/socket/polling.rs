//! Packets of engine.io 4 over HTTP long-polling (<https://github.com/socketio/engine.io-protocol>). Of each packet only
//! the beginning is kept: what the server tells its web page can be many megabytes, and is read to its end, because the
//! session ends with a response that is not.

use std::collections::VecDeque;
use std::io::Read;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::Agent;

use crate::host::kuma::health;

/// The byte between two packets.
const SEPARATOR: u8 = 0x1e;

/// How much of a packet is kept, in bytes.
const MAX_KEPT: usize = 4096;

/// How much one session reads, in bytes: twelve times as much as was seen with 1,000 monitors.
const MAX_READ: u64 = 256 << 20;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// A session of engine.io.
pub(super) struct Polling {
    agent: Agent,
    address: String,
    arrived: VecDeque<String>,
    read: u64,
    deadline: Instant,
}

#[derive(Deserialize)]
struct Opened {
    sid: String,
}

impl Polling {
    /// Opens a session with the server at `url`, which must end by `deadline`.
    pub(super) fn open(url: &str, deadline: Instant) -> Result<Self, String> {
        let address = format!("{url}/socket.io/?EIO=4&transport=polling");
        let mut polling = Self { agent: health::agent(), address, arrived: VecDeque::new(), read: 0, deadline };
        let first = polling.next()?;
        let opened = first.strip_prefix('0').and_then(|json| serde_json::from_str::<Opened>(json).ok());
        let opened = opened.ok_or("it does not speak engine.io 4")?;
        if !opened.sid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err("the id of its session is not one".to_owned());
        }
        polling.address = format!("{}&sid={}", polling.address, opened.sid);
        Ok(polling)
    }

    /// Sends packets.
    pub(super) fn send(&mut self, packets: &[String]) -> Result<(), String> {
        let body = packets.join(&char::from(SEPARATOR).to_string());
        let request = self.agent.post(&self.address).config().timeout_global(Some(self.left()?)).build();
        let response = request.header("Content-Type", "text/plain;charset=UTF-8").send(body);
        let mut response = response.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        self.drain(&mut response.body_mut().as_reader())?;
        if status == 200 { Ok(()) } else { Err(format!("it answers with status {status} to what it is told")) }
    }

    /// The beginning of the next packet. Pings are answered.
    pub(super) fn next(&mut self) -> Result<String, String> {
        loop {
            match self.arrived.pop_front() {
                Some(packet) if packet == "2" => self.send(&["3".to_owned()])?,
                Some(packet) if packet == "1" => return Err("it closed the session".to_owned()),
                Some(packet) => return Ok(packet),
                None => self.receive()?,
            }
        }
    }

    fn receive(&mut self) -> Result<(), String> {
        let request = self.agent.get(&self.address).config().timeout_global(Some(self.left()?)).build();
        let mut response = request.call().map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        if status != 200 {
            self.drain(&mut body)?;
            return Err(format!("it answers with status {status}"));
        }
        let packets = self.packets(&mut body)?;
        self.arrived.extend(packets);
        Ok(())
    }

    /// Reads a body to its end and returns the beginnings of its packets.
    fn packets(&mut self, body: &mut impl Read) -> Result<Vec<String>, String> {
        let mut packets = vec![Vec::new()];
        self.read_all(body, |bytes| {
            for (at, part) in bytes.split(|byte| *byte == SEPARATOR).enumerate() {
                if at > 0 {
                    packets.push(Vec::new());
                }
                let Some(packet) = packets.last_mut() else { continue };
                let room = MAX_KEPT.saturating_sub(packet.len()).min(part.len());
                packet.extend_from_slice(part.get(..room).unwrap_or_default());
            }
        })?;
        Ok(packets.iter().map(|packet| String::from_utf8_lossy(packet).into_owned()).collect())
    }

    fn drain(&mut self, body: &mut impl Read) -> Result<(), String> {
        self.read_all(body, |_| {})
    }

    fn read_all(&mut self, body: &mut impl Read, mut take: impl FnMut(&[u8])) -> Result<(), String> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = body.read(&mut chunk).map_err(|error| format!("reading its answer: {error}"))?;
            if length == 0 {
                return Ok(());
            }
            self.read += length as u64;
            if self.read > MAX_READ {
                return Err(format!("it sent more than {} MiB", MAX_READ >> 20));
            }
            take(chunk.get(..length).unwrap_or_default());
        }
    }

    /// How much time is left.
    fn left(&self) -> Result<Duration, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err("it did not answer in time".to_owned()) } else { Ok(left) }
    }

    /// Ends the session. It ends by itself, too.
    pub(super) fn close(mut self) {
        let _ = self.send(&["41".to_owned(), "1".to_owned()]);
    }
}
