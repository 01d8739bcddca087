//! What root's ssh needs for a repository over SFTP, before restic tries it: ssh itself would ask questions that nobody sees.

use std::path::Path;

use crate::config::SshTarget;
use crate::error::{Error, Kind, Result};
use crate::host::system::prompt::Echo;
use crate::host::system::ssh::{self, Attempt, Ssh};

use super::given::Given;
use super::person::{Person, done};

/// Sees to it that root's ssh reaches `target`.
///
/// # Errors
/// [`Kind::ResticMissing`] without ssh; [`Kind::RepositoryUnreachable`]; [`Kind::RepositoryDenied`] with the key to authorise.
pub(super) async fn reach(target: &SshTarget, given: &Given, person: &Person) -> Result<()> {
    ssh::check_installed()?;
    let ssh = Ssh::of(Path::new("/root"));
    if let Some(lines) = &given.known_hosts {
        ssh.trust(lines)?;
    }
    if let Some(key) = &given.ssh_key
        && ssh.install_key(key, target)?
    {
        done("ssh-key", format!("{} is the key of the invite", ssh.key().display()))?;
    }
    let mut attempt = ssh::attempt(target)?;
    if attempt == Attempt::UnknownHost {
        accept_host_key(&ssh, target, person).await?;
        attempt = ssh::attempt(target)?;
    }
    if let Attempt::Denied(reason) = attempt {
        attempt = authorise(&ssh, target, person, reason).await?;
    }
    match attempt {
        Attempt::Reached => Ok(()),
        Attempt::UnknownHost => Err(unreachable(target, "its host key is not accepted".to_owned())),
        Attempt::Unreachable(reason) => Err(unreachable(target, reason)),
        Attempt::Denied(reason) => Err(denied(&ssh, target, reason)?),
    }
}

/// Shows the key of the server, and adds it to `known_hosts` after a yes.
async fn accept_host_key(ssh: &Ssh, target: &SshTarget, person: &Person) -> Result<()> {
    let keys = ssh::scan(target)?;
    let shown = keys.fingerprints.join(", ");
    let question = format!("The ssh server {} shows this key: {shown}. Is it the right one?", target.host);
    person.confirm(&question).await?;
    ssh.trust(&keys.lines)?;
    done("host-key", format!("{} is known by {shown}", target.host))
}

/// Makes a key, unless there is one, and waits until a person has authorised it on the server.
async fn authorise(ssh: &Ssh, target: &SshTarget, person: &Person, reason: String) -> Result<Attempt> {
    if ssh.public_key()?.is_none() {
        ssh.make_key(target)?;
        done("ssh-key", format!("made {} for {target}", ssh.key().display()))?;
        // The server may accept it by other means than a line of its own.
        match ssh::attempt(target)? {
            Attempt::Denied(_) => {}
            other => return Ok(other),
        }
    }
    if !person.is_there() {
        return Ok(Attempt::Denied(reason));
    }
    let key = ssh.public_key()?.unwrap_or_default();
    let question =
        format!("Authorise this key for {target}, as a line of its authorized_keys, and press Enter: {key}\n");
    person.ask(&question, Echo::On).await?;
    ssh::attempt(target)
}

fn unreachable(target: &SshTarget, reason: String) -> Error {
    Error::new(Kind::RepositoryUnreachable, format!("ssh does not reach {target}")).because(reason)
}

fn denied(ssh: &Ssh, target: &SshTarget, reason: String) -> Result<Error> {
    let key = ssh.public_key()?.unwrap_or_default();
    let hint = format!("add this line to authorized_keys of {target}, and type the same line again: {key}");
    Ok(Error::new(Kind::RepositoryDenied, format!("the ssh server refuses {target}")).because(reason).with_hint(hint))
}
