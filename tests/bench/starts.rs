//! What systemd does for the start of a cycle: the processor time of a whole unit, and of units that do nothing, with the
//! same sandbox and without.

use crate::hosts::{Hosts, numbers};
use crate::testbed::Result;

/// How often each unit is started.
const ROUNDS: usize = 20;

/// The settings of a unit that are no sandbox.
const PLAIN: &str = "/^\\(Type\\|ExecStart\\|TimeoutS\\|\\[\\)/p";

/// Starts a unit again and again: the milliseconds of processor time of what systemd has started, and of systemd itself.
const MEASURE: &str = r#"
times() { awk -v hz="$(getconf CLK_TCK)" '{ print ($16 + $17) * 1000 / hz, ($14 + $15) * 1000 / hz }' /proc/1/stat; }
read -r children own < <(times)
for ((round = 0; round < ROUNDS; round++)); do systemctl start "$unit"; done
read -r children_then own_then < <(times)
awk "BEGIN { print ($children_then - $children) / ROUNDS, ($own_then - $own) / ROUNDS }"
"#;

/// Prints the table.
pub fn print(hosts: &Hosts) -> Result<()> {
    println!(
        "\nThe start of a cycle of an unchanged main, means of {ROUNDS} starts, in milliseconds of processor time.\n"
    );
    println!("| unit | what it starts | systemd itself |\n|---|---:|---:|");
    let made = "/run/systemd/system/bench";
    let source = "/lib/systemd/system/kuma-replicator.service";
    let nothing = "s#^ExecStart=.*#ExecStart=/bin/true#; /^ExecStopPost/d";
    hosts.main.sh(&format!(
        "sed '{nothing}' {source} >{made}-empty.service; sed -n '{nothing}; {PLAIN}' {source} >{made}-plain.service; \
         systemctl daemon-reload"
    ))?;
    for (unit, what) in [
        ("kuma-replicator", "`kuma-replicator.service`"),
        ("bench-empty", "one that does nothing, in the same sandbox"),
        ("bench-plain", "one that does nothing, without a sandbox"),
    ] {
        let script = format!("unit={unit}\n{}", MEASURE.replace("ROUNDS", &ROUNDS.to_string()));
        let times = numbers(&hosts.main.run(&["bash", "-ec", &script])?)?;
        let [children, own] = times.as_slice() else { return Err(format!("no two times: {times:?}").into()) };
        println!("| {what} | {children:.0} | {own:.0} |");
    }
    Ok(())
}
