//! Pushkin's HTTP surface, row by row: what is sent, the exact answer, and what came of it.
//!
//! Where Pushkin answered 500, an answer that tells the client what to do stands here instead.

use std::{fs, net::SocketAddr};

use onegin::pipeline::{Hooks, Pipeline};
use prost::Message;
use proto::pushkin::{
    BatchEventRequest, BatchNotificationRequest, Event, PushNotification, event::Pair,
};
use serde_json::{Value, json};

use crate::{
    app::{TestApp, event, login, triggered_by},
    commands::Daemon,
    http::{Answer, Client},
};

const JSON_EVENTS: &str = "/post_events_json";
const JSON_NOTIFICATIONS: &str = "/post_notification_json";
const PROTO_EVENTS: &str = "/post_events_proto";
const PROTO_NOTIFICATIONS: &str = "/post_notification_proto";
const POST_PATHS: [&str; 4] = [
    JSON_EVENTS,
    JSON_NOTIFICATIONS,
    PROTO_EVENTS,
    PROTO_NOTIFICATIONS,
];
const GET_PATHS: [&str; 4] = [
    "/get_request_queue",
    "/get_apn_sender_queue",
    "/get_gcm_sender_queue",
    "/get_notification_post_processor_queue",
];

/// User 1 on an Android phone, and a message for event 100.
fn app_with_a_user(database: crate::database::Database) -> TestApp {
    let mut app = TestApp::start(database);
    app.message(
        triggered_by("hello", 100),
        &[(1, "{title}", "Hello, {name}!")],
    );
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
    app
}

