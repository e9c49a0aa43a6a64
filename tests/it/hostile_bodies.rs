//! 100,000 hostile bodies at the four POST URLs, over real sockets, through the whole daemon.
//!
//! Whatever is posted: an answer that says what was wrong, never 500; the connection goes on, and
//! the good POST behind it is taken. What is accepted is processed and sent like anything else,
//! and nothing on the way panics or gives up. A failure prints its seed; `ONEGIN_TEST_SEED=<seed>`
//! makes the same bodies again.

mod generate;

use std::{net::SocketAddr, thread};

use serde_json::{Value, json};
use storage::MessageAttributes;

use self::generate::Case;
use crate::{
    app::{TestApp, event, eventually, login, triggered_by},
    database::Database,
    http::{Answer, Client},
};

/// Clients at the same time, each with a connection.
const CLIENTS: u64 = 2;
/// Hostile bodies that are written together; a good one follows.
const PIPELINED: usize = 50;
/// The largest body in these tests, so that 413 costs little.
const MAX_BODY_BYTES: usize = 64 << 10;

/// What one client counted.
#[derive(Debug, Default)]
struct Seen {
    /// Requests with at least one item, which are to be finished.
    taken: u64,
    ok: usize,
    bad_request: usize,
    too_large: usize,
}

impl Seen {
    /// Checks one answer to `case`.
    fn add(&mut self, case: &Case, answer: &Answer, seed: u64) {
        let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let is_sound = match answer.status {
            200 => {
                self.ok += 1;
                self.taken += u64::from(told["accepted"] != 0);
                told["accepted"].is_u64() && told["rejected"].is_array()
            }
            400 => {
                self.bad_request += 1;
                told["error"].is_string()
            }
            413 => {
                self.too_large += 1;
                told["error"].is_string()
            }
            _ => false,
        };
        assert!(
            is_sound,
            "ONEGIN_TEST_SEED={seed}: {answer:?} for {} {}",
            case.path,
            case.body.escape_ascii()
        );
    }
}

fn seed() -> u64 {
    match std::env::var("ONEGIN_TEST_SEED") {
        Ok(seed) => seed.parse().expect("ONEGIN_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

/// Writes a request so that the answer says what was taken.
fn push_request(bytes: &mut Vec<u8>, case: &Case) {
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: test\r\nAccept: application/json\r\n{}",
        case.path,
        if case.says_gzip {
            "Content-Encoding: gzip\r\n"
        } else {
            ""
        },
    );
    bytes.extend(head.as_bytes());
    if case.chunked && !case.body.is_empty() {
        bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        for chunk in case.body.chunks(case.body.len().div_ceil(3)) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
    } else {
        bytes.extend(format!("Content-Length: {}\r\n\r\n", case.body.len()).as_bytes());
        bytes.extend(&case.body);
    }
}

/// Posts about `count` hostile bodies on one connection, a good one after every 50.
fn attack(address: SocketAddr, seed: u64, count: usize) -> Seen {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut client = Client::connect(address);
    let mut seen = Seen::default();
    for _ in 0..count.div_ceil(PIPELINED) {
        let cases: Vec<Case> = (0..PIPELINED)
            .map(|_| generate::case(&mut random))
            .collect();
        let good = generate::good(&mut random);
        let mut bytes = Vec::new();
        for case in cases.iter().chain([&good]) {
            push_request(&mut bytes, case);
        }
        client.write(&bytes);
        for case in &cases {
            seen.add(case, &client.read_answer(), seed);
        }
        let answer = client.read_answer();
        seen.taken += 1;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"accepted":1,"rejected":[]}"#),
            "ONEGIN_TEST_SEED={seed}: {}",
            good.body.escape_ascii()
        );
        let too_large = generate::too_large(&mut random, MAX_BODY_BYTES);
        let mut bytes = Vec::new();
        push_request(&mut bytes, &too_large);
        let mut other = Client::connect(address);
        other.write(&bytes);
        seen.add(&too_large, &other.read_answer(), seed);
    }
    seen
}

fn hostile_app(database: Database) -> TestApp {
    let mut app = TestApp::start_with(database, |setting| {
        setting.config.server.max_body_bytes = MAX_BODY_BYTES.try_into().unwrap();
    });
    app.message(triggered_by("plain", 100), &[(1, "{name}", "{name} {a}")]);
    let cooled_down = MessageAttributes {
        cooldown_ms: Some(60_000),
        expiry_millis: Some(60_000),
        ..triggered_by("cooled_down", 100)
    };
    app.message(cooled_down, &[(1, "T", "C")]);
    app.post_events(&[login(1, 1, "tokA", 1), login(2, 2, "00ff", 1)]);
    app.finish();
    app
}

/// Everything that was taken has ended, nothing on the way has failed, and a good request of
/// each kind arrives.
fn assert_unharmed(mut app: TestApp, taken: u64) {
    app.expect_requests(taken);
    app.finish();
    assert_eq!(app.metric("onegin_worker_panics_total"), 0);
    assert_eq!(app.metric("onegin_http_responses_total{code=\"500\"}"), 0);
    assert_eq!(
        app.metric("onegin_items_ended_total{reason=\"storage_failed\"}"),
        0
    );
    // Nobody else has this user and this token.
    app.post_events(&[login(4_000_000, 1, "the-last-one", 1)]);
    app.finish();
    let before = app.simulator.fcm().delivered().len();
    app.post_events(&[event(4_000_000, 100, json!({"name": "N", "a": "A"}))]);
    app.post_notifications(&[json!({"login_id": 4_000_000, "title": "T", "content": "C"})]);
    for case in generate::good_protobuf(4_000_000) {
        app.post(case.path, &case.body).accepted();
    }
    app.finish();
    let delivered = app.simulator.fcm().delivered();
    let mine = delivered[before..]
        .iter()
        .filter(|received| received.token == "the-last-one");
    // Of the two messages one has an expiry, and its events are of 1970.
    assert_eq!(
        mine.count(),
        4,
        "an event and a notification in each format"
    );
    eventually("the post-processor is done", || {
        app.client()
            .get("/get_notification_post_processor_queue")
            .body
            == "0"
    });
    app.stop();
}

fn attack_with(database: Database, count: usize) {
    let app = hostile_app(database);
    let (address, seed) = (app.pipeline.address(), seed());
    let each = count / usize::try_from(CLIENTS).unwrap();
    let seen: Vec<Seen> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || attack(address, seed.wrapping_add(number), each)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let sum = |part: fn(&Seen) -> usize| seen.iter().map(part).sum::<usize>();
    let (ok, bad, large) = (
        sum(|seen| seen.ok),
        sum(|seen| seen.bad_request),
        sum(|seen| seen.too_large),
    );
    println!("seed {seed}: {ok} times 200, {bad} times 400, {large} times 413");
    assert!(ok + bad >= count);
    // Bodies that are all refused, or all taken, would test half of it.
    assert!(ok * 5 > count && bad * 5 > count && large * 100 > count);
    assert_unharmed(app, seen.iter().map(|seen| seen.taken).sum());
}

#[test]
fn a_hundred_thousand_hostile_bodies_do_no_harm() {
    attack_with(Database::Sqlite, 100_000);
}

/// PostgreSQL is particular about texts and numbers, which SQLite is not.
#[test]
fn ten_thousand_hostile_bodies_do_postgres_no_harm() {
    if let Some(database) = crate::database::postgres() {
        attack_with(database, 10_000);
    }
}
