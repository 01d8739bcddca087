//! What to write, from what is there, what was found and what was given. Pure: the plan of a set-up.

use std::path::{Path, PathBuf};

use crate::config::{self, Role, UnitName, without_credentials};
use crate::error::{Error, Kind, Result};

/// What a new configuration file begins with.
const HEADER: &str = "# Written by kuma-replicator setup. kuma-replicator config --example shows every key.\n";

/// The keys of a configuration file that a set-up sees to. Those that are `None` stay as they are.
pub(super) struct Keys<'a> {
    pub(super) role: Role,
    pub(super) repository: &'a str,
    pub(super) unit: Option<&'a UnitName>,
    pub(super) data_directory: Option<&'a PathBuf>,
    pub(super) url: Option<&'a str>,
}

/// The text of the configuration file with these keys, where `there` is what it has now. A value that is right is not
/// touched, so a file that is right stays as it is.
///
/// # Errors
/// [`Kind::Config`] if it is not TOML; [`Kind::Files`] for a path that is not text.
pub(super) fn configuration(there: Option<&str>, keys: &Keys<'_>, path: &Path) -> Result<String> {
    let role = keys.role.to_string();
    let directory = keys.data_directory.map(|directory| {
        let text = directory.to_str();
        text.ok_or_else(|| Error::new(Kind::Files, format!("{} is not text", directory.display())))
    });
    let wanted: [(&[&str], Option<&str>); 5] = [
        (&["role"], Some(&role)),
        (&["repository"], Some(keys.repository)),
        (&["uptime-kuma", "unit"], keys.unit.map(AsRef::as_ref)),
        (&["uptime-kuma", "data-directory"], directory.transpose()?),
        (&["uptime-kuma", "url"], keys.url),
    ];
    let mut text = there.unwrap_or_default().to_owned();
    for (key, value) in wanted {
        let Some(value) = value else { continue };
        if config::value(&text, key, path)?.as_deref() != Some(value) {
            text = config::with(&text, key, value, path)?;
        }
    }
    Ok(if there.is_none() { format!("{HEADER}{text}") } else { text })
}

/// The role is what `there`, the text of the configuration file, says, if it says one.
///
/// # Errors
/// [`Kind::Usage`] with the verb that changes a role.
pub(super) fn check_role(there: Option<&str>, role: Role, path: &Path) -> Result<()> {
    let Some(written) = there.map(|text| config::value(text, &["role"], path)).transpose()?.flatten() else {
        return Ok(());
    };
    let (other, verb) = match role {
        Role::Main => (Role::Replica, "promote"),
        Role::Replica => (Role::Main, "demote"),
    };
    if written != other.to_string() {
        return Ok(());
    }
    let what = format!("this host is a {other}, according to {}, and setup does not change a role", path.display());
    let hint =
        format!("kuma-replicator {verb} makes it a {role}; see /usr/share/doc/kuma-replicator/moving-the-main.md");
    Err(Error::new(Kind::Usage, what.replace("a main,", "the main,"))
        .with_hint(hint.replace("it a main", "it the main")))
}

/// The repository that this host has from now on, if one is known.
///
/// # Errors
/// [`Kind::Usage`] if it has another one, unless that is to be replaced.
pub(super) fn repository(there: Option<String>, given: Option<String>, replace: bool) -> Result<Option<String>> {
    match (there, given) {
        (Some(there), Some(given)) if there != given && !replace => {
            let (there, given) = (without_credentials(&there), without_credentials(&given));
            let what = format!("this host has another repository: {there}, not {given}");
            let hint =
                "leave --repository out to keep it; or add --replace, if this host is to use another one from now on";
            Err(Error::new(Kind::Usage, what).with_hint(hint))
        }
        (there, given) => Ok(given.or(there)),
    }
}

