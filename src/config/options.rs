//! The options for restic's `-o`.

use super::names::without_credentials;

/// Parts of the names of options that would be secrets: every user of the host can read the arguments of a process.
const SECRET_NAMES: [&str; 5] = ["password", "secret", "token", "credential", "key-id"];

/// Checks what is passed to restic with `-o`. restic itself knows which options there are.
///
/// # Errors
/// Which option is wrong and why, for people.
pub(super) fn checked(options: Vec<String>) -> Result<Vec<String>, String> {
    let mut names: Vec<&str> = Vec::new();
    for option in &options {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let Some((back_end, _)) = name.split_once('.').filter(|_| name.chars().all(plain) && option.contains('='))
        else {
            let shown = without_credentials(name);
            return Err(format!(
                "restic.options has \"{shown}\"; write NAME=value as restic options lists them, such as \
                 \"s3.bucket-lookup=path\""
            ));
        };
        if back_end.is_empty() || value.is_empty() || value.chars().any(char::is_control) {
            return Err(format!(
                "restic.options gives {name} no value; write {name}=value, as restic options lists them"
            ));
        }
        if SECRET_NAMES.iter().any(|secret| name.contains(secret)) || without_credentials(value) != value {
            return Err(format!(
                "restic.options has a secret in {name}, and every user of this host can read the arguments of restic; \
                 write it to the environment file"
            ));
        }
        if names.contains(&name) {
            return Err(format!("restic.options gives {name} twice"));
        }
        names.push(name);
    }
    Ok(options)
}
