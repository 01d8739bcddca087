//! Edits of a main at random, through its API, as people make them on its page.

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::testbed::{Kuma, Machine, Result};
use crate::world::{logged_in, sql};

/// How many rows of a table there are at most.
const MOST: usize = 10;

/// What one edit does, if there is something that it can be done to.
type Draw<'a> = fn(&mut Editor<'a>) -> Result<Option<String>>;

/// The kinds of edits, and how often each is drawn.
fn kinds<'a>() -> Vec<(u64, Draw<'a>)> {
    vec![
        (12, Editor::add_monitor),
        (26, Editor::change_monitor),
        (8, |editor| editor.switch("Monitor", "monitor WHERE type <> 'push' AND active =")),
        // A main does not publish that all are gone.
        (6, |editor| {
            editor.remove("deleteMonitor", "monitor WHERE type <> 'push' AND (SELECT count(*) > 4 FROM monitor)")
        }),
        (4, Editor::add_tag),
        (4, Editor::tag_monitor),
        (2, Editor::change_tag),
        (2, |editor| editor.remove("deleteTag", "tag")),
        (3, |editor| editor.save_notification(None)),
        (3, |editor| match editor.one("notification")? {
            Some(id) => editor.save_notification(Some(id)),
            None => Ok(None),
        }),
        (2, |editor| editor.remove("deleteNotification", "notification")),
        (2, |editor| editor.save_proxy(None)),
        (2, |editor| match editor.one("proxy")? {
            Some(id) => editor.save_proxy(Some(id)),
            None => Ok(None),
        }),
        (1, |editor| editor.remove("deleteProxy", "proxy")),
        (1, Editor::add_docker_host),
        (1, |editor| editor.remove("deleteDockerHost", "docker_host")),
        (5, Editor::add_maintenance),
        (4, Editor::change_maintenance),
        (4, |editor| editor.switch("Maintenance", "maintenance WHERE active =")),
        (3, |editor| editor.remove("deleteMaintenance", "maintenance")),
        (4, |editor| editor.assign("addMonitorMaintenance", "monitor", "monitor_maintenance")),
        (3, |editor| editor.assign("addMaintenanceStatusPage", "status_page", "maintenance_status_page")),
        (3, Editor::add_page),
        (5, Editor::save_page),
        (2, Editor::post_incident),
        (1, Editor::remove_page),
        (1, Editor::add_api_key),
        (1, |editor| editor.remove("deleteAPIKey", "api_key")),
        // These restart Uptime Kuma: the last two always, the first one before 2.5.
        (1, Editor::change_push_monitor),
        (1, Editor::add_domain),
        (1, Editor::change_password),
    ]
}

/// A person who edits a main.
pub struct Editor<'a> {
    main: &'a Machine,
    /// The page of this person.
    pub kuma: Kuma,
    /// The password of the user at the moment.
    pub password: String,
    /// Where the random numbers began.
    pub seed: u64,
    chance: Chance,
    edits: u64,
}

impl<'a> Editor<'a> {
    /// One who is logged in.
    pub fn new(main: &'a Machine) -> Result<Self> {
        let (kuma, chance) = (logged_in(main)?, Chance::new()?);
        Ok(Self { main, kuma, password: Kuma::PASSWORD.to_owned(), seed: chance.seed, chance, edits: 0 })
    }

    /// Changes something, and says what.
    pub fn edit(&mut self) -> Result<String> {
        self.edits += 1;
        let kinds = kinds();
        loop {
            let mut at = self.chance.below(kinds.iter().map(|(weight, _)| weight).sum());
            let drawn = kinds.iter().find(|(weight, _)| {
                let found = at < *weight;
                at = at.saturating_sub(*weight);
                found
            });
            // Monitors can always be added or changed, so this ends.
            if let Some(said) = drawn.and_then(|(_, draw)| draw(self).transpose()) {
                return said;
            }
        }
    }

    fn call(&mut self, name: &str, arguments: Value) -> Result<Option<String>> {
        let said = format!("{name} {arguments}");
        self.kuma.call(name, arguments)?;
        Ok(Some(said))
    }

