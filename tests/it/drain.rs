//! Stop means drain: SIGTERM to the program with 20,000 notifications queued. What fits into the
//! limit is sent, the rest is in the journal, and nothing is sent twice.

use std::{
    collections::HashSet,
    io::Write,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use simulator::{Action, Options, Rule};

use crate::{
    app::{LIMIT, eventually, login},
    commands::Daemon,
    database::Database,
    http::Client,
    site::{Site, drained, each_once, metric, post_events},
};

const COUNT: usize = 20_000;
const OF_A_POST: usize = 1_000;
const USERS: usize = 100;
/// A push service answers after so long.
const LATENCY: Duration = Duration::from_millis(50);
/// For 20,000 notifications, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(300);
/// Streams that a machine that has other things to do answers long before a request times out.
const STREAMS: u32 = 250;
/// Beyond its limit, for a process to start and end on a machine that has other things to do.
const TO_BE_GONE: Duration = Duration::from_secs(10);

const ONE_CONNECTION: (&str, &str) = ("SENDER__APN_NUM_PROCESSES", "1");

fn token(user: i64) -> String {
    format!("{user:064x}")
}

fn text(number: usize) -> String {
    format!("text {number}")
}

/// A daemon with 20,000 notifications in its queues: its one connection to APNs has one stream,
/// which lets twenty a second through.
fn queued(site: &Site, settings: &[(&str, &str)]) -> Daemon {
    let mut all = vec![ONE_CONNECTION];
    all.extend_from_slice(settings);
    let daemon = site.start(&all);
    let logins: Vec<Value> = (0..USERS)
        .map(|user| i64::try_from(user).unwrap())
        .map(|user| login(user, 2, &token(user), 1))
        .collect();
    post_events(&daemon, &logins);
    drained(&daemon);
    let mut client = Client::connect(daemon.address);
    for post in 0..COUNT / OF_A_POST {
        let notifications: Vec<Value> = (post * OF_A_POST..(post + 1) * OF_A_POST)
            .map(
                |number| json!({"login_id": number % USERS, "title": "T", "content": text(number)}),
            )
            .collect();
        let body = json!({ "notifications": notifications }).to_string();
        client
            .post("/post_notification_json", "", body.as_bytes())
            .accepted();
    }
    eventually("all of it is made into notifications", || {
        client.get("/get_request_queue").body == "0"
    });
    assert!(site.simulator.apns().delivered().len() < COUNT / 2);
    daemon
}

/// SIGTERM, and from then on as many streams as that; how long it took to exit with 0.
fn stop(site: &Site, mut daemon: Daemon, streams: u32) -> Duration {
    let began = Instant::now();
    daemon.signal(Signal::TERM);
    site.simulator.apns().set_max_streams(streams);
    assert_eq!(daemon.process.wait().unwrap().code(), Some(0));
    began.elapsed()
}

fn delivered(site: &Site) -> HashSet<String> {
    each_once(site.deliveries().into_iter().map(|delivery| delivery.text))
}

fn lines(site: &Site) -> HashSet<String> {
    let rows = site.rows().into_iter();
    each_once(rows.map(|row| {
        assert_eq!(row.status, 0, "{row:?}");
        row.content.into_owned()
    }))
}

fn left(site: &Site) -> HashSet<String> {
    each_once(site.left_in_journal(token).into_iter())
}

fn options() -> Options {
    Options {
        latency: LATENCY,
        apns_max_streams: 1,
        ..Options::default()
    }
}

fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Stops a daemon at its limit, looks at what is where, and lets the next one send the rest.
fn stops_at_its_limit(site: &Site, settings: &[(&str, &str)], what: &str) {
    let limit = Duration::from_secs(8);
    let mut all = vec![("SERVERSPECIFIC__SHUTDOWN_TIMEOUT_SEC", "8")];
    all.extend_from_slice(settings);
    let daemon = queued(site, &all);
    let took = stop(site, daemon, 20);
    assert!(took < limit + TO_BE_GONE, "it took {took:?}");

    let (sent, kept) = (delivered(site), left(site));
    say(&format!(
        "drain, {what}: stopped after {took:.1?}, {} sent, {} left to the journal",
        sent.len(),
        kept.len()
    ));
    assert!(!kept.is_empty(), "the limit was no limit");
    assert_eq!(sent.intersection(&kept).count(), 0, "sent, and not marked");
    assert_eq!(sent.len() + kept.len(), COUNT);
    assert_eq!(lines(site), sent);
    let log = site.main_log();
    assert!(log.contains("unfinished requests are in the journal"));
    assert!(!log.contains("were not written in time"), "{log}");

    site.simulator.apns().set_max_streams(STREAMS);
    let daemon = site.start(&[ONE_CONNECTION]);
    site.simulator
        .apns()
        .wait_for_delivered(COUNT as u64, PATIENCE)
        .unwrap();
    drained(&daemon);
    let replayed = metric(&daemon, "onegin_requests_replayed_total");
    assert!(replayed > 0);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(delivered(site).len(), COUNT);
    assert_eq!(lines(site).len(), COUNT);
    assert_eq!(left(site), HashSet::new());
}

on_each_database! {
    fn a_stop_within_its_limit_sends_everything(database) {
        let site = Site::new(database, options());
        let limit = ("SERVERSPECIFIC__SHUTDOWN_TIMEOUT_SEC", "300");
        let daemon = queued(&site, &[limit]);
        let took = stop(&site, daemon, STREAMS);
        say(&format!("drain, all of it: {took:.1?}"));
        assert_eq!(delivered(&site).len(), COUNT);
        assert_eq!(lines(&site).len(), COUNT);
        assert_eq!(left(&site), HashSet::new());
    }

    fn a_stop_at_its_limit_leaves_the_rest_to_the_journal_and_the_next_start_sends_it_once(database) {
        let site = Site::new(database, options());
        stops_at_its_limit(&site, &[], "queued");
    }

    fn what_is_parked_is_left_at_once_and_sent_once_by_the_next_start(database) {
        let site = Site::new(database, options());
        // 5,000 in the sender queue, the rest outside.
        let small = ("SENDER__SENDER_QUEUE_LIMIT", "10000");
        stops_at_its_limit(&site, &[small], "parked");
    }
}

#[test]
fn a_second_signal_exits_at_once_and_the_journal_has_what_was_not_sent() {
    let site = Site::new(Database::Sqlite, options());
    let mut daemon = site.start(&[]);
    post_events(&daemon, &[login(1, 2, &token(1), 1)]);
    drained(&daemon);
    site.simulator.script().add(Rule::new(Action::Silence));
    let body = json!({"notifications": [{"login_id": 1, "title": "T", "content": "kept"}]});
    Client::connect(daemon.address)
        .post("/post_notification_json", "", body.to_string().as_bytes())
        .accepted();
    site.simulator.apns().wait_for(1, LIMIT).unwrap();
    daemon.signal(Signal::TERM);
    let log = || site.main_log();
    eventually("it drains", || log().contains("stopping: no new requests"));
    daemon.signal(Signal::INT);
    assert_eq!(daemon.process.wait().unwrap().code(), Some(1));
    let second = "told to stop again: exiting at once; what is not sent is in the journal";
    assert!(log().contains(second), "{}", log());
    assert!(!log().contains("is lost"), "{}", log());
    assert_eq!(left(&site), HashSet::from(["kept".to_owned()]));
}
