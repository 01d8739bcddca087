//! `export` and `import`: a dump from or into a database, without any repository.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::Cli;
use crate::config::{Kuma, Role};
use crate::cycle::{self, CanonicalExport, History, Verified};
use crate::error::{Error, Kind, Result};
use crate::host::kuma::instance::Instance;
use crate::host::kuma::worker::Worker;
use crate::host::store::Store;
use crate::host::system::files;
use crate::host::{Directories, host_name};
use crate::localise::Desired;
use crate::logging;
use crate::model::dump::MAX_DUMP;
use crate::model::schema::Schema;
use crate::plan::plan;
use crate::report::{self, PlanDocument, say};
use crate::terminal;

use super::settings::settings;

/// How long `import` waits until no other process has the database open.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long history is removed at a time.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn export(cli: &Cli, database: Option<&Path>, file: &Path) -> Result<()> {
    let waiting = terminal::wait("reading the configuration of Uptime Kuma");
    let mut export = find(cli, database).await?.export().await?;
    drop(waiting);
    // A database alone does not say where it runs.
    if database.is_none() {
        let mut instance = Instance::new(kuma(cli)?);
        export.add_zone(async |setting| instance.zone(setting).await).await?;
    }
    let prepared = CanonicalExport::of_main(export);
    for warning in &prepared.export.warnings {
        logging::warning(warning);
    }
    let dump = prepared.dump(&host_name(), Timestamp::now(), None)?;
    if file == Path::new("-") {
        return terminal::write(&dump).map_err(|error| Error::io("write to standard output", error));
    }
    match std::fs::symlink_metadata(file) {
        Ok(metadata) if metadata.is_symlink() => {
            let what = format!("{} is a symbolic link", file.display());
            Err(Error::new(Kind::Usage, what).with_hint("name the file itself"))
        }
        // A device or a pipe is written to; only a file is replaced as a whole.
        Ok(metadata) if metadata.is_dir() => {
            let what = format!("cannot write {}: it is a directory", file.display());
            Err(Error::new(Kind::Usage, what).with_hint("name a file, such as kuma-replicator export kuma.dump"))
        }
        Ok(metadata) if !metadata.is_file() => std::fs::OpenOptions::new()
            .write(true)
            .open(file)
            .and_then(|mut device| device.write_all(&dump))
            .map_err(|error| Error::io(format!("write {}", file.display()), error)),
        Ok(_) => files::replace(file, &dump),
        Err(_) if !is_in_a_directory(file) => {
            let what = format!("cannot write {}: there is no such directory", file.display());
            Err(Error::new(Kind::Usage, what).with_hint("make the directory first, or name a file in one that exists"))
        }
        Err(_) => files::replace(file, &dump),
    }
}

pub(super) async fn import(cli: &Cli, database: Option<&Path>, dry_run: bool, file: &Path) -> Result<()> {
    let Verified(dump) = cycle::verify(&read(file)?, None).map_err(|error| match error.kind() {
        Kind::SnapshotDamaged => error.with_hint("use a dump that export wrote"),
        _ => error,
    })?;
    let mut target = find(cli, database).await?;
    target.know(&dump.configuration);
    let stopped = |error: Error| match error.kind() {
        Kind::DatabaseBusy => error.with_hint("stop Uptime Kuma first, as with systemctl stop uptime-kuma"),
        _ => error,
    };
    let here = target.export().await?;
    let theirs = &dump.manifest.schema;
    if here.schema != *theirs {
        let what = format!(
            "{} comes from another version of Uptime Kuma than {}",
            file.display(),
            target.database().display()
        );
        let surplus = |one: &Schema, other: &Schema| match one.surplus_over(other) {
            parts if parts.is_empty() => "nothing".to_owned(),
            parts => parts,
        };
        let (missing, surplus) = (surplus(theirs, &here.schema), surplus(&here.schema, theirs));
        let reason = format!("only the dump has: {missing}; only the database has: {surplus}");
        return Err(Error::new(Kind::SchemaDiffers, what).because(reason));
    }
    let wanted = Desired::Restored { configuration: &dump.configuration, customization: None }
        .on(&here.configuration)?
        .configuration;
    let changes = plan(&here.configuration, &wanted);
    if changes.is_empty() {
        let (database, dump) = (target.database().display(), file.display());
        return say(format!("import: no changes: {database} has the configuration of {dump} already"));
    }
    let message = format!("{} into {}", file.display(), target.database().display());
    report::show(&PlanDocument::ordered(Role::Replica, "import", message).changes(&changes), false)?;
    target.rehearse(&here.configuration, &wanted).await?;
    if dry_run {
        return Ok(());
    }
    // Cycles write the host's own database, too: one process at a time, and the previous configuration is kept.
    let store = match database {
        None => Some(Store::lock(&Directories::from_environment().state)?),
        Some(_) => None,
    };
    let path = target.database().to_owned();
    let mut claim = target.claim(PATIENCE).await.map_err(stopped)?;
    let previous = CanonicalExport::new(claim.export().await?);
    if let Some(store) = &store {
        store.keep_previous(&previous.dump(&host_name(), Timestamp::now(), None)?)?;
    }
    for warning in claim.write(&wanted, History::Remove).await? {
        logging::warning(&warning);
    }
    // The history of removed monitors: Uptime Kuma is stopped, and nothing has to wait.
    let mut target = Worker::for_database(&path).await?;
    while target.tidy_history(false, HISTORY_TIMEOUT).await? > 0 {}
    Ok(())
}

/// The configured Uptime Kuma. A host without a configuration file has the default unit.
fn kuma(cli: &Cli) -> Result<Kuma> {
    match settings(cli) {
        Ok(settings) => Ok(settings.kuma),
        Err(_) if !cli.config.exists() && cli.config == Path::new(crate::config::DEFAULT_PATH) => Ok(Kuma::default()),
        Err(error) => Err(error),
    }
}

/// A worker for the database that is meant: the given one, else that of the configured unit.
async fn find(cli: &Cli, database: Option<&Path>) -> Result<Worker> {
    if let Some(path) = database {
        require_file(
            path,
            "database",
            "--database takes the path of a kuma.db; without it, that of the unit is taken",
        )?;
        let path = std::path::absolute(path).map_err(|error| Error::io("find the current directory", error))?;
        return Worker::for_database(&path).await;
    }
    let path = Instance::new(kuma(cli)?).database().await?.database().to_owned();
    Worker::for_database(&path).await
}

/// Fails if a file that a person named does not exist, or is none. What else is wrong with it is found where it is opened.
fn require_file(path: &Path, name: &str, hint: &str) -> Result<()> {
    let what = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => format!("{} is a directory, not a {name}", path.display()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            format!("there is no {name} {}", path.display())
        }
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Usage, what).with_hint(hint))
}

/// Whether the directory exists that `file` is to be made in.
fn is_in_a_directory(file: &Path) -> bool {
    file.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let what = || format!("read {}", file.display());
    let mut bytes = Vec::new();
    let limit = MAX_DUMP as u64 + 1;
    if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        require_file(file, "dump", "give a file that kuma-replicator export wrote, or - for standard input")?;
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    }
    .map_err(|error| Error::io(what(), error))?;
    Ok(bytes)
}
