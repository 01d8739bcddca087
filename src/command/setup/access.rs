//! The way into the repository: password and credentials, tried before anything is written.

use std::path::{Path, PathBuf};

use crate::config::{Role, Settings};
use crate::error::{Error, Kind, Result};
use crate::host::restic::{ETC, Restic};
use crate::host::system::environment;
use crate::host::system::files;
use crate::host::system::interrupt::Interrupt;
use crate::host::system::prompt::Echo;
use crate::host::system::random;
use crate::host::system::scratch::Scratch;
use crate::host::{Directories, repository};
use crate::model::limits::MAX_SETTINGS;
use crate::terminal;

use super::draft;
use super::given::Given;
use super::person::{Person, then_again};
use super::reach;

/// What kinds of repositories need in the environment file, by how their addresses begin, and whether it is shown while it is
/// typed.
const CREDENTIALS: [(&str, [(&str, Echo); 2]); 3] = [
    ("s3:", [("AWS_ACCESS_KEY_ID", Echo::On), ("AWS_SECRET_ACCESS_KEY", Echo::Off)]),
    ("b2:", [("B2_ACCOUNT_ID", Echo::On), ("B2_ACCOUNT_KEY", Echo::Off)]),
    ("azure:", [("AZURE_ACCOUNT_NAME", Echo::On), ("AZURE_ACCOUNT_KEY", Echo::Off)]),
];

/// A file to write, with its content.
pub(super) struct NewFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A way into the repository that was tried.
pub(super) struct Access {
    /// The file with the password, if it is to be written.
    pub(super) password: Option<NewFile>,
    /// Whether this run has made that password.
    pub(super) made: bool,
    /// The environment file, if it is to be written.
    pub(super) environment: Option<NewFile>,
    /// Whether there is a repository already.
    pub(super) exists: bool,
}

/// Finds a way into the repository of `settings`, with what is there, what was given and what a person says.
///
/// # Errors
/// Those of restic, with nothing written; [`Kind::Usage`] for a secret that would replace another one.
pub(super) async fn access(
    settings: &Settings,
    mut given: Given,
    replace: bool,
    person: &Person,
    interrupt: &Interrupt,
) -> Result<Access> {
    let environment_path =
        settings.restic.environment_file.clone().unwrap_or_else(|| Path::new(ETC).join("environment"));
    let there = files::find_text(&environment_path, MAX_SETTINGS)?;
    if there.is_none() && given.environment.is_none() {
        given.environment = ask_credentials(settings.repository.secret(), person).await?;
    }
    let credentials = draft::secret(&environment_path, there.as_deref(), given.environment.as_deref(), replace)?;
    if let Some(target) = settings.repository.ssh() {
        reach::reach(&target, &given, person).await?;
    }
    let scratch = Scratch::new()?;
    let mut settings = settings.clone();
    let password_path = settings.restic.password_file.clone().unwrap_or_else(|| Path::new(ETC).join("restic-password"));
    if let Some(text) = credentials {
        settings.restic.environment_file = Some(scratch.write("environment", text)?);
    }
    let there = password_there(&settings, &password_path, interrupt)?;
    let mut made = false;
    let mut password = match (&there, given.password) {
        (None, None) if settings.role == Role::Main => {
            made = true;
            Some(random::password()?)
        }
        (None, None) => Some(ask_password(&settings, person).await?),
        (there, given) => {
            draft::secret(&password_path, there.as_deref(), given.as_deref(), replace)?.map(str::to_owned)
        }
    };
    let exists = loop {
        if let Some(text) = &password {
            settings.restic.password_file = Some(scratch.write("restic-password", &format!("{text}\n"))?);
        }
        match open(&settings, interrupt).await {
            // A password that this run has made opens no repository: there is one with another.
            Err(error) if made && error.kind() == Kind::WrongPassword => {
                made = false;
                password = Some(ask_password(&settings, person).await?);
            }
            Err(error) if error.kind() == Kind::RepositoryMissing && settings.role == Role::Main => break false,
            Err(error) => return Err(refused(error, settings.role)),
            Ok(()) => break true,
        }
    };
    let environment =
        credentials.map(|text| NewFile { path: environment_path, text: format!("{}\n", text.trim_end()) });
    let password = password.map(|text| NewFile { path: password_path, text: format!("{text}\n") });
    Ok(Access { password, made, environment, exists })
}

