//! The steps of a set-up, in their order. Everything is prepared and tried first; only then is anything written.

use std::path::Path;

use crate::cli::{Cli, Setup};
use crate::config::{self, DEFAULT_PATH, Kuma, Role, Settings, UnitName};
use crate::cycle::Export;
use crate::error::{Error, Kind, Result};
use crate::host::kuma::instance::Instance;
use crate::host::kuma::systemd::{Systemd, TimerState};
use crate::host::system::interrupt::Interrupt;
use crate::host::system::prompt::Echo;
use crate::host::system::{files, users};
use crate::host::{AsService, Directories, store};
use crate::model::limits::MAX_SETTINGS;
use crate::report::say;
use crate::text;

use super::access::{self, Access, NewFile};
use super::database;
use super::draft::{self, Keys};
use super::find::{self, Found};
use super::given::Given;
use super::person::{Person, done, then_again};
use crate::command::findings::{Findings, Form};
use crate::command::{check, plan};

/// Sets this host up.
pub(in crate::command) async fn setup(cli: &Cli, flags: &Setup) -> Result<()> {
    fits(cli)?;
    let interrupt = Interrupt::install()?;
    let person = Person::new(flags.yes, interrupt.clone());
    let path = Path::new(DEFAULT_PATH);
    let there = files::find_text(path, MAX_SETTINGS)?;
    let role = Role::from(flags.role);
    draft::check_role(there.as_deref(), role, path)?;
    let mut given = Given::read(flags)?;
    let repository = repository(there.as_deref(), &mut given, role, flags.replace, &person).await?;
    let keys = Keys { role, repository: &repository, unit: None, data_directory: None, url: None };
    let first = draft::configuration(there.as_deref(), &keys, path)?;
    let mut settings = Settings::parse(&first, path)?;
    let configured = settings.kuma.clone();
    settings.kuma = with_flags(&settings, flags)?;
    let found = find::find(&settings.kuma, flags.data_directory.is_some(), &person).await?;
    settings.kuma = found.settings.clone();
    if found.waits_for_a_database {
        database::confirm(&settings.kuma.unit, &found.answers_on, &person).await?;
    }
    let access = access::access(&settings, given, flags.replace, &person, &interrupt).await?;
    // What the file says already, or does not have to say, is not written.
    let Kuma { unit, data_directory, url, .. } = &settings.kuma;
    let keys = Keys {
        unit: Some(unit).filter(|unit| **unit != configured.unit),
        data_directory: data_directory.as_ref().filter(|_| *data_directory != configured.data_directory),
        url: url.as_deref().filter(|_| *url != configured.url),
        ..keys
    };
    let text = draft::configuration(there.as_deref(), &keys, path)?;
    let settings = Settings::parse(&text, path)?;
    write(&settings, &found, access, &interrupt).await?;
    write_configuration(path, there.as_deref(), &text)?;
    examine(cli, &interrupt).await?;
    plan::show_next(cli).await.map_err(then_again)?;
    confirm_first_apply(&settings, &person).await?;
    enable().await?;
    next(&settings)
}

/// Whether a set-up is possible here at all.
fn fits(cli: &Cli) -> Result<()> {
    if cli.config != Path::new(DEFAULT_PATH) {
        let what = format!("setup writes {DEFAULT_PATH}, which the service reads, and no other file");
        return Err(Error::new(Kind::Usage, what).with_hint("leave --config out"));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new(Kind::NotPermitted, "only root can set a host up").with_hint("type it with sudo"));
    }
    if !AsService::is_possible() {
        let hint = "kuma-replicator needs a host on which systemd runs Uptime Kuma as a service";
        return Err(Error::new(Kind::BusUnavailable, "systemd does not run on this host").with_hint(hint));
    }
    let cache = Directories::from_environment().cache;
    match users::owner(&cache) {
        Ok(owner) if owner.uid != 0 => {
            let what = format!(
                "the service runs as user {} here, for which setup does not write",
                users::user_name(owner.uid)
            );
            let hint = "set it up by hand: /usr/share/doc/kuma-replicator/unprivileged.md";
            Err(Error::new(Kind::Usage, what).with_hint(hint))
        }
        _ => Ok(()),
    }
}

/// The repository: the one that is there, given, or typed now.
async fn repository(
    there: Option<&str>,
    given: &mut Given,
    role: Role,
    replace: bool,
    person: &Person,
) -> Result<String> {
    let path = Path::new(DEFAULT_PATH);
    let written = there.map(|text| config::value(text, &["repository"], path)).transpose()?.flatten();
    if role == Role::Replica && written.is_none() {
        *given = std::mem::take(given).or_ask(person).await?;
    }
    if let Some(repository) = draft::repository(written, given.repository.clone(), replace)? {
        return Ok(repository);
    }
    let question = "The restic repository, such as /srv/kuma, sftp:user@host:/path or s3:https://host/bucket:";
    person.ask(question, Echo::On).await?.ok_or_else(|| {
        let (what, hint) = match role {
            Role::Main => ("no repository was given", "kuma-replicator setup main --repository REPOSITORY"),
            Role::Replica => (
                "no invite was given",
                "type kuma-replicator invite on the main, and give the line that it prints: --invite-file FILE, or - for \
                 standard input",
            ),
        };
        Error::new(Kind::Usage, what).with_hint(hint)
    })
}

