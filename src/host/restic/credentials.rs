//! What restic is given by its environment: repository, password, credentials, cache.
//!
//! Nothing of it ever stands in an argument, where every user of the host could read it. The password's
//! file is only handed on; it is read here for nothing but to keep its content out of messages.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::messages::Secrets;
use crate::config::{self, Location};
use crate::error::{Error, Kind, Result};
use crate::host::system::{environment, files};
use crate::model::limits::MAX_SETTINGS;

/// Where the files are that need no mention in the configuration.
const ETC: &str = "/etc/kuma-replicator";

/// The three ways to tell restic a password. It refuses more than one of the last two.
const PASSWORD: [&str; 3] = ["RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND"];

/// What restic must not inherit: the agent's own line to the service manager, and what would change
/// which repository is meant or which snapshots are seen (RESTIC_HOST filters them since 0.18).
const WITHHELD: [&str; 9] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "RESTIC_REPOSITORY_FILE",
    "RESTIC_HOST",
    "RESTIC_KEY_HINT",
];

/// Pieces of the names of variables whose inherited values are secrets.
const TELLING: [&str; 5] = ["PASSWORD", "SECRET", "TOKEN", "KEY", "CREDENTIAL"];

type Environment = BTreeMap<OsString, OsString>;

/// The environment for restic, and what of it must not be shown.
pub(super) struct Access {
    environment: Environment,
    secrets: Secrets,
}

impl Access {
    /// Finds password and credentials, in the order that `docs/operating.md` promises.
    pub(super) fn find(settings: &config::Restic, repository: &Location, cache: &Path) -> Result<Self> {
        Self::find_in(settings, repository, cache, std::env::vars_os().collect(), Path::new(ETC))
    }

    fn find_in(
        settings: &config::Restic,
        repository: &Location,
        cache: &Path,
        inherited: Environment,
        etc: &Path,
    ) -> Result<Self> {
        let handed = inherited.get(OsStr::new("CREDENTIALS_DIRECTORY")).map(PathBuf::from);
        let credential =
            |name: &str| handed.as_ref().map(|directory| directory.join(name)).filter(|file| file.exists());
        let beside_config = |name: &str| Some(etc.join(name)).filter(|file| file.exists());
        let is_telling = |name: &OsStr| TELLING.iter().any(|piece| name.to_string_lossy().contains(piece));

        let mut access = Self { environment: inherited, secrets: Secrets::default() };
        access.environment.retain(|name, _| !WITHHELD.iter().any(|withheld| name == withheld));
        for (name, value) in &access.environment {
            if is_telling(name) && !name.to_string_lossy().ends_with("_FILE") {
                access.secrets.add(&value.to_string_lossy());
            }
        }
        access.secrets.add_from_url(repository.secret());

        let file = settings
            .environment_file
            .clone()
            .or_else(|| credential("restic-environment"))
            .or_else(|| beside_config("environment"));
        if let Some(file) = file {
            access.add_file(&file)?;
        }

        if let Some(file) = settings.password_file.clone().or_else(|| credential("restic-password")) {
            access.set_password_file(&file)?;
        } else if !access.has_password() {
            let file = beside_config("restic-password").ok_or_else(|| {
                Error::new(Kind::PasswordMissing, format!("no password is set for repository {repository}"))
            })?;
            access.set_password_file(&file)?;
        }

        let fixed: [(&str, &OsStr); 3] = [
            ("RESTIC_REPOSITORY", repository.secret().as_ref()),
            ("RESTIC_CACHE_DIR", cache.as_os_str()),
            ("LC_ALL", "C".as_ref()),
        ];
        for (name, value) in fixed {
            access.environment.insert(name.into(), value.to_owned());
        }
        Ok(access)
    }