/// Creates the repository of `settings`.
pub(super) async fn create(settings: &Settings, interrupt: &Interrupt) -> Result<bool> {
    let _waiting = terminal::wait(format!("creating repository {}", settings.repository));
    restic(settings, interrupt)?.init().await
}

/// Tries to open the repository of `settings`.
pub(super) async fn open(settings: &Settings, interrupt: &Interrupt) -> Result<()> {
    let _waiting = terminal::wait(format!("opening repository {}", settings.repository));
    restic(settings, interrupt)?.open().await
}

fn restic(settings: &Settings, interrupt: &Interrupt) -> Result<Restic> {
    repository(settings, &Directories::from_environment(), interrupt)
}

/// The password that this host has, wherever it has it.
fn password_there(settings: &Settings, path: &Path, interrupt: &Interrupt) -> Result<Option<String>> {
    match restic(settings, interrupt) {
        // One that a command prints is there, and cannot be compared.
        Ok(restic) => Ok(Some(restic.password().unwrap_or_default())),
        Err(error) if error.kind() == Kind::PasswordMissing && !path.exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks for the password of a repository that exists.
async fn ask_password(settings: &Settings, person: &Person) -> Result<String> {
    let question = format!("The password of repository {} (it is not shown):", settings.repository);
    person.ask(&question, Echo::Off).await?.ok_or_else(|| {
        let (kind, hint) = match settings.role {
            Role::Main => (Kind::WrongPassword, "give its password: --password-file FILE, or - for standard input"),
            Role::Replica => (
                Kind::PasswordMissing,
                "give the line that kuma-replicator invite prints on the main: --invite-file FILE, or - for standard input",
            ),
        };
        let what = match settings.role {
            Role::Main => format!("repository {} exists, and has a password that this host does not have", settings.repository),
            Role::Replica => format!("the password of repository {} was not given", settings.repository),
        };
        Error::new(kind, what).with_hint(hint)
    })
}

/// Asks for the credentials that this kind of repository needs.
async fn ask_credentials(repository: &str, person: &Person) -> Result<Option<String>> {
    let Some((_, names)) = CREDENTIALS.iter().find(|(kind, _)| repository.starts_with(kind)) else { return Ok(None) };
    let mut pairs = Vec::new();
    for (name, echo) in names {
        let shown = if *echo == Echo::Off { ", it is not shown" } else { "" };
        let question = format!("{name} (empty if restic finds it elsewhere{shown}):");
        let Some(value) = person.ask(&question, *echo).await? else { return Ok(None) };
        pairs.push(((*name).to_owned(), value));
    }
    Ok(Some(environment::render(&pairs)))
}

/// `error` as the reason why nothing is written.
fn refused(error: Error, role: Role) -> Error {
    let hint = match (error.kind(), role) {
        (Kind::RepositoryMissing, _) => "set the main up first, which creates it; then check the address".to_owned(),
        (Kind::WrongPassword, Role::Replica) => {
            "take the line that kuma-replicator invite prints on the main now".to_owned()
        }
        (Kind::WrongPassword, Role::Main) => "give the password of this repository: --password-file FILE".to_owned(),
        (Kind::RepositoryDenied, _) => "check the credentials: --credentials-file FILE".to_owned(),
        _ => error.hint().to_owned(),
    };
    let what = "the repository cannot be used; nothing was written";
    then_again(Error::new(error.kind(), what).with_hint(hint).because(error))
}
