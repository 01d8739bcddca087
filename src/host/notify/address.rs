//! Where a receiver is, and its token: both are secrets, and are read anew for each delivery.

use std::path::{Path, PathBuf};

use crate::config::{Address, Receiver};
use crate::host::system::{files, unit};
use crate::model::limits::MAX_SETTINGS;

/// The directory of the credentials that the service manager passes (systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where a receiver is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its address.
    pub address: Address,
    /// The token that it asks for.
    pub token: Option<Token>,
}

/// A token, which is never shown.
#[derive(Clone)]
pub struct Token(pub(super) String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Where `receiver` is. `Ok(None)` if only the service can know: this process has none of its credentials.
///
/// # Errors
/// Why its address or its token cannot be read, for people and without a secret.
pub fn find(receiver: &Receiver) -> Result<Option<Place>, String> {
    let passed = std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from);
    find_in(receiver, passed.as_deref(), unit::is_its_main_process())
}

fn find_in(receiver: &Receiver, passed: Option<&Path>, is_service: bool) -> Result<Option<Place>, String> {
    let credential = |what: &str| {
        passed.map(|passed| passed.join(format!("notify-{}-{what}", receiver.name))).filter(|file| file.exists())
    };
    let address = match (&receiver.url, receiver.url_file.clone().or_else(|| credential("url"))) {
        (Some(url), _) => url.clone(),
        (None, Some(file)) => {
            Address::new(&secret(&file)?).map_err(|problem| format!("{}: {problem}", file.display()))?
        }
        (None, None) if is_service => {
            let name = &receiver.name;
            return Err(format!("it has no address: write url or url-file, or pass the credential notify-{name}-url"));
        }
        (None, None) => return Ok(None),
    };
    let token = receiver.token_file.clone().or_else(|| credential("token")).map(|file| secret(&file)).transpose()?;
    Ok(Some(Place { address, token: token.map(Token) }))
}

/// The only line of a file.
fn secret(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let text = files::read_small_text(file, MAX_SETTINGS).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_whitespace) || text.contains(char::is_control) {
        return Err(format!("{shown} must hold one line, the secret and nothing else"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::find_in;
    use crate::config::Settings;

    #[test]
    fn an_address_is_found_in_one_place_and_never_shown() {
        let root = tempfile::tempdir().expect("directory");
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).expect("file");
        write("own", "https://own.example.org/secret\n");
        write("notify-x-url", "https://passed.example.org/secret\n");
        write("notify-x-token", "tk_secret\n");
        write("two", "https://a.example.org/secret\nhttps://b.example.org/secret\n");
        write("bad", "secret\n");
        write("empty", "\n");
        let own = format!("url-file = \"{}\"", root.path().join("own").display());
        let file = |name: &str| format!("url-file = \"{}\"", root.path().join(name).display());
        // The key, whether credentials are passed, whether this is the service, and the host or a part of the error.
        for (key, passed, service, wanted) in [
            ("url = \"https://here.example.org/secret\"", true, true, Ok(Some("here.example.org"))),
            (own.as_str(), true, true, Ok(Some("own.example.org"))),
            ("", true, true, Ok(Some("passed.example.org"))),
            ("", false, false, Ok(None)),
            ("", false, true, Err("notify-x-url")),
            (file("two").as_str(), false, true, Err("one line")),
            (file("bad").as_str(), false, true, Err("whole address")),
            (file("empty").as_str(), false, false, Err("one line")),
            (file("none").as_str(), false, false, Err("cannot read")),
        ] {
            let text = format!("role = \"main\"\nrepository = \"/r\"\n[notify.x]\nkind = \"ntfy\"\n{key}\n");
            let settings = Settings::parse(&text, Path::new("c")).expect("settings");
            let found = find_in(&settings.receivers[0], passed.then_some(root.path()), service);
            assert!(!format!("{found:?} {settings:?}").contains("secret\""), "{found:?}");
            assert!(!format!("{found:?} {settings:?}").contains("/secret"), "{found:?}");
            match (found, wanted) {
                (Ok(found), Ok(wanted)) => {
                    assert_eq!(found.as_ref().map(|place| place.address.host()), wanted, "{key}");
                    assert_eq!(found.is_some_and(|place| place.token.is_some()), passed, "{key}");
                }
                (Err(found), Err(wanted)) => assert!(found.contains(wanted), "{found}"),
                (found, wanted) => panic!("{key}: {found:?}, not {wanted:?}"),
            }
        }
    }
}