/// The text to write into a file with a secret, if it is not there yet.
///
/// # Errors
/// [`Kind::Usage`] if another one is there, unless that is to be replaced.
pub(super) fn secret<'a>(
    path: &Path,
    there: Option<&str>,
    given: Option<&'a str>,
    replace: bool,
) -> Result<Option<&'a str>> {
    match (there, given) {
        (_, None) => Ok(None),
        (Some(there), Some(given)) if there.trim() == given.trim() => Ok(None),
        (Some(_), Some(_)) if !replace => {
            let what = format!("{} has another content than what was given", path.display());
            let hint =
                "add --replace to replace it; a password may be the only one that opens a repository: keep a copy";
            Err(Error::new(Kind::Usage, what).with_hint(hint))
        }
        (_, Some(given)) => Ok(Some(given)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{HEADER, Keys, check_role, configuration, repository, secret};
    use crate::config::{Role, Settings, UnitName};
    use crate::error::Kind;

    const PATH: &str = "/etc/kuma-replicator/config.toml";

    fn keys<'a>(unit: Option<&'a UnitName>, data_directory: Option<&'a PathBuf>, url: Option<&'a str>) -> Keys<'a> {
        Keys { role: Role::Main, repository: "/srv/kuma", unit, data_directory, url }
    }

    fn written(there: Option<&str>, keys: &Keys<'_>) -> String {
        configuration(there, keys, Path::new(PATH)).expect("text")
    }

    #[test]
    fn only_what_differs_from_the_defaults_is_written() {
        let text = written(None, &keys(None, None, None));
        assert_eq!(text, format!("{HEADER}role = \"main\"\nrepository = \"/srv/kuma\"\n"));
        let (unit, directory) = (UnitName::new("pm2-root").expect("a name"), PathBuf::from("/root/a \"b\"/data"));
        let text = written(None, &keys(Some(&unit), Some(&directory), Some("http://127.0.0.1:80")));
        let settings = Settings::parse(&text, Path::new(PATH)).expect("settings");
        assert_eq!((settings.kuma.unit, settings.kuma.data_directory), (unit, Some(directory)));
        assert_eq!(settings.kuma.url.as_deref(), Some("http://127.0.0.1:80"));
        assert_eq!(text.lines().count(), 8, "{text}");
    }

    #[test]
    fn a_file_keeps_its_comments_and_its_order() {
        let there =
            "# mine\nrepository = \"/srv/old\" # why\noverdue-after = \"1h\"\n\n[replica]\n# never\nlabel = \"x\"\n";
        let text = written(Some(there), &keys(None, None, None));
        assert_eq!(
            text,
            "# mine\nrepository = \"/srv/kuma\" # why\noverdue-after = \"1h\"\nrole = \"main\"\n\n[replica]\n# never\nlabel = \"x\"\n"
        );
        assert_eq!(written(Some(&text), &keys(None, None, None)), text, "what is right is not touched");
        let single = "role = 'main'\nrepository = '/srv/kuma'";
        assert_eq!(written(Some(single), &keys(None, None, None)), single);
        assert!(configuration(Some("role ="), &keys(None, None, None), Path::new(PATH)).is_err());
    }

    #[test]
    fn a_role_is_not_changed() {
        for (there, role, hint) in [
            (None, Role::Main, None),
            (Some("# none\n"), Role::Main, None),
            (Some("role = \"main\""), Role::Main, None),
            (Some("role = \"replica\""), Role::Main, Some("kuma-replicator promote makes it the main")),
            (Some("role = \"main\""), Role::Replica, Some("kuma-replicator demote makes it a replica")),
        ] {
            let found = check_role(there, role, Path::new(PATH)).err();
            assert_eq!(found.is_some(), hint.is_some(), "{there:?}");
            if let (Some(error), Some(hint)) = (found, hint) {
                assert!(error.kind() == Kind::Usage && error.hint().starts_with(hint), "{error:?}");
            }
        }
    }

    #[test]
    fn nothing_that_is_there_is_replaced_without_an_order() {
        let text = |text: &str| Some(text.to_owned());
        let address = "rest:https://u:geheim@h/";
        for (there, given, replace, wanted) in [
            (None, None, false, Ok(None)),
            (None, text("/a"), false, Ok(text("/a"))),
            (text("/a"), None, false, Ok(text("/a"))),
            (text("/a"), text("/a"), false, Ok(text("/a"))),
            (text(address), text("/b"), false, Err(())),
            (text("/a"), text("/b"), true, Ok(text("/b"))),
        ] {
            let found = repository(there, given, replace);
            assert!(found.as_ref().err().is_none_or(|error| !error.chain().contains("geheim")), "{found:?}");
            assert_eq!(found.map_err(drop), wanted);
        }
        for (there, given, replace, wanted) in [
            (None, None, false, Ok(None)),
            (None, Some("a"), false, Ok(Some("a"))),
            (Some("a\n"), Some("a"), false, Ok(None)),
            (Some("a"), None, false, Ok(None)),
            (Some("a"), Some("b"), false, Err(())),
            (Some("a"), Some("b"), true, Ok(Some("b"))),
        ] {
            assert_eq!(secret(Path::new("/x"), there, given, replace).map_err(drop), wanted);
        }
    }
}
