//! How messages are shown.

use serde_json::{Value, json};
use storage::{Message, Storage};

/// One line per message.
pub(super) fn list(storage: &Storage, as_json: bool) -> String {
    let catalogue = storage.catalogue();
    if as_json {
        let all: Vec<Value> = catalogue
            .messages()
            .map(|message| to_json(message))
            .collect();
        return format!("{}\n", Value::Array(all));
    }
    let row = |id: &str, name: &str, trigger: &str, cooldown: &str, languages: &str| {
        format!("{id:>6}  {name:<24} {trigger:>8}  {cooldown:>12}  {languages}\n")
    };
    let mut table = row("id", "name", "trigger", "cooldown ms", "languages");
    for message in catalogue.messages() {
        let optional = |number: Option<i64>| number.map_or("-".to_owned(), |n| n.to_string());
        let languages: Vec<String> = message
            .localizations
            .iter()
            .map(|text| text.language.to_string())
            .collect();
        table += &row(
            &message.id.to_string(),
            &message.name,
            &optional(message.trigger_event_id.map(i64::from)),
            &optional(message.cooldown_ms),
            &languages.join(" "),
        );
    }
    table
}

/// Everything about one message.
pub(super) fn show(message: &Message, as_json: bool) -> String {
    let json = to_json(message);
    if as_json {
        format!("{json}\n")
    } else {
        format!("{json:#}\n")
    }
}

/// What has been deleted: the message, or one language of it.
pub(super) fn deleted(message: &Message, language: Option<i16>, as_json: bool) -> String {
    let (name, id) = (&message.name, message.id);
    if as_json {
        let deleted = json!({"name": name, "id": id.0, "language": language});
        return format!("{}\n", json!({ "deleted": deleted }));
    }
    match language {
        Some(language) => format!("deleted language {language} of the message {name}\n"),
        None => format!(
            "deleted the message {name} (id {id}); it had texts in {} languages\n",
            message.localizations.len()
        ),
    }
}

fn to_json(message: &Message) -> Value {
    let localizations: Vec<Value> = message
        .localizations
        .iter()
        .map(|text| json!({"language": text.language, "title": text.title, "text": text.text}))
        .collect();
    json!({
        "id": message.id.0,
        "name": message.name,
        "trigger_event_id": message.trigger_event_id,
        "cooldown_ms": message.cooldown_ms,
        "screen": message.screen,
        "expiry_ms": message.expiry_millis,
        "priority": message.priority.as_str(),
        "localizations": localizations,
    })
}
