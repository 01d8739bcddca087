//! Which alerts real Uptime Kumas send, and which host sends them: a listener on each host receives them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::Test;
use crate::testbed::{Kuma, Machine, Result, wait_for};
use crate::world::{Pair, SOON, Setup, expect, invocation, logged_in, sql};

pub const TESTS: &[Test] =
    &[("alerts_of_a_replica_name_their_host", label), ("a_silent_standby_alerts_after_one_command", standby)];

/// Where the listener is on a host, and what it receives.
const PLACE: &str = "var/lib/listener";

/// Lets Uptime Kuma trust the certificate of the listener.
const TRUST: &str = "[Service]\nEnvironment=NODE_EXTRA_CA_CERTS=/var/lib/listener/certificate.pem\n";

/// Where the listener shows its certificate.
const TLS: &str = "https://127.0.0.1:9443/";

/// Types of notifications that can be pointed at a server of one's own, with what they need.
fn types() -> Vec<Value> {
    let url = |kind: &str| format!("http://127.0.0.1:9080/{kind}");
    let with = |kind: &str, key: &str, more: Value| {
        let mut fields = json!({ "name": kind, "type": kind, "isDefault": false, "applyExisting": false });
        fields[key] = json!(url(kind));
        for (key, value) in more.as_object().into_iter().flatten() {
            fields[key] = value.clone();
        }
        fields
    };
    vec![
        with("webhook", "webhookURL", json!({ "webhookContentType": "json" })),
        with("slack", "slackwebhookURL", json!({ "slackusername": "kuma", "slackrichmessage": true })),
        with("discord", "discordWebhookUrl", json!({})),
        with("teams", "webhookUrl", json!({})),
        with("mattermost", "mattermostWebhookUrl", json!({ "mattermostusername": "kuma" })),
        with("rocket.chat", "rocketwebhookURL", json!({})),
        with("GoogleChat", "googleChatWebhookURL", json!({})),
        with("ZohoCliq", "webhookUrl", json!({})),
        with("stackfield", "stackfieldwebhookURL", json!({})),
        with("squadcast", "squadcastWebhookURL", json!({})),
        with("gotify", "gotifyserverurl", json!({ "gotifyapplicationToken": "token", "gotifyPriority": 8 })),
        with("ntfy", "ntfyserverurl", json!({ "ntfytopic": "kuma", "ntfyPriority": 5 })),
        with("matrix", "homeserverUrl", json!({ "internalRoomId": "!room", "accessToken": "token" })),
        with("signal", "signalURL", json!({ "signalNumber": "+491", "signalRecipients": "+492" })),
        with("HomeAssistant", "homeAssistantUrl", json!({ "longLivedAccessToken": "token" })),
        with("PagerDuty", "pagerdutyIntegrationUrl", json!({ "pagerdutyIntegrationKey": "key" })),
    ]
}

/// Begins to listen on a host, with a certificate that ends in five days.
pub fn listen(machine: &Machine) -> Result<()> {
    let directory = machine.root().join(PLACE);
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("listener.js"), include_str!("listener.js"))?;
    std::fs::write(directory.join("heard"), "")?;
    machine.sh(&format!(
        "cd /{PLACE}; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 5 \
             -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem 2>&1; \
         systemd-run --unit=listener --working-directory=/{PLACE} \
             node listener.js heard key.pem certificate.pem"
    ))?;
    Ok(())
}

/// The notifications that a host has sent: their types and texts, oldest first.
pub fn heard(machine: &Machine) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(machine.root().join(PLACE).join("heard"))?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Waits until a host has sent a text with `said` in it by each of these types.
fn wait_for_voices(machine: &Machine, types: &BTreeSet<String>, said: &str) -> Result<()> {
    wait_for(&format!("{} says {said} by {types:?}", machine.name()), SOON, || {
        let heard = heard(machine)?;
        let by: BTreeSet<String> =
            heard.into_iter().filter(|(_, text)| text.contains(said)).map(|(by, _)| by).collect();
        Ok(types.is_subset(&by).then_some(()))
    })
    .map_err(|error| format!("{error}; it said {:#?}", heard(machine).unwrap_or_default()).into())
}

/// Adds a notification, and returns its id.
fn add_notification(kuma: &mut Kuma, fields: &Value) -> Result<i64> {
    let answer = kuma.call("addNotification", json!([fields, null]))?;
    answer["id"].as_i64().ok_or_else(|| format!("no id in {answer}").into())
}

/// The names that a status page shows to everybody.
fn page(machine: &Machine, slug: &str) -> Result<Vec<String>> {
    let text = machine.run(&["curl", "-sf", &format!("http://127.0.0.1:3001/api/status-page/{slug}")])?;
    let page: Value = serde_json::from_str(&text)?;
    let groups = page["publicGroupList"].as_array().ok_or_else(|| format!("no groups in {page}"))?;
    let monitors = groups.iter().filter_map(|group| group["monitorList"].as_array()).flatten();
    Ok(monitors.filter_map(|monitor| Some(monitor["name"].as_str()?.to_owned())).collect())
}

