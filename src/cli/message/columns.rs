//! What both file forms and `message add` hold messages to.

use processor::Template;

use crate::config::nearest;

/// The columns of a CSV file: a row is a message in one language.
pub(super) const CSV: [&str; 9] = [
    "name",
    "trigger_event_id",
    "cooldown_ms",
    "screen",
    "expiry_ms",
    "priority",
    "language",
    "title",
    "text",
];

/// The keys of a message in a JSON file.
pub(super) const JSON_MESSAGE: [&str; 7] = [
    "name",
    "trigger_event_id",
    "cooldown_ms",
    "screen",
    "expiry_ms",
    "priority",
    "localizations",
];

/// The keys of a text in a JSON file.
pub(super) const JSON_TEXT: [&str; 3] = ["language", "title", "text"];

/// What is said about a column or key that is none of `known`.
pub(super) fn unknown(kind: &str, word: &str, known: &'static [&'static str]) -> String {
    format!(
        "unknown {kind} {word}{} (there are {})",
        nearest(word, known.iter().copied()),
        known.join(", ")
    )
}

/// Whether a message can have this name.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a message needs a name".to_owned());
    }
    check_text(name)
}

/// Whether the databases can keep the text.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("a zero byte cannot be stored".to_owned());
    }
    Ok(())
}

/// Whether a title or text can work.
pub(super) fn check_template(text: &str) -> Result<(), String> {
    check_text(text)?;
    Template::parse_strict(text)
        .map(|_| ())
        .map_err(|error| error.to_string())
}
