//! What was given to `setup`: flags, files and standard input, or an invite. No secret is an argument.

use std::io::Read as _;
use std::path::Path;

use crate::cli::{Setup, SetupRole};
use crate::config::without_credentials;
use crate::error::{Error, Kind, Result};
use crate::host::system::environment;
use crate::host::system::files;
use crate::model::invite::{Fault, Invite};
use crate::model::limits::MAX_SETTINGS;

use super::person::Person;
use crate::host::system::prompt::Echo;

/// The name of standard input among files.
const STDIN: &str = "-";

/// What was given.
#[derive(Default)]
pub(super) struct Given {
    pub(super) repository: Option<String>,
    pub(super) password: Option<String>,
    /// The text of an environment file.
    pub(super) environment: Option<String>,
    /// Lines for `known_hosts`.
    pub(super) known_hosts: Option<String>,
    pub(super) ssh_key: Option<String>,
}

impl From<Invite> for Given {
    fn from(Invite { repository, password, environment, known_hosts, ssh_key }: Invite) -> Self {
        Self { repository: Some(repository), password: Some(password), environment, known_hosts, ssh_key }
    }
}

impl Given {
    /// Reads everything that `flags` name.
    ///
    /// # Errors
    /// [`Kind::Usage`] for flags that do not go together, and for what they name.
    pub(super) fn read(flags: &Setup) -> Result<Self> {
        let files = [&flags.invite_file, &flags.password_file, &flags.credentials_file];
        let inputs = files.iter().filter(|file| file.as_deref() == Some(Path::new(STDIN))).count();
        if inputs + usize::from(flags.repository.as_deref() == Some(STDIN)) > 1 {
            return Err(usage("only one flag can name standard input (-)", "write the others to files, mode 0600"));
        }
        if let Some(file) = &flags.invite_file {
            if flags.role == SetupRole::Main {
                let hint = "a main makes what it needs: kuma-replicator setup main --repository REPOSITORY";
                return Err(usage("an invite is for a replica", hint));
            }
            return invite(&read_input(file, "the invite")?).map(Self::from);
        }
        let password = flags.password_file.as_deref().map(|file| read_input(file, "the password")).transpose()?;
        let password = password.map(|password| password.trim().to_owned());
        if password.as_deref() == Some("") {
            return Err(usage(
                "the password is empty",
                "write it to a file, mode 0600, and name that: --password-file FILE",
            ));
        }
        let environment = flags.credentials_file.as_deref().map(read_environment).transpose()?;
        Ok(Self {
            repository: given_repository(flags.repository.as_deref())?,
            password,
            environment,
            ..Self::default()
        })
    }

    /// Asks for an invite, if nothing was given that would do instead.
    pub(super) async fn or_ask(self, person: &Person) -> Result<Self> {
        if self.repository.is_some() || self.password.is_some() || !person.is_there() {
            return Ok(self);
        }
        let question = "Paste the line that kuma-replicator invite printed on the main (it is not shown):";
        match person.ask(question, Echo::Off).await? {
            Some(line) => invite(&line).map(Self::from),
            None => Ok(self),
        }
    }
}

/// A repository that was given.
pub(in crate::command) fn given_repository(written: Option<&str>) -> Result<Option<String>> {
    match written {
        Some(STDIN) => {
            let text = read_input(Path::new(STDIN), "the repository")?;
            Ok(Some(text.trim().to_owned()))
        }
        Some(address) if without_credentials(address) != address => {
            let what = "this repository has a password in its address, which every user of this host can read on the command line";
            let hint = "change that password; then give the address on standard input: --repository -";
            Err(usage(what, hint))
        }
        written => Ok(written.map(str::to_owned)),
    }
}

/// The text of an environment file that can be used.
pub(in crate::command) fn read_environment(file: &Path) -> Result<String> {
    let text = read_input(file, "the credentials")?;
    let shown = file.display();
    let wrong = |reason: String| {
        usage(&format!("the credentials in {shown} cannot be used"), "lines have the form NAME=value").because(reason)
    };
    let pairs = environment::parse(&text).map_err(wrong)?;
    if pairs.is_empty() {
        return Err(wrong("there are none".to_owned()));
    }
    Ok(text)
}

/// The text of a file, or of standard input.
pub(in crate::command) fn read_input(file: &Path, what: &str) -> Result<String> {
    let failed = |error: std::io::Error| {
        let hint = format!("{} has to be a text file of at most {MAX_SETTINGS} bytes", file.display());
        usage(&format!("cannot read {what} from {}", file.display()), &hint).because(error)
    };
    if file != Path::new(STDIN) {
        return files::read_small_text(file, MAX_SETTINGS).map_err(failed);
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_SETTINGS as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    if read > MAX_SETTINGS {
        return Err(failed(std::io::Error::other("it is longer")));
    }
    Ok(text)
}

fn invite(line: &str) -> Result<Invite> {
    line.parse().map_err(|fault| {
        let error = Error::new(
            if fault == Fault::Format { Kind::FormatUnknown } else { Kind::Usage },
            "the invite cannot be used",
        );
        match fault {
            Fault::Format => error,
            _ => error.with_hint("copy the whole line that kuma-replicator invite printed on the main"),
        }
        .because(fault)
    })
}

fn usage(what: &str, hint: &str) -> Error {
    Error::new(Kind::Usage, what).with_hint(hint)
}
