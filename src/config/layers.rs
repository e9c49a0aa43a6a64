//! The file and the environment laid over each other: the environment wins.

use std::collections::BTreeMap;

use super::{IniFile, Origin};

/// Prefix of overriding environment variables.
const PREFIX: &str = "ONEGIN";

/// What stands between prefix, section and key of a variable.
const SEPARATOR: &str = "__";

/// One value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The value's text.
    pub(super) text: String,
    /// Where it is written.
    pub(super) origin: Origin,
}

/// What is set.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Every value that is set, by section and key in lower case.
    pub(super) values: BTreeMap<(String, String), Written>,
    /// What cannot be laid over anything; each a full sentence.
    pub(super) warnings: Vec<String>,
    /// Layers that could not be read at all.
    pub(super) errors: Vec<String>,
}

/// Lays the variables over the file.
pub(super) fn merge(file: &IniFile, environment: impl Iterator<Item = (String, String)>) -> Layers {
    let (variables, strange): (Vec<_>, Vec<_>) = environment
        .filter(|(name, _)| is_ours(name))
        .partition(|(name, _)| name.split(SEPARATOR).count() == 3);
    let mut layers = Layers {
        warnings: strange
            .into_iter()
            .map(|(name, _)| {
                format!(
                    "environment variable {name} names no key, \
                     expected {PREFIX}{SEPARATOR}<SECTION>{SEPARATOR}<KEY>"
                )
            })
            .collect(),
        ..Layers::default()
    };
    match values(file, variables) {
        Ok(values) => layers.values = values,
        Err(error) => layers.errors.push(format!("{}: {error}", file.name)),
    }
    layers
}

fn is_ours(variable: &str) -> bool {
    let prefix = variable.split(SEPARATOR).next();
    variable.contains(SEPARATOR) && prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
}

fn values(
    file: &IniFile,
    variables: Vec<(String, String)>,
) -> Result<BTreeMap<(String, String), Written>, config::ConfigError> {
    let environment = config::Environment::with_prefix(PREFIX)
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
        .source(Some(variables.into_iter().collect()));
    let merged = config::Config::builder()
        .add_source(file.clone())
        .add_source(environment)
        .build()?;
    let mut values = BTreeMap::new();
    for (section, table) in config::Source::collect(&merged)? {
        for (key, value) in table.into_table()? {
            let in_file = file
                .sections
                .get(&section)
                .and_then(|section| section.options.get(&key))
                .filter(|in_file| value.origin() == Some(file.place(in_file.line).as_str()));
            let origin = match in_file {
                Some(in_file) => Origin::File {
                    file: file.name.clone(),
                    line: in_file.line,
                },
                None => Origin::Environment {
                    variable: [PREFIX, &section, &key].join(SEPARATOR).to_uppercase(),
                },
            };
            let text = value.into_string()?;
            values.insert((section.clone(), key), Written { text, origin });
        }
    }
    Ok(values)
}
