//! Names at an S3 server: `ListObjectsV2`
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>), as restic asks it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;
use ureq::http::Uri;

use super::http::{Client, get};
use super::signature::{Key, Request, headers};
use crate::model::looked::Names;

/// How many pages are read. A page has 1,000 names.
const MAX_PAGES: usize = 100;

/// The region of a server that has none, and that of Amazon's without a region in its name.
const REGION: &str = "us-east-1";

/// The snapshots at a server.
#[derive(Clone)]
pub(super) struct S3 {
    client: Client,
    key: Key,
    scheme: String,
    host: String,
    path: String,
    /// That of the snapshots, with a slash at its end.
    prefix: String,
}

impl S3 {
    /// `address` is what follows `s3:`, and `lookup` where a request names the bucket, if the option `s3.bucket-lookup`
    /// says it.
    pub(super) fn find<'a>(
        address: &str,
        lookup: Option<&str>,
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if set("RESTIC_AWS_ASSUME_ROLE_ARN").is_some() {
            return None;
        }
        let scheme = if address.starts_with("http://") { "http" } else { "https" };
        let rest = ["http://", "https://", "//"].iter().find_map(|start| address.strip_prefix(start));
        let (host, path) = rest.unwrap_or(address).split_once('/')?;
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if bucket.is_empty() || !bucket.chars().all(plain) || host.contains('@') || address.contains(['?', '#', '%']) {
            return None;
        }
        let uri: Uri = format!("{scheme}://{host}/").parse().ok()?;
        let region = set("AWS_DEFAULT_REGION").map_or_else(|| region(uri.host()?), |region| Some(region.to_owned()))?;
        let in_host = match lookup.unwrap_or("auto") {
            "auto" => uri.host()?.ends_with(".amazonaws.com") && !bucket.contains('.'),
            "dns" => true,
            "path" => false,
            _ => return None,
        };
        let (host, path) = if in_host {
            (format!("{bucket}.{host}"), "/".to_owned())
        } else {
            (host.to_owned(), format!("/{bucket}/"))
        };
        let key = Key {
            id: set("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret: set("AWS_SECRET_ACCESS_KEY")?.to_owned(),
            token: set("AWS_SESSION_TOKEN").map(str::to_owned),
            region,
        };
        let client = Client::find(&variable)?;
        Some(Self { client, key, scheme: scheme.to_owned(), host, path, prefix: directory(prefix)? })
    }

    pub(super) fn list(&self, timeout: Duration) -> Option<Names> {
        let begun = Instant::now();
        let agent = self.client.agent(&format!("{}:", self.scheme), timeout)?;
        let (mut names, mut token) = (Names::default(), None);
        for _ in 0..MAX_PAGES {
            let mut query: Vec<(&str, &str)> =
                token.iter().map(|token: &String| ("continuation-token", &**token)).collect();
            query.extend([("delimiter", "/"), ("list-type", "2"), ("prefix", &self.prefix)]);
            let request = Request { host: &self.host, path: &self.path, query: &query };
            let url = format!("{}://{}{}?{}", self.scheme, self.host, self.path, request.query());
            let answer = get(&agent, &url, &headers(&self.key, &request, Timestamp::now()))?;
            token = add_page(&mut names, &self.prefix, std::str::from_utf8(&answer.body).ok()?)?;
            if token.is_none() {
                return Some(names);
            }
            if begun.elapsed() > timeout {
                return None;
            }
        }
        None
    }
}

/// The region in the name of one of Amazon's servers, or that of any other server.
fn region(host: &str) -> Option<String> {
    let Some(name) = host.strip_suffix(".amazonaws.com") else { return Some(REGION.to_owned()) };
    let name = name.strip_prefix("s3").map(|name| name.trim_start_matches(['.', '-']))?;
    let name = name.strip_prefix("dualstack.").unwrap_or(name);
    match name {
        "" => Some(REGION.to_owned()),
        name if name.contains('.') => None,
        name => Some(name.to_owned()),
    }
}

