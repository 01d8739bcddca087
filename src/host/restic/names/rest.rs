//! Names at a REST server (<https://restic.readthedocs.io/en/stable/100_references.html#rest-backend>).

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use ureq::http::Uri;

use super::http::{Answer, Client, get};
use crate::host::http::percent_decoded;
use crate::model::looked::Names;

/// The version of the protocol in which a listing has the sizes, too.
const V2: &str = "application/vnd.x.restic.rest.v2";

/// The snapshots at a server.
#[derive(Clone)]
pub(super) struct Rest {
    client: Client,
    /// Without credentials.
    url: String,
    authorization: Option<String>,
}

impl Rest {
    /// `address` is what follows `rest:`.
    pub(super) fn find<'a>(address: &str, variable: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
        if uri.query().is_some() || address.contains('#') {
            return None;
        }
        let authority = uri.authority()?.as_str();
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let credentials = match user {
            Some(user) => {
                let (user, password) = user.split_once(':').unwrap_or((user, ""));
                Some(format!("{}:{}", percent_decoded(user), percent_decoded(password)))
            }
            None => variable("RESTIC_REST_USERNAME")
                .zip(variable("RESTIC_REST_PASSWORD"))
                .map(|(user, password)| format!("{user}:{password}")),
        };
        let url = format!("{scheme}://{host}{}/snapshots/", uri.path().trim_end_matches('/'));
        let authorization = credentials.map(|text| format!("Basic {}", BASE64_STANDARD.encode(text)));
        Some(Self { client: Client::find(&variable)?, url, authorization })
    }

    pub(super) fn list(&self, timeout: Duration) -> Option<Names> {
        let agent = self.client.agent(&self.url, timeout)?;
        let mut headers = vec![("Accept", V2.to_owned())];
        headers.extend(self.authorization.clone().map(|value| ("Authorization", value)));
        names(&get(&agent, &self.url, &headers)?)
    }
}

/// The names in an answer; restic, too, goes by its type.
fn names(Answer { kind, body }: &Answer) -> Option<Names> {
    #[derive(Deserialize)]
    struct File {
        name: String,
    }
    let files: Vec<String> = if kind == V2 {
        let files: Option<Vec<File>> = serde_json::from_slice(body).ok()?;
        files.unwrap_or_default().into_iter().map(|file| file.name).collect()
    } else {
        serde_json::from_slice(body).ok()?
    };
    let mut names = Names::default();
    files.iter().try_for_each(|name| names.add(name))?;
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_restic_reads_it() {
        let none: fn(&str) -> Option<&'static str> = |_| None;
        let basic = |text: &str| Some(format!("Basic {}", BASE64_STANDARD.encode(text)));
        let cases = [
            ("http://host:8000/", Some(("http://host:8000/snapshots/", None))),
            ("https://host/a/b/", Some(("https://host/a/b/snapshots/", None))),
            ("https://host/a", Some(("https://host/a/snapshots/", None))),
            ("https://host", Some(("https://host/snapshots/", None))),
            ("http://me:p%40ss+w@host/", Some(("http://host/snapshots/", basic("me:p@ss+w")))),
            ("http://me@host/", Some(("http://host/snapshots/", basic("me:")))),
            ("http://host/a?b", None),
            ("http://host/a#b", None),
            ("http+unix:///run/socket:/a/", None),
            ("host/a", None),
        ];
        for (address, wanted) in cases {
            let found = Rest::find(address, none).map(|rest| (rest.url, rest.authorization));
            assert_eq!(found, wanted.map(|(url, basic)| (url.to_owned(), basic)), "{address}");
        }
        let named = |name: &str| match name {
            "RESTIC_REST_USERNAME" => Some("me"),
            "RESTIC_REST_PASSWORD" => Some("secret"),
            _ => None,
        };
        assert_eq!(Rest::find("http://host/", named).and_then(|rest| rest.authorization), basic("me:secret"));
        assert_eq!(Rest::find("http://a:b@host/", named).and_then(|rest| rest.authorization), basic("a:b"));
    }

    #[test]
    fn both_versions_are_read_and_nothing_else() {
        let id = "a".repeat(64);
        let names = |kind: &str, body: &str| names(&Answer { kind: kind.to_owned(), body: body.into() });
        let one: Names = [id.parse().expect("an id")].into_iter().collect();
        assert_eq!(names(V2, &format!(r#"[{{"name":"{id}","size":1}},{{"name":"x","size":1}}]"#)), Some(one.clone()));
        assert_eq!(names("application/vnd.x.restic.rest.v1", &format!(r#"["{id}"]"#)), Some(one));
        assert_eq!(names(V2, "null"), Some(Names::default()));
        for (kind, body) in [(V2, "["), (V2, ""), (V2, "{}"), (V2, r#"["x"]"#), ("text/html", "<html>"), ("", "[1]")] {
            assert_eq!(names(kind, body), None, "{kind}: {body}");
        }
    }
}
