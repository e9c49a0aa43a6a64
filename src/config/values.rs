//! Texts become values: each is checked against the field it is for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value};

use super::{
    Config, IniFile, Loaded, Origin,
    layers::{Layers, Written},
};

/// Puts what is set into the defaults, one by one, and says what cannot be.
pub(super) fn put_into_defaults(file: &IniFile, layers: Layers) -> Loaded {
    let mut builder = Builder {
        tree: known_keys(),
        origins: BTreeMap::new(),
        unusable: BTreeSet::new(),
        errors: layers.errors,
        warnings: layers.warnings,
        unknown_sections: BTreeSet::new(),
    };
    // Sections first: a section may be empty, or have a name that no key is found under.
    for (section, options) in &file.sections {
        builder.know_section(section, &options.name, &file.place(options.line));
    }
    for ((section, key), written) in layers.values {
        builder.set(&section, &key, written);
    }
    builder.end()
}

struct Builder {
    /// The configuration as JSON: first the defaults, in the end everything.
    tree: Map<String, Value>,
    origins: BTreeMap<(String, String), Origin>,
    unusable: BTreeSet<(String, String)>,
    errors: Vec<String>,
    warnings: Vec<String>,
    /// Said once, however many keys they have.
    unknown_sections: BTreeSet<String>,
}

impl Builder {
    fn end(mut self) -> Loaded {
        let config = serde_json::from_value(Value::Object(self.tree)).unwrap_or_else(|error| {
            self.errors.push(error.to_string());
            Config::default()
        });
        Loaded {
            config,
            origins: self.origins,
            unusable: self.unusable,
            warnings: self.warnings,
            errors: self.errors,
        }
    }

    /// The section's proper name; `None`, with one warning, if there is no such section.
    fn know_section(&mut self, section: &str, written: &str, place: &str) -> Option<String> {
        let known = self.tree.keys().find(|name| name.to_lowercase() == section);
        if known.is_none() && self.unknown_sections.insert(section.to_owned()) {
            let hint = nearest(section, self.tree.keys().map(String::as_str));
            self.warnings
                .push(format!("{place}: unknown section [{written}]{hint}"));
        }
        known.cloned()
    }

    /// Sets one value, or says why it cannot be set.
    fn set(&mut self, section: &str, key: &str, written: Written) {
        let Written { text, origin } = written;
        let Some(section) = self.know_section(section, section, &origin.to_string()) else {
            return;
        };
        let Some(default) = self.tree[&section].get(key) else {
            let hint = self.where_else(key);
            self.warnings
                .push(format!("{origin}: unknown key [{section}] {key}{hint}"));
            return;
        };
        let place = (section.to_lowercase(), key.to_owned());
        match typed(&text, default).and_then(|value| check(&section, key, value)) {
            Ok(value) => self.tree[&section][key] = value,
            Err(expected) => {
                let shown = if is_secret(key) { "(secret)" } else { &text };
                self.errors
                    .push(format!("{origin}: [{section}] {key} = {shown}: {expected}"));
                self.unusable.insert(place.clone());
            }
        }
        self.origins.insert(place, origin);
    }

    /// What may be meant by a key that its section does not have.
    fn where_else(&self, key: &str) -> String {
        let has_key = |options: &Value| options.get(key).is_some();
        match self.tree.iter().find(|(_, options)| has_key(options)) {
            Some((section, _)) => format!(", it belongs into [{section}]"),
            None => nearest(key, all_keys(&self.tree)),
        }
    }
}

/// Whether the section's struct takes the value, told by making one.
fn check(section: &str, key: &str, value: Value) -> Result<Value, String> {
    let mut tree = known_keys();
    tree[section][key] = value.clone();
    match serde_json::from_value::<Config>(Value::Object(tree)) {
        Ok(_) => Ok(value),
        Err(error) => Err(in_plain_words(&error.to_string())),
    }
}

/// serde names Rust's types; operators know ranges.
fn in_plain_words(error: &str) -> String {
    if let Some((_, allowed)) = error.split_once("is not allowed; it takes ") {
        return format!("expected {allowed}");
    }
    if error.contains("invalid IP address syntax") {
        return "expected an IP address, such as 127.0.0.1 (this machine only) or 0.0.0.0 \
                (every interface)"
            .to_owned();
    }
    [
        ("a nonzero u16", "a whole number from 1 to 65535"),
        ("a nonzero u32", "a whole number from 1 to 4294967295"),
        ("a nonzero u64", "a whole number from 1"),
        ("a nonzero usize", "a whole number from 1"),
        ("u16", "a whole number from 0 to 65535"),
        ("u32", "a whole number from 0 to 4294967295"),
        ("u64", "a whole number from 0"),
        ("usize", "a whole number from 0"),
        ("i32", "a whole number from -2147483648 to 2147483647"),
    ]
    .into_iter()
    .find_map(|(rust, plain)| {
        error.strip_suffix(rust)?.strip_suffix("expected ")?;
        Some(format!("expected {plain}"))
    })
    .unwrap_or_else(|| error.to_owned())
}

/// Every key with its default.
#[must_use]
pub fn known_keys() -> Map<String, Value> {
    match serde_json::to_value(Config::default()) {
        Ok(Value::Object(tree)) => tree,
        other => unreachable!("a struct of structs is a JSON object: {other:?}"),
    }
}

fn all_keys(tree: &Map<String, Value>) -> impl Iterator<Item = &str> {
    tree.values()
        .filter_map(Value::as_object)
        .flat_map(|options| options.keys().map(String::as_str))
}

/// The text as what the default is: a number, a boolean in Python's words, or a text.
fn typed(text: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::Bool(_) => match text.to_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => Ok(Value::Bool(true)),
            "0" | "no" | "false" | "off" => Ok(Value::Bool(false)),
            _ => Err("expected true or false (or yes, no, on, off, 1, 0)".to_owned()),
        },
        // All fractions here are times.
        Value::Number(number) if number.is_f64() => text
            .parse::<f64>()
            .ok()
            .filter(|seconds| Duration::try_from_secs_f64(*seconds).is_ok())
            .map(Value::from)
            .ok_or_else(|| "expected a number of seconds from 0, fractions allowed".to_owned()),
        // What is no number goes on as the text it is: the field's type says what it takes.
        Value::Number(_) => Ok(text
            .parse::<i64>()
            .map_or_else(|_| Value::from(text), Value::from)),
        // A key without a default is a text that may be absent; an empty one is absent.
        Value::Null if text.is_empty() => Ok(Value::Null),
        Value::Null | Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Array(_) | Value::Object(_) => {
            unreachable!("no key of the ini file is a list or a table")
        }
    }
}

/// Keys whose values are never shown. In `db_url` only the password is one.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    matches!(key, "db_pass" | "db_url" | "gcm_access_key")
}

/// `, did you mean X?` for the nearest known word, if one is near.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    known
        .map(|candidate| {
            (
                strsim::jaro_winkler(word, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity > 0.85)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map_or_else(String::new, |(_, candidate)| {
            format!(", did you mean {candidate}?")
        })
}