fn pair(key: &str, value: &str) -> Pair {
    Pair {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

/// Event 100 of user 1 for somebody called `name`.
fn wire_event(name: &str) -> Event {
    Event {
        user_id: Some(1),
        event_id: Some(100),
        event_type: None,
        timestamp: Some(1),
        pairs: vec![pair("title", "T"), pair("name", name)],
    }
}

fn wire_notification(content: &str) -> PushNotification {
    PushNotification {
        login_id: Some(1),
        title: Some("T".to_owned()),
        content: Some(content.to_owned()),
        screen: None,
    }
}

fn wire_events(events: &[Event]) -> Vec<u8> {
    let events = events.to_vec();
    BatchEventRequest { events }.encode_to_vec()
}

fn wire_notifications(notifications: &[PushNotification]) -> Vec<u8> {
    let notifications = notifications.to_vec();
    BatchNotificationRequest { notifications }.encode_to_vec()
}

fn json_event(name: &str) -> Value {
    event(1, 100, json!({"title": "T", "name": name}))
}

/// A good body for each of the POST URLs, in their order; `name` tells what arrives.
fn good_bodies(name: &str) -> [Vec<u8>; 4] {
    let notification = json!({"login_id": 1, "title": "T", "content": name});
    [
        json!({"events": [json_event(name)]})
            .to_string()
            .into_bytes(),
        json!({"notifications": [notification]})
            .to_string()
            .into_bytes(),
        wire_events(&[wire_event(name)]),
        wire_notifications(&[wire_notification(name)]),
    ]
}

/// The texts that have arrived, sorted.
pub(crate) fn texts(app: &TestApp) -> Vec<String> {
    let delivered = app.simulator.fcm().delivered();
    let text = |received: &simulator::Received| {
        let text = &received.json()["message"]["data"]["message"];
        text.as_str().unwrap().to_owned()
    };
    let mut texts: Vec<String> = delivered.iter().map(text).collect();
    texts.sort();
    texts
}

fn page(error: &str) -> String {
    format!("<html><title>{error}</title><body>{error}</body></html>")
}

/// Pushkin's error page, and its headers.
#[track_caller]
fn assert_refused(answer: &Answer, error: &str) {
    assert_eq!(answer.body, page(error), "{answer:?}");
    assert_eq!(
        format!("{}", answer.status),
        error.split(':').next().unwrap()
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=UTF-8")
    );
}

fn accepted_items(app: &TestApp) -> u64 {
    app.metric("onegin_items_accepted_total")
}

/// Posts each body, which must be refused with this page, and nothing taken.
#[track_caller]
fn assert_all_refused(app: &mut TestApp, path: &str, bodies: &[&[u8]]) {
    let before = accepted_items(app);
    for body in bodies {
        let answer = app.post(path, body);
        assert_eq!(answer.status, 400, "{path} {}", body.escape_ascii());
        assert_refused(&answer, "400: Bad Request");
    }
    assert_eq!(accepted_items(app), before);
}

on_each_database! {
    fn a_good_post_is_answered_by_an_empty_200_and_arrives(database) {
        let mut app = app_with_a_user(database);
        for (path, body) in POST_PATHS.into_iter().zip(good_bodies("Ana")) {
            let answer = app.post(path, &body);
            answer.accepted();
            assert_eq!(answer.header("content-length"), Some("0"), "{path}");
            assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"));
            assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")));
            assert!(answer.header("server").is_some_and(|name| name.starts_with("Onegin/")));
        }
        app.finish();
        assert_eq!(texts(&app), ["Ana", "Ana", "Hello, Ana!", "Hello, Ana!"]);
        assert_eq!(app.csv().len(), 4);
    }

    fn an_empty_body_is_a_bad_request_at_every_url(database) {
        let mut app = app_with_a_user(database);
        for path in POST_PATHS {
            assert_all_refused(&mut app, path, &[b""]);
        }
    }

    fn a_json_body_that_cannot_be_parsed_is_a_bad_request(database) {
        let mut app = app_with_a_user(database);
        let deep = "[".repeat(100_000);
        let bodies: [&[u8]; 14] = [
            b"asd",
            b" \t\r\n",
            b"{\"events\": []} x",
            b"{\"notifications\": []}{}",
            b"{'events': []}",
            b"{\"events\": [],}",
            b"{\"notifications\": [1,]}",
            b"\xef\xbb\xbf{\"events\": []}",
            b"{\"events\": [], \"notifications\": [], \"x\": \"\xff\"}",
            b"{\"events\": [{\"user_id\": abc, \"event_id\": 1, \"timestamp\": 1}]}",
            b"{\"events\": [{\"user_id\": 1, \"event_id\": 1, \"time",
            b"{\"events\": [{\"user_id\": 01}]}",
            b"{\"events\": [\"\n\"]}",
            deep.as_bytes(),
        ];
        assert_all_refused(&mut app, JSON_EVENTS, &bodies);
        assert_all_refused(&mut app, JSON_NOTIFICATIONS, &bodies);
    }

    fn a_protobuf_body_that_cannot_be_parsed_is_a_bad_request(database) {
        let mut app = app_with_a_user(database);
        let [_, _, events, notifications] = good_bodies("Ana");
        let not_utf8 = |mut body: Vec<u8>| {
            let place = body.windows(3).position(|text| text == b"Ana").unwrap();
            body[place] = 0xff;
            body
        };
        for (path, body) in [(PROTO_EVENTS, events), (PROTO_NOTIFICATIONS, notifications)] {
            let cut = &body[..body.len() - 1];
            let bodies: [&[u8]; 4] = [b"asd", b"{\"events\": []}", cut, &not_utf8(body.clone())];
            assert_all_refused(&mut app, path, &bodies);
        }
    }

    fn json_of_another_structure_is_a_bad_request_and_no_internal_error(database) {
        let mut app = app_with_a_user(database);
        for (path, key) in [(JSON_EVENTS, "events"), (JSON_NOTIFICATIONS, "notifications")] {
            let lists = ["null", "5", "true", "{}", "{\"user_id\": 1}", "\"\"", "\"user_id\""];
            let mut bodies = lists.map(|list| format!("{{\"{key}\": {list}}}")).to_vec();
            bodies.extend(["null", "[]", "[{}]", "5", "\"events\"", "{}", "{\"event\": []}"].map(String::from));
            let bodies: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
            assert_all_refused(&mut app, path, &bodies);
        }
    }

    fn an_empty_batch_is_taken_and_nothing_comes_of_it(database) {
        let app = app_with_a_user(database);
        let before = accepted_items(&app);
        // Field 15 is in none of the schemas.
        let unknown_fields: &[u8] = &[0x78, 0x01, 0x7a, 0x02, b'h', b'i'];
        for (path, body) in [
            (JSON_EVENTS, &b"{\"events\": []}"[..]),
            (JSON_NOTIFICATIONS, b"{\"notifications\": [ ], \"events\": 5}"),
            (PROTO_EVENTS, unknown_fields),
            (PROTO_NOTIFICATIONS, unknown_fields),
        ] {
            app.client().post(path, "", body).accepted();
        }
        assert_eq!(accepted_items(&app), before);
    }

    fn a_bad_json_item_costs_itself_and_not_its_batch(database) {
        let mut app = app_with_a_user(database);
        let bad_events = [
            json!({"event_id": 100, "timestamp": 1}),
            json!({"user_id": 1, "timestamp": 1}),
            json!({"user_id": 1, "event_id": 100}),
            json!(5),
            Value::Null,
            json!("user_id event_id timestamp"),
            json!(["user_id", "event_id", "timestamp"]),
            json!([]),
        ];
        for (place, bad) in bad_events.iter().enumerate() {
            app.post_events(&[bad.clone(), json_event(&format!("{place}")), bad.clone()]);
        }
        let bad_notifications = [
            json!({"title": "T", "content": "C"}),
            json!({"login_id": 1, "content": "C"}),
            json!({"login_id": 1, "title": "T"}),
            json!(false),
            json!("login_id title content"),
            json!(["login_id", "title", "content"]),
        ];
        for (place, bad) in bad_notifications.iter().enumerate() {
            let good = json!({"login_id": 1, "title": "T", "content": format!("n{place}")});
            app.post_notifications(&[bad.clone(), good]);
        }
        app.finish();
        let events = (0..8).map(|place| format!("Hello, {place}!"));
        let expected: Vec<String> = events.chain((0..6).map(|place| format!("n{place}"))).collect();
        assert_eq!(texts(&app), expected);
        assert_eq!(app.metric("onegin_items_rejected_total"), 2 * 8 + 6);
    }

    fn a_bad_protobuf_item_costs_itself_and_not_its_batch(database) {
        let mut app = app_with_a_user(database);
        let bad_events = [
            Event { user_id: None, ..wire_event("bad") },
            Event { event_id: None, ..wire_event("bad") },
            Event { timestamp: None, ..wire_event("bad") },
            Event { user_id: Some(1 << 62), ..wire_event("bad") },
        ];
        for (place, bad) in bad_events.iter().enumerate() {
            let body = wire_events(&[bad.clone(), wire_event(&format!("{place}"))]);
            app.post(PROTO_EVENTS, &body).accepted();
        }
        let bad_notifications = [
            PushNotification { login_id: None, ..wire_notification("bad") },
            PushNotification { title: None, ..wire_notification("bad") },
            PushNotification { content: None, ..wire_notification("bad") },
            PushNotification { title: Some(String::new()), ..wire_notification("bad") },
        ];
        for (place, bad) in bad_notifications.iter().enumerate() {
            let good = wire_notification(&format!("n{place}"));
            app.post(PROTO_NOTIFICATIONS, &wire_notifications(&[good, bad.clone()])).accepted();
        }
        // Known fields of the wrong wire type: user_id as a text, the list as a number. Both are
        // as good as not there.
        let text_as_user_id = [0x0a, 6, 0x0a, 1, b'1', 0x10, 100, 0x20];
        let body = [&text_as_user_id[..], &[1], &wire_events(&[wire_event("wire")])].concat();
        let body = { let mut body = body; body[1] = 7; body };
        app.post(PROTO_EVENTS, &body).accepted();
        let body = [&[0x08, 1][..], &wire_events(&[wire_event("wire")])].concat();
        app.post(PROTO_EVENTS, &body).accepted();
        app.finish();
        let expected = [
            "Hello, 0!", "Hello, 1!", "Hello, 2!", "Hello, 3!", "Hello, wire!", "Hello, wire!",
            "n0", "n1", "n2", "n3",
        ];
        assert_eq!(texts(&app), expected);
        assert_eq!(app.metric("onegin_items_rejected_total"), 4 + 4 + 1);
    }

    fn a_batch_of_nothing_but_bad_items_is_answered_200_and_queues_nothing(database) {
        let app = app_with_a_user(database);
        let before = accepted_items(&app);
        for (path, body) in [
            (JSON_EVENTS, b"{\"events\": [{}, 1]}".to_vec()),
            (JSON_NOTIFICATIONS, b"{\"notifications\": [{}, {\"title\": \"T\"}]}".to_vec()),
            (PROTO_EVENTS, wire_events(&[Event::default()])),
            (PROTO_NOTIFICATIONS, wire_notifications(&[PushNotification::default()])),
        ] {
            app.client().post(path, "", &body).accepted();
        }
        assert_eq!(accepted_items(&app), before);
        assert_eq!(app.metric("onegin_items_rejected_total"), 6);
    }

    fn who_asks_for_json_is_told_each_bad_item_and_why(database) {
        let mut app = app_with_a_user(database);
        let headers = "Accept: application/json\r\n";
        let body = json!({"events": [{"user_id": 1}, json_event("Ana"), 5]}).to_string();
        let answer = app.client().post(JSON_EVENTS, headers, body.as_bytes());
        app.expect_requests(1);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(
            answer.body,
            r#"{"accepted":1,"rejected":[{"index":0,"reason":"event_id is missing"},{"index":2,"reason":"not an object"}]}"#
        );
        let answer = app.client().post(PROTO_EVENTS, headers, b"\x0a\x05");
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body, r#"{"error":"the body is not protobuf: it ends in the middle of a field"}"#);
        app.finish();
        assert_eq!(texts(&app), ["Hello, Ana!"]);
    }

    fn a_full_queue_is_told_by_an_empty_503_at_every_url_and_nothing_is_taken(database) {
        let mut app = TestApp::start_with(database, |setting| {
            // With a journal nothing waits here for a push service.
            setting.config.request_processor.journal.durability = journal::Durability::Memory;
            setting.config.request_processor.queue_limit = 2;
            setting.config.request_processor.request_processor_num_threads = std::num::NonZeroU32::MIN;
            setting.config.sender.sender_queue_limit = std::num::NonZeroUsize::MIN;
        });
        app.message(triggered_by("hello", 100), &[(1, "{title}", "Hello, {name}!")]);
        app.post_events(&[login(1, 1, "tokA", 1)]);
        app.finish();
        app.simulator.fcm().set_online(false);
        // One is on its way to the silent push service, the thread waits with the other.
        app.post_events(&[json_event("sent"), json_event("held")]);
        app.eventually("the sender queue is full", || {
            app.client().get("/get_gcm_sender_queue").body == "1"
        });
        app.eventually("the request was taken", || {
            app.client().get("/get_request_queue").body == "0"
        });
        app.post_events(&[json_event("queued"), json_event("queued")]);
        for (path, body) in POST_PATHS.into_iter().zip(good_bodies("refused")) {
            let answer = app.post(path, &body);
            assert_eq!((answer.status, answer.body.as_str()), (503, ""), "{path}");
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.header("content-length"), Some("0"));
        }
        // Two events and not one batch.
        assert_eq!(app.client().get("/get_request_queue").body, "2");
        app.simulator.fcm().set_online(true);
        app.finish();
        assert_eq!(texts(&app), ["Hello, held!", "Hello, queued!", "Hello, queued!", "Hello, sent!"]);
    }

    fn content_types_and_false_encodings_are_not_looked_at(database) {
        let mut app = app_with_a_user(database);
        for (place, headers) in [
            "Content-Type: multipart/form-data; boundary=x\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "Content-Type: text/plain; charset=latin1\r\n",
            "Content-Encoding: gzip\r\n",
            "Content-Encoding: br\r\n",
        ].into_iter().enumerate() {
            let [body, ..] = good_bodies(&place.to_string());
            app.client().post(JSON_EVENTS, headers, &body).accepted();
            app.expect_requests(1);
        }
        app.finish();
        assert_eq!(texts(&app), ["Hello, 0!", "Hello, 1!", "Hello, 2!", "Hello, 3!", "Hello, 4!"]);
    }

    fn chunked_bodies_are_taken_on_a_connection_that_stays(database) {
        let mut app = app_with_a_user(database);
        let mut client = app.client();
        for (path, body) in POST_PATHS.into_iter().zip(good_bodies("Ana")) {
            let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.write(head);
            for chunk in body.chunks(7) {
                client.write(format!("{:x}\r\n", chunk.len()));
                client.write(chunk);
                client.write("\r\n");
            }
            client.write("0\r\n\r\n");
            client.read_answer().accepted();
            // A refusal in between does not cost the connection either.
            assert_eq!(client.post(path, "", b"\xff").status, 400);
        }
        app.expect_requests(4);
        app.finish();
        assert_eq!(texts(&app).len(), 4);
    }

    fn what_pythons_json_parser_took_is_taken(database) {
        let mut app = app_with_a_user(database);
        let event = |name: &str, user: &str| {
            format!(
                r#"{{"user_id": {user}, "event_id": 100, "timestamp": 1, "pairs": {{"title": "T", "name": {name}}}}}"#
            )
        };
        let events: Vec<String> = ["NaN", "Infinity", "-Infinity", "1e999", r#""half \ud800""#]
            .map(|name| event(name, "1"))
            .into_iter()
            // As an id they are one bad item.
            .chain([event("\"bad\"", "NaN"), event("\"bad\"", r#""\udc00""#)])
            .collect();
        let body = format!("{{\"events\": [{}]}}", events.join(","));
        app.post(JSON_EVENTS, body.as_bytes()).accepted();
        app.finish();
        let expected =
            ["Hello, -inf!", "Hello, half \u{fffd}!", "Hello, inf!", "Hello, inf!", "Hello, nan!"];
        assert_eq!(texts(&app), expected);
        assert_eq!(app.metric("onegin_items_rejected_total"), 2);
    }

    fn of_equal_json_keys_the_last_one_counts(database) {
        let mut app = app_with_a_user(database);
        let body = br#"{"events": 5, "events": [{"user_id": 2, "user_id": 1, "event_id": 100,
            "timestamp": 1, "pairs": {"title": "T", "name": "first", "name": "last"}}]}"#;
        app.post(JSON_EVENTS, body).accepted();
        let twice = Event {
            pairs: vec![pair("title", "T"), pair("name", "first"), pair("name", "wire")],
            ..wire_event("")
        };
        app.post(PROTO_EVENTS, &wire_events(&[twice])).accepted();
        app.finish();
        assert_eq!(texts(&app), ["Hello, last!", "Hello, wire!"]);
    }

    fn keys_and_fields_that_nobody_knows_are_ignored(database) {
        let mut app = app_with_a_user(database);
        let mut event = json_event("json");
        event["event_type"] = json!(7);
        event["unknown"] = json!({"deep": [1, {"user_id": 2}]});
        app.post_events(&[event]);
        let mut wire = wire_event("wire");
        wire.event_type = Some(7);
        let mut body = wire.encode_to_vec();
        body.extend([0x7a, 2, b'h', b'i']);
        let length = u8::try_from(body.len()).unwrap();
        let batch = [&[0x0a, length][..], &body, &[0x78, 1]].concat();
        app.post(PROTO_EVENTS, &batch).accepted();
        app.finish();
        assert_eq!(texts(&app), ["Hello, json!", "Hello, wire!"]);
    }

    fn a_blacklisted_message_posted_as_protobuf_is_not_sent(database) {
        let mut app = TestApp::start(database);
        let blocked = app.message(triggered_by("blocked", 100), &[(1, "T", "blocked")]);
        app.message(triggered_by("other", 100), &[(1, "T", "other")]);
        let platform = vec![pair("platformId", "1"), pair("deviceToken", "tokA"), pair("languageId", "1")];
        let log_in = Event { event_id: Some(4001), pairs: platform, ..wire_event("") };
        // Protobuf's pairs are strings, which Pushkin could not store.
        let turn_off = Event {
            event_id: Some(4006),
            pairs: vec![pair("any", &blocked.0.to_string())],
            ..wire_event("")
        };
        app.post(PROTO_EVENTS, &wire_events(&[log_in])).accepted();
        app.finish();
        app.post(PROTO_EVENTS, &wire_events(&[wire_event("")])).accepted();
        app.finish();
        assert_eq!(texts(&app), ["blocked", "other"]);
        app.post(PROTO_EVENTS, &wire_events(&[turn_off, wire_event("")])).accepted();
        app.finish();
        app.post(PROTO_EVENTS, &wire_events(&[wire_event("")])).accepted();
        app.finish();
        assert_eq!(texts(&app), ["blocked", "other", "other", "other"]);
        assert_eq!(app.metric("onegin_items_ended_total{reason=\"blacklisted\"}"), 2);
    }

    fn zero_is_an_id_and_a_time_and_an_empty_pair_is_a_pair(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("zero", 100), &[(1, "T", "<{name}{empty}>")]);
        app.post_events(&[login(0, 1, "tokA", 1)]);
        app.finish();
        let empty = Event {
            user_id: Some(0),
            timestamp: Some(0),
            pairs: vec![pair("name", "zero"), pair("empty", ""), pair("", "")],
            ..wire_event("")
        };
        app.post(PROTO_EVENTS, &wire_events(&[empty])).accepted();
        app.finish();
        assert_eq!(texts(&app), ["<zero>"]);
    }

    fn monitoring_shows_digits_with_pushkins_entity_tag(database) {
        let app = app_with_a_user(database);
        for path in GET_PATHS {
            app.eventually("what the start has queued is done", || app.client().get(path).body == "0");
            let answer = app.client().get(path);
            assert_eq!((answer.status, answer.body.as_str()), (200, "0"), "{path}");
            assert_eq!(answer.header("content-type"), Some("text/html; charset=UTF-8"));
            let tag = "\"b6589fc6ab0dc82cf12099d1c2d40ab994e8410c\"";
            assert_eq!(answer.header("etag"), Some(tag));
            let known = app.client().ask("GET", path, &format!("If-None-Match: {tag}\r\n"));
            assert_eq!((known.status, known.body.as_str()), (304, ""));
            let other = app.client().ask("GET", path, "If-None-Match: \"x\"\r\n");
            assert_eq!((other.status, other.body.as_str()), (200, "0"));
            // A query is not looked at.
            assert_eq!(app.client().get(&format!("{path}?x=1")).body, "0");
        }
    }

    fn the_queue_of_a_sender_that_is_not_enabled_is_a_bad_request(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.sender.enabled_senders =
                "pushkin.sender.senders.ApnNotificationSender {\"workers\": 1}".to_owned();
        });
        assert_eq!(app.client().get("/get_apn_sender_queue").body, "0");
        assert_refused(&app.client().get("/get_gcm_sender_queue"), "400: Bad Request");
        // Its platforms are unknown ones.
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        app.post_events(&[login(1, 1, "tokA", 1), event(1, 100, json!({}))]);
        app.finish();
        assert!(app.csv()[0].starts_with("4,1,"), "{:?}", app.csv());
    }

    fn the_queue_of_a_provider_without_credentials_is_empty(database) {
        let mut app = TestApp::start(database);
        assert!(app.pipeline.stop(crate::app::LIMIT));
        app.config.messenger.fcm_service_account_path = None;
        let (credentials, _) = onegin::read_credentials(&app.config.messenger).unwrap();
        app.pipeline = Pipeline::start(&app.config, credentials, Hooks::default()).unwrap();
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        app.post_events(&[login(1, 1, "tokA", 1), event(1, 100, json!({}))]);
        app.finish();
        let answer = app.client().get("/get_gcm_sender_queue");
        assert_eq!((answer.status, answer.body.as_str()), (200, "0"));
        assert!(app.csv()[0].starts_with("104,1,"), "{:?}", app.csv());
    }

    fn a_body_over_the_limit_is_413_and_a_client_that_reads_hears_it(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.server.max_body_bytes = 10_000.try_into().unwrap();
        });
        for path in POST_PATHS {
            let answer = app.post(path, &[0xff; 10_001]);
            assert_refused(&answer, "413: Payload Too Large");
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(app.post(path, &[0xff; 10_000]).status, 400);
        }
        assert_eq!(accepted_items(&app), 0);
    }
}

