//! Messages as JSON: a list of objects, each with its texts.
//!
//! What is wrong is found while the text is read, so that the parser knows where.

use std::{collections::HashSet, fmt};

use anyhow::bail;
use model::Priority;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use storage::{Attribute, Localization, Message, MessageDraft};

use super::columns::{JSON_MESSAGE, JSON_TEXT, check_name, check_template, check_text, unknown};

/// Reads a file.
///
/// # Errors
/// At the first thing that cannot be stored, by line and column.
pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Vec<MessageDraft>> {
    match serde_json::from_slice(bytes) {
        Ok(Drafts(drafts)) => Ok(drafts),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let text = error.to_string();
            let place = format!(" at line {line} column {column}");
            let what = text.strip_suffix(&place).unwrap_or(&text);
            bail!("line {line}, column {column}: {what}")
        }
    }
}

/// A file of these messages.
///
/// # Errors
/// None in practice: all of it has a JSON form.
pub(super) fn write<'m>(messages: impl Iterator<Item = &'m Message>) -> anyhow::Result<Vec<u8>> {
    let rows: Vec<MessageRow<'_>> = messages.map(MessageRow::of).collect();
    let mut bytes = serde_json::to_vec_pretty(&rows)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[derive(Serialize)]
struct MessageRow<'m> {
    name: &'m str,
    trigger_event_id: Option<i32>,
    cooldown_ms: Option<i64>,
    screen: &'m str,
    expiry_ms: Option<i64>,
    priority: &'static str,
    localizations: Vec<TextRow<'m>>,
}

#[derive(Serialize)]
struct TextRow<'m> {
    language: i16,
    title: &'m str,
    text: &'m str,
}

impl<'m> MessageRow<'m> {
    fn of(message: &'m Message) -> Self {
        let texts = message.localizations.iter().map(|text| TextRow {
            language: text.language,
            title: &text.title,
            text: &text.text,
        });
        Self {
            name: &message.name,
            trigger_event_id: message.trigger_event_id,
            cooldown_ms: message.cooldown_ms,
            screen: &message.screen,
            expiry_ms: message.expiry_millis,
            priority: message.priority.as_str(),
            localizations: texts.collect(),
        }
    }
}

/// The whole file.
struct Drafts(Vec<MessageDraft>);

impl<'de> Deserialize<'de> for Drafts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DraftsVisitor)
    }
}

struct DraftsVisitor;

impl<'de> Visitor<'de> for DraftsVisitor {
    type Value = Drafts;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Drafts, A::Error> {
        let mut drafts: Vec<MessageDraft> = Vec::new();
        let mut names = HashSet::new();
        while let Some(Draft(draft)) = list.next_element()? {
            if !names.insert(draft.name.clone()) {
                let name = draft.name;
                return Err(Error::custom(format!("the message {name} is there twice")));
            }
            drafts.push(draft);
        }
        Ok(Drafts(drafts))
    }
}

struct Draft(MessageDraft);

impl<'de> Deserialize<'de> for Draft {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DraftVisitor)
    }
}

struct DraftVisitor;

impl<'de> Visitor<'de> for DraftVisitor {
    type Value = Draft;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Draft, A::Error> {
        let mut draft = MessageDraft::default();
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => draft.name = map.next_value::<Checked<Name>>()?.text,
                "trigger_event_id" => draft.trigger_event_id = Attribute::Set(map.next_value()?),
                "cooldown_ms" => draft.cooldown_ms = Attribute::Set(map.next_value()?),
                "screen" => {
                    draft.screen = Attribute::Set(map.next_value::<Checked<Plain>>()?.text);
                }
                "expiry_ms" => draft.expiry_millis = Attribute::Set(map.next_value()?),
                "priority" => {
                    let name: String = map.next_value()?;
                    let priority = Priority::from_name(&name).ok_or_else(|| {
                        Error::custom(format!("the priority is {name}, expected normal or high"))
                    })?;
                    draft.priority = Attribute::Set(priority);
                }
                "localizations" => draft.localizations = texts(map.next_value()?)?,
                other => return Err(Error::custom(unknown("key", other, &JSON_MESSAGE))),
            }
            once(&mut keys, key)?;
        }
        if draft.name.is_empty() {
            return Err(Error::missing_field("name"));
        }
        Ok(Draft(draft))
    }
}

/// A message's texts, each language once.
fn texts<E: Error>(texts: Vec<Text>) -> Result<Vec<Localization>, E> {
    let mut languages = HashSet::new();
    let texts = texts.into_iter().map(|Text(text)| {
        let language = text.language;
        let is_new = languages.insert(language);
        is_new
            .then_some(text)
            .ok_or_else(|| E::custom(format!("the language {language} is there twice")))
    });
    texts.collect()
}

