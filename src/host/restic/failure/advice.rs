//! What to do about a failure whose kind alone says too little: restic's words name the cause.

use crate::config::Location;
use crate::error::Kind;

use super::classify::{NO_PROGRAM, SKEWED};

/// Parts of restic's text in lower case for each kind, and what to do; the first one that is found counts.
const ADVICE: &[(Kind, &[&str], &str)] = &[
    (Kind::RepositoryUnreachable, SKEWED, "the clock of this host is wrong: timedatectl; the next cycle tries again"),
    (
        Kind::RepositoryUnreachable,
        &["certificate has expired or is not yet valid"],
        "check the clock of this host (timedatectl), then the certificate of the server; the next cycle tries again",
    ),
    (
        Kind::RepositoryUnreachable,
        &["x509: ", "tls: failed to verify certificate"],
        "check the address and the certificate of the server; SSL_CERT_FILE in environment-file names others to trust",
    ),
    (
        Kind::RepositoryUnreachable,
        &["remote host identification has changed"],
        "the server shows another host key than before: find out why; then ssh-keygen -R with its name, and connect once \
         with ssh as the user of the service",
    ),
    (
        Kind::DiskFull,
        &["cap exceeded"],
        "raise the cap of the B2 account (Caps & Alerts on its page), or wait until it is reset; the next cycle tries again",
    ),
    (
        Kind::RepositoryDenied,
        &["b2_download_file_by_name: 403:", "b2_list_file_names: 403:", "b2_get_upload_url: 403:"],
        "give the application key of B2 the right to list, read and write files; or raise a cap of the account, if one is \
         reached",
    ),
    (
        Kind::RepositoryDenied,
        &["($b2_account_", "b2_authorize_account"],
        "set B2_ACCOUNT_ID, which is the id of the application key, and B2_ACCOUNT_KEY in environment-file in [restic]",
    ),
    (
        Kind::RepositoryDenied,
        &["could not find default credentials", "error getting credentials using google"],
        "set GOOGLE_APPLICATION_CREDENTIALS in environment-file in [restic] to a file that the service can read, and \
         GOOGLE_PROJECT_ID",
    ),
    (
        Kind::RepositoryDenied,
        &["no azure authentication information", "azure: account name is not valid"],
        "set AZURE_ACCOUNT_NAME and AZURE_ACCOUNT_KEY, or AZURE_ACCOUNT_SAS, in environment-file in [restic]",
    ),
    (
        Kind::RepositoryMissing,
        &["invalid backend"],
        "check the beginning of repository; if it is right, this restic was built without it, as Debian 13 builds it without \
         azure: name another one as program in [restic]",
    ),
];

/// What to do about a failure of this kind and text, if it is more exact than the hint of the kind.
pub(in crate::host::restic) fn advice(kind: Kind, text: &str, repository: &Location) -> Option<String> {
    let lower = text.to_lowercase();
    let known = ADVICE.iter().find(|(of, signs, _)| *of == kind && signs.iter().any(|sign| lower.contains(sign)));
    if let Some((_, _, advice)) = known {
        return Some((*advice).to_owned());
    }
    let folder = repository.folder().is_some();
    match kind {
        Kind::ResticMissing => missing_program(text),
        Kind::RepositoryUnreachable if lower.contains("host key verification failed") => {
            let target = repository.ssh()?;
            Some(format!(
                "accept the host key once, as the user of the service: ssh {target}; then compare what it shows"
            ))
        }
        Kind::RepositoryDenied if folder && lower.contains("read-only file system") => Some(format!(
            "let the service write there: ReadWritePaths={repository} below [Service] in systemctl edit kuma-replicator; \
             or mount it so that it can be written"
        )),
        Kind::RepositoryDenied if folder => {
            Some(format!("check owner and mode of {repository} and of the files in it"))
        }
        _ => None,
    }
}

/// What to install if restic did not find a program that it runs.
fn missing_program(text: &str) -> Option<String> {
    let before = text.split_once(NO_PROGRAM).or_else(|| text.split_once("executable file not found in $PATH"))?.0;
    let name =
        before.trim_end_matches(['"', ':', ' ', '\\']).rsplit(['"', ' ']).next().filter(|name| !name.is_empty())?;
    Some(match name {
        "ssh" => "install it with apt install openssh-client".to_owned(),
        "rclone" => "install it with apt install rclone".to_owned(),
        other => format!("install {other}, or set PATH in environment-file in [restic]"),
    })
}