#[test]
fn every_other_method_is_405_on_every_url() {
    let app = TestApp::start(crate::database::Database::Sqlite);
    let mut client = app.client();
    let mut refused = |method: &str, path: &str, allow: &str| {
        let answer = client.ask(method, path, "");
        if method == "HEAD" {
            assert_eq!((answer.status, answer.body.as_str()), (405, ""));
        } else {
            assert_refused(&answer, "405: Method Not Allowed");
        }
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    };
    for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        for path in POST_PATHS {
            refused(method, path, "POST");
        }
        for path in GET_PATHS {
            refused(method, path, "GET");
        }
    }
    for path in POST_PATHS {
        refused("GET", path, "POST");
    }
    for path in GET_PATHS {
        refused("POST", path, "GET");
    }
}

#[test]
fn only_the_whole_path_is_a_url() {
    let mut app = TestApp::start(crate::database::Database::Sqlite);
    let [body, ..] = good_bodies("Ana");
    for path in [
        "/",
        "/post_events_json/",
        "//post_events_json",
        "/post_events_jsonx",
        "/POST_EVENTS_JSON",
        "/get_request_queue/",
        "/nowhere",
    ] {
        assert_refused(&app.post(path, &body), "404: Not Found");
        assert_refused(&app.client().get(path), "404: Not Found");
    }
    app.post("/post_events_json?user=1&x=/", &body).accepted();
    app.finish();
}

