//! The JSON of a webhook as an administrator writes it, with placeholders.

/// What can stand between the braces of a placeholder.
pub(super) const PLACEHOLDERS: [&str; 8] = ["event", "level", "host", "role", "title", "text", "hint", "at"];

/// A checked template: JSON once its placeholders, such as `{{text}}`, are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Checks `text`.
    ///
    /// # Errors
    /// An unknown placeholder, or why it would be no JSON, for people.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        for placeholder in text.split("{{").skip(1) {
            let name = placeholder.split_once("}}").map(|(name, _)| name);
            if !name.is_some_and(|name| PLACEHOLDERS.contains(&name)) {
                let name = crate::text::short(name.unwrap_or(placeholder));
                return Err(format!(
                    "there is no placeholder {{{{{name}}}}}; there are {{{{{}}}}}",
                    PLACEHOLDERS.join("}}, {{")
                ));
            }
        }
        let template = Self(text.to_owned());
        // A quotation mark shows a placeholder that stands outside a string.
        match serde_json::from_str::<serde_json::Value>(&template.fill(|_| "\"".to_owned())) {
            Ok(_) => Ok(template),
            Err(error) => {
                Err(format!("it is no JSON with its placeholders filled in, which belong inside strings: {error}"))
            }
        }
    }

    /// The template with each placeholder replaced by its value, as it stands inside a string of JSON.
    pub fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let mut pieces = self.0.split("{{");
        let mut filled = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            // Every placeholder is known to be closed.
            let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
            filled.push_str(&escaped(&value(name)));
            filled.push_str(rest);
        }
        filled
    }
}

/// `text` as it stands between the quotation marks of a string of JSON.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"')).unwrap_or_default().to_owned()
}
