//! Programs that we did not write: their clients against our simulator, and our daemon against
//! their HTTP/2.
//!
//! What our own client and our own server agree on may still be wrong. Python's aioapns and
//! google-auth push to the simulator; Python's `h2` plays APNs for the daemon and judges every
//! request. The programs are in `tests/python` and want Python 3.10; `.ci/run` installs the packages.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use onegin::pipeline::{Hooks, Pipeline};
use sender::MessengerConfig;
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::{Action, Options, Refusal, Rule, Service, Simulator};

use crate::{
    app::{LIMIT, TestApp, event, login, triggered_by},
    database::{Database, skipped},
};

/// What each of them sends that should arrive.
const COUNT: usize = 1_000;
/// What the clients send to device tokens that begin with "dead".
const DEAD: usize = 25;

/// How often each answer came.
type Answers = BTreeMap<String, usize>;

/// The Python of the foreign programs; without it, or without `modules`, one line says so.
fn python_with(modules: &str) -> Option<String> {
    let Ok(python) = std::env::var("ONEGIN_TEST_PYTHON") else {
        skipped(&format!(
            "a foreign client, ONEGIN_TEST_PYTHON does not name a Python with {modules}"
        ));
        return None;
    };
    let import = format!("import {modules}");
    let found = Command::new(&python).args(["-c", &import]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skipped(&format!(
        "a foreign client, {python} has not all of {modules}"
    ));
    None
}

fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(name)
}

/// A simulator whose dead tokens are `refusal`, its credentials in files.
struct Scripted {
    simulator: Simulator,
    files: simulator::Files,
    _directory: tempfile::TempDir,
}

impl Scripted {
    fn start(service: Service, refusal: Refusal) -> Self {
        onegin::install_crypto_provider();
        let simulator = Simulator::start(Options::default()).unwrap();
        let rule = Rule::new(Action::Refuse(refusal)).service(service);
        simulator.script().add(rule.token_prefix("dead"));
        let directory = tempfile::tempdir().unwrap();
        Self {
            files: simulator.write_files(directory.path()).unwrap(),
            simulator,
            _directory: directory,
        }
    }
}

