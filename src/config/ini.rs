//! Pushkin's ini dialect, as a source for the `config` crate.
//!
//! Python 2's ConfigParser read these files: option names in any case, `=` or `:`, comment lines
//! with `#`, `;` or `rem`, an inline comment after a blank and a semicolon, values continued on
//! indented lines, sections that occur twice are one. The lines are brought into the form that
//! rust-ini reads the same way; `%(name)s` interpolation is refused rather than guessed.

use std::{collections::BTreeMap, path::Path};

use config::{ConfigError, Map, Source, Value, ValueKind};
use ini::{Ini, ParseOption};

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IniError {
    /// Not in the dialect.
    #[error("line {line}: {problem}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// `%(name)s`.
    #[error("[{section}] {key}: %(…) interpolation is not supported, write the value out")]
    Interpolation {
        /// Section.
        section: String,
        /// Option name.
        key: String,
    },
}

/// A file's options: lower-case section, then lower-case option name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IniFile {
    /// Shown as the origin of its values.
    pub name: String,
    /// Values as they stand in the file.
    pub sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl IniFile {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first line that is not in the dialect.
    pub fn parse(path: &Path, text: &str) -> Result<Self, IniError> {
        let (clean, line_numbers) = clean(text);
        let options = ParseOption {
            enabled_quote: false,
            enabled_escape: false,
            enabled_indented_mutiline_value: true,
            ..ParseOption::default()
        };
        let ini = Ini::load_from_str_opt(&clean, options).map_err(|error| IniError::Line {
            line: line_numbers
                .get(error.line)
                .copied()
                .unwrap_or(error.line + 1),
            problem: error.msg.to_string(),
        })?;
        let mut file = Self {
            name: path.display().to_string(),
            ..Self::default()
        };
        for (section, properties) in &ini {
            let Some(section) = section else {
                if let Some((key, _)) = properties.iter().next() {
                    return Err(IniError::Line {
                        line: 1,
                        problem: format!("the option {key} stands before the first [section]"),
                    });
                }
                continue;
            };
            for (key, value) in properties.iter() {
                file.add(section, key, value)?;
            }
        }
        Ok(file)
    }

    fn add(&mut self, section: &str, key: &str, value: &str) -> Result<(), IniError> {
        if value.contains("%(") {
            return Err(IniError::Interpolation {
                section: section.to_owned(),
                key: key.to_owned(),
            });
        }
        // Python's parser knows one quoted value: the empty one.
        let value = if value.trim() == "\"\"" {
            ""
        } else {
            value.trim()
        };
        self.sections
            .entry(section.trim().to_lowercase())
            .or_default()
            .insert(key.trim().to_lowercase(), value.to_owned());
        Ok(())
    }
}

impl Source for IniFile {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self
            .sections
            .iter()
            .map(|(section, options)| {
                let table: Map<String, Value> = options
                    .iter()
                    .map(|(key, value)| {
                        let value = ValueKind::String(value.clone());
                        (key.clone(), Value::new(Some(&self.name), value))
                    })
                    .collect();
                (section.clone(), Value::new(Some(&self.name), table))
            })
            .collect())
    }
}

/// The text without comments and blank lines, and for each line left its number in the file.
fn clean(text: &str) -> (String, Vec<usize>) {
    let mut clean = String::with_capacity(text.len());
    let mut line_numbers = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || is_comment(line) {
            continue;
        }
        let is_continuation = line.starts_with([' ', '\t']);
        clean.push_str(if is_continuation {
            line
        } else {
            without_inline_comment(line)
        });
        clean.push('\n');
        line_numbers.push(index + 1);
    }
    (clean, line_numbers)
}

fn is_comment(line: &str) -> bool {
    let first_word = line.split_whitespace().next().unwrap_or_default();
    line.starts_with(['#', ';'])
        || (line.starts_with(['r', 'R']) && first_word.eq_ignore_ascii_case("rem"))
}

/// The first semicolon ends the value if a blank stands before it, as in ConfigParser.
fn without_inline_comment(line: &str) -> &str {
    match line.split_once(';') {
        Some((value, _)) if value.ends_with([' ', '\t']) => value.trim_end(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<IniFile, IniError> {
        IniFile::parse(Path::new("config.ini"), text)
    }

    fn value(text: &str, section: &str, key: &str) -> String {
        parse(text).unwrap().sections[section][key].clone()
    }

    #[test]
    fn option_names_ignore_case_and_take_both_separators() {
        let text = "[Log]\nKeep_Log_Days : 7\n[Log]\nmain_log_path=/var/log/\n";
        assert_eq!(value(text, "log", "keep_log_days"), "7");
        assert_eq!(value(text, "log", "main_log_path"), "/var/log/");
    }

    #[test]
    fn comments_are_pushkins() {
        let text = "# a\n; b\nREM c\n[S]\nrem = d\na = 1 ; one\nb = x;y # z\nc = \"\"\n";
        assert_eq!(value(text, "s", "a"), "1");
        assert_eq!(value(text, "s", "b"), "x;y # z");
        assert_eq!(value(text, "s", "c"), "");
        assert!(!parse(text).unwrap().sections["s"].contains_key("rem"));
    }

    #[test]
    fn indented_lines_continue_a_value_and_blank_ones_inside_are_dropped() {
        let text = "[Sender]\nenabled_senders =\n    a.B {\"workers\": 50}\n\n    c.D {\"x\": \"y; z\"}\nafter = 1\n";
        assert_eq!(
            value(text, "sender", "enabled_senders"),
            "a.B {\"workers\": 50}\nc.D {\"x\": \"y; z\"}"
        );
        assert_eq!(value(text, "sender", "after"), "1");
    }

    #[test]
    fn percent_needs_no_escaping_but_interpolation_is_refused() {
        assert_eq!(value("[L]\ns = %Y-%m-%d_%H\n", "l", "s"), "%Y-%m-%d_%H");
        assert_eq!(
            parse("[L]\ns = %(x)s\n"),
            Err(IniError::Interpolation {
                section: "L".to_owned(),
                key: "s".to_owned()
            })
        );
    }

    #[test]
    fn quotes_and_backslashes_are_kept() {
        assert_eq!(
            value("[S]\na = \"x\" 'y' c:\\new\n", "s", "a"),
            "\"x\" 'y' c:\\new"
        );
    }

    #[test]
    fn errors_name_the_line_of_the_file() {
        let error = parse("# one\n\n[S]\na = 1\nnonsense\n").unwrap_err();
        assert!(matches!(error, IniError::Line { line: 5, .. }), "{error}");
    }
}
