//! `require_api_key`, over the socket.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::OrganisationId;
use prost::Message;
use proto::pushkin::{BatchEventRequest, BatchNotificationRequest, Event, PushNotification};
use serde_json::json;

use super::{EVENTS, NOTHING, add_key, basic, direct};
use crate::{
    administration::Program,
    app::{TestApp, eventually, login},
    database::{Database, TestDatabase},
    failures::cable::Cable,
    http::{Answer, Client},
};

fn guarded(database: Database) -> TestApp {
    TestApp::start_with(database, |setting| {
        setting.config.server.require_api_key = true;
    })
}

/// The program on the running daemon's database.
fn program(app: &TestApp) -> Program {
    Program::on(tempfile::tempdir().unwrap(), app.database.url())
}

/// Posts nothing with these headers, on a connection of its own.
fn knock(app: &TestApp, headers: &str) -> Answer {
    app.client().post(EVENTS, headers, NOTHING)
}

fn status(app: &TestApp, key: &str, secret: &str) -> u16 {
    knock(app, &basic(key, secret)).status
}

on_each_database! {
    fn a_created_key_opens_every_post_url_and_monitoring_needs_none(database) {
        let mut app = guarded(database);
        let created = program(&app).json(&["key", "create", "--note", "match server"]);
        let key = created["key"].as_str().unwrap();
        let header = basic(key, created["secret"].as_str().unwrap());
        let event = Event {
            user_id: Some(1),
            event_id: Some(1),
            timestamp: Some(1),
            ..Event::default()
        };
        let notification = PushNotification {
            login_id: Some(1),
            title: Some("T".to_owned()),
            content: Some("by protobuf".to_owned()),
            ..PushNotification::default()
        };
        let logins = json!({"events": [login(1, 1, "phone", 1)]});
        let bodies = [
            (EVENTS, logins.to_string().into_bytes()),
            ("/post_events_proto", BatchEventRequest { events: vec![event] }.encode_to_vec()),
            ("/post_notification_json", direct("by JSON")),
            (
                "/post_notification_proto",
                BatchNotificationRequest { notifications: vec![notification] }.encode_to_vec(),
            ),
        ];
        for (path, body) in &bodies {
            let refused = app.client().post(path, "", body);
            assert_eq!(refused.status, 401, "{path}");
            assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"onegin\""));
            assert_eq!(refused.header("connection"), Some("close"), "its body was not read");
        }
        let mut client = app.client();
        for (path, body) in &bodies {
            client.post(path, &header, body).accepted();
            app.expect_requests(1);
            app.finish();
        }
        assert_eq!(app.simulator.fcm().counters().delivered, 2);
        for path in [
            "/get_request_queue",
            "/get_apn_sender_queue",
            "/get_gcm_sender_queue",
            "/get_notification_post_processor_queue",
            "/healthz",
            "/readyz",
            "/metrics",
        ] {
            assert_eq!(app.client().get(path).status, 200, "{path}");
        }
        // What there is not needs no key to be told so.
        assert_eq!(app.client().post("/nowhere", "", b"{}").status, 404);
        assert_eq!(app.client().get(EVENTS).status, 405);
        assert_eq!(app.metric("onegin_http_responses_total{code=\"401\"}"), 4);
    }

    fn whatever_is_wrong_gets_one_and_the_same_answer_and_nothing_is_taken(database) {
        let app = guarded(database);
        let storage = app.pipeline.storage();
        storage.add_organisation("other").unwrap();
        let other = storage.organisation("other").unwrap().unwrap().id;
        add_key(storage, OrganisationId::LEGACY, "KEY");
        add_key(storage, OrganisationId::LEGACY, "DISABLED");
        add_key(storage, other, "OTHERS");
        storage.set_api_key_enabled("DISABLED", false).unwrap();
        let good = basic("KEY", "secret");
        assert_eq!(knock(&app, &good).status, 200);
        let encoded = |bytes: &[u8]| format!("Authorization: Basic {}\r\n", STANDARD.encode(bytes));
        let wrong = [
            ("no header", String::new()),
            ("a wrong secret", basic("KEY", "Secret")),
            ("a longer secret", basic("KEY", "secrets")),
            ("no secret", basic("KEY", "")),
            ("an unknown key", basic("key", "secret")),
            ("no key", basic("", "secret")),
            ("a disabled key", basic("DISABLED", "secret")),
            ("another organisation's key", basic("OTHERS", "secret")),
            ("neither", basic("", "")),
            ("the scheme Bearer", good.replace("Basic", "Bearer")),
            ("the scheme alone", "Authorization: Basic\r\n".to_owned()),
            ("no scheme", good.replace("Basic ", "")),
            ("malformed base64", "Authorization: Basic S0VZ*nNlY3JldA==\r\n".to_owned()),
            ("no colon", encoded(b"KEYsecret")),
            ("not UTF-8", encoded(b"KEY:secret\xff")),
            ("a NUL, which PostgreSQL has not", encoded(b"KEY\0:secret")),
            ("a key as long as a head may be", basic(&"K".repeat(11_000), "secret")),
            ("an injection", basic("' OR '1'='1", "secret")),
            ("two headers", format!("{good}{good}")),
        ];
        let mut answers = wrong.iter().map(|(what, headers)| {
            let body = json!({"events": [login(7, 1, "stranger", 1)]}).to_string();
            let mut answer = app.client().post(EVENTS, headers, body.as_bytes());
            answer.headers.retain(|(name, _)| name != "date");
            (what, answer)
        });
        let (_, first) = answers.next().unwrap();
        assert_eq!(first.status, 401);
        for (what, answer) in answers {
            assert_eq!(answer, first, "{what}");
        }
        let json = app.client().post(EVENTS, "Accept: application/json\r\n", NOTHING);
        assert_eq!(
            json.body,
            "{\"error\":\"an API key is needed: HTTP Basic with the key and its secret\"}"
        );
        // In the scheme's other spellings the key is good; nobody's failure has harmed it.
        assert_eq!(knock(&app, &good.replace("Basic", "bAsIc")).status, 200);
        assert_eq!(knock(&app, &good).status, 200);
        assert_eq!(app.metric("onegin_items_accepted_total"), 0);
    }

    fn who_has_no_key_is_answered_before_the_body_comes(database) {
        let app = guarded(database);
        for expect in ["", "Expect: 100-continue\r\n"] {
            let mut client = app.client();
            client.write(format!(
                "POST {EVENTS} HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n{expect}\r\n"
            ));
            // Not 100: nobody wants to see it.
            assert_eq!(client.read_answer().status, 401);
        }
    }

    fn a_disabled_key_stops_working_and_an_enabled_one_works_again(database) {
        let app = guarded(database);
        let program = program(&app);
        let created = program.json(&["key", "create"]);
        let [key, secret] = ["key", "secret"].map(|name| created[name].as_str().unwrap());
        let mut old = app.client();
        old.post(EVENTS, &basic(key, secret), NOTHING).accepted();
        program.run(&["key", "disable", key]);
        eventually("the disabled key is refused", || status(&app, key, secret) == 401);
        // On a connection that had been let in, too.
        assert_eq!(old.post(EVENTS, &basic(key, secret), NOTHING).status, 401);
        program.run(&["key", "enable", key]);
        assert_eq!(status(&app, key, secret), 200, "refusals are not remembered");
    }

    fn a_key_is_looked_up_once_in_two_seconds(database) {
        let app = guarded(database);
        add_key(app.pipeline.storage(), OrganisationId::LEGACY, "KEY");
        let header = basic("KEY", "secret");
        let (storage, began) = (app.pipeline.storage(), Instant::now());
        let before = storage.statements();
        let mut client = app.client();
        while began.elapsed() < Duration::from_millis(4500) {
            client.post(EVENTS, &header, NOTHING).accepted();
        }
        let (statements, periods) = (storage.statements() - before, began.elapsed().as_secs() / 2 + 1);
        assert!((1..=periods).contains(&statements), "{statements} in {periods} periods");
    }

    fn an_imported_secret_opens_and_a_wrong_one_does_not(database) {
        let app = guarded(database);
        let program = program(&app);
        let import = ["key", "import", "5d8f31-game", "--note", "from before"];
        let ended = program.run_with(&import, "pass: wörd 1\n");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let hash = app.database.cells("SELECT hash AS cell FROM api_key");
        assert!(hash[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash:?}");
        assert_eq!(status(&app, "5d8f31-game", "pass: wörd 1"), 200);
        for (key, secret) in [
            ("5d8f31-game", "pass: wörd 1\n"),
            ("5d8f31-game", "pass"),
            ("5d8f31-gam", "pass: wörd 1"),
            ("ABCDEFGHJKLMNPQR", "pass: wörd 1"),
        ] {
            assert_eq!(status(&app, key, secret), 401, "{key} {secret}");
        }
        // A second slow comparison of a known pair is not needed, also when it is looked up anew.
        let began = Instant::now();
        eventually("the key has been looked up again", || {
            assert_eq!(status(&app, "5d8f31-game", "pass: wörd 1"), 200);
            began.elapsed() > Duration::from_secs(2)
        });
    }

    fn many_imported_keys_and_strangers_at_once_are_all_answered(database) {
        let app = guarded(database);
        let program = program(&app);
        program.run_with(&["key", "import", "imported"], "a word");
        let address = app.pipeline.address();
        let statuses = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..16)
                .map(|number| {
                    let (key, secret) = match number % 4 {
                        0 | 1 => ("imported", "a word"),
                        2 => ("imported", "another word"),
                        _ => ("unknown", "a word"),
                    };
                    scope.spawn(move || {
                        let mut client = Client::connect(address);
                        (number % 4, client.post(EVENTS, &basic(key, secret), NOTHING).status)
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        for (kind, status) in statuses {
            // 503 is said by a machine that is too busy to compare in time.
            let expected = if kind < 2 { [200, 503] } else { [401, 503] };
            assert!(expected.contains(&status), "{kind} {status}");
        }
        eventually("the key opens", || status(&app, "imported", "a word") == 200);
    }

    fn while_keys_cannot_be_looked_up_known_ones_work_and_others_get_503(database) {
        let app = guarded(database);
        add_key(app.pipeline.storage(), OrganisationId::LEGACY, "KNOWN");
        add_key(app.pipeline.storage(), OrganisationId::LEGACY, "NEW");
        assert_eq!(status(&app, "KNOWN", "secret"), 200);
        app.database.execute("ALTER TABLE api_key RENAME TO api_key_away");
        let began = Instant::now();
        eventually("what was known must be looked up again", || {
            assert_eq!(status(&app, "KNOWN", "secret"), 200);
            began.elapsed() > Duration::from_secs(3)
        });
        for (key, secret) in [("NEW", "secret"), ("KNOWN", "wrong"), ("UNKNOWN", "secret")] {
            let answer = knock(&app, &basic(key, secret));
            assert_eq!(answer.status, 503, "{key}");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(knock(&app, "").status, 401, "no look-up would change that");
        app.database.execute("ALTER TABLE api_key_away RENAME TO api_key");
        eventually("the new key is found", || status(&app, "NEW", "secret") == 200);
        assert_eq!(status(&app, "UNKNOWN", "secret"), 401);
        // A key that is gone when the database is back is gone.
        app.database.execute("DELETE FROM api_key WHERE key = 'KNOWN'");
        eventually("the deleted key is refused", || status(&app, "KNOWN", "secret") == 401);
    }
}

#[test]
fn while_postgres_is_away_a_known_client_goes_on_and_its_posts_are_kept() {
    let Some(database) = crate::database::postgres() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let test_database = TestDatabase::new(database, directory.path());
    let (cable, url) = Cable::url(test_database.url());
    let mut app = TestApp::start_on(test_database, directory, |setting| {
        setting.config.server.require_api_key = true;
        setting.config.database.db_url = Some(url);
    });
    add_key(app.pipeline.storage(), OrganisationId::LEGACY, "KEY");
    let header = basic("KEY", "secret");
    let body = json!({"events": [login(1, 1, "phone", 1)]}).to_string();
    let mut client = app.client();
    client.post(EVENTS, &header, body.as_bytes()).accepted();
    app.expect_requests(1);
    app.finish();
    cable.pull_out();
    eventually("the daemon knows that the database is away", || {
        app.client().get("/readyz").status == 503
    });
    let began = Instant::now();
    let mut posted = 0;
    while began.elapsed() < Duration::from_secs(3) || posted < 20 {
        client
            .post("/post_notification_json", &header, &direct("kept"))
            .accepted();
        posted += 1;
        assert_eq!(status(&app, "KEY", "wrong"), 503);
    }
    assert_eq!(app.simulator.fcm().counters().delivered, 0);
    cable.put_back();
    app.expect_requests(posted);
    app.finish();
    assert_eq!(app.simulator.fcm().counters().delivered as u64, posted);
    eventually("a stranger is a stranger again", || {
        status(&app, "KEY", "wrong") == 401
    });
}
