//! The effective configuration as it is shown: every key, its value, where that came from.
//!
//! As text it is an ini file again, with the origins as comments.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::config::{Loaded, is_secret};

/// Stands where a secret would.
const MASK: &str = "***";

/// What is shown of one key.
#[derive(Debug)]
struct Line {
    key: String,
    /// `Null`: not set, and without a default.
    value: Value,
    /// Where it came from.
    origin: String,
}

/// Every section with its keys.
#[derive(Debug, Default)]
pub(super) struct Shown(Vec<(String, Vec<Line>)>);

impl Shown {
    pub(super) fn of(loaded: &Loaded) -> Self {
        let tree = serde_json::to_value(&loaded.config).unwrap_or_default();
        let sections = tree.as_object().into_iter().flatten();
        Self(
            sections
                .map(|(section, options)| {
                    let options = options.as_object().into_iter().flatten();
                    let lines = options.map(|(key, value)| Line {
                        key: key.clone(),
                        value: masked(key, value),
                        origin: origin(loaded, section, key),
                    });
                    (section.clone(), lines.collect())
                })
                .collect(),
        )
    }

    /// By section and key: `value` and `from`.
    pub(super) fn as_json(&self) -> Value {
        let sections = self.0.iter().map(|(section, lines)| {
            let lines = lines.iter().map(|line| {
                let shown = json!({"value": line.value, "from": line.origin});
                (line.key.clone(), shown)
            });
            (section.clone(), Value::Object(lines.collect()))
        });
        Value::Object(sections.collect::<Map<_, _>>())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (section, lines) in &self.0 {
            writeln!(formatter, "[{section}]")?;
            for Line { key, value, origin } in lines {
                let value = match value {
                    Value::Null => {
                        writeln!(formatter, ";{key} is not set")?;
                        continue;
                    }
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                if needs_lines_of_its_own(&value) {
                    writeln!(formatter, "; {origin}\n{key} =")?;
                    for line in value.lines() {
                        writeln!(formatter, "    {line}")?;
                    }
                } else {
                    writeln!(formatter, "{:<56} ; {origin}", format!("{key} = {value}"))?;
                }
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

/// Whether beside its key the value would be read as another one: a comment begins at the first
/// semicolon or not at all, and two quotes are nothing (`config::ini`).
fn needs_lines_of_its_own(value: &str) -> bool {
    value.contains(['\n', ';']) || value == "\"\""
}

fn origin(loaded: &Loaded, section: &str, key: &str) -> String {
    let place = (section.to_lowercase(), key.to_owned());
    match loaded.origins.get(&place) {
        None => "default".to_owned(),
        Some(origin) if loaded.unusable.contains(&place) => {
            format!("default, {origin} cannot be used")
        }
        Some(origin) => origin.to_string(),
    }
}

fn masked(key: &str, value: &Value) -> Value {
    match value {
        Value::String(url) if key == "db_url" => masked_url(url).into(),
        Value::Null => Value::Null,
        _ if is_secret(key) => MASK.into(),
        shown => shown.clone(),
    }
}

/// The URL without its password. Passwords are found in the widest sense: one with an unescaped
/// `@`, `/` or `?` is wrong, and must not be shown for that.
fn masked_url(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return MASK.to_owned();
    };
    let rest = match rest.rsplit_once('@') {
        Some((user_and_password, address)) => match user_and_password.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{address}"),
            None => rest.to_owned(),
        },
        None => rest.to_owned(),
    };
    let parameters = rest.split('&').map(|part| match part.find("password=") {
        Some(at) => {
            let (before, _) = part.split_at(at);
            format!("{before}password={MASK}")
        }
        None => part.to_owned(),
    });
    let rest: Vec<String> = parameters.collect();
    format!("{scheme}://{}", rest.join("&"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_text;

    #[test]
    fn what_is_shown_is_a_file_that_says_the_same() {
        let load = |text: &str| {
            load_text(Path::new("config.ini"), text, std::iter::empty()).expect("no mistakes")
        };
        for value in [
            "Chess",
            "Chess;2",
            "Chess;2 ; three",
            ";",
            "",
            "a\n  b ; c",
            "\n  \"\"",
        ] {
            let loaded = load(&format!("[ServerSpecific]\ngame={value}\n"));
            let shown = Shown::of(&loaded).to_string();
            assert_eq!(load(&shown).config, loaded.config, "{shown}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://me:hunter2@db/game", "postgres://me:***@db/game"),
            (
                "postgres://me:hu/nt?e@r2@db/game",
                "postgres://me:***@db/game",
            ),
            ("postgres://me@db:5432/game", "postgres://me@db:5432/game"),
            ("postgres://db:5432/game", "postgres://db:5432/game"),
            (
                "postgres://db/game?user=me&password=hunter2&sslmode=prefer",
                "postgres://db/game?user=me&password=***&sslmode=prefer",
            ),
            (
                "postgres://db/game?sslpassword=hunter2",
                "postgres://db/game?sslpassword=***",
            ),
            ("host=db password=hunter2", "***"),
            ("sqlite:data/a:b@c.db", "sqlite:data/a:b@c.db"),
        ] {
            assert_eq!(masked_url(url), shown, "{url}");
        }
    }
}
