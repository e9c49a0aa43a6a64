//! The shipped `config.ini` is the reference: it cannot go stale.

use std::{collections::BTreeSet, path::Path};

use onegin::config::{Config, IniFile, known_keys, load_text};

const SHIPPED: &str = include_str!("../../config.ini");

#[test]
fn the_shipped_file_equals_the_defaults_without_a_warning() {
    let loaded = load_text(Path::new("config.ini"), SHIPPED, std::iter::empty()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn the_shipped_file_names_every_key_and_says_a_line_about_each() {
    // Keys without a default stand in it as comments: `;key = example`.
    let text = SHIPPED.replace("\n;", "\n");
    let file = IniFile::parse(Path::new("config.ini"), &text).unwrap();
    let named: BTreeSet<(String, String)> = file
        .sections
        .iter()
        .flat_map(|(section, keys)| keys.keys().map(move |key| (section.clone(), key.clone())))
        .collect();
    let known: BTreeSet<(String, String)> = known_keys()
        .iter()
        .flat_map(|(section, keys)| {
            let keys = keys.as_object().unwrap().keys();
            keys.map(move |key| (section.to_lowercase(), key.clone()))
        })
        .collect();
    assert_eq!(named, known);
    for (_, key) in &known {
        let explained = SHIPPED
            .lines()
            .zip(SHIPPED.lines().skip(1))
            .any(|(line, next)| {
                let name = next.trim_start_matches(';').split(['=', ':']).next();
                line.starts_with("# ") && name.is_some_and(|name| name.trim() == key)
            });
        assert!(explained, "no line about {key} stands above it");
    }
}
