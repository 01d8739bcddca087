//! `worker`: what this program starts itself with, to open the files of Uptime Kuma.

use crate::error::{Error, Exit, Kind};
use crate::host::kuma::worker;
use crate::host::system::users::Identity;

/// Gives the rights of this process up, and serves its standard input. Nothing may have been opened before.
pub fn worker(identity: Option<&str>) -> Exit {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    // Its messages have nowhere to go; the other process reports that this one has ended.
    std::panic::set_hook(Box::new(|_| {}));
    let identity: Option<Identity> = match identity.map(str::parse).transpose() {
        Ok(identity) => identity,
        Err(_) => return Exit::Usage,
    };
    if let Err(error) = worker::confine(identity.as_ref()) {
        let what = match &identity {
            Some(identity) => format!("cannot become user {}, who owns the files of Uptime Kuma", identity.uid),
            None => "cannot give the rights of this process up".to_owned(),
        };
        let hint = match &identity {
            Some(Identity { search: true, .. }) => {
                "a directory of root is on the way: let the unit have CAP_DAC_READ_SEARCH, see security.md"
            }
            _ => "let the unit have CAP_SETUID and CAP_SETGID, as the shipped one has",
        };
        let error = Error::new(Kind::NotPermitted, what).with_hint(hint).because(error);
        // If nobody reads this, nobody misses it.
        let _ = worker::refuse(&mut output, &error);
        return Exit::NotPermitted;
    }
    match worker::serve(&mut input, &mut output) {
        Ok(()) => Exit::Success,
        Err(_) => Exit::Bug,
    }
}
