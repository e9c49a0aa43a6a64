//! Pushkin's ini dialect, as a source for the `config` crate.
//!
//! Python 2's ConfigParser read these files: option names in any case, `=` or `:`, comment lines
//! with `#`, `;` or `rem`, an inline comment after a blank and a semicolon, values continued on
//! indented lines, sections that occur twice are one. The parser is our own because none of the
//! crates reads all of that, and because every value must know the line it stands on. What is
//! not in the dialect is an error and never guessed, `%(name)s` interpolation included; all
//! errors of a file are found in one reading.

use std::{collections::BTreeMap, fmt, path::Path};

use config::{ConfigError, Map, Source, Value, ValueKind};

/// A line that is not in the dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IniError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for IniError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.problem)
    }
}

/// A section, under the name it first had in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IniSection {
    /// The name as it is written.
    pub name: String,
    /// The line it begins at, from 1.
    pub line: usize,
    /// By option name in lower case.
    pub options: BTreeMap<String, IniValue>,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IniValue {
    /// Without blanks around it; continuation lines are joined by line feeds.
    pub text: String,
    /// The line of its option name, from 1.
    pub line: usize,
}

/// A file's options, by lower-case section name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IniFile {
    /// The file, as its values' origin shows it.
    pub name: String,
    /// What the file says.
    pub sections: BTreeMap<String, IniSection>,
    /// Lines that could not be read.
    pub errors: Vec<IniError>,
}

impl IniFile {
    /// Reads a file's text.
    #[must_use]
    pub fn parse(path: &Path, text: &str) -> Self {
        let mut parser = Parser::default();
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            parser.line(index + 1, line.trim_end());
        }
        parser.refuse_interpolation();
        Self {
            name: path.display().to_string(),
            sections: parser.sections,
            errors: parser.errors,
        }
    }

    /// `file:line`, where a value stands.
    pub(super) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }
}

impl Source for IniFile {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let table = |section: &IniSection| -> Map<String, Value> {
            let values = section.options.iter().map(|(key, value)| {
                let place = self.place(value.line);
                let text = ValueKind::String(value.text.clone());
                (key.clone(), Value::new(Some(&place), text))
            });
            values.collect()
        };
        // `config` takes other characters for a path into nested tables.
        let is_word = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        Ok(self
            .sections
            .iter()
            .filter(|(section, _)| is_word(section))
            .map(|(section, options)| {
                let table = table(options);
                (section.clone(), Value::new(Some(&self.name), table))
            })
            .collect())
    }
}

/// What is known while the lines go by.
#[derive(Default)]
struct Parser {
    sections: BTreeMap<String, IniSection>,
    errors: Vec<IniError>,
    /// The open section, in lower case.
    section: Option<String>,
    /// The option of the open section that an indented line continues.
    option: Option<String>,
}

impl Parser {
    /// Takes a line, without blanks at its end.
    fn line(&mut self, number: usize, line: &str) {
        if line.is_empty() || is_comment(line) {
            return;
        }
        let is_indented = line.starts_with(char::is_whitespace);
        if let Some(value) = self.open_value().filter(|_| is_indented) {
            if !value.text.is_empty() {
                value.text.push('\n');
            }
            value.text.push_str(line.trim_start());
            return;
        }
        let problem = if is_indented {
            Err("an indented line continues a value, but there is none above it".to_owned())
        } else if let Some(header) = line.strip_prefix('[') {
            self.header(number, header)
        } else {
            self.option(number, line)
        };
        if let Err(problem) = problem {
            self.errors.push(IniError {
                line: number,
                problem,
            });
        }
    }

    fn open_value(&mut self) -> Option<&mut IniValue> {
        let section = self.sections.get_mut(self.section.as_ref()?)?;
        section.options.get_mut(self.option.as_ref()?)
    }

    /// `[Name]`; what follows the bracket does not count, as in Python.
    fn header(&mut self, number: usize, header: &str) -> Result<(), String> {
        self.option = None;
        let name = header.split_once(']').map(|(name, _)| name.trim());
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err("a section is a name in brackets, such as [Messenger]".to_owned());
        };
        let section = self.sections.entry(name.to_lowercase()).or_default();
        if section.name.is_empty() {
            name.clone_into(&mut section.name);
            section.line = number;
        }
        self.section = Some(name.to_lowercase());
        Ok(())
    }

    /// `name = value` or `name: value`.
    fn option(&mut self, number: usize, line: &str) -> Result<(), String> {
        // What follows a line that cannot be read does not belong to the option before it.
        self.option = None;
        let (name, value) = line
            .split_once(['=', ':'])
            .map(|(name, value)| (name.trim_end().to_lowercase(), value))
            .filter(|(name, _)| !name.is_empty())
            .ok_or("expected [Section], name = value, or a comment")?;
        let section = self.section.as_ref();
        let Some(section) = section.and_then(|section| self.sections.get_mut(section)) else {
            return Err(format!(
                "the option {name} stands before the first [Section]"
            ));
        };
        let value = match without_inline_comment(value).trim() {
            // Python's parser knows one quoted value: the empty one.
            "\"\"" => "",
            value => value,
        };
        let value = IniValue {
            text: value.to_owned(),
            line: number,
        };
        section.options.insert(name.clone(), value);
        self.option = Some(name);
        Ok(())
    }

    /// Only a whole value tells, so this comes last.
    fn refuse_interpolation(&mut self) {
        let sections = self.sections.values_mut();
        for IniSection { name, options, .. } in sections {
            options.retain(|key, value| {
                let is_plain = !value.text.contains("%(");
                if !is_plain {
                    self.errors.push(IniError {
                        line: value.line,
                        problem: format!(
                            "[{name}] {key}: %(…) interpolation is not supported, write the value out"
                        ),
                    });
                }
                is_plain
            });
        }
        self.errors.sort_by_key(|error| error.line);
    }
}

fn is_comment(line: &str) -> bool {
    let first_word = line.split_whitespace().next().unwrap_or_default();
    line.starts_with(['#', ';'])
        || (line.starts_with(['r', 'R']) && first_word.eq_ignore_ascii_case("rem"))
}

/// The first semicolon ends the value if a blank stands before it, as in ConfigParser.
fn without_inline_comment(value: &str) -> &str {
    match value.split_once(';') {
        Some((value, _)) if value.ends_with(char::is_whitespace) => value,
        Some(_) | None => value,
    }
}

#[cfg(test)]
mod tests;
