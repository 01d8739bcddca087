//! The token with which a session is authorised: a JWT that Uptime Kuma itself would issue, but valid for a minute
//! (`User.createJWT` in `server/model/user.js`).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use sha3::Shake256;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};

use crate::host::kuma::database::Credentials;
use crate::model::digest::authentication;

/// How long a token is valid, in seconds.
const LIFETIME: i64 = 60;

/// The length of the digest of a password, in bytes (`SHAKE256_LENGTH` in `server/util-server.js`).
const DIGEST: usize = 16;

/// A user that no Uptime Kuma has: a server that knows the secret says that there is none.
const NOBODY: &str = "kuma-replicator: no user";

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[derive(Serialize)]
struct Claims<'a> {
    username: &'a str,
    /// Before 1.23.3 Uptime Kuma ignores it.
    h: String,
    iat: i64,
    exp: i64,
}

/// A token. Its text is not shown in any message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

/// What the sessions of one cycle are authorised by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// That of a user who does not exist, which proves that the secret is the server's.
    pub nobody: Token,
    /// Those of the users, by id.
    pub users: BTreeMap<i64, Token>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    /// The text, for the server alone.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tokens that are valid from `now` on, in seconds since 1970.
pub fn tokens(credentials: &Credentials, now: i64) -> Tokens {
    let Credentials { secret, users } = credentials;
    let token = |name: &str, password: &str| token(secret, name, password, now);
    let of_users = users.iter().map(|(id, name, password)| (*id, token(name, password)));
    Tokens { nobody: token(NOBODY, ""), users: of_users.collect() }
}

fn token(secret: &str, username: &str, password_hash: &str, now: i64) -> Token {
    let claims = Claims { username, h: digest(password_hash), iat: now, exp: now + LIFETIME };
    // Texts and numbers: it cannot fail.
    let claims = serde_json::to_vec(&claims).unwrap_or_default();
    let text = format!("{}.{}", BASE64.encode(HEADER), BASE64.encode(claims));
    let signature = authentication(secret.as_bytes(), text.as_bytes());
    Token(format!("{text}.{}", BASE64.encode(signature)))
}

/// The digest of a password that ends sessions when the password changes.
fn digest(password_hash: &str) -> String {
    let mut hasher = Shake256::default();
    hasher.update(password_hash.as_bytes());
    let mut digest = [0; DIGEST];
    hasher.finalize_xof().read(&mut digest);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with the modules of Uptime Kuma: `jsonwebtoken` and `crypto`.
    #[test]
    fn a_token_is_the_one_that_uptime_kuma_issues() {
        assert_eq!(digest("$2a$10$abcdefghijklmnopqrstuu"), "ecfb8480185e4d99878bd76fced77eda");
        let token = token("secret", "admin", "$2a$10$abcdefghijklmnopqrstuu", 1_700_000_000);
        let expected = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6ImFkbWluIiwiaCI6ImVjZmI4NDgwMTg1ZTRkOTk4NzhiZDc2ZmNlZDc3ZWRhIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDAwNjB9.YTKJW4AS_oeiuGc7Ed2XpXLhThg2wQP_1pSDG4cF2dk";
        assert_eq!(token.as_str(), expected);
    }

    #[test]
    fn no_message_shows_a_token() {
        let credentials = Credentials {
            secret: "s3cret".to_owned(),
            users: vec![(1, "admin".to_owned(), "hash".to_owned()), (7, "other".to_owned(), "hash".to_owned())],
        };
        let tokens = tokens(&credentials, 0);
        assert_eq!(tokens.users.keys().copied().collect::<Vec<_>>(), [1, 7]);
        let shown = format!("{tokens:?}");
        for token in tokens.users.values().chain([&tokens.nobody]) {
            assert!(token.as_str().len() > 100 && !shown.contains(token.as_str()), "{shown}");
        }
    }
}
