//! The environment of restic: repository, password, credentials, cache.
//!
//! None of it is passed as an argument, which every user of the host can read. restic reads the password file itself;
//! here it is read only to keep the password out of messages.
//!
//! It is the same in the service and in a typed command, so that what works for a person works for the timer: of a shell
//! nothing is inherited, such as a profile, a proxy or an agent with ssh keys, which the service would not have.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::secrets::Secrets;
use crate::config::{self, Location};
use crate::error::{Error, Kind, Result};
use crate::host::system::users::{self, User};
use crate::host::system::{environment, files, unit};
use crate::model::limits::MAX_SETTINGS;

/// The directory of the files that the configuration need not name.
pub const ETC: &str = "/etc/kuma-replicator";

/// The three variables for a password. restic refuses the last two together.
pub const PASSWORD_VARIABLES: [&str; 3] = ["RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND"];

/// Variables that restic must not inherit: the connection of this process to the service manager, and those that would
/// choose another repository or hide snapshots (RESTIC_HOST filters them since 0.18).
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

/// Where a typed command finds restic and its helpers, as systemd has it for the service.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The directory of the credentials that the service manager passes (systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Parts of the names of variables whose inherited values are secrets.
const SECRET_NAMES: [&str; 5] = ["PASSWORD", "SECRET", "TOKEN", "KEY", "CREDENTIAL"];

type Variables = BTreeMap<OsString, OsString>;

/// The environment of restic, and the secrets in it.
pub(super) struct Credentials {
    variables: Variables,
    secrets: Secrets,
}

impl Credentials {
    /// Finds password and credentials, in the order that `docs/repositories.md` promises, for a restic that runs as
    /// `user`, or as the user of this process.
    pub(super) fn find(
        settings: &config::Restic,
        repository: &Location,
        cache: &Path,
        user: Option<&User>,
    ) -> Result<Self> {
        let own = users::find(&rustix::process::geteuid().as_raw().to_string());
        let home = user.or(own.as_ref()).map(|user| user.home.as_path());
        let inherited = inherited(std::env::vars_os().collect(), unit::is_its_main_process(), home);
        Self::find_in(settings, repository, cache, inherited, Path::new(ETC))
    }

    fn find_in(
        settings: &config::Restic,
        repository: &Location,
        cache: &Path,
        inherited: Variables,
        etc: &Path,
    ) -> Result<Self> {
        let passed = inherited.get(OsStr::new(CREDENTIALS_DIRECTORY)).map(PathBuf::from);
        let credential =
            |name: &str| passed.as_ref().map(|directory| directory.join(name)).filter(|file| file.exists());
        let beside_config = |name: &str| Some(etc.join(name)).filter(|file| file.exists());
        let is_secret = |name: &OsStr| SECRET_NAMES.iter().any(|piece| name.to_string_lossy().contains(piece));

        let mut credentials = Self { variables: inherited, secrets: Secrets::default() };
        credentials.variables.retain(|name, _| !WITHHELD.iter().any(|withheld| name == withheld));
        for (name, value) in &credentials.variables {
            if is_secret(name) && !name.to_string_lossy().ends_with("_FILE") {
                credentials.secrets.add(&value.to_string_lossy());
            }
        }
        credentials.secrets.add_from_url(repository.secret());

        let file = settings
            .environment_file
            .clone()
            .or_else(|| credential("restic-environment"))
            .or_else(|| beside_config("environment"));
        if let Some(file) = file {
            credentials.add_file(&file)?;
        }

        if let Some(file) = settings.password_file.clone().or_else(|| credential("restic-password")) {
            credentials.set_password_file(&file)?;
        } else if !credentials.has_password() {
            let file = beside_config("restic-password").ok_or_else(|| {
                Error::new(Kind::PasswordMissing, format!("no password is set for repository {repository}"))
            })?;
            credentials.set_password_file(&file)?;
        }

        let fixed: [(&str, &OsStr); 3] = [
            ("RESTIC_REPOSITORY", repository.secret().as_ref()),
            ("RESTIC_CACHE_DIR", cache.as_os_str()),
            ("LC_ALL", "C".as_ref()),
        ];
        for (name, value) in fixed {
            credentials.variables.insert(name.into(), value.to_owned());
        }
        Ok(credentials)
    }