/// Runs a client to its end, which it sets itself; returns the answers it had.
fn run_client(python: &str, name: &str, arguments: &[&str]) -> Answers {
    let mut command = Command::new(python);
    command.arg("-B").arg(program(name)).args(arguments);
    let output = command.arg(COUNT.to_string()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "", "the client complains");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn answers<const N: usize>(expected: [(&str, usize); N]) -> Answers {
    expected
        .map(|(answer, count)| (answer.to_owned(), count))
        .into()
}

#[test]
fn aioapns_delivers_1_000_and_hears_why_others_are_refused() {
    let Some(python) = python_with("aioapns") else {
        return;
    };
    let gone = Refusal::new(410, "Unregistered").timestamp_ms(1_795_293_388_117);
    let scripted = Scripted::start(Service::Apns, gone);
    let key = scripted.simulator.apns_key();
    let url = scripted.simulator.apns_url();
    let had = run_client(
        &python,
        "aioapns_client.py",
        &[
            &url,
            scripted.files.ca.to_str().unwrap(),
            scripted.files.apns_key.to_str().unwrap(),
            &key.key_id,
            &key.team_id,
            &key.topic,
        ],
    );
    let expected = answers([
        ("200", COUNT),
        ("400 BadCollapseId", 1),
        ("400 BadDeviceToken", 1),
        ("400 BadMessageId", 1),
        ("400 BadPriority", 1),
        ("400 TopicDisallowed", 1),
        ("403 InvalidProviderToken", 1),
        ("410 Unregistered", DEAD),
        ("413 PayloadTooLarge", 1),
    ]);
    assert_eq!(had, expected);
    assert_eq!(scripted.simulator.apns().delivered().len(), COUNT);
    assert_eq!(scripted.simulator.apns().counters().violations, 0);
}

#[test]
fn google_auth_delivers_1_000_over_http_1_and_hears_why_others_are_refused() {
    let Some(python) = python_with("google.auth, requests") else {
        return;
    };
    let gone = Refusal::new(404, "UNREGISTERED");
    let scripted = Scripted::start(Service::Fcm, gone);
    // In the middle the access token stops working, once.
    let expired = Rule::new(Action::Refuse(Refusal::new(401, "")));
    let middle = expired.service(Service::Fcm).skip(500).times(1);
    scripted.simulator.script().add(middle);
    let url = scripted.simulator.fcm_url();
    let had = run_client(
        &python,
        "google_auth_client.py",
        &[
            &url,
            scripted.files.ca.to_str().unwrap(),
            scripted.files.service_account.to_str().unwrap(),
        ],
    );
    let expected = answers([
        ("200", COUNT),
        ("400 INVALID_ARGUMENT", 1),
        ("400 INVALID_ARGUMENT body", 1),
        ("400 INVALID_ARGUMENT message", 1),
        ("400 INVALID_ARGUMENT message.data", 1),
        ("403 PERMISSION_DENIED", 1),
        ("404 UNREGISTERED", DEAD),
    ]);
    assert_eq!(had, expected);
    let delivered = scripted.simulator.fcm().delivered();
    assert_eq!(delivered.len(), COUNT);
    assert!(
        delivered.iter().all(|received| received.stream == 0),
        "not all over HTTP/1.1"
    );
    let counters = scripted.simulator.fcm().counters();
    assert_eq!(
        counters.tokens_issued, 2,
        "one to begin with, one after the 401"
    );
    assert_eq!(
        counters.connections_opened, 2,
        "connections are not kept alive"
    );
}

/// APNs as Python's `h2` plays it; ends with its standard input, so at the latest with us.
struct StrictApns {
    process: Child,
    lines: BufReader<ChildStdout>,
    url: String,
    ca: String,
    _directory: tempfile::TempDir,
}

/// What the strict server has seen when it ends.
#[derive(Debug, Deserialize)]
struct Seen {
    #[serde(default)]
    requests: usize,
    /// Most requests that were unanswered at once on one connection.
    #[serde(default)]
    peak_streams: usize,
    #[serde(default)]
    pings_answered: usize,
    device_tokens: usize,
    provider_tokens: usize,
    /// What was wrong, and how often.
    problems: BTreeMap<String, usize>,
}

impl StrictApns {
    fn start(python: &str, messenger: &MessengerConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem").display().to_string();
        let mut process = Command::new(python)
            .arg("-B")
            .arg(program("strict_apns.py"))
            .arg(&ca)
            .args(messenger.apns_key_path.as_deref())
            .args(messenger.apns_key_id.as_deref())
            .args(messenger.apns_team_id.as_deref())
            .args(messenger.apns_topic.as_deref())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let first: Value = read_line(&mut lines);
        Self {
            process,
            lines,
            url: first["url"].as_str().unwrap().to_owned(),
            ca,
            _directory: directory,
        }
    }

    fn finish(mut self) -> Seen {
        drop(self.process.stdin.take());
        let seen = read_line(&mut self.lines);
        assert!(self.process.wait().unwrap().success());
        seen
    }
}

fn read_line<T: for<'de> Deserialize<'de>>(lines: &mut impl BufRead) -> T {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

/// The same app with a daemon that takes `strict` for APNs.
fn point_at(mut app: TestApp, strict: &StrictApns) -> TestApp {
    assert!(app.pipeline.stop(LIMIT));
    app.config.messenger.apns_endpoint = Some(strict.url.clone());
    app.config.messenger.apns_ca_path = Some(strict.ca.clone());
    let (credentials, _) = onegin::read_credentials(&app.config.messenger).unwrap();
    app.pipeline = Pipeline::start(&app.config, credentials, Hooks::default()).unwrap();
    app
}

#[test]
fn a_foreign_http_2_server_finds_nothing_wrong_with_1_000_of_our_requests() {
    let Some(python) = python_with("h2, cryptography") else {
        return;
    };
    let app = TestApp::start(Database::Sqlite);
    let strict = StrictApns::start(&python, &app.config.messenger);
    let mut app = point_at(app, &strict);
    let texts = [(
        1,
        "Разбојници у {city}",
        "Lord {lord}: \"Šumadija\" burns ⚔\n{{now}}",
    )];
    app.message(triggered_by("raid", 100), &texts);
    let users = 0..i64::try_from(COUNT).unwrap();
    let logins = users
        .clone()
        .map(|user| login(user, 2, &format!("{user:064x}"), 1));
    app.post_events(&logins.collect::<Vec<Value>>());
    app.finish();

    let raids = users.map(|user| {
        let pairs = json!({"city": format!("Novi Sad {user}"), "lord": "\\Kosta/\u{1}"});
        event(user, 100, pairs)
    });
    app.post_events(&raids.collect::<Vec<Value>>());
    app.finish();
    assert_eq!(app.csv().len(), COUNT);
    assert!(
        app.csv().iter().all(|line| line.starts_with("0,")),
        "not all were taken"
    );
    app.stop();

    let seen = strict.finish();
    assert_eq!(seen.problems, BTreeMap::new());
    assert_eq!((seen.requests, seen.device_tokens), (COUNT, COUNT));
    assert_eq!(
        seen.provider_tokens, 1,
        "Apple wants one token for 20 minutes"
    );
    // At most 4 connections share the requests, so at least one of them had its limit lowered.
    assert!(seen.pings_answered > 0, "{seen:?}");
    assert!(seen.peak_streams > 1, "the requests came one by one");
}

#[test]
fn the_foreign_http_2_server_does_find_what_is_wrong() {
    let Some(python) = python_with("h2, cryptography, aioapns") else {
        return;
    };
    let scripted = Scripted::start(Service::Apns, Refusal::default());
    let key = scripted.simulator.apns_key();
    let key_path = scripted.files.apns_key.to_str().unwrap();
    let messenger = MessengerConfig {
        apns_key_path: Some(key_path.to_owned()),
        apns_key_id: Some(key.key_id.clone()),
        apns_team_id: Some(key.team_id.clone()),
        apns_topic: Some(key.topic.clone()),
        ..MessengerConfig::default()
    };
    let strict = StrictApns::start(&python, &messenger);
    // aioapns leaves out what others send, and sends mistakes; here each is told and answered 200.
    let client = Command::new(python)
        .arg("-B")
        .arg(program("aioapns_client.py"))
        .args([&strict.url, &strict.ca, key_path])
        .args([&key.key_id, &key.team_id, &key.topic, "1"])
        .output()
        .unwrap();
    assert!(
        client.status.success(),
        "{}",
        String::from_utf8_lossy(&client.stderr)
    );
    let seen = strict.finish();
    for problem in [
        "ALPN is not h2",
        "apns-id is no canonical UUID",
        "apns-topic is another",
        "apns-priority is neither 5 nor 10",
        "apns-collapse-id is longer than 64 bytes",
        "the path is not /3/device/ and hexadecimal digits",
        "the JWT's header has another alg or kid",
    ] {
        assert!(
            seen.problems.contains_key(problem),
            "{problem} is not in {seen:?}"
        );
    }
}