    /// What restic's environment consists of; nothing else is inherited.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.environment.iter()
    }

    /// What must not be shown.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn has_password(&self) -> bool {
        PASSWORD.iter().any(|name| self.environment.get(OsStr::new(name)).is_some_and(|value| !value.is_empty()))
    }

    /// Adds the lines of an environment file; they win over what is inherited.
    fn add_file(&mut self, file: &Path) -> Result<()> {
        let what = || format!("cannot use environment file {}", file.display());
        let text = files::read_small_text(file, MAX_SETTINGS)
            .map_err(|error| Error::new(Kind::Config, what()).because(error))?;
        let pairs = environment::parse(&text).map_err(|reason| Error::new(Kind::Config, what()).because(reason))?;
        if pairs.iter().any(|(name, _)| PASSWORD.contains(&name.as_str())) {
            self.forget_password();
        }
        for (name, value) in pairs {
            if WITHHELD.contains(&name.as_str()) {
                continue;
            }
            if !name.ends_with("_FILE") {
                self.secrets.add(&value);
            }
            self.environment.insert(name.into(), value.into());
        }
        Ok(())
    }

    fn forget_password(&mut self) {
        for name in PASSWORD {
            self.environment.remove(OsStr::new(name));
        }
    }

    /// Makes `file` the only source of the password. restic would read an empty one's password from its
    /// standard input, so that is refused here.
    fn set_password_file(&mut self, file: &Path) -> Result<()> {
        let what = || format!("cannot use password file {}", file.display());
        let bytes = files::read_small(file, MAX_SETTINGS)
            .map_err(|error| Error::new(Kind::PasswordMissing, what()).because(error))?;
        let password = String::from_utf8_lossy(&bytes);
        if password.trim().is_empty() {
            return Err(Error::new(Kind::PasswordMissing, what()).because("it is empty"));
        }
        self.secrets.add(&password);
        self.forget_password();
        self.environment.insert("RESTIC_PASSWORD_FILE".into(), file.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::Access;
    use crate::config::{Restic, Settings};
    use crate::error::Kind;

    struct World {
        root: tempfile::TempDir,
        settings: Restic,
        inherited: Vec<(&'static str, String)>,
    }

    impl World {
        /// A world with these files below its root, and what the process inherits.
        fn new(files: &[(&str, &str)], inherited: &[(&'static str, &str)]) -> Self {
            let root = tempfile::tempdir().expect("directory");
            for (name, text) in files {
                let file = root.path().join(name);
                std::fs::create_dir_all(file.parent().expect("parent")).expect("directory");
                std::fs::write(file, text).expect("file");
            }
            let place = |value: &str| value.replace('@', &root.path().display().to_string());
            let inherited = inherited.iter().map(|(name, value)| (*name, place(value))).collect();
            let settings = Restic {
                program: "restic".into(),
                password_file: None,
                environment_file: None,
                timeout: Duration::from_secs(1),
            };
            Self { root, settings, inherited }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn find(&self) -> crate::error::Result<Access> {
            let text = "role = \"main\"\nrepository = \"rest:http://user:urlsecret@host/\"\n";
            let repository = Settings::parse(text, Path::new("config.toml")).expect("settings").repository;
            let inherited = self.inherited.iter().map(|(name, value)| (name.into(), value.into())).collect();
            Access::find_in(&self.settings, &repository, Path::new("/cache"), inherited, &self.path("etc"))
        }
    }

    fn value<'a>(access: &'a Access, name: &str) -> Option<&'a str> {
        access.environment.get(OsStr::new(name)).and_then(|value| value.to_str())
    }

    const ETC: (&str, &str) = ("etc/restic-password", "etcsecret\n");
    const CREDENTIAL: (&str, &str) = ("cred/restic-password", "credsecret\n");
    const DIRECTORY: (&str, &str) = ("CREDENTIALS_DIRECTORY", "@/cred");

    #[test]
    fn the_password_comes_from_the_first_place_that_has_one() {
        let own = ("own", "ownsecret");
        let lines = ("etc/environment", "RESTIC_PASSWORD=filesecret\n");
        let process = ("RESTIC_PASSWORD", "processsecret");
        let command = ("RESTIC_PASSWORD_COMMAND", "ask");
        // files, inherited, own password file?, variable that is left, its value
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a [(&'static str, &'a str)], bool, &'a str, &'a str);
        let cases: &[Case<'_>] = &[
            (&[own, CREDENTIAL, lines, ETC], &[DIRECTORY, process, command], true, "RESTIC_PASSWORD_FILE", "own"),
            (
                &[CREDENTIAL, lines, ETC],
                &[DIRECTORY, process, command],
                false,
                "RESTIC_PASSWORD_FILE",
                "cred/restic-password",
            ),
            (&[lines, ETC], &[DIRECTORY, process, command], false, "RESTIC_PASSWORD", "filesecret"),
            (&[ETC], &[DIRECTORY, process], false, "RESTIC_PASSWORD", "processsecret"),
            (&[ETC], &[command], false, "RESTIC_PASSWORD_COMMAND", "ask"),
            (&[ETC], &[("RESTIC_PASSWORD", "")], false, "RESTIC_PASSWORD_FILE", "etc/restic-password"),
            (&[ETC], &[], false, "RESTIC_PASSWORD_FILE", "etc/restic-password"),
        ];
        for (files, inherited, own_file, name, wanted) in cases {
            let mut world = World::new(files, inherited);
            world.settings.password_file = own_file.then(|| world.path("own"));
            let access = world.find().expect("access");
            let wanted = if *name == "RESTIC_PASSWORD_FILE" {
                world.path(wanted).display().to_string()
            } else {
                (*wanted).to_owned()
            };
            for password in super::PASSWORD {
                let found = value(&access, password).filter(|value| !value.is_empty());
                assert_eq!(found, (password == *name).then_some(wanted.as_str()), "{password} of {inherited:?}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let kind = |world: &World| world.find().err().expect("an error").kind();
        assert_eq!(kind(&World::new(&[], &[])), Kind::PasswordMissing);
        assert_eq!(kind(&World::new(&[("etc/restic-password", " \n")], &[])), Kind::PasswordMissing);
        let mut world = World::new(&[ETC], &[]);
        world.settings.password_file = Some(world.path("nowhere"));
        assert_eq!(kind(&world), Kind::PasswordMissing);
        let mut world = World::new(&[ETC], &[]);
        world.settings.environment_file = Some(world.path("nowhere"));
        assert_eq!(kind(&world), Kind::Config);
        let world = World::new(&[ETC, ("etc/environment", "A=1\ngeheim\n")], &[]);
        let error = world.find().err().expect("an error");
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.chain().contains("line 2") && !error.chain().contains("geheim"), "{error:?}");
    }

    #[test]
    fn the_environment_is_ours() {
        let lines = "AWS_ACCESS_KEY_ID=AKIAFILE\nRESTIC_HOST=other\nRESTIC_REPOSITORY=/other\nREGION=eu\n";
        let inherited = [
            ("PATH", "/bin"),
            ("NOTIFY_SOCKET", "/run/notify"),
            ("RESTIC_HOST", "other"),
            ("RESTIC_REPOSITORY_FILE", "/other"),
            ("RESTIC_CACHE_DIR", "/other"),
            ("LC_ALL", "de_DE.UTF-8"),
            ("AWS_SECRET_ACCESS_KEY", "processsecret"),
            ("RESTIC_PACK_SIZE", "4"),
        ];
        let world = World::new(&[ETC, ("etc/environment", lines)], &inherited);
        let access = world.find().expect("access");
        let names: Vec<&str> = access.variables().map(|(name, _)| name.to_str().expect("text")).collect();
        assert_eq!(
            names,
            [
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "LC_ALL",
                "PATH",
                "REGION",
                "RESTIC_CACHE_DIR",
                "RESTIC_PACK_SIZE",
                "RESTIC_PASSWORD_FILE",
                "RESTIC_REPOSITORY",
            ]
        );
        assert_eq!(value(&access, "RESTIC_REPOSITORY"), Some("rest:http://user:urlsecret@host/"));
        assert_eq!(value(&access, "RESTIC_CACHE_DIR"), Some("/cache"));
        assert_eq!(value(&access, "LC_ALL"), Some("C"));
        let masked = access.secrets().mask("urlsecret AKIAFILE processsecret etcsecret eu 4 /bin");
        assert_eq!(masked, "*** *** *** *** eu 4 /bin");
    }
}