fn label() -> Result<()> {
    let config = "[replica]\nmin-restart-interval = \"0s\"\nlabel = \"fra1\"\n";
    let setup = Setup { replica_unit: Some(TRUST), replica_config: config };
    Pair::test(&setup, |pair| {
        listen(&pair.main)?;
        listen(&pair.replica)?;
        let mut kuma = pair.main_kuma()?;
        let mut all = BTreeSet::new();
        let mut notifications = json!({});
        for fields in types() {
            notifications[add_notification(&mut kuma, &fields)?.to_string()] = json!(true);
            all.insert(fields["type"].as_str().unwrap_or_default().to_owned());
        }
        let site = kuma.add_monitor_with(json!({
            "name": "site", "type": "group", "interval": 20, "retryInterval": 1, "notificationIDList": notifications,
        }))?;
        // Nobody listens there: the first beat is an alert.
        let web = kuma.add_monitor_with(json!({
            "name": "web", "type": "port", "hostname": "127.0.0.1", "port": 9, "interval": 20, "parent": site,
            "notificationIDList": notifications,
        }))?;
        kuma.add_monitor_with(json!({
            "name": "shop", "url": TLS, "interval": 20, "expiryNotification": true,
            "notificationIDList": notifications,
        }))?;
        kuma.add_status_page("Public", "public", "Services", &[site])?;
        pair.replicate()?;

        wait_for_voices(&pair.main, &all, "web")?;
        wait_for_voices(&pair.replica, &all, "web (fra1)")?;
        wait_for_voices(&pair.replica, &all, "site (fra1)")?;
        wait_for_voices(
            &pair.replica,
            &all,
            "[shop (fra1)][https://127.0.0.1:9443/] self-signed certificate localhost",
        )?;
        for (by, text) in heard(&pair.main)? {
            assert!(!text.contains("fra1"), "{by}: {text}");
        }
        for (by, text) in heard(&pair.replica)? {
            assert!(text.contains("(fra1)"), "{by}: {text}");
        }
        assert_eq!(page(&pair.main, "public")?, ["site"]);
        assert_eq!(page(&pair.replica, "public")?, ["site (fra1)"]);
        expect(&pair.replica, 0, "up to date")?;

        // A group on a page has no label; the monitors in it have one in their alerts.
        pair.replica.sh("echo 'clean-status-pages = true' >> /etc/kuma-replicator/config.toml")?;
        expect(&pair.replica, 0, "applied")?;
        assert_eq!(page(&pair.replica, "public")?, ["site"]);
        let lists = logged_in(&pair.replica)?.lists()?;
        let name = |id: i64| lists["monitorList"][id.to_string()]["name"].as_str().unwrap_or_default().to_owned();
        assert_eq!((name(site), name(web)), ("site".to_owned(), "web (fra1)".to_owned()));
        expect(&pair.replica, 0, "up to date")
    })
}

fn standby() -> Result<()> {
    let config = "[replica]\nmin-restart-interval = \"0s\"\nalerts = \"off\"\n";
    Pair::test(&Setup { replica_unit: Some(TRUST), replica_config: config }, |pair| {
        let (main, replica) = (&pair.main, &pair.replica);
        listen(main)?;
        listen(replica)?;
        let mut kuma = pair.main_kuma()?;
        let webhook = add_notification(&mut kuma, &types()[0])?;
        let by = BTreeSet::from(["webhook".to_owned()]);
        let with = |mut fields: Value| {
            fields["notificationIDList"] = json!({ webhook.to_string(): true });
            fields
        };
        kuma.add_monitor_with(with(json!({ "name": "web", "type": "port", "hostname": "127.0.0.1", "port": 7777 })))?;
        kuma.add_monitor_with(with(json!({ "name": "shop", "url": TLS, "expiryNotification": true })))?;
        // The replica beats more often than anybody could configure; the main goes on as it began.
        sql(main, "UPDATE monitor SET interval = 1")?;
        pair.replicate()?;
        wait_for_voices(main, &by, "[web] [🔴 Down]")?;
        beats(replica, [0, 1])?;
        assert_eq!(heard(replica)?, [], "alerts and notices of certificates");
        assert_eq!(sql(replica, "SELECT count(*) FROM notification")?.trim(), "1");

        // What is due is said at the next beat, and not before.
        let running = invocation(replica)?;
        replica.run(&["kuma-replicator", "alerts", "on"])?;
        wait_for_voices(replica, &by, "[shop][https://127.0.0.1:9443/] self-signed certificate localhost")?;
        answer(replica)?;
        beats(replica, [1, 1])?;
        wait_for_voices(replica, &by, "[web] [✅ Up]")?;
        replica.run(&["kuma-replicator", "alerts", "off"])?;
        let said = heard(replica)?;
        replica.run(&["systemctl", "stop", "target"])?;
        beats(replica, [0, 1])?;
        assert_eq!(heard(replica)?, said);
        expect(replica, 0, "up to date")?;
        assert_eq!(invocation(replica)?, running, "all of it without a restart");

        // Each order outlives an apply.
        pair.offer("second")?;
        expect(replica, 0, "applied")?;
        answer(replica)?;
        beats(replica, [1, 1])?;
        assert_eq!(heard(replica)?, said);
        replica.run(&["kuma-replicator", "alerts", "on"])?;
        pair.offer("third")?;
        expect(replica, 0, "applied")?;
        replica.run(&["systemctl", "stop", "target"])?;
        wait_for_voices(replica, &by, "[web] [🔴 Down]")?;
        pair.assert_equal()
    })
}

/// Begins to answer where the first monitor asks, as the unit `target`.
fn answer(machine: &Machine) -> Result<()> {
    let server = "require('net').createServer((socket) => socket.end()).listen(7777, '127.0.0.1')";
    machine.run(&["systemd-run", "--unit=target", "--collect", "node", "-e", server]).map(drop)
}

/// Waits until the last beats of the first two monitors have these states. Alerts are sent before a beat is stored.
fn beats(machine: &Machine, states: [u8; 2]) -> Result<()> {
    let last = |id| format!("(SELECT status FROM heartbeat WHERE monitor_id = {id} ORDER BY id DESC LIMIT 1)");
    let statement = format!("SELECT {} || ' ' || {}", last(1), last(2));
    wait_for(&format!("{} sees {states:?}", machine.name()), SOON, || {
        Ok((sql(machine, &statement)?.trim() == format!("{} {}", states[0], states[1])).then_some(()))
    })
}
