//! Messages, logins and devices from the command line: the program itself, on real databases.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    app::{TestApp, event, login},
    database::{Database, TestDatabase},
};

/// The program with a configuration of its own.
pub(crate) struct Program {
    directory: TempDir,
    database: Option<TestDatabase>,
}

/// How the program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new(database: Database) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let test_database = TestDatabase::new(database, directory.path());
        let url = test_database.config().db_url.unwrap();
        Self {
            database: Some(test_database),
            ..Self::on(directory, &url)
        }
    }

    pub(crate) fn on(directory: TempDir, url: &str) -> Self {
        let sections = format!("[Database]\ndb_url = {url}\n");
        fs::write(directory.path().join("config.ini"), sections).unwrap();
        Self {
            directory,
            database: None,
        }
    }

    /// The database, where it was made for this program.
    pub(crate) fn database(&self) -> &TestDatabase {
        self.database.as_ref().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        name.to_owned()
    }

    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut process = Command::new(env!("CARGO_BIN_EXE_onegin"))
            .current_dir(self.directory.path())
            .args(arguments)
            .args([Path::new("--configuration"), &self.path("config.ini")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // An error means that the program does not read it.
        drop(process.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = process.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its output, when it must succeed; then there is nothing on standard error, no progress bar
    /// either.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let ended = self.run_with(arguments, "");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        ended.stdout
    }

    /// Its JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.run(&arguments)).unwrap()
    }

    /// Its complaint, when it must fail.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let ended = self.run_with(arguments, "");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        ended.stderr
    }

    /// All messages, without ids: those are the database's.
    fn messages(&self) -> Vec<Value> {
        let mut messages = self.json(&["message", "list"]);
        for message in messages.as_array_mut().unwrap() {
            message.as_object_mut().unwrap().remove("id");
        }
        serde_json::from_value(messages).unwrap()
    }
}

#[track_caller]
pub(crate) fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

/// A message with everything, one whose texts are hard to quote, one with nothing.
fn three_messages() -> Value {
    json!([
        {
            "name": "raided", "trigger_event_id": 1002, "cooldown_ms": 600_000, "screen": "home, \"tower\"",
            "expiry_ms": 60_000, "priority": "high",
            "localizations": [
                {"language": 1, "title": "Raid!", "text": "Hurry, {name}!"},
                {"language": 7, "title": "Überfall", "text": "{{wörtlich}}, \"{name}\",\r\nzweite Zeile\n\n"},
            ],
        },
        {
            "name": " a,\"b\"\nc ", "trigger_event_id": -5, "cooldown_ms": i64::MAX, "screen": "",
            "expiry_ms": null, "priority": "normal",
            "localizations": [{"language": -3, "title": "", "text": ""}],
        },
        {
            "name": "17", "trigger_event_id": null, "cooldown_ms": null, "screen": "", "expiry_ms": null,
            "priority": "normal", "localizations": [],
        },
    ])
}

