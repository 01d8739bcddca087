//! Random secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{Error, Kind, Result};

/// How many random bytes a password has.
const BYTES: usize = 32;

/// A new password: 32 random bytes in base64.
///
/// # Errors
/// [`Kind::Bug`] if the kernel has no random bytes.
pub fn password() -> Result<String> {
    let mut bytes = [0; BYTES];
    let got = getrandom(&mut bytes, GetRandomFlags::empty());
    match got {
        Ok(BYTES) => Ok(STANDARD.encode(bytes)),
        Ok(_) => Err(Error::new(Kind::Bug, "the kernel has too few random bytes")),
        Err(error) => Err(Error::new(Kind::Bug, "cannot get random bytes").because(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::password;

    #[test]
    fn a_password_is_long_and_never_the_same() {
        let (one, other) = (password().expect("a password"), password().expect("a password"));
        assert_eq!((one.len(), other.len()), (44, 44));
        assert_ne!(one, other);
    }
}
