//! `onegin key`, run as an operator runs it.

use std::{fs, process::Command};

use ring::digest;
use serde_json::{Value, json};

use crate::administration::{Program, assert_says};

/// Everything that the database keeps of keys, as text.
fn rows(program: &Program) -> String {
    let columns = ["key", "algorithm", "hash", "COALESCE(note, '')"].join(" || ' ' || ");
    let rows = format!("SELECT {columns} AS cell FROM api_key ORDER BY id");
    program.database().cells(&rows).join("\n")
}

/// What `key list` knows, without the time.
fn listed(program: &Program) -> Vec<Value> {
    let mut keys: Vec<Value> = serde_json::from_value(program.json(&["key", "list"])).unwrap();
    for key in &mut keys {
        let created = key.as_object_mut().unwrap().remove("created_at").unwrap();
        assert!(created.as_i64().unwrap() > 1_700_000_000_000);
        let disabled = key.as_object_mut().unwrap().remove("disabled_at").unwrap();
        assert_eq!(disabled.is_null(), key["enabled"].as_bool().unwrap());
    }
    keys
}

on_each_database! {
    fn a_secret_is_shown_once_and_kept_nowhere(database) {
        let program = Program::new(database);
        let text = program.run(&["key", "create", "--note", "match server"]);
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
        };
        let (key, secret) = (field("key "), field("secret "));
        assert_eq!((key.len(), secret.len()), (16, 40));
        assert_eq!(text.matches(&secret).count(), 1);
        assert_says(&text, &["shown this once"]);
        let hash = digest::digest(&digest::SHA256, secret.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(rows(&program), format!("{key} sha256 {hash} match server"));
        for arguments in [
            &["key", "list"][..],
            &["key", "list", "--json"],
            &["key", "disable", &key],
            &["key", "enable", &key, "--json"],
        ] {
            let shown = program.run(arguments);
            assert!(shown.contains(&key) && !shown.contains(&secret), "{shown}");
            assert!(!shown.contains(&hash), "{shown}");
        }
        let other = program.json(&["key", "create"]);
        assert_ne!(other["key"], key);
        assert_ne!(other["secret"], secret);
        // Not in any file either: the database's, its log, ours.
        for entry in fs::read_dir(program.path("")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "the secret is in {}", path.display());
        }
    }

    fn keys_of_several_organisations_are_listed_and_switched(database) {
        let program = Program::new(database);
        assert_eq!(program.json(&["key", "list"]), json!([]));
        let created = program.json(&["key", "create"]);
        let refused = program.refused(&["key", "create", "--organisation", "Chess"]);
        assert_says(&refused, &["no organisation Chess", "--create-organisation"]);
        let theirs = [
            "key", "create", "--organisation", "Chess", "--create-organisation", "--note", "n",
        ];
        let theirs = program.json(&theirs);
        let third = program.json(&["key", "create", "--organisation", "Chess"]);
        let key = |created: &Value| created["key"].as_str().unwrap().to_owned();
        let shown = |created: &Value, organisation: &str, enabled: bool, note: Value| json!({
            "key": key(created), "organisation": organisation, "imported": false,
            "enabled": enabled, "note": note,
        });
        let expected = |enabled: bool| [
            shown(&created, "legacy", enabled, Value::Null),
            shown(&theirs, "Chess", true, json!("n")),
            shown(&third, "Chess", true, Value::Null),
        ];
        assert_eq!(listed(&program), expected(true));
        program.run(&["key", "disable", &key(&created)]);
        assert_eq!(listed(&program), expected(false));
        assert_says(&program.run(&["key", "list"]), &["disabled  legacy", "enabled   Chess"]);
        program.run(&["key", "enable", &key(&created)]);
        assert_eq!(listed(&program), expected(true));
        let chess = program.json(&["key", "list", "--organisation", "Chess"]);
        assert_eq!(chess.as_array().unwrap().len(), 2);
        for verb in ["disable", "enable"] {
            assert_says(&program.refused(&["key", verb, "NONE"]), &["there is no key NONE"]);
        }
        assert_says(
            &program.refused(&["key", "list", "--organisation", "Go"]),
            &["no organisation Go"],
        );
    }

    fn secrets_are_imported_from_files_and_pipes_only(database) {
        let program = Program::new(database);
        let file = program.file("secret.txt", "the secret\r\n");
        let import = ["key", "import", "their-key", "--secret-file", &file];
        let imported: Value = program.json(&import);
        assert_eq!(imported[0]["imported"], true);
        let refused = program.refused(&import);
        assert_says(&refused, &["there is a key their-key already"]);
        assert!(!rows(&program).contains("the secret"));
        for (key, secret, says) in [
            ("k", "", "a secret has 1 to 1024 bytes"),
            ("k", "\n", "a secret has 1 to 1024 bytes"),
            ("k", "two\nlines", "no control characters"),
            ("k:k", "s", "no colon"),
            ("", "s", "a key has 1 to 255 bytes"),
        ] {
            let ended = program.run_with(&["key", "import", key], secret);
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{key}");
            assert_says(&ended.stderr, &[says]);
        }
        let missing = program.refused(&["key", "import", "k", "--secret-file", "nowhere"]);
        assert_says(&missing, &["cannot be read from nowhere"]);
        assert_eq!(listed(&program).len(), 1);
        // There is no option to put a secret where every user of the machine sees it.
        let output = Command::new(env!("CARGO_BIN_EXE_onegin"))
            .args(["key", "import", "k", "--secret", "s"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}