#[test]
fn configured_paths_are_served_instead_of_the_default_ones() {
    let mut app = TestApp::start_with(crate::database::Database::Sqlite, |setting| {
        setting.config.paths.json_event_handler_url = "/game/v1.0/events".to_owned();
    });
    let [body, ..] = good_bodies("Ana");
    app.post("/game/v1.0/events", &body).accepted();
    // A dot is a dot and not any character.
    assert_eq!(app.post("/game/v1x0/events", &body).status, 404);
    assert_eq!(app.post("/post_events_json", &body).status, 404);
    app.finish();
}

#[test]
fn a_path_that_is_a_regular_expression_stops_the_start() {
    let app = TestApp::start(crate::database::Database::Sqlite);
    let mut config = app.config.clone();
    config.request_processor.journal.journal_path.push("2");
    config.paths.json_event_handler_url = "/events/?".to_owned();
    let (credentials, _) = onegin::read_credentials(&config.messenger).unwrap();
    let refused = Pipeline::start(&config, credentials, Hooks::default());
    let told = format!("{:#}", refused.err().unwrap());
    assert!(
        told.contains("[RequestHandler] json_event_handler_url"),
        "{told}"
    );
    assert!(told.contains("'?'"), "{told}");
}

#[test]
fn bad_http_is_answered_and_costs_only_its_connection() {
    let app = TestApp::start(crate::database::Database::Sqlite);
    let ask = |address: SocketAddr, bytes: &str| {
        let mut client = Client::connect(address);
        client.write(bytes);
        client.read_answer().status
    };
    let address = app.pipeline.address();
    for bytes in [
        "asd\r\n\r\n",
        "POST /post_events_json HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n",
        "POST /post_events_json HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        assert_eq!(ask(address, bytes), 400, "{bytes:?}");
    }
    assert_eq!(app.client().get("/healthz").status, 200);
}