struct Text(Localization);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text with its language")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        let (mut language, mut title, mut text) = (None, None, None);
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "language" => language = Some(map.next_value()?),
                "title" => title = Some(map.next_value::<Checked<TemplateText>>()?.text),
                "text" => text = Some(map.next_value::<Checked<TemplateText>>()?.text),
                other => return Err(Error::custom(unknown("key", other, &JSON_TEXT))),
            }
            once(&mut keys, key)?;
        }
        Ok(Text(Localization {
            language: language.ok_or_else(|| Error::missing_field("language"))?,
            title: title.ok_or_else(|| Error::missing_field("title"))?,
            text: text.ok_or_else(|| Error::missing_field("text"))?,
        }))
    }
}

fn once<E: Error>(keys: &mut HashSet<String>, key: String) -> Result<(), E> {
    if keys.contains(&key) {
        return Err(E::custom(format!("the key {key} is there twice")));
    }
    keys.insert(key);
    Ok(())
}

/// A text that has passed `Rule`.
struct Checked<Rule> {
    text: String,
    rule: std::marker::PhantomData<Rule>,
}

/// What a text must be.
trait Check {
    fn check(text: &str) -> Result<(), String>;
}

struct Name;
struct Plain;
struct TemplateText;

impl Check for Name {
    fn check(text: &str) -> Result<(), String> {
        check_name(text)
    }
}

impl Check for Plain {
    fn check(text: &str) -> Result<(), String> {
        check_text(text)
    }
}

impl Check for TemplateText {
    fn check(text: &str) -> Result<(), String> {
        check_template(text)
    }
}

impl<'de, Rule: Check> Deserialize<'de> for Checked<Rule> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Rule::check(&text).map_err(Error::custom)?;
        Ok(Self {
            text,
            rule: std::marker::PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_by_line_and_column() {
        let text = |text: &str| {
            format!("[{{\"name\": \"m\", \"localizations\": [\n{{\"language\": 1, {text}}}]}}]")
        };
        for (file, place, complaint) in [
            (
                "{}".to_owned(),
                "line 1, column ",
                "expected a list of messages",
            ),
            (
                "[\n{\"name\": 7}]".to_owned(),
                "line 2, column ",
                "expected a string",
            ),
            (
                "[\n{\"name\": \"\"}]".to_owned(),
                "line 2, column ",
                "a message needs a name",
            ),
            (
                "[\n{}]".to_owned(),
                "line 2, column ",
                "missing field `name`",
            ),
            (
                "[{\"name\": \"m\",\n\"priorty\": \"high\"}]".to_owned(),
                "line 2, column ",
                "unknown key priorty, did you mean priority? (there are name, trigger_event_id,",
            ),
            (
                "[{\"name\": \"m\",\n\"priority\": \"hi\"}]".to_owned(),
                "line 2, column ",
                "the priority is hi, expected normal or high",
            ),
            (
                "[{\"name\": \"m\",\n\"name\": \"n\"}]".to_owned(),
                "line 2, column ",
                "the key name is there twice",
            ),
            (
                "[{\"name\": \"m\"},\n{\"name\": \"m\"}]".to_owned(),
                "line 2, column ",
                "the message m is there twice",
            ),
            (
                text("\"title\": \"{a b}\", \"text\": \"\""),
                "line 2, column ",
                "the brace at character 1 opens no parameter",
            ),
            (
                text("\"title\": \"\""),
                "line 2, column ",
                "missing field `text`",
            ),
            (
                text(
                    "\"title\": \"\", \"text\": \"\"}, {\"language\": 1, \"title\": \"\", \"text\": \"\"",
                ),
                "line 2, column ",
                "the language 1 is there twice",
            ),
            ("[\n{\"name\": \"m\"".to_owned(), "line 2, column ", "EOF"),
        ] {
            let refused = read(file.as_bytes()).unwrap_err().to_string();
            assert!(refused.starts_with(place), "{refused} of {file}");
            assert!(refused.contains(complaint), "{refused} of {file}");
            assert!(!refused.contains(" at line "), "{refused}");
        }
    }

    #[test]
    fn a_missing_key_keeps_and_null_clears() {
        let drafts = read(b"[{\"name\": \"m\", \"cooldown_ms\": null}]").unwrap();
        assert_eq!(drafts[0].cooldown_ms, Attribute::Set(None));
        assert_eq!(drafts[0].trigger_event_id, Attribute::Keep);
    }
}