    /// A name that nothing has had yet: what is given one has changed.
    fn name(&self) -> String {
        const ODD: [&str; 4] = ["web", "null", "x'; --", "Grüße \u{1f600}"];
        format!("{} {}", ODD[usize::try_from(self.edits).unwrap_or_default() % ODD.len()], self.edits)
    }

    fn flip(&mut self) -> bool {
        self.chance.below(2) == 0
    }

    fn pick(&mut self, mut all: Vec<Value>) -> Value {
        let at = usize::try_from(self.chance.below(all.len() as u64)).unwrap_or_default();
        all.swap_remove(at)
    }

    /// The ids of rows, such as those of `monitor WHERE active = 1`.
    fn ids(&self, rows: &str) -> Result<Vec<i64>> {
        let ids = sql(self.main, &format!("SELECT id FROM {rows}"))?;
        ids.lines().map(|id| Ok(id.parse()?)).collect()
    }

    fn one(&mut self, rows: &str) -> Result<Option<i64>> {
        let ids = self.ids(rows)?;
        let at = usize::try_from(self.chance.below(ids.len() as u64))?;
        Ok(ids.get(at).copied())
    }

    /// Some of the rows, in the shape of `[{"id": 1}]`.
    fn some(&mut self, rows: &str) -> Result<Vec<Value>> {
        let ids = self.ids(rows)?;
        Ok(ids.into_iter().filter(|_| self.flip()).map(|id| json!({ "id": id })).collect())
    }

    fn is_full(&self, table: &str) -> Result<bool> {
        Ok(self.ids(table)?.len() >= MOST)
    }

    fn remove(&mut self, call: &str, rows: &str) -> Result<Option<String>> {
        match self.one(rows)? {
            Some(id) => self.call(call, json!([id])),
            None => Ok(None),
        }
    }

    /// Pauses or resumes one of the rows.
    fn switch(&mut self, what: &str, rows: &str) -> Result<Option<String>> {
        let active = self.flip();
        match self.one(&format!("{rows} {}", u8::from(active)))? {
            Some(id) => self.call(&format!("{}{what}", if active { "pause" } else { "resume" }), json!([id])),
            None => Ok(None),
        }
    }

    /// The notifications of a monitor, with one of them switched on or off if there is any.
    fn notifications(&mut self, monitor: i64) -> Result<Value> {
        let used = format!("(SELECT notification_id FROM monitor_notification WHERE monitor_id = {monitor})");
        let mut all = json!({});
        for id in self.ids(&format!("notification WHERE id IN {used}"))? {
            all[id.to_string()] = json!(true);
        }
        if let Some(id) = self.one("notification")? {
            all[id.to_string()] = json!(all.get(id.to_string()).is_none());
        }
        Ok(all)
    }

    fn add_monitor(&mut self) -> Result<Option<String>> {
        if self.is_full("monitor")? {
            return Ok(None);
        }
        let local = "http://127.0.0.1:3001/api/entry-page";
        let mut fields = self.pick(vec![
            json!({ "type": "http", "url": local }),
            json!({ "type": "http", "url": "http://127.0.0.1:9/?a=%20", "method": "HEAD", "maxretries": 1 }),
            json!({ "type": "keyword", "url": local, "keyword": "entryPage" }),
            json!({ "type": "json-query", "url": local, "jsonPath": "type", "expectedValue": "entryPage" }),
            json!({ "type": "port", "hostname": "127.0.0.1", "port": 3001 }),
            json!({ "type": "dns", "hostname": "example.com", "dns_resolve_server": "127.0.0.1", "port": 9 }),
            json!({ "type": "group" }),
            json!({ "type": "push", "pushToken": format!("{:020}", self.edits) }),
        ]);
        fields["name"] = json!(self.name());
        for (key, value) in [("interval", 20), ("retryInterval", 20), ("timeout", 16)] {
            fields[key] = json!(value);
        }
        fields["parent"] = json!(self.one("monitor WHERE type = 'group'")?);
        fields["notificationIDList"] = self.notifications(0)?;
        self.call("addMonitor", json!([fields]))
    }

