//! `onegin copy-db`, as an operator runs it, and a daemon on the copy.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};
use serde_json::json;
use storage::MessageAttributes;

use crate::{
    app::{TestApp, event, login, triggered_by, turn_off},
    database::{Database, TestDatabase},
};

fn copy(from: &str, to: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onegin"));
    command
        .args(["copy-db", "--from", from, "--to", to])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    text(&output.stdout)
}

fn other(database: Database, directory: &Path) -> TestDatabase {
    match database {
        Database::Sqlite => TestDatabase::empty_postgres(),
        Database::Postgres => TestDatabase::new(Database::Sqlite, directory),
    }
}

/// A daemon in use: two users, a cooldown that runs, a blacklist.
fn in_use(database: Database) -> TestApp {
    let mut app = TestApp::start(database);
    let raid = MessageAttributes {
        cooldown_ms: Some(3_600_000),
        ..triggered_by("raid", 100)
    };
    app.message(raid, &[(1, "Raid!", "C"), (7, "Препад!", "🐎")]);
    app.message(
        triggered_by("gift", 101),
        &[(1, "Gift", "C"), (7, "Поклон", "C")],
    );
    app.post_events(&[
        login(1, 1, "one", 7),
        login(2, 1, "two", 1),
        turn_off(2, &[2]),
    ]);
    app.finish();
    app.post_events(&[event(1, 100, json!({}))]);
    app.finish();
    app
}

#[test]
fn a_daemon_goes_on_where_it_was_on_the_other_kind_of_database() {
    if crate::database::postgres().is_none() {
        return;
    }
    for database in [Database::Sqlite, Database::Postgres] {
        let app = in_use(database);
        let directory = tempfile::tempdir().unwrap();
        let target = other(database, directory.path());
        // The source is a daemon at work.
        let told = succeeded(&copy(app.database.url(), target.url()).output().unwrap());
        assert!(
            told.contains("every row was compared and is the same"),
            "{told}"
        );
        drop(app.stop());

        let mut app = TestApp::start_on(target, directory, |_| {});
        let both = |event_id| [1, 2].map(|user| event(user, event_id, json!({})));
        app.post_events(&both(100));
        app.post_events(&both(101));
        app.post_events(&[login(3, 1, "three", 7)]);
        app.finish();
        let delivered = app.simulator.fcm().delivered().into_iter();
        let mut delivered: Vec<String> = delivered
            .map(|received| {
                let title = received.json()["message"]["data"]["title"].clone();
                format!("{}: {}", received.token, title.as_str().unwrap())
            })
            .collect();
        delivered.sort();
        assert_eq!(delivered, ["one: Поклон", "two: Raid!"]);
        app.stop();
    }
}

#[test]
fn each_table_has_its_line_and_the_comparison_its_table() {
    if crate::database::postgres().is_none() {
        return;
    }
    let app = in_use(Database::Postgres);
    app.database.execute(
        "INSERT INTO api_key (organisation_id, key, algorithm, hash, created_at) \
         VALUES (1, 'K', 'sha256', '00', 0)",
    );
    let directory = tempfile::tempdir().unwrap();
    let target = other(Database::Postgres, directory.path());
    let output = copy(app.database.url(), target.url()).output().unwrap();
    let rows = [
        ("login", 2),
        ("device", 2),
        ("message", 2),
        ("message_localization", 4),
        ("message_blacklist", 1),
        ("user_message_last_time_sent", 1),
        ("organisation", 1),
        ("api_key", 1),
    ];
    let (shown, told) = (succeeded(&output), text(&output.stderr));
    for (table, count) in rows {
        let line = format!("{table:<28}{count:>12}{count:>12}  equal\n");
        assert!(shown.contains(&line), "{line} is not in {shown}");
        for what in ["copying", "comparing"] {
            let line = format!("{what} {table}: {count} rows\n");
            assert!(told.contains(&line), "{line} is not in {told}");
        }
    }
    assert!(shown.contains("copied 14 rows"), "{shown}");
}

#[test]
fn files_and_variables_name_databases_and_no_password_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let source = TestDatabase::new(Database::Sqlite, directory.path());
    let file = directory.path().join("config.ini");
    fs::write(&file, format!("[Database]\ndb_url = {}\n", source.url())).unwrap();
    TestApp::start(Database::Sqlite).stop();
    storage::Storage::upgrade(&source.config()).unwrap();
    source.execute("INSERT INTO login VALUES (1, 1)");
    let target = format!("sqlite:{}", directory.path().join("copy.db").display());
    let output = copy(file.to_str().unwrap(), "env:COPY_TARGET")
        .env("COPY_TARGET", &target)
        // Means both sides, so it means neither.
        .env("ONEGIN__DATABASE__DB_URL", "sqlite:/nowhere/else.db")
        .output()
        .unwrap();
    assert!(succeeded(&output).contains("to env:COPY_TARGET"));

    let secret = "postgres://me:hunter2@127.0.0.1:1/game?password=hunter2";
    for output in [
        copy(&target, secret).output().unwrap(),
        copy(&target, "env:COPY_TARGET")
            .env("COPY_TARGET", secret)
            .output()
            .unwrap(),
        // What libpq cannot read it quotes.
        copy(&target, "postgres://me:hunter2@[::1/game")
            .output()
            .unwrap(),
        copy(&target, "postgres://me:hunter2%zz@db/game")
            .output()
            .unwrap(),
        copy(&target, "postgres://me:hunter2@[::1]x/game")
            .output()
            .unwrap(),
    ] {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = text(&output.stderr) + &text(&output.stdout);
        assert!(told.contains("failed to open the target"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let output = copy(&target, secret).output().unwrap();
    assert!(text(&output.stderr).contains("the password in --to is visible in the process list"));
}

#[test]
fn a_target_in_use_is_refused_with_exit_code_1() {
    let app = in_use(Database::Sqlite);
    let directory = tempfile::tempdir().unwrap();
    let target = TestDatabase::new(Database::Sqlite, directory.path());
    succeeded(&copy(app.database.url(), target.url()).output().unwrap());
    let again = copy(app.database.url(), target.url()).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let told = text(&again.stderr);
    assert!(
        told.contains("the target is not empty: its table login has rows"),
        "{told}"
    );
}

#[test]
fn a_copy_that_is_killed_leaves_the_target_empty() {
    if crate::database::postgres().is_none() {
        return;
    }
    for kind in [Database::Sqlite, Database::Postgres] {
        let app = in_use(Database::Postgres);
        let directory = tempfile::tempdir().unwrap();
        let target = TestDatabase::new(kind, directory.path());
        // Holds the copy up before the last table.
        let mut lock = PgConnection::establish(app.database.url()).unwrap();
        lock.batch_execute(
            "BEGIN; LOCK TABLE user_message_last_time_sent IN ACCESS EXCLUSIVE MODE",
        )
        .unwrap();
        let mut process = copy(app.database.url(), target.url()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let reached = lines
            .map(Result::unwrap)
            .find(|line| line.starts_with("copying message_blacklist"));
        assert!(reached.is_some());
        process.kill().unwrap();
        process.wait().unwrap();
        drop(lock);
        // It waits for the killed one's locks, and then finds no rows.
        succeeded(&copy(app.database.url(), target.url()).output().unwrap());
        drop(app.stop());
    }
}
