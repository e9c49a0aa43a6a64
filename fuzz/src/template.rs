//! Messages' texts. Input: fields; a text, then keys and values, each value after its kind.
//!
//! * A text is filled in as a reader with another method fills it in, or the parameter that is
//!   missing stands in it.
//! * A value is inserted as it is, and grows in bounds; braces in it are never looked at.
//! * Doubled braces make any text a literal.
//! * A strict reading refuses a text at one of its braces, or reads it as the lenient one.

use std::collections::HashMap;

use model::{Event, LoginId, PairValue};
use processor::{MissingParameter, Template, TemplateError};

use crate::fields::Fields;

/// Bytes of a value's text for each byte of the value at most: `\U0001f600` for four.
const GROWTH: usize = 8;

/// Checks one input.
pub fn check(input: &[u8]) {
    let mut fields = Fields::of(input);
    let text = fields.text();
    let event = event(&mut fields);
    let template = Template::parse(&text);
    let values = values(&event);
    let rendered = template.render(&event);
    match (expected(&text, &values), &rendered) {
        (Ok(expected), Ok(rendered)) => assert_eq!(*rendered, expected),
        (Err(expected), Err(MissingParameter(missing))) => assert_eq!(**missing, expected),
        (expected, rendered) => panic!("{expected:?} and {rendered:?}"),
    }
    match Template::parse_strict(&text) {
        Ok(strict) => assert_eq!(strict, template),
        Err(TemplateError::StrayOpen { at }) => assert_eq!(text.chars().nth(at - 1), Some('{')),
        Err(TemplateError::StrayClose { at }) => assert_eq!(text.chars().nth(at - 1), Some('}')),
    }
    let doubled = text.replace('{', "{{").replace('}', "}}");
    let literal = Template::parse_strict(&doubled).expect("every brace is doubled");
    assert_eq!(literal.constant(), Some(&*text));
}

fn event(fields: &mut Fields<'_>) -> Event {
    let mut pairs = Vec::new();
    while let Some(key) = fields.next_bytes() {
        let key = String::from_utf8_lossy(key).into();
        let value = fields.text();
        let mut characters = value.chars();
        let value = match characters.next() {
            Some('i') => PairValue::Integer(characters.as_str().parse().unwrap_or(i64::MIN)),
            Some('f') => PairValue::Float(characters.as_str().parse().unwrap_or(f64::NAN)),
            Some('b') => PairValue::Boolean(characters.as_str() == "1"),
            Some('n') => PairValue::Null,
            Some('j') => PairValue::Json(characters.as_str().into()),
            _ => PairValue::Text(characters.as_str().into()),
        };
        pairs.push((key, value));
    }
    Event {
        login: LoginId(1),
        event_id: 1,
        timestamp: None,
        pairs,
    }
}

/// What each name stands for: its last value, where that is one.
fn values(event: &Event) -> HashMap<&str, String> {
    let mut values = HashMap::new();
    for (name, value) in &event.pairs {
        let alone = Event {
            pairs: vec![("x".into(), value.clone())],
            ..event.clone()
        };
        match Template::parse("{x}").render(&alone) {
            Ok(text) => {
                let bytes = match value {
                    PairValue::Text(text) | PairValue::Json(text) => text.len(),
                    _ => 8,
                };
                assert!(text.len() <= 32 + GROWTH * bytes, "{value:?} became {text}");
                if let PairValue::Text(value) = value {
                    assert_eq!(text, **value);
                }
                values.insert(&**name, text.into_owned());
            }
            Err(_) => {
                assert_eq!(*value, PairValue::Null);
                values.remove(&**name);
            }
        }
    }
    values
}

/// The text by the documented rule, read character by character; or the missing name.
fn expected(text: &str, values: &HashMap<&str, String>) -> Result<String, String> {
    let characters: Vec<char> = text.chars().collect();
    let mut filled = String::new();
    let mut at = 0;
    while let Some(character) = characters.get(at).copied() {
        let is_brace = matches!(character, '{' | '}');
        if is_brace && characters.get(at + 1) == Some(&character) {
            filled.push(character);
            at += 2;
            continue;
        }
        let name: String = characters[at + 1..]
            .iter()
            .take_while(|next| next.is_ascii_alphanumeric() || **next == '_')
            .collect();
        let end = at + 1 + name.len();
        if character == '{' && !name.is_empty() && characters.get(end) == Some(&'}') {
            match values.get(name.as_str()) {
                Some(value) => filled.push_str(value),
                None => return Err(name),
            }
            at = end + 1;
            continue;
        }
        filled.push(character);
        at += 1;
    }
    Ok(filled)
}