on_each_database! {
    fn the_import_of_an_export_is_the_identity_in_either_form(database) {
        let program = Program::new(database);
        let wanted = three_messages();
        program.file("all.json", &wanted.to_string());
        assert_eq!(
            program.run(&["message", "import", "all.json"]),
            "imported 3 messages: 3 new, 0 changed; 3 texts new, 0 changed\n"
        );
        assert_eq!(Value::from(program.messages()), wanted);
        for file in ["copy.csv", "copy.json"] {
            assert_eq!(program.run(&["message", "export", file]), "");
            let again = program.json(&["message", "import", file]);
            let nothing = json!({
                "messages": 3, "added": 0, "changed": 0, "texts_added": 0, "texts_changed": 0,
                "dry_run": false,
            });
            assert_eq!(again, nothing, "{file}");
            for message in wanted.as_array().unwrap() {
                program.run(&["message", "delete", message["name"].as_str().unwrap()]);
            }
            assert_eq!(program.messages(), [] as [Value; 0]);
            program.run(&["message", "import", file]);
            assert_eq!(Value::from(program.messages()), wanted, "{file}");
        }
    }

    fn standard_input_and_output_are_files_too(database) {
        let program = Program::new(database);
        let csv = "name,language,title,text\nraided,1,Raid!,Hurry\n";
        let imported = program.run_with(&["message", "import", "-", "--format", "csv"], csv);
        assert_eq!((imported.code, imported.stderr.as_str()), (Some(0), ""));
        let exported = program.run(&["message", "export", "-", "--format", "json"]);
        let exported: Value = serde_json::from_str(&exported).unwrap();
        assert_eq!(exported, Value::from(program.messages()));
        let refused = program.refused(&["message", "export", "-"]);
        assert_says(&refused, &["--format csv or --format json"]);
    }

    fn a_file_is_stored_as_a_whole_or_not_at_all(database) {
        let program = Program::new(database);
        program.run(&["message", "add", "old", "--cooldown-ms", "5"]);
        let before = program.messages();
        let csv = program.file(
            "bad.csv",
            "name,cooldown_ms,language,title,text\nold,7,1,T,t\nnew,,1,T,\"two\nlines\"\nnew,,2,T,{oh\n",
        );
        assert_eq!(
            program.refused(&["message", "import", &csv]),
            "onegin: bad.csv: line 5, column text: the brace at character 1 opens no parameter: \
             write {name} with letters, digits and underscores, or {{ for a literal brace\n"
        );
        let json = program.file(
            "bad.json",
            "[\n  {\"name\": \"old\", \"cooldown_ms\": 7},\n  {\"name\": \"new\", \"colldown_ms\": 7}\n]",
        );
        let refused = program.refused(&["message", "import", &json]);
        assert_says(&refused, &["bad.json: line 3, column ", "unknown key colldown_ms, did you mean cooldown_ms?"]);
        let refused = program.refused(&["message", "import", "none.csv"]);
        assert_says(&refused, &["none.csv: cannot be read"]);
        assert_eq!(program.messages(), before);
    }

    fn a_dry_run_checks_everything_and_changes_nothing(database) {
        let program = Program::new(database);
        program.run(&["message", "add", "old", "--language", "1", "--title", "T", "--text", "t"]);
        let before = program.messages();
        let csv = program.file(
            "some.csv",
            "name,screen,language,title,text\nold,home,1,T,other\nnew,,1,T,t\nnew,,2,T,t\n",
        );
        let would = program.run(&["message", "import", &csv, "--dry-run"]);
        assert_eq!(
            would,
            "nothing is changed; an import would be of 2 messages: 1 new, 1 changed; 2 texts new, 1 changed\n"
        );
        assert_eq!(program.messages(), before);
        let stored = program.run(&["message", "import", &csv]);
        assert_eq!(stored, "imported 2 messages: 1 new, 1 changed; 2 texts new, 1 changed\n");
    }

    fn a_second_language_keeps_what_is_known_of_a_message(database) {
        let program = Program::new(database);
        let all = [
            "--trigger", "1002", "--cooldown-ms", "600000", "--screen", "home", "--expiry-ms", "60000",
            "--priority", "high", "--language", "1", "--title", "Raid!", "--text", "Hurry, {name}!",
        ];
        let before = program.json(&[&["message", "add", "raided"], &all[..]].concat());
        let second = ["--language", "2", "--title", "Überfall!", "--text", "Schnell, {name}!"];
        let mut after = program.json(&[&["message", "add", "raided"], &second[..]].concat());
        let second = after["localizations"].as_array_mut().unwrap().pop().unwrap();
        assert_eq!(second["title"], "Überfall!");
        assert_eq!(after, before);
        let csv = program.file("third.csv", "name,language,title,text\nraided,3,Raid,Vite\n");
        program.run(&["message", "import", &csv]);
        let mut after = program.json(&["message", "show", "raided"]);
        after["localizations"].as_array_mut().unwrap().truncate(1);
        assert_eq!(after, before);

        let cleared = ["--no-trigger", "--no-cooldown", "--no-expiry", "--priority", "normal"];
        let cleared = program.json(&[&["message", "add", "raided"], &cleared[..]].concat());
        assert_eq!(cleared["trigger_event_id"], Value::Null);
        assert_eq!(cleared["cooldown_ms"], Value::Null);
        assert_eq!(cleared["expiry_ms"], Value::Null);
        assert_eq!((&cleared["screen"], &cleared["priority"]), (&json!("home"), &json!("normal")));
    }

    fn a_message_or_one_language_of_it_is_deleted_and_said(database) {
        let program = Program::new(database);
        for language in ["1", "2", "3"] {
            program.run(&["message", "add", "m", "--language", language, "--title", "T", "--text", "t"]);
        }
        let delete = ["message", "delete", "m"];
        let said = program.run(&[&delete[..], &["--language", "2"]].concat());
        assert_eq!(said, "deleted language 2 of the message m\n");
        let refused = program.refused(&[&delete[..], &["--language", "2"]].concat());
        assert_says(&refused, &["the message m has no text in language 2"]);
        assert_eq!(program.run(&delete), "deleted the message m (id 1); it had texts in 2 languages\n");
        assert_says(&program.refused(&delete), &["there is no message named m", "onegin message list"]);
        assert_says(&program.refused(&["message", "show", "m"]), &["there is no message named m"]);
        assert_says(&program.refused(&["message", "add", ""]), &["a message needs a name"]);
    }

    fn logins_are_added_listed_in_pages_shown_and_deleted(database) {
        let program = Program::new(database);
        for id in ["5", "-7", "1338"] {
            program.run(&["login", "add", id, "--language", "2"]);
        }
        program.run(&["login", "add", "6"]);
        let page = program.json(&["login", "list", "--from", "5", "--limit", "2"]);
        assert_eq!(page, json!([{"login": 5, "language": 2}, {"login": 6, "language": null}]));
        let all = program.run(&["login", "list"]);
        let lines: Vec<Vec<&str>> = all.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["login", "language"]);
        assert_eq!(lines[1..], [["-7", "2"], ["5", "2"], ["6", "-"], ["1338", "2"]]);
        let kept = program.json(&["login", "add", "5"]);
        assert_eq!(kept, json!({"login": 5, "language": 2, "turned_off": [], "devices": []}));
        assert_eq!(program.json(&["login", "add", "5", "--language", "0"])["language"], 0);

        program.run(&["device", "add", "5", "--platform", "1", "--token", "a"]);
        assert_eq!(program.json(&["login", "show", "5"])["devices"][0]["token"], "a");
        assert_eq!(program.run(&["login", "delete", "5"]), "deleted the login 5 with 1 devices\n");
        assert_says(&program.refused(&["login", "delete", "5"]), &["there is no login 5"]);
        assert_says(&program.refused(&["login", "show", "5"]), &["there is no login 5"]);
        let reserved = program.refused(&["login", "add", "4611686018427387904"]);
        assert_says(&reserved, &["2^62", "customers"]);
    }

    fn devices_are_added_listed_and_deleted(database) {
        let program = Program::new(database);
        let add = ["device", "add", "7", "--platform", "5", "--token", "aB"];
        assert_says(&program.refused(&add), &["there is no login 7", "onegin login add"]);
        program.run(&["login", "add", "7", "--language", "1"]);
        let added = program.json(&[&add[..], &["--application-version", "12"]].concat());
        let device = &added[0];
        assert_eq!((&device["platform"], &device["token"]), (&json!(5), &json!("aB")));
        assert_eq!((&device["application_version"], &device["active"]), (&json!(12), &json!(true)));
        assert_eq!(program.json(&add), added);
        assert_eq!(program.json(&["device", "list", "7"]), added);
        let id = device["id"].to_string();
        let table = program.run(&["device", "list", "7"]);
        assert_says(&table, &["platform", &id, "aB"]);
        let unknown = [&add[..3], &["--platform", "3", "--token", "x"]].concat();
        let unknown = program.run_with(&unknown, "");
        assert_eq!(unknown.code, Some(2));
        assert_says(&unknown.stderr, &["expected 1, 2, 5, 6 or 7"]);
        let empty = [&add[..3], &["--platform", "1", "--token", ""]].concat();
        assert_says(&program.refused(&empty), &["the device cannot be added", "device token"]);

        assert_eq!(program.run(&["device", "delete", &id]), format!("deleted the device {id}\n"));
        assert_says(&program.refused(&["device", "delete", &id]), &["there is no device"]);
        assert_eq!(program.json(&["device", "list", "7"]), json!([]));
        assert_says(&program.refused(&["device", "list", "8"]), &["there is no login 8"]);
    }

    fn a_running_daemon_sends_what_is_imported_beside_it(database) {
        let mut app = TestApp::start(database);
        app.post_events(&[login(1, 1, "android", 1)]);
        app.finish();
        let url = app.config.database.db_url.clone().unwrap();
        let program = Program::on(tempfile::tempdir().unwrap(), &url);
        let csv = program.file("m.csv", "name,trigger_event_id,language,title,text\nraided,100,1,Raid!,Hurry\n");
        program.run(&["message", "import", &csv]);
        app.eventually("the daemon knows the message", || {
            !app.pipeline.storage().catalogue().triggered_by(100).is_empty()
        });
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        let lines = app.csv();
        assert!(lines.iter().any(|line| line.contains("Hurry")), "{lines:?}");

        program.run(&["message", "delete", "raided"]);
        app.eventually("the daemon forgets the message", || {
            app.pipeline.storage().catalogue().triggered_by(100).is_empty()
        });
        app.stop();
    }
}

#[test]
fn help_shows_an_example_for_every_verb() {
    let verbs = [
        (
            "message",
            &["list", "show", "add", "delete", "import", "export"][..],
        ),
        ("login", &["list", "show", "add", "delete"]),
        ("device", &["list", "add", "delete"]),
        ("key", &["create", "import", "list", "disable", "enable"]),
    ];
    for (command, verbs) in verbs {
        for verb in verbs {
            let help = Command::new(env!("CARGO_BIN_EXE_onegin"))
                .args([command, verb, "--help"])
                .output()
                .unwrap();
            let help = String::from_utf8(help.stdout).unwrap();
            assert_says(&help, &["Example", &format!("onegin {command} {verb}")]);
        }
    }
}
