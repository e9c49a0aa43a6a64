//! docs/PUSHKIN-CASES.md says which test shows which case of Pushkin's behaviour. This keeps it
//! true: every case has a row, and every row names a test that exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const TABLE: &str = "docs/PUSHKIN-CASES.md";

/// The test suite of Pushkin has 74 cases; case 29 hides another one of the same name.
const CASES: u32 = 74;
const HIDDEN_CASE: &str = "29b";

/// The topics whose observed rows have a test each, and how many rows each has.
const OBSERVED: [(&str, u32); 22] = [
    ("R1.2", 20),
    ("R1.3", 5),
    ("R2.3", 9),
    ("R3.3", 10),
    ("R4.1", 3),
    ("R4.2", 12),
    ("R4.3", 7),
    ("R4.4", 13),
    ("R4.5", 6),
    ("R4.6", 9),
    ("R5.3", 14),
    ("R6.2", 14),
    ("R6.3", 6),
    ("R6.4", 6),
    ("R7.1", 6),
    ("R7.2", 4),
    ("R7.3", 6),
    ("R8.1", 10),
    ("R8.2", 32),
    ("P1.3", 22),
    ("P1.4", 4),
    ("P2.2", 10),
];

struct Row {
    case: String,
    file: String,
    test: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join(TABLE)).unwrap();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let columns: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let code = |column: &str| column.trim_matches('`').to_owned();
        match columns.as_slice() {
            ["case", ..] => {}
            [case, _claim, file, test] => rows.push(Row {
                case: (*case).to_owned(),
                file: code(file),
                test: code(test),
            }),
            _ => panic!("not a row of four columns: {line}"),
        }
    }
    rows
}

/// The names of a file's tests: functions under `#[test]`; functions inside a macro's braces, which
/// makes tests of them; and functions that a list of the same folder, such as a suite's, makes
/// tests of.
fn tests_of(file: &str) -> BTreeSet<String> {
    let path = root().join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{TABLE} names {file}: {error}"));
    let listed = listed_beside(&path);
    let mut names = BTreeSet::new();
    let mut marked = false;
    // The line that ends the macro's braces.
    let mut block_end: Option<String> = None;
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.strip_suffix(code).unwrap();
        if block_end.as_deref() == Some(line) {
            block_end = None;
        }
        if block_end.is_none() && code.ends_with("! {") && !code.starts_with("macro_rules") {
            block_end = Some(format!("{indent}}}"));
        }
        if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
            marked = true;
            continue;
        }
        if let Some(name) = function_name(code)
            && (marked || block_end.is_some() || listed.contains(name))
        {
            names.insert(name.to_owned());
        }
        marked = marked && code.starts_with("#[");
    }
    names
}

/// The name of the function that a line begins.
fn function_name(code: &str) -> Option<&str> {
    let code = code.strip_prefix("pub(crate) ").unwrap_or(code);
    let code = code.strip_prefix("async ").unwrap_or(code);
    let signature = code.strip_prefix("fn ")?;
    Some(signature.split(['(', '<']).next().unwrap_or(signature))
}

/// The words that stand alone on a line of a test suite's files, followed by a comma or semicolon.
fn listed_beside(path: &Path) -> BTreeSet<String> {
    let folder = path.parent().unwrap();
    if !folder
        .parent()
        .is_some_and(|parent| parent.ends_with("tests"))
    {
        return BTreeSet::new();
    }
    let mut words = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(path).unwrap();
            let lines = text.lines().map(str::trim);
            let lines = lines.filter_map(|line| line.strip_suffix([',', ';']));
            words.extend(lines.filter(|line| is_word(line)).map(str::to_owned));
        }
    }
    words
}

fn is_word(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !text.is_empty() && text.chars().all(is_letter)
}

#[test]
fn every_row_names_a_test_that_exists() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let rows = rows();
    assert!(!rows.is_empty(), "{TABLE} has no rows");
    for Row { case, file, test } in rows {
        let tests = files.entry(file.clone()).or_insert_with(|| tests_of(&file));
        assert!(
            tests.contains(&test),
            "case {case}: {file} has no test {test}"
        );
    }
}

#[test]
fn every_case_has_a_row() {
    let rows = rows();
    let has = |case: &str| rows.iter().any(|row| row.case == case);
    let cases = (1..=CASES).map(|number| number.to_string());
    let observed = OBSERVED
        .iter()
        .flat_map(|(topic, rows)| (1..=*rows).map(move |row| format!("{topic}-{row}")));
    let missing: Vec<String> = cases
        .chain([HIDDEN_CASE.to_owned()])
        .chain(observed)
        .filter(|case| !has(case))
        .collect();
    assert!(missing.is_empty(), "{TABLE} has no row for {missing:?}");
}
