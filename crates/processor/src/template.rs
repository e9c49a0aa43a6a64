//! Message texts with parameters in braces: `{name}` with letters, digits and underscores.
//!
//! `{{` and `}}` are literal braces; any other brace stands for itself. Values are inserted as
//! they are: braces inside a value are never looked at again.

use std::borrow::Cow;

use model::Event;

use crate::python;

/// A text cut into what stands and what is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Parameter(Box<str>),
}

/// An event lacks a value that the text needs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event has no value for the parameter {{{0}}}")]
pub struct MissingParameter(pub Box<str>);

/// Why a text is certainly not what its author meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{` without an end, or around something that is no name.
    #[error(
        "the brace at character {at} opens no parameter: write {{name}} with letters, digits and underscores, or {{{{ for a literal brace"
    )]
    StrayOpen {
        /// Character position, from 1.
        at: usize,
    },
    /// `}` without a beginning.
    #[error("the brace at character {at} closes no parameter: write }}}} for a literal brace")]
    StrayClose {
        /// Character position, from 1.
        at: usize,
    },
}

impl Template {
    /// Reads a text leniently, as stored messages are read: stray braces stand for themselves.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::scan(text).0
    }

    /// Reads a text strictly, as new messages are read.
    ///
    /// # Errors
    /// The first brace that is neither doubled nor part of a parameter.
    pub fn parse_strict(text: &str) -> Result<Self, TemplateError> {
        let (template, stray) = Self::scan(text);
        stray.map_or(Ok(template), Err)
    }

    fn scan(text: &str) -> (Self, Option<TemplateError>) {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut stray = None;
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(brace);
            literal.push_str(before);
            let at = || text.chars().count() - from_brace.chars().count() + 1;
            rest = if let Some(after) = from_brace.strip_prefix("{{") {
                literal.push('{');
                after
            } else if let Some(after) = from_brace.strip_prefix("}}") {
                literal.push('}');
                after
            } else if let Some((name, after)) = parameter(from_brace) {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                parts.push(Part::Parameter(name.into()));
                after
            } else if let Some(after) = from_brace.strip_prefix('{') {
                stray.get_or_insert_with(|| TemplateError::StrayOpen { at: at() });
                literal.push('{');
                after
            } else {
                stray.get_or_insert_with(|| TemplateError::StrayClose { at: at() });
                literal.push('}');
                from_brace.strip_prefix('}').unwrap_or_default()
            };
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        (Self { parts }, stray)
    }

    /// The text, if no parameter stands in it.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with the event's values.
    ///
    /// # Errors
    /// When a parameter has no value, or a null one.
    pub fn render(&self, event: &Event) -> Result<Cow<'_, str>, MissingParameter> {
        if let Some(text) = self.constant() {
            return Ok(Cow::Borrowed(text));
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Parameter(name) => {
                    let value = event.pair(name).and_then(python::text);
                    text.push_str(&value.ok_or_else(|| MissingParameter(name.clone()))?);
                }
            }
        }
        Ok(Cow::Owned(text))
    }
}

/// `{name}` at the start of `text`: the name and what follows.
fn parameter(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name_byte)).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use model::{LoginId, PairValue};
    use proptest::prelude::*;

    use super::*;

    fn event(pairs: &[(&str, &str)]) -> Event {
        Event {
            login: LoginId(1),
            event_id: 1,
            timestamp: None,
            pairs: pairs
                .iter()
                .map(|(key, value)| ((*key).into(), PairValue::Text((*value).into())))
                .collect(),
        }
    }

    fn rendered(text: &str, pairs: &[(&str, &str)]) -> Result<String, MissingParameter> {
        Template::parse(text)
            .render(&event(pairs))
            .map(Cow::into_owned)
    }

    #[test]
    fn parameters_are_filled_in_and_values_are_not_expanded_again() {
        assert_eq!(
            rendered("Bravo, {name}! {n_2}", &[("name", "{n_2}"), ("n_2", "7")]),
            Ok("Bravo, {n_2}! 7".to_owned())
        );
    }

    #[test]
    fn a_missing_value_drops_the_text() {
        assert_eq!(
            rendered("{a}{b}", &[("a", "1")]),
            Err(MissingParameter("b".into()))
        );
    }

    #[test]
    fn doubled_braces_are_literal_and_demand_nothing() {
        assert_eq!(
            rendered("{{lit}} {{{a}}}", &[("a", "1")]),
            Ok("{lit} {1}".to_owned())
        );
    }

    #[test]
    fn other_braces_stand_for_themselves() {
        for text in [
            "{}",
            "{a b}",
            "{n:>5}",
            "{n.__class__}",
            "{",
            "}",
            "a } b { c",
        ] {
            assert_eq!(rendered(text, &[]), Ok(text.to_owned()));
        }
    }

    #[test]
    fn strict_reading_names_the_stray_brace() {
        assert!(Template::parse_strict("{a} {{ }} {b_1}").is_ok());
        assert_eq!(
            Template::parse_strict("žut {a b}"),
            Err(TemplateError::StrayOpen { at: 5 })
        );
        assert_eq!(
            Template::parse_strict("ab}"),
            Err(TemplateError::StrayClose { at: 3 })
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_braceless_text_is_kept(text in ".*") {
            let template = Template::parse(&text);
            if !text.contains(['{', '}']) {
                prop_assert_eq!(template.constant(), Some(text.as_str()));
            }
        }
    }
}
