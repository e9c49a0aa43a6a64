//! The configuration file's dialect. Input: a file's text.
//!
//! * Every error and every value names a line of the file, and no line has two errors.
//! * A file written from what was read is read without an error, and says the same.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use onegin::config::IniFile;

/// Checks one input.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let file = parse(&text);
    let lines = 1..=text.lines().count();
    assert!(file.errors.iter().all(|error| lines.contains(&error.line)));
    assert!(file.errors.windows(2).all(|two| two[0].line <= two[1].line));
    for (name, section) in &file.sections {
        assert!(lines.contains(&section.line));
        assert_eq!(*name, section.name.to_lowercase());
        for (key, value) in &section.options {
            assert!(lines.contains(&value.line) && value.line > section.line);
            assert_eq!(*key, key.to_lowercase());
            assert_eq!(value.text, value.text.trim());
            assert!(!value.text.contains("%("));
        }
    }
    let again = parse(&written(&file));
    assert_eq!(again.errors, []);
    assert_eq!(meaning(&again), meaning(&file));
}

fn parse(text: &str) -> IniFile {
    IniFile::parse(Path::new("config.ini"), text)
}

fn meaning(file: &IniFile) -> BTreeMap<(&str, &str), &str> {
    let options = file.sections.iter().flat_map(|(section, options)| {
        let options = options.options.iter();
        options.map(move |(key, value)| ((section.as_str(), key.as_str()), value.text.as_str()))
    });
    options.collect()
}

/// A file that says the same. Values stand on lines of their own, where nothing is a comment.
fn written(file: &IniFile) -> String {
    let mut text = String::new();
    for section in file.sections.values() {
        writeln!(text, "[{}]", section.name).expect("a String takes any text");
        for (key, value) in &section.options {
            writeln!(text, "{key}=").expect("a String takes any text");
            // Not `lines`, to which a carriage return before a line feed is no text.
            for line in value.text.split('\n').filter(|line| !line.is_empty()) {
                writeln!(text, "  {line}").expect("a String takes any text");
            }
        }
    }
    text
}