/// What is known of Uptime Kuma before it is looked for.
fn with_flags(settings: &Settings, flags: &Setup) -> Result<Kuma> {
    let mut kuma = settings.kuma.clone();
    if let Some(unit) = &flags.unit {
        kuma.unit = UnitName::new(unit).map_err(|reason| {
            Error::new(Kind::Usage, reason).with_hint("systemctl list-units --type=service lists all")
        })?;
    }
    if let Some(directory) = &flags.data_directory {
        if !directory.is_absolute() {
            let what = format!("the data directory is '{}'; it must be an absolute path", directory.display());
            return Err(Error::new(Kind::Usage, what).with_hint("such as --data-directory /opt/uptime-kuma/data"));
        }
        kuma.data_directory = Some(directory.clone());
    }
    Ok(kuma)
}

/// Writes what was prepared, except for the configuration: SQLite, the secrets and the repository. Without a repository, what
/// was written for it is taken back.
async fn write(settings: &Settings, found: &Found, access: Access, interrupt: &Interrupt) -> Result<()> {
    if found.waits_for_a_database {
        database::choose(&settings.kuma.unit, &found.answers_on).await?;
    }
    let Access { password, made, environment, exists } = access;
    let mut written = Vec::new();
    for (name, how, file) in
        [("credentials", "written", environment), ("password", if made { "made" } else { "written" }, password)]
    {
        let Some(NewFile { path, text }) = file else { continue };
        let is_new = !path.exists();
        files::replace(&path, text.as_bytes())?;
        done(name, format!("{how}: {}", path.display()))?;
        if is_new {
            written.push(path);
        }
    }
    if exists {
        return done("repository", format!("{} opens with this password", settings.repository));
    }
    if let Err(error) = access::create(settings, interrupt).await {
        // Where the repository may be there all the same, its password is kept.
        let open = access::open(settings, &Interrupt::never()).await;
        if open.is_err_and(|error| error.kind() == Kind::RepositoryMissing) {
            for path in written {
                let _ = std::fs::remove_file(path);
            }
        }
        return Err(then_again(error));
    }
    done("repository", format!("created {}", settings.repository))
}

fn write_configuration(path: &Path, there: Option<&str>, text: &str) -> Result<()> {
    match there {
        Some(there) if there == text => return done("written", format!("{} stays as it is", path.display())),
        Some(_) => files::rewrite(path, text.as_bytes())?,
        None => {
            files::make_private_directory(path.parent().unwrap_or(Path::new("/")))?;
            files::replace(path, text.as_bytes())?;
        }
    }
    done("written", path.display().to_string())
}

/// What `check` says, as the service.
async fn examine(cli: &Cli, interrupt: &Interrupt) -> Result<()> {
    let mut findings = Findings::new(Form::Text);
    check::examine(cli, false, false, &mut findings, interrupt).await?;
    findings.end().map_err(|error| {
        error.with_hint("see the checks above; then type the same line again, which goes on from here")
    })
}

/// Asks before the first apply replaces monitors that this host has of its own.
async fn confirm_first_apply(settings: &Settings, person: &Person) -> Result<()> {
    if settings.role == Role::Main {
        return Ok(());
    }
    let state = store::read_state(&Directories::from_environment().state)?;
    if state.is_some_and(|state| state.replica.applied.is_some()) {
        return Ok(());
    }
    let mut instance = Instance::new(settings.kuma.clone());
    let Export { configuration, .. } = instance.database().await?.export().await?;
    let monitors = configuration.table("monitor").map_or(0, |table| table.rows.len() as u64);
    if monitors == 0 {
        return Ok(());
    }
    let monitors = text::count(monitors, "monitor");
    person.confirm(&format!("The first apply replaces {monitors} of this host, and everything else that the main has, by what the main has. Go on?")).await
}

/// Lets cycles begin by themselves.
async fn enable() -> Result<()> {
    let systemd = Systemd::connect().await?;
    if systemd.timer().await? != Some(TimerState { enabled: true, active: true }) {
        systemd.enable_timer().await?;
    }
    done("timer", "kuma-replicator.timer is enabled and runs")
}

/// What a person does next.
fn next(settings: &Settings) -> Result<()> {
    match settings.role {
        Role::Main => {
            say("next: keep a copy of the password elsewhere; without it nobody can read the repository")?;
            say(
                "next: kuma-replicator invite prints a line; paste it on each replica into kuma-replicator setup replica",
            )
        }
        Role::Replica => say("next: journalctl -fu kuma-replicator shows the first apply; then kuma-replicator status"),
    }
}