    fn change_monitor(&mut self) -> Result<Option<String>> {
        let Some(id) = self.one("monitor WHERE type NOT IN ('push', 'group')")? else { return self.add_monitor() };
        let (name, number) = (self.name(), self.edits);
        let fields = match self.chance.below(6) {
            0 => json!({ "parent": self.one(&format!("monitor WHERE type = 'group' AND id IS NOT (SELECT parent FROM monitor WHERE id = {id})"))?, "description": name }),
            1 if !self.ids("notification")?.is_empty() => json!({ "notificationIDList": self.notifications(id)? }),
            2 => json!({ "proxyId": self.one("proxy")?, "docker_host": self.one("docker_host")?, "description": name }),
            _ => self.pick(vec![
                json!({ "name": name }),
                json!({ "interval": 20 + number, "retryInterval": 20 + number, "maxretries": number % 3 }),
                json!({ "type": "http", "url": format!("http://127.0.0.1:3001/api/entry-page?{number}") }),
                json!({ "type": "port", "hostname": "127.0.0.1", "port": 3001, "description": name }),
                json!({ "url": format!("http://127.0.0.1:3001/upload/{number}"), "accepted_statuscodes": ["200-299", "404"] }),
                json!({ "headers": format!("{{\"x-edit\": \"{number}\"}}"), "body": "{\"a\": null}", "method": "POST" }),
                json!({ "upsideDown": number % 2 == 0, "ignoreTls": true, "description": name }),
                json!({ "resendInterval": number, "expiryNotification": true, "maxredirects": 0 }),
                json!({ "authMethod": "basic", "basic_auth_user": name, "basic_auth_pass": "null" }),
            ]),
        };
        self.call("changeMonitor", json!([id, fields]))
    }

    fn change_push_monitor(&mut self) -> Result<Option<String>> {
        let name = self.name();
        match self.one("monitor WHERE type = 'push'")? {
            Some(id) => self.call("changeMonitor", json!([id, { "name": name }])),
            None => Ok(None),
        }
    }

    fn add_tag(&mut self) -> Result<Option<String>> {
        let name = self.name();
        self.call("addTag", json!([{ "name": name, "color": "#00ff00" }]))
    }

    fn tag_monitor(&mut self) -> Result<Option<String>> {
        let (tag, monitor) = (self.one("tag")?, self.one("monitor WHERE type <> 'push'")?);
        let (Some(tag), Some(monitor)) = (tag, monitor) else { return Ok(None) };
        let value = self.edits.to_string();
        self.call("addMonitorTag", json!([tag, monitor, value]))
    }

    fn change_tag(&mut self) -> Result<Option<String>> {
        let name = self.name();
        match self.one("tag")? {
            Some(id) => self.call("editTag", json!([{ "id": id, "name": name, "color": "#0000ff" }])),
            None => Ok(None),
        }
    }

    fn save_notification(&mut self, id: Option<i64>) -> Result<Option<String>> {
        let fields = json!({
            "name": self.name(), "type": "webhook", "webhookURL": "http://127.0.0.1:9/", "webhookContentType": "json",
            "isDefault": self.flip(), "applyExisting": self.flip(),
        });
        self.call("addNotification", json!([fields, id]))
    }

    fn save_proxy(&mut self, id: Option<i64>) -> Result<Option<String>> {
        let fields = json!({
            "protocol": "http", "host": "127.0.0.1", "port": 3128 + self.edits, "auth": true, "username": "u",
            "password": self.name(), "active": true, "default": self.flip(), "applyExisting": false,
        });
        self.call("addProxy", json!([fields, id]))
    }

    fn add_docker_host(&mut self) -> Result<Option<String>> {
        let name = self.name();
        let fields = json!({ "name": name, "dockerType": "socket", "dockerDaemon": "/var/run/docker.sock" });
        self.call("addDockerHost", json!([fields, null]))
    }

    fn add_maintenance(&mut self) -> Result<Option<String>> {
        if self.is_full("maintenance")? {
            return Ok(None);
        }
        let mut fields = self.strategy();
        fields["title"] = json!(self.name());
        self.call("newMaintenance", json!([fields]))
    }