#[test]
fn each_refused_body_and_each_batch_with_bad_items_is_one_line_of_the_main_log() {
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("config.ini");
    fs::write(&configuration, "[ServerSpecific]\nport = 0\n").unwrap();
    let daemon = Daemon::start(directory.path(), &configuration, &[]);
    let mut client = Client::connect(daemon.address);
    for path in POST_PATHS {
        assert_eq!(client.post(path, "", b"").status, 400);
        assert_eq!(client.post(path, "", b"\xffsecret").status, 400);
    }
    let batch = json!({"events": [json_event("Ana"), {"user_id": "secret"}, "secret"]}).to_string();
    client.post(JSON_EVENTS, "", batch.as_bytes()).accepted();
    daemon.stop();
    let log = fs::read_to_string(directory.path().join("log/pushkin.log")).unwrap();
    let lines = |parts: [&str; 4]| {
        let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
        log.lines().filter(has_all).count()
    };
    for (format, kind) in [
        ("Json", "Events"),
        ("Json", "Notifications"),
        ("Protobuf", "Events"),
        ("Protobuf", "Notifications"),
    ] {
        assert_eq!(
            lines(["refused a body", format, kind, "the body is empty"]),
            1,
            "{log}"
        );
        assert_eq!(
            lines(["refused a body", format, kind, "the body is"]),
            2,
            "{log}"
        );
    }
    assert_eq!(
        lines([
            "skipped bad items",
            "index=1",
            "not a 64-bit integer",
            "rejected=2"
        ]),
        1,
        "{log}"
    );
    assert_eq!(
        lines([" WARNING ", "skipped bad items", "", ""]),
        1,
        "{log}"
    );
    assert!(!log.contains("secret"), "{log}");
}
