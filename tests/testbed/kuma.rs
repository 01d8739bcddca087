//! A client of a host's Uptime Kuma, which does what a person does on its page.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::{Result, cache, source};

/// A connection to one server. It does not outlive the server: take a new one after a restart.
pub(crate) struct Kuma {
    client: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Kuma {
    /// The name of the user that [`Kuma::set_up`] makes.
    pub(crate) const USER: &str = "admin";
    /// The password of that user.
    pub(crate) const PASSWORD: &str = "Testbed-pass-1";

    /// Connects to the server in the network namespace of a process.
    pub(super) fn connect(process: u32) -> Result<Self> {
        let mut client = Command::new("nsenter")
            .args(["--net", "--target", &process.to_string(), "--"])
            .arg(cache().join("node/node"))
            .arg(source().join("kuma-api.js"))
            .arg("http://127.0.0.1:3001")
            .env("NODE_PATH", cache().join("kuma/node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the client of Uptime Kuma: {error}"))?;
        let requests = client.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(client.stdout.take().ok_or("no standard output")?);
        Ok(Kuma { client, requests, answers })
    }

    /// Emits an event, or one of the calls of `kuma-api.js`, and returns what the server
    /// acknowledges.
    pub(crate) fn call(&mut self, name: &str, args: Value) -> Result<Value> {
        // When the client has ended, the reason is on its standard error, not in this write.
        let _ = writeln!(self.requests, "{}", json!({ "call": name, "args": args }));
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            let mut reason = String::new();
            if let Some(stderr) = self.client.stderr.as_mut() {
                stderr.read_to_string(&mut reason)?;
            }
            return Err(format!("{name}: the client ended: {}", reason.trim()).into());
        }
        let mut answer: Value = serde_json::from_str(&line)?;
        match answer.get("error") {
            Some(error) => Err(format!("{name} {args}: {error}").into()),
            None => Ok(answer.get_mut("answer").map(Value::take).unwrap_or_default()),
        }
    }

    /// Makes the first user and logs in.
    pub(crate) fn set_up(&mut self) -> Result<()> {
        self.call("setup", json!([Self::USER, Self::PASSWORD]))?;
        self.log_in(Self::USER, Self::PASSWORD)
    }

    /// Logs in.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> Result<()> {
        self.call("login", json!([user, password])).map(drop)
    }

    /// All that the server sends to its page: `monitorList`, `maintenanceList` and `statusPageList` by
    /// id; `notificationList`, `proxyList`, `dockerHostList`, `apiKeyList` and `tags` as arrays;
    /// `heartbeats` as numbers by monitor.
    pub(crate) fn lists(&mut self) -> Result<Value> {
        self.call("lists", json!([]))
    }

    /// Adds an HTTP monitor that beats every 20 seconds, the shortest there is.
    pub(crate) fn add_monitor(&mut self, name: &str, url: &str) -> Result<i64> {
        self.add_monitor_with(json!({ "name": name, "url": url, "interval": 20, "retryInterval": 20, "timeout": 16 }))
    }

    /// Adds a monitor with these fields; the rest is as on a new page.
    pub(crate) fn add_monitor_with(&mut self, fields: Value) -> Result<i64> {
        self.id("addMonitor", json!([fields]), "monitorID")
    }

    /// Adds a notification that posts to a URL.
    pub(crate) fn add_notification(&mut self, name: &str, url: &str) -> Result<i64> {
        let fields = json!({
            "name": name, "type": "webhook", "webhookURL": url, "webhookContentType": "json",
            "isDefault": false, "applyExisting": false,
        });
        self.id("addNotification", json!([fields, null]), "id")
    }

    /// Adds a tag.
    pub(crate) fn add_tag(&mut self, name: &str, color: &str) -> Result<i64> {
        let answer = self.call("addTag", json!([{ "name": name, "color": color }]))?;
        answer.pointer("/tag/id").and_then(Value::as_i64).ok_or_else(|| format!("addTag: no id in {answer}").into())
    }

    /// Puts a tag on a monitor.
    pub(crate) fn tag_monitor(&mut self, tag: i64, monitor: i64, value: &str) -> Result<()> {
        self.call("addMonitorTag", json!([tag, monitor, value])).map(drop)
    }

    /// Adds a status page with one group of monitors.
    pub(crate) fn add_status_page(&mut self, title: &str, slug: &str, group: &str, monitors: &[i64]) -> Result<()> {
        self.call("addStatusPage", json!([title, slug]))?;
        let monitors: Vec<Value> = monitors.iter().map(|id| json!({ "id": id })).collect();
        let groups = json!([{ "name": group, "monitorList": monitors }]);
        self.call("changeStatusPage", json!([slug, {}, groups])).map(drop)
    }

    fn id(&mut self, name: &str, args: Value, field: &str) -> Result<i64> {
        let answer = self.call(name, args)?;
        answer.get(field).and_then(Value::as_i64).ok_or_else(|| format!("{name}: no {field} in {answer}").into())
    }
}

impl Drop for Kuma {
    fn drop(&mut self) {
        // A client that has ended by itself is as good.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
