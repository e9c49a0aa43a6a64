//! Pushkin's installations move over: `--upgrade-db` on a database of any revision, then a whole
//! Onegin on it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::json;
use simulator::{Action, Refusal, Rule, Service};

use self::history::PASTS;
use crate::{
    app::{TestApp, event, login, turn_off},
    database::TestDatabase,
};

#[path = "../../crates/storage/tests/suite/adoption/history.rs"]
mod history;

/// A configuration file for the program, which knows the database and nothing else.
fn configuration(directory: &Path, database: &TestDatabase) -> std::path::PathBuf {
    let path = directory.join("config.ini");
    let text = format!(
        "[ServerSpecific]\nport = 0\n[Database]\ndb_url = {}\n",
        database.url()
    );
    fs::write(&path, text).unwrap();
    path
}

fn program(directory: &Path, configuration: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onegin"));
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .arg("--configuration")
        .arg(configuration);
    command
}

fn upgrade(directory: &Path, database: &TestDatabase) -> Output {
    let configuration = configuration(directory, database);
    let mut command = program(directory, &configuration);
    command.arg("--upgrade-db").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_pushkin_database_is_upgraded_by_the_command_and_serves_the_whole_pipeline() {
    if crate::database::postgres().is_none() {
        return;
    }
    for past in &PASTS {
        let directory = tempfile::tempdir().unwrap();
        let database = TestDatabase::empty_postgres();
        database.execute(&past.sql());
        let has_blacklists = !database
            .cells("SELECT to_regclass('message_blacklist')::text AS cell WHERE to_regclass('message_blacklist') IS NOT NULL")
            .is_empty();
        let output = upgrade(directory.path(), &database);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told = text(&output.stdout);
        let adopted = format!("adopted a Pushkin database of revision {}", past.name);
        assert!(
            told.contains(&adopted) && told.contains("applied "),
            "{told}"
        );
        let again = upgrade(directory.path(), &database);
        assert_eq!(text(&again.stdout), "the database is up to date\n");
        serve(
            TestApp::start_on(database, directory, |_| {}),
            has_blacklists,
        );
    }
}

/// What reached whom, by token and text, in no order.
fn delivered(app: &TestApp) -> Vec<String> {
    let apns = app
        .simulator
        .apns()
        .delivered()
        .into_iter()
        .map(|received| {
            let alert = &received.json()["aps"]["alert"];
            let (title, body) = (&alert["title"], &alert["body"]);
            format!(
                "{}: {} / {}",
                received.token,
                title.as_str().unwrap(),
                body.as_str().unwrap()
            )
        });
    let fcm = app.simulator.fcm().delivered().into_iter().map(|received| {
        let data = &received.json()["message"]["data"];
        let (title, body) = (&data["title"], &data["message"]);
        format!(
            "{}: {} / {}",
            received.token,
            title.as_str().unwrap(),
            body.as_str().unwrap()
        )
    });
    let mut delivered: Vec<String> = apns.chain(fcm).collect();
    delivered.sort();
    delivered
}

fn serve(mut app: TestApp, has_blacklists: bool) {
    let gone = Action::Refuse(Refusal::new(404, "UNREGISTERED"));
    app.simulator
        .script()
        .add(Rule::new(gone).service(Service::Fcm).token_prefix("dead-5"));
    let raid = |user: i64| event(user, 100, json!({"name": "Ana"}));
    let everybody = [1, 2, 3, 4, 5, 6, 7, 9_007_199_254_740_993, 404].map(raid);
    app.post_events(&everybody);
    app.finish();
    // User 2 has no language, 3 does not want it, 4 had it a moment ago.
    let mut expected = vec![
        format!("{}: 襲撃！ / Ana、急げ！", "aa06".repeat(16)),
        format!("{}: Raid! / Hurry, Ana!", "ff17".repeat(16)),
        "new-1: Препад! / Пожури, Ana! 🐎".to_owned(),
        "twice-6: 襲撃！ / Ana、急げ！".to_owned(),
        "big: Препад! / Пожури, Ana! 🐎".to_owned(),
    ];
    if !has_blacklists {
        expected.push("and-3: Raid! / Hurry, Ana!".to_owned());
    }
    expected.sort();
    assert_eq!(delivered(&app), expected);
    app.eventually("the dead token is unregistered", || app.is_unregistered(5));

    // The cooldown holds for everybody now; a message without one comes again to who wants it.
    let gift = |user: i64| event(user, 101, json!({}));
    app.post_events(&everybody);
    app.post_events(&[
        login(50, 1, "and-50", 7),
        turn_off(1, &[2]),
        gift(50),
        gift(1),
        gift(4),
    ]);
    app.finish();
    expected.extend(["and-50", "and-4"].map(|token| format!("{token}: Поклон / За тебе")));
    expected.sort();
    assert_eq!(delivered(&app), expected);
    app.stop();
}

fn start(command: &mut Command) -> Child {
    command.arg("--upgrade-db").spawn().unwrap()
}

#[test]
fn two_upgrades_at_once_both_succeed_and_keep_the_rows() {
    if crate::database::postgres().is_none() {
        return;
    }
    for past in [None, PASTS.first(), PASTS.last()] {
        let directory = tempfile::tempdir().unwrap();
        let database = TestDatabase::empty_postgres();
        if let Some(past) = past {
            database.execute(&past.sql());
        }
        let count = "SELECT count(*)::text AS cell FROM device";
        let before = past.map(|_| database.cells(count));
        let configuration = configuration(directory.path(), &database);
        let both = [(); 2].map(|()| start(&mut program(directory.path(), &configuration)));
        let both = both.map(|process| process.wait_with_output().unwrap());
        for output in &both {
            assert_eq!(output.status.code(), Some(0), "{both:?}");
        }
        let mut did_nothing =
            both.map(|output| text(&output.stdout) == "the database is up to date\n");
        did_nothing.sort_unstable();
        assert_eq!(did_nothing, [false, true]);
        if let Some(before) = before {
            assert_eq!(database.cells(count), before);
        }
        let revision = database.cells("SELECT version_num AS cell FROM alembic_version");
        assert_eq!(revision, ["34dd0bf00472"]);
        TestApp::start_on(database, directory, |_| {}).stop();
    }
}

#[test]
fn the_daemon_refuses_a_pushkin_schema_and_names_the_command() {
    if crate::database::postgres().is_none() {
        return;
    }
    for past in [&PASTS[0], &PASTS[12], &PASTS[15]] {
        let directory = tempfile::tempdir().unwrap();
        let database = TestDatabase::empty_postgres();
        database.execute(&past.sql());
        let configuration = configuration(directory.path(), &database);
        let output = program(directory.path(), &configuration).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = text(&output.stderr);
        assert!(
            told.contains("onegin --configuration FILE --upgrade-db"),
            "{told}"
        );
    }
}

#[test]
fn a_failing_upgrade_says_what_was_in_the_way_and_exits_with_1() {
    if crate::database::postgres().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let database = TestDatabase::empty_postgres();
    database.execute(&PASTS[0].sql());
    database.execute("CREATE VIEW report AS SELECT device_id FROM device");
    let output = upgrade(directory.path(), &database);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    assert!(told.contains("report"), "{told}");
    let revision = database.cells("SELECT version_num AS cell FROM alembic_version");
    assert_eq!(revision, ["e2a42bcd4c02"]);
    assert_eq!(
        database
            .cells("SELECT device_id AS cell FROM report LIMIT 1")
            .len(),
        1
    );
}