    /// The times of a maintenance. None begins or ends while a test runs.
    fn strategy(&mut self) -> Value {
        self.pick(vec![
            json!({ "strategy": "manual" }),
            json!({ "strategy": "single", "dateRange": ["2038-01-01 00:00", "2038-01-02 00:00"] }),
            json!({ "strategy": "recurring-interval", "intervalDay": 2, "dateRange": ["2038-01-01 00:00", null] }),
            json!({ "strategy": "recurring-weekday", "weekdays": [1, 3], "dateRange": ["2038-01-01 00:00", null] }),
            json!({ "strategy": "recurring-day-of-month", "daysOfMonth": [1, "lastDay1"], "dateRange": ["2038-01-01 00:00", null] }),
            json!({ "strategy": "cron", "cron": "0 5 29 2 *", "durationMinutes": 1, "dateRange": ["2038-01-01 00:00", null] }),
        ])
    }

    fn change_maintenance(&mut self) -> Result<Option<String>> {
        let Some(id) = self.one("maintenance")? else { return Ok(None) };
        let mut fields = if self.flip() { self.strategy() } else { json!({}) };
        fields["title"] = json!(self.name());
        self.call("changeMaintenance", json!([id, fields]))
    }

    /// Adds one row of `table` to those that a maintenance is for, or takes it away.
    fn assign(&mut self, call: &str, table: &str, links: &str) -> Result<Option<String>> {
        let (maintenance, row) = (self.one("maintenance")?, self.one(table)?);
        let (Some(maintenance), Some(row)) = (maintenance, row) else { return Ok(None) };
        let linked =
            format!("{table} WHERE id IN (SELECT {table}_id FROM {links} WHERE maintenance_id = {maintenance})");
        let mut rows = self.ids(&linked)?;
        match rows.iter().position(|id| *id == row) {
            Some(at) => drop(rows.remove(at)),
            None => rows.push(row),
        }
        let rows: Vec<Value> = rows.into_iter().map(|id| json!({ "id": id })).collect();
        self.call(call, json!([maintenance, rows]))
    }

    /// The address of a status page.
    fn slug(&mut self) -> Result<Option<String>> {
        let Some(id) = self.one("status_page")? else { return Ok(None) };
        Ok(Some(sql(self.main, &format!("SELECT slug FROM status_page WHERE id = {id}"))?.trim().to_owned()))
    }

    fn add_page(&mut self) -> Result<Option<String>> {
        let (name, number) = (self.name(), self.edits);
        self.call("addStatusPage", json!([name, format!("page-{number}")]))
    }

    fn save_page(&mut self) -> Result<Option<String>> {
        let Some(slug) = self.slug()? else { return Ok(None) };
        let groups: Vec<Value> = ["One", "Two"]
            .into_iter()
            .map(|name| Ok(json!({ "name": name, "monitorList": self.some("monitor")? })))
            .collect::<Result<_>>()?;
        let mut fields = json!({ "title": self.name(), "description": self.name(), "showTags": self.flip() });
        if self.flip() {
            fields["slug"] = json!(format!("moved-{}", self.edits));
        }
        self.call("changeStatusPage", json!([slug, fields, groups]))
    }

    fn add_domain(&mut self) -> Result<Option<String>> {
        let Some(slug) = self.slug()? else { return Ok(None) };
        let domain = format!("status{}.example.com", self.edits);
        self.call("changeStatusPage", json!([slug, { "domainNameList": [domain] }, []]))
    }

    fn post_incident(&mut self) -> Result<Option<String>> {
        let Some(slug) = self.slug()? else { return Ok(None) };
        let incident = json!({ "title": self.name(), "content": "it; burns", "style": "danger" });
        self.call("postIncident", json!([slug, incident]))
    }

    fn remove_page(&mut self) -> Result<Option<String>> {
        match self.slug()? {
            Some(slug) => self.call("deleteStatusPage", json!([slug])),
            None => Ok(None),
        }
    }

    fn add_api_key(&mut self) -> Result<Option<String>> {
        let name = self.name();
        self.call("addAPIKey", json!([{ "name": name, "expires": null, "active": true }]))
    }

    fn change_password(&mut self) -> Result<Option<String>> {
        let new = format!("Another-pass-{}", self.edits);
        let passwords = json!({ "currentPassword": self.password, "newPassword": new });
        let said = self.call("changePassword", json!([passwords]))?;
        self.password = new;
        self.kuma.log_in(Kuma::USER, &self.password)?;
        Ok(said)
    }
}
