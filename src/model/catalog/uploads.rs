//! Names of uploaded files.

/// The file name in a value such as `/upload/logo1.png?t=1795415670452`, if it is one that may travel:
/// letters, digits, `.`, `_` and `-`, not starting with a dot, at most 255 bytes.
pub fn upload_name(value: &str) -> Option<&str> {
    let name = value.strip_prefix("/upload/")?.split(['?', '#']).next()?;
    safe_upload_name(name).then_some(name)
}

/// Whether `name` may be the name of an uploaded file; it can never leave its directory.
pub fn safe_upload_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.chars().all(plain)
}
