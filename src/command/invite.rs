//! `invite`: what a replica needs to reach the repository, as one line.

use std::path::Path;

use crate::cli::{Cli, Inviting};
use crate::config::{self, Location, Role, Settings};
use crate::error::{Error, Kind, Result};
use crate::host::restic::{ETC, PASSWORD_VARIABLES};
use crate::host::system::interrupt::Interrupt;
use crate::host::system::ssh::Ssh;
use crate::host::system::{environment, files};
use crate::host::{Directories, repository};
use crate::logging;
use crate::model::invite::Invite;
use crate::model::limits::MAX_SETTINGS;
use crate::report::say;

use super::settings::settings;
use super::setup::{given_repository, read_environment, read_input};

/// The longest line that a terminal takes at once, in bytes (termios(3), canonical mode), less some.
const MAX_TYPED: usize = 4000;

pub(super) fn invite(cli: &Cli, flags: &Inviting) -> Result<()> {
    let settings = settings(cli)?;
    if settings.role == Role::Replica {
        let what = "only the main invites replicas; this host is a replica";
        return Err(Error::new(Kind::Usage, what).with_hint("type kuma-replicator invite on the main"));
    }
    let restic = repository(&settings, &Directories::from_environment(), &Interrupt::never())?;
    let address = given_repository(flags.repository.as_deref())?;
    let address = address.unwrap_or_else(|| settings.repository.secret().to_owned());
    // As a replica would read it.
    let location = location(&address)?;
    let (environment, is_own) = match &flags.credentials_file {
        Some(file) => (Some(read_environment(file)?), false),
        None => (own_environment(&settings)?, true),
    };
    let ssh_key = flags.ssh_key.as_deref().map(|file| read_input(file, "the ssh key")).transpose()?;
    if ssh_key.as_ref().is_some_and(|key| !key.contains("PRIVATE KEY")) {
        let what = "the file given as --ssh-key holds no private key";
        return Err(Error::new(Kind::Usage, what).with_hint("give the file without .pub at its end"));
    }
    let known_hosts = location.ssh().map(|target| Ssh::of(Path::new("/root")).known(&target));
    let known_hosts = known_hosts.filter(|lines| !lines.is_empty());
    let can_write = is_own && (environment.is_some() || location.has_credentials());
    let invite = Invite { repository: address, password: restic.password()?, environment, known_hosts, ssh_key };
    let line = invite.to_string();
    for note in notes(&line, &invite, &location, can_write) {
        logging::warning(&note);
    }
    say(line)
}

/// What a person has to know of the line.
fn notes(line: &str, invite: &Invite, location: &Location, can_write: bool) -> Vec<String> {
    let mut notes = vec![
        "The line below is a secret: with it, anybody can read all that Uptime Kuma keeps, passwords and tokens included. \
         Paste it on each replica into kuma-replicator setup replica, and keep it nowhere."
            .to_owned(),
        "If it leaks, change the credentials of the storage and the password of the repository: replica.md in \
         /usr/share/doc/kuma-replicator has the commands."
            .to_owned(),
    ];
    if can_write {
        notes.push(
            "The credentials in it are those of this main, which can write: a replica that is broken into could harm the \
             repository. --credentials-file passes on others, which only read."
                .to_owned(),
        );
    }
    if let Some(folder) = location.folder() {
        let folder = folder.display();
        notes.push(format!(
            "The repository is a folder: a replica needs it mounted at {folder}, or another address of it: --repository"
        ));
    }
    if location.ssh().is_some() && invite.ssh_key.is_none() {
        notes.push(
            "It has no ssh key: a replica makes one of its own, which you authorise on the server. --ssh-key passes one on."
                .to_owned(),
        );
    }
    if line.len() > MAX_TYPED {
        notes.push(format!(
            "It has {} characters, too many to paste: write it to a file (umask 077; kuma-replicator invite >FILE), and give \
             that to setup replica --invite-file FILE",
            line.len()
        ));
    }
    notes
}

/// `address` as the configuration of a replica would have it.
fn location(address: &str) -> Result<Location> {
    let path = Path::new("--repository");
    let text = config::with("role = \"replica\"\n", &["repository"], address, path)?;
    Settings::parse(&text, path).map(|settings| settings.repository).map_err(|error| {
        Error::new(Kind::Usage, "replicas cannot use this repository")
            .because(error)
            .with_hint("--repository REPOSITORY")
    })
}

/// The environment file of this host, without the password, which has a place of its own.
fn own_environment(settings: &Settings) -> Result<Option<String>> {
    let usual = Path::new(ETC).join("environment");
    let path = settings.restic.environment_file.as_deref().unwrap_or(&usual);
    let Some(text) = files::find_text(path, MAX_SETTINGS)? else { return Ok(None) };
    let unusable = |reason: String| Error::new(Kind::Config, format!("cannot use {}", path.display())).because(reason);
    let mut pairs = environment::parse(&text).map_err(unusable)?;
    pairs.retain(|(name, _)| !PASSWORD_VARIABLES.contains(&name.as_str()));
    Ok((!pairs.is_empty()).then(|| environment::render(&pairs)))
}
