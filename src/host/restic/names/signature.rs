//! The signature of a GET request to S3, version 4
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>). Pure.

use jiff::Timestamp;

use crate::host::http::percent_encoded;
use crate::model::digest::{Digest, authentication};

/// What a request is signed with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
    /// Of temporary credentials.
    pub(super) token: Option<String>,
    pub(super) region: String,
}

/// A request: its host with the port, its path, and its query by name, in this order.
pub(super) struct Request<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
}

impl Request<'_> {
    /// The query as it is sent.
    pub(super) fn query(&self) -> String {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", percent_encoded(name), percent_encoded(value));
        self.query.iter().map(pair).collect::<Vec<_>>().join("&")
    }
}

/// The headers that sign `request` at `now`.
pub(super) fn headers(key: &Key, request: &Request<'_>, now: Timestamp) -> Vec<(&'static str, String)> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = time.get(..8).unwrap_or_default();
    let nothing = Digest::of(b"").hex();
    let mut headers = vec![
        ("host", request.host.to_owned()),
        ("x-amz-content-sha256", nothing.clone()),
        ("x-amz-date", time.clone()),
    ];
    headers.extend(key.token.clone().map(|token| ("x-amz-security-token", token)));

    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("GET\n{}\n{}\n{lines}\n{names}\n{nothing}", request.path, request.query());
    let scope = format!("{day}/{}/s3/aws4_request", key.region);
    let signed = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", Digest::of(canonical.as_bytes()).hex());

    let secret = format!("AWS4{}", key.secret).into_bytes();
    let parts = [day, &key.region, "s3", "aws4_request"];
    let signing = parts.into_iter().fold(secret, |key, part| authentication(&key, part.as_bytes()).to_vec());
    let signature: String =
        authentication(&signing, signed.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let Key { id, .. } = key;
    let authorization = format!("AWS4-HMAC-SHA256 Credential={id}/{scope},SignedHeaders={names},Signature={signature}");
    headers.push(("authorization", authorization));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "GET Bucket (List Objects)" of the documentation.
    #[test]
    fn a_request_is_signed_as_in_the_documentation() {
        let mut key = Key {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
            region: "us-east-1".to_owned(),
        };
        let host = "examplebucket.s3.amazonaws.com";
        let request = Request { host, path: "/", query: &[("max-keys", "2"), ("prefix", "J")] };
        let now = "2013-05-24T00:00:00Z".parse().expect("a time");
        let authorization = |key: &Key| headers(key, &request, now).pop().expect("a header").1;
        assert_eq!(
            authorization(&key),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;x-amz-content-sha256;x-amz-date,\
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
        key.token = Some("token".to_owned());
        assert!(authorization(&key).contains("x-amz-date;x-amz-security-token,"));
    }
}
