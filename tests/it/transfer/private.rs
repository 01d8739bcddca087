//! Only its owner can read what the program writes, whatever the umask of the shell.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::program::{program, run};
use crate::support::instance::{Instance, Order, Version};

/// The modes of everything at and below `path`, with names relative to it.
fn modes(path: &Path) -> Vec<(String, u32)> {
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let mut found = vec![(String::new(), mode(path))];
    for entry in fs::read_dir(path).unwrap().flatten() {
        found.push((entry.file_name().into_string().unwrap(), mode(&entry.path())));
    }
    found.sort();
    found
}

#[test]
fn what_is_written_is_private_without_a_umask() {
    let directory = tempfile::tempdir().unwrap();
    let (state, config, dump) =
        (directory.path().join("deep/state"), directory.path().join("config.toml"), directory.path().join("a.dump"));
    let source = Instance::rich(Version::Two, Order::Fresh);
    let target = Instance::empty(Version::Two, Order::Fresh);
    let text = format!(
        "role = \"replica\"\nrepository = \"/nowhere\"\n[uptime-kuma]\ndata-directory = {:?}\nurl = \"http://127.0.0.1:1\"\n",
        target.directory()
    );
    fs::write(&config, text).unwrap();
    let typed = |arguments: &[&str]| {
        // The shell sets the umask for the program; $0 is the program, $@ its arguments.
        let mut command = Command::new("sh");
        command.args(["-c", "umask 0000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kuma-replicator")]);
        command.arg("--config").arg(&config).args(arguments).env("STATE_DIRECTORY", &state);
        let output = run(&mut command);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let dump_path = dump.to_str().unwrap();
    typed(&["export", "--database", source.path().to_str().unwrap(), dump_path]);
    typed(&["import", dump_path]);
    typed(&["hold"]);

    assert_eq!(fs::metadata(&dump).unwrap().permissions().mode() & 0o777, 0o600);
    let file = |name: &str| (name.to_owned(), 0o600);
    let files = ["hold.json", "lock", "previous.dump", "state.json", "waiting"].map(file);
    let expected: Vec<_> = std::iter::once((String::new(), 0o700)).chain(files).collect();
    assert_eq!(modes(&state), expected);
    assert_eq!(fs::metadata(state.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_link_in_place_of_the_lock_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let victim = directory.path().join("victim");
    for there in [true, false] {
        let state = directory.path().join(format!("state-{there}"));
        fs::create_dir(&state).unwrap();
        if there {
            fs::write(&victim, "not ours").unwrap();
        }
        std::os::unix::fs::symlink(&victim, state.join("lock")).unwrap();
        let output = run(program().arg("hold").env("STATE_DIRECTORY", &state));
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        assert_eq!(victim.exists(), there);
        assert!(!state.join("state.json").exists());
        if there {
            assert_eq!(fs::read_to_string(&victim).unwrap(), "not ours");
            fs::remove_file(&victim).unwrap();
        }
    }
}
