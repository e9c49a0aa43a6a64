//! Full means told: exact counts, 503 and `Retry-After`, and nothing of the batch taken.

use std::num::NonZeroU32;

use journal::Durability;
use serde_json::{Value, json};

use crate::{
    app::{TestApp, event, login, triggered_by},
    database::Database,
    http::Answer,
};

fn post_raids(app: &mut TestApp, count: usize) -> Answer {
    let events: Vec<Value> = (0..count).map(|_| event(1, 100, json!({}))).collect();
    let body = json!({ "events": events }).to_string();
    app.post("/post_events_json", body.as_bytes())
}

/// A pipeline without a journal that is stuck behind a silent push service: a queue of 100 items
/// in front of one processor thread in front of a sender queue of 10.
fn stuck() -> TestApp {
    let mut app = TestApp::start_with(Database::Sqlite, |setting| {
        setting.config.request_processor.journal.durability = Durability::Memory;
        setting.config.request_processor.queue_limit = 100;
        setting
            .config
            .request_processor
            .request_processor_num_threads = NonZeroU32::MIN;
        setting.config.sender.sender_queue_limit = 10.try_into().unwrap();
    });
    app.message(triggered_by("raid", 100), &[(1, "T", "C")]);
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
    app.simulator.fcm().set_online(false);
    // This one is taken by the processor thread, which then waits for the sender queue.
    post_raids(&mut app, 20).accepted();
    let depth = |app: &TestApp, path: &str| app.client().get(path).body;
    app.eventually("the sender queue is full", || {
        depth(&app, "/get_gcm_sender_queue") == "10"
    });
    app.eventually("the request was taken", || {
        depth(&app, "/get_request_queue") == "0"
    });
    app
}

#[test]
fn a_full_request_queue_answers_503_and_what_was_taken_is_delivered() {
    let mut app = stuck();
    post_raids(&mut app, 60).accepted();
    let refused = post_raids(&mut app, 41);
    assert_eq!((refused.status, refused.body.as_str()), (503, ""));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(app.client().get("/get_request_queue").body, "60");
    post_raids(&mut app, 40).accepted();
    assert_eq!(post_raids(&mut app, 1).status, 503);
    assert_eq!(app.client().get("/get_request_queue").body, "100");

    app.simulator.fcm().set_online(true);
    app.finish();
    assert_eq!(app.simulator.fcm().delivered().len(), 20 + 60 + 40);
    assert_eq!(app.csv().len(), 120);
}

#[test]
fn a_post_larger_than_the_limit_is_taken_when_the_queue_is_empty() {
    let mut app = stuck();
    post_raids(&mut app, 500).accepted();
    assert_eq!(post_raids(&mut app, 1).status, 503);
    app.simulator.fcm().set_online(true);
    app.finish();
    assert_eq!(app.simulator.fcm().delivered().len(), 520);
}

#[test]
fn with_drop_the_overflow_is_written_with_status_5() {
    let mut app = TestApp::start_with(Database::Sqlite, |setting| {
        setting.config.sender.sender_queue_limit = 10.try_into().unwrap();
        setting.config.sender.when_full = queue::WhenFull::Drop;
    });
    app.message(triggered_by("raid", 100), &[(1, "T", "C")]);
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
    app.simulator.fcm().set_online(false);
    post_raids(&mut app, 25).accepted();
    app.eventually("the overflow is logged", || app.csv().len() == 15);
    assert!(app.csv().iter().all(|line| line.starts_with("5,1,")));
    app.simulator.fcm().set_online(true);
    app.finish();
    assert_eq!(app.simulator.fcm().delivered().len(), 10);
}
