//! Secrets, and texts without them. Pure.

use std::cmp::Reverse;

use crate::config::without_credentials;
use crate::host::http::{percent_decoded, percent_encoded};

/// The length of the shortest secret that is masked, in bytes. A shorter value would mangle every text.
const MIN_SECRET: usize = 4;

/// Texts that no message may contain.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Adds a secret, in its plain and in its percent-encoded forms.
    pub(super) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        for form in [secret.to_owned(), percent_encoded(secret), percent_decoded(secret), format!("{secret:?}")] {
            let form = form.trim_matches('"');
            if form.len() >= MIN_SECRET && !self.0.iter().any(|known| known == form) {
                self.0.push(form.to_owned());
            }
        }
        // A secret that contains another one is masked first, or its rest would stay.
        self.0.sort_by_key(|known| Reverse(known.len()));
    }

    /// Adds the text between `//` and `@` in the address of a repository, and the password in it.
    pub(super) fn add_from_url(&mut self, url: &str) {
        let authority = url.split_once("://").and_then(|(_, rest)| rest.split('/').next());
        if let Some((user, _)) = authority.and_then(|authority| authority.rsplit_once('@'))
            && let Some((_, password)) = user.split_once(':')
        {
            self.add(user);
            self.add(password);
        }
    }

    /// `text` with every secret, and everything that looks like credentials in an address, replaced.
    pub(super) fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.0 {
            masked = masked.replace(secret, "***");
        }
        masked.split(' ').map(without_credentials).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::Secrets;

    #[test]
    fn masks_secrets_in_every_form() {
        let mut secrets = Secrets::default();
        secrets.add_from_url("rest:https://user:pa%40ss+w@host:8000/path/");
        secrets.add_from_url("/srv/repo");
        secrets.add_from_url("sftp://root@host//srv");
        secrets.add("AKIA/secret+key=");
        secrets.add("AKIA/secret+key=longer");
        secrets.add(" abc ");
        let text = "rest:https://user:pa%40ss+w@host:8000/path/ pa@ss+w user:pa@ss+w AKIA/secret+key=longer AKIA/secret+key= \
                    AKIA%2Fsecret%2Bkey%3D abc root https://other:unknown@host/x (\"s3://k:v@h/\")";
        assert_eq!(
            secrets.mask(text),
            "rest:https://***@host:8000/path/ *** *** *** *** *** abc root https://***@host/x (\"s3://***@h/\")"
        );
    }
}