/// The prefix of the snapshots in a repository with this one. `None` for a path that restic would clean up first.
fn directory(prefix: &str) -> Option<String> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        return Some("snapshots/".to_owned());
    }
    let clean = prefix.split('/').all(|part| !matches!(part, "" | "." | ".."));
    clean.then(|| format!("{prefix}/snapshots/"))
}

/// Adds the names on a page, and returns the token of the next one.
fn add_page(names: &mut Names, prefix: &str, page: &str) -> Option<Option<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Page {
        is_truncated: bool,
        next_continuation_token: Option<String>,
        #[serde(default)]
        contents: Vec<Object>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Object {
        key: String,
    }
    // What follows the document would not be read.
    if !page.trim_end().ends_with("</ListBucketResult>") || page.matches("</ListBucketResult>").count() > 1 {
        return None;
    }
    let page: Page = quick_xml::de::from_str(page).ok()?;
    for Object { key } in page.contents {
        let name = key.strip_prefix(prefix)?;
        if name.contains('/') {
            return None;
        }
        names.add(name)?;
    }
    let token = page.next_continuation_token.filter(|token| !token.is_empty());
    match (page.is_truncated, token) {
        (false, _) => Some(None),
        (true, Some(token)) => Some(Some(token)),
        (true, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(address: &str, others: &'static [(&str, &str)]) -> Option<S3> {
        let key = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let variable =
            |name: &str| others.iter().chain(&key).find(|(found, _)| *found == name).map(|(_, value)| *value);
        S3::find(address, None, variable)
    }

    #[test]
    fn an_address_is_read_as_restic_reads_it() {
        // Address, then URL, prefix and region.
        let cases = [
            ("http://127.0.0.1:5000/bucket", Some(("http://127.0.0.1:5000/bucket/", "snapshots/", "us-east-1"))),
            ("https://s3.example.org/b/a/", Some(("https://s3.example.org/b/", "a/snapshots/", "us-east-1"))),
            ("s3.example.org/b/a/c", Some(("https://s3.example.org/b/", "a/c/snapshots/", "us-east-1"))),
            ("//s3.example.org/b", Some(("https://s3.example.org/b/", "snapshots/", "us-east-1"))),
            ("s3.amazonaws.com/b/a", Some(("https://b.s3.amazonaws.com/", "a/snapshots/", "us-east-1"))),
            (
                "s3.eu-west-1.amazonaws.com/b",
                Some(("https://b.s3.eu-west-1.amazonaws.com/", "snapshots/", "eu-west-1")),
            ),
            (
                "s3-eu-west-1.amazonaws.com/b.c",
                Some(("https://s3-eu-west-1.amazonaws.com/b.c/", "snapshots/", "eu-west-1")),
            ),
            (
                "s3.dualstack.eu-west-1.amazonaws.com/b",
                Some(("https://b.s3.dualstack.eu-west-1.amazonaws.com/", "snapshots/", "eu-west-1")),
            ),
            ("s3.x.y.amazonaws.com/b", None),
            ("s3.example.org", None),
            ("s3.example.org/", None),
            ("s3.example.org/b/a//c", None),
            ("s3.example.org/b/../c", None),
            ("https://me:secret@s3.example.org/b", None),
            ("https://s3.example.org/b?c", None),
            ("https://s3.example.org/b c", None),
        ];
        for (address, wanted) in cases {
            let found = find(address, &[]);
            let found = found.map(|s3| (format!("{}://{}{}", s3.scheme, s3.host, s3.path), s3.prefix, s3.key.region));
            assert_eq!(found.as_ref().map(|(url, prefix, region)| (&**url, &**prefix, &**region)), wanted, "{address}");
        }
    }

    #[test]
    fn the_bucket_is_named_where_the_option_says() {
        let found = |address, lookup| {
            let variable = |name: &str| name.starts_with("AWS_").then_some("x");
            S3::find(address, Some(lookup), variable).map(|s3| format!("{}://{}{}", s3.scheme, s3.host, s3.path))
        };
        let (own, amazon) = ("http://s3.example.org:9000/b/a", "s3.eu-west-1.amazonaws.com/b");
        let cases = [
            (own, "auto", Some("http://s3.example.org:9000/b/")),
            (own, "path", Some("http://s3.example.org:9000/b/")),
            (own, "dns", Some("http://b.s3.example.org:9000/")),
            (amazon, "auto", Some("https://b.s3.eu-west-1.amazonaws.com/")),
            (amazon, "path", Some("https://s3.eu-west-1.amazonaws.com/b/")),
            (amazon, "else", None),
        ];
        for (address, lookup, wanted) in cases {
            assert_eq!(found(address, lookup).as_deref(), wanted, "{address}, {lookup}");
        }
    }

    #[test]
    fn what_restic_would_do_otherwise_is_left_to_it() {
        let found = find("host/b", &[("AWS_DEFAULT_REGION", "here"), ("AWS_SESSION_TOKEN", "token")]).expect("found");
        assert_eq!((found.key.region.as_str(), found.key.token.as_deref()), ("here", Some("token")));
        let others: [&[(&str, &str)]; 7] = [
            &[("AWS_ACCESS_KEY_ID", ""), ("AWS_PROFILE", "other")],
            &[("AWS_SECRET_ACCESS_KEY", "")],
            &[("RESTIC_AWS_ASSUME_ROLE_ARN", "arn")],
            &[("RESTIC_CACERT", "/file")],
            &[("RESTIC_TLS_CLIENT_CERT", "/file")],
            &[("https_proxy", "http://proxy")],
            &[("SSL_CERT_DIR", "/certificates")],
        ];
        for other in others {
            assert!(find("host/b", other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_page_is_read_whole_or_not_at_all() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let object = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
        let page = |truncated: &str, objects: &str| {
            format!(
                "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <Name>b</Name>{truncated}{objects}</ListBucketResult>\n"
            )
        };
        let read = |page: &str| {
            let mut names = Names::default();
            add_page(&mut names, "p&q/snapshots/", page).map(|token| (names, token))
        };
        let of = |ids: &[&str]| ids.iter().map(|id| id.parse().expect("an id")).collect::<Names>();
        let whole = "<IsTruncated>false</IsTruncated>";
        let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1</NextContinuationToken>";
        let both = ["", &a, &b, "config"].map(|name| object(&format!("p&amp;q/snapshots/{name}"))).concat();
        let good = page(whole, &both);
        assert_eq!(read(&good), Some((of(&[&a, &b]), None)));
        assert_eq!(read(&page(more, &both)), Some((of(&[&a, &b]), Some("t&1".to_owned()))));
        assert_eq!(read(&page(whole, "")), Some((Names::default(), None)));
        for length in 0..good.trim_end().len() {
            assert_eq!(read(&good[..length]), None, "cut to {length} bytes");
        }
        let bad = [
            page("", &both),
            page("<IsTruncated>true</IsTruncated>", &both),
            page("<IsTruncated>true</IsTruncated><NextContinuationToken/>", &both),
            page("<IsTruncated>maybe</IsTruncated>", &both),
            page(whole, &object("other/snapshots/x")),
            page(whole, &object(&format!("p&amp;q/snapshots/x/{a}"))),
            page(whole, &object(&format!("p&amp;q/snapshots/{}", a.to_uppercase()))),
            page(whole, &object("&unknown;")),
            page(whole, "<Contents></Contents>"),
            format!("{good}{good}"),
            "<Error><Code>AccessDenied</Code></Error>".to_owned(),
            "<html></html>".to_owned(),
        ];
        for page in bad {
            assert_eq!(read(&page), None, "{page}");
        }
    }
}