    /// The whole environment of restic.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.variables.iter()
    }

    /// The value of a variable, if it is text.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(OsStr::new(name)).and_then(|value| value.to_str())
    }

    /// The password itself.
    pub(super) fn password(&self) -> Result<String> {
        if let Some(password) = self.variable("RESTIC_PASSWORD").filter(|password| !password.is_empty()) {
            return Ok(password.to_owned());
        }
        let Some(file) = self.variable("RESTIC_PASSWORD_FILE").filter(|file| !file.is_empty()) else {
            let what = "the password of the repository is not in a file: a command prints it";
            return Err(Error::new(Kind::PasswordMissing, what).with_hint("pass it on by hand"));
        };
        let text = files::read_small_text(Path::new(file), MAX_SETTINGS).map_err(|error| {
            Error::new(Kind::PasswordMissing, format!("cannot use password file {file}")).because(error)
        })?;
        // As restic does.
        Ok(text.trim().to_owned())
    }

    /// The texts that no message may contain.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn has_password(&self) -> bool {
        PASSWORD_VARIABLES
            .iter()
            .any(|name| self.variables.get(OsStr::new(name)).is_some_and(|value| !value.is_empty()))
    }

    /// Adds the lines of an environment file. They win over inherited variables.
    fn add_file(&mut self, file: &Path) -> Result<()> {
        let what = || format!("cannot use environment file {}", file.display());
        let text = files::read_small_text(file, MAX_SETTINGS)
            .map_err(|error| Error::new(Kind::Config, what()).because(error))?;
        let pairs = environment::parse(&text).map_err(|reason| Error::new(Kind::Config, what()).because(reason))?;
        if pairs.iter().any(|(name, _)| PASSWORD_VARIABLES.contains(&name.as_str())) {
            self.remove_password();
        }
        for (name, value) in pairs {
            if WITHHELD.contains(&name.as_str()) {
                continue;
            }
            if !name.ends_with("_FILE") {
                self.secrets.add(&value);
            }
            self.variables.insert(name.into(), value.into());
        }
        Ok(())
    }

    fn remove_password(&mut self) {
        for name in PASSWORD_VARIABLES {
            self.variables.remove(OsStr::new(name));
        }
    }

    /// Makes `file` the only source of the password. If it were empty, restic would read a password from its standard
    /// input, so an empty file is refused.
    fn set_password_file(&mut self, file: &Path) -> Result<()> {
        let what = || format!("cannot use password file {}", file.display());
        let bytes = files::read_small(file, MAX_SETTINGS)
            .map_err(|error| Error::new(Kind::PasswordMissing, what()).because(error))?;
        let password = String::from_utf8_lossy(&bytes);
        if password.trim().is_empty() {
            return Err(Error::new(Kind::PasswordMissing, what()).because("it is empty"));
        }
        self.secrets.add(&password);
        self.remove_password();
        self.variables.insert("RESTIC_PASSWORD_FILE".into(), file.into());
        Ok(())
    }
}

/// What restic inherits of `variables`: those of a unit, of a shell none except the directory of passed credentials. Its
/// home is that of its user in both.
fn inherited(mut variables: Variables, is_unit: bool, home: Option<&Path>) -> Variables {
    if !is_unit {
        variables.retain(|name, _| name == CREDENTIALS_DIRECTORY);
        variables.insert("PATH".into(), PATH.into());
    }
    if let Some(home) = home {
        variables.insert("HOME".into(), home.into());
    }
    variables
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::{Credentials, Variables, inherited};
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
                options: Vec::new(),
            };
            Self { root, settings, inherited }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn find(&self) -> crate::error::Result<Credentials> {
            let text = "role = \"main\"\nrepository = \"rest:http://user:urlsecret@host/\"\n";
            let repository = Settings::parse(text, Path::new("config.toml")).expect("settings").repository;
            let inherited = self.inherited.iter().map(|(name, value)| (name.into(), value.into())).collect();
            Credentials::find_in(&self.settings, &repository, Path::new("/cache"), inherited, &self.path("etc"))
        }
    }

    fn value<'a>(credentials: &'a Credentials, name: &str) -> Option<&'a str> {
        credentials.variables.get(OsStr::new(name)).and_then(|value| value.to_str())
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
            let credentials = world.find().expect("credentials");
            let wanted = if *name == "RESTIC_PASSWORD_FILE" {
                world.path(wanted).display().to_string()
            } else {
                (*wanted).to_owned()
            };
            for password in super::PASSWORD_VARIABLES {
                let found = value(&credentials, password).filter(|value| !value.is_empty());
                assert_eq!(found, (password == *name).then_some(wanted.as_str()), "{password} of {inherited:?}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_reported() {
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
    fn restic_inherits_no_other_repository_and_no_filter() {
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
        let credentials = world.find().expect("credentials");
        let names: Vec<&str> = credentials.variables().map(|(name, _)| name.to_str().expect("text")).collect();
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
        assert_eq!(value(&credentials, "RESTIC_REPOSITORY"), Some("rest:http://user:urlsecret@host/"));
        assert_eq!(value(&credentials, "RESTIC_CACHE_DIR"), Some("/cache"));
        assert_eq!(value(&credentials, "LC_ALL"), Some("C"));
        let masked = credentials.secrets().mask("urlsecret AKIAFILE processsecret etcsecret eu 4 /bin");
        assert_eq!(masked, "*** *** *** *** eu 4 /bin");
    }

    #[test]
    fn a_shell_gives_restic_nothing_that_the_service_lacks() {
        let variables = |pairs: &[(&str, &str)]| -> Variables {
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
        };
        let given = variables(&[
            ("AWS_PROFILE", "mine"),
            ("CREDENTIALS_DIRECTORY", "/run/credentials/x"),
            ("HOME", "/home/me"),
            ("PATH", "/home/me/bin"),
            ("RESTIC_PASSWORD", "typed"),
            ("SSH_AUTH_SOCK", "/run/user/1000/agent"),
            ("https_proxy", "http://proxy"),
        ]);
        let typed = [("CREDENTIALS_DIRECTORY", "/run/credentials/x"), ("HOME", "/root"), ("PATH", super::PATH)];
        assert_eq!(inherited(given.clone(), false, Some(Path::new("/root"))), variables(&typed));
        // What a drop-in of the unit sets is meant for it. The home is that of the user in both.
        let mut wanted = given.clone();
        wanted.insert("HOME".into(), "/root".into());
        assert_eq!(inherited(given, true, Some(Path::new("/root"))), wanted);
        assert_eq!(inherited(Variables::new(), true, None), Variables::new());
    }
}
