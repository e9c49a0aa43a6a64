//! A push service at less than a hundredth of the offered rate: the pressure ends at the door, in
//! bounded memory, and every accepted notification ends once.
//!
//! The program itself, because its memory is measured. What is offered is many times what all
//! its queues together may hold.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;
use simulator::Options;

use crate::{
    answer_case::Program,
    app::{eventually, login},
    http::Client,
    outages::{body_of, direct},
};

/// Notifications of a POST.
const POST: usize = 50;
/// Bytes of a text.
const TEXT: usize = 2_000;
/// What is offered at least: 40 MB of texts.
const OFFERED: usize = 20_000;
/// The bounds of the program under test, in items. A POST that begins below one may pass it.
const REQUEST_QUEUE: usize = 200;
const SENDER_QUEUE: usize = 100;
const PARKED: usize = 300;
/// One processor thread, which has a batch in its hands: less than two POSTs beyond 500 items.
const IN_HAND: usize = 600;

/// What became of the load.
struct Offered {
    program: Program,
    /// Texts of the POSTs that were answered 200.
    accepted: BTreeSet<String>,
    offered: usize,
    /// POSTs answered 503.
    refused: u64,
    /// Memory at the end of the load, beyond what it was before.
    grown_kb: u64,
}

fn text(number: usize) -> String {
    format!("{number:06}{}", "x".repeat(TEXT))
}

/// Offers it all while the push service delivers five a second at most.
fn offer(sections: &str) -> Offered {
    let slow = Options {
        latency: Duration::from_secs(1),
        fcm_max_streams: 5,
        ..Options::default()
    };
    let sections = format!(
        "[RequestProcessor]\nrequest_processor_num_threads = 1\nqueue_limit = {REQUEST_QUEUE}\n\
         parked_limit = {PARKED}\n{sections}\
         [Sender]\nsender_queue_limit = {SENDER_QUEUE}\ngcm_num_processes = 1\n"
    );
    let program = Program::start_with(slow, &sections);
    program.log_in(&[login(1, 1, "tokA", 1)]);
    let before_kb = program.resident_kb();
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let accepted = Mutex::new(BTreeSet::new());
    let delivered = || program.simulator.fcm().delivered().len();
    let enough = || {
        let offered = next.load(Ordering::SeqCst);
        offered >= OFFERED && offered >= 100 * delivered()
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = Client::connect(program.address);
                while !enough() {
                    let first = next.fetch_add(POST, Ordering::SeqCst);
                    let texts: Vec<String> = (first..first + POST).map(text).collect();
                    let all: Vec<Value> = texts.iter().map(|text| direct(1, text)).collect();
                    match client
                        .post("/post_notification_json", "", &body_of(&all))
                        .status
                    {
                        200 => accepted.lock().unwrap().extend(texts),
                        503 => {
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        status => panic!("status {status}"),
                    }
                }
            });
        }
    });
    let grown_kb = program.resident_kb().saturating_sub(before_kb);
    Offered {
        accepted: accepted.into_inner().unwrap(),
        offered: next.into_inner(),
        refused: refused.into_inner() as u64,
        grown_kb,
        program,
    }
}

impl Offered {
    /// Lets the push service be fast, and sees every accepted notification end: how many of them
    /// with this status of the CSV.
    fn drain(&self, status: i32) -> usize {
        let program = &self.program;
        let refused = program.metric("onegin_http_responses_total{code=\"503\"}");
        assert_eq!(refused, self.refused);
        program.simulator.fcm().set_latency(Duration::ZERO);
        let accepted = self.accepted.len() as u64;
        eventually("everything accepted has ended", || {
            program.metric("onegin_notification_log_lines_total") == accepted
        });
        let lines = program.csv();
        assert_eq!(lines.len(), self.accepted.len());
        let beginning = format!("{status},");
        lines
            .iter()
            .filter(|line| line.starts_with(&beginning))
            .count()
    }

    /// What the phone has got, nothing twice and nothing that was refused.
    fn delivered(&self) -> usize {
        let delivered = self.program.simulator.fcm().delivered();
        let text = |received: &simulator::Received| {
            let text = &received.json()["message"]["data"]["message"];
            text.as_str().unwrap().to_owned()
        };
        let texts: BTreeSet<String> = delivered.iter().map(text).collect();
        assert_eq!(texts.len(), delivered.len(), "something came twice");
        assert!(texts.is_subset(&self.accepted), "a refused one was sent");
        texts.len()
    }

    /// So much at most can have been accepted: what was delivered, and what waits. Nor can there be
    /// more in memory.
    fn assert_bounded(&self, waiting: usize) {
        let bound = self.offered / 100 + waiting;
        let accepted = self.accepted.len();
        assert!(accepted <= bound, "{accepted} accepted, not {bound}");
        assert!(self.refused > 100, "{} POSTs refused", self.refused);
        // Less than the texts that were offered, by far less than what they are in memory.
        let grown = self.grown_kb;
        assert!(grown < 40_000, "{grown} kB more than before the load");
    }
}

#[test]
fn with_a_journal_what_does_not_fit_is_parked_and_then_refused() {
    let load = offer("");
    load.assert_bounded(REQUEST_QUEUE + SENDER_QUEUE + PARKED + IN_HAND + POST);
    assert_eq!(load.drain(0), load.accepted.len());
    assert_eq!(load.delivered(), load.accepted.len());
    assert_eq!(load.program.metric("onegin_parked_items"), 0);
    assert_eq!(load.program.metric("onegin_worker_panics_total"), 0);
}

#[test]
fn without_a_journal_what_does_not_fit_waits_and_is_then_refused() {
    let load = offer("durability = memory\n");
    load.assert_bounded(REQUEST_QUEUE + SENDER_QUEUE + IN_HAND + POST);
    assert_eq!(load.drain(0), load.accepted.len());
    assert_eq!(load.delivered(), load.accepted.len());
}

#[test]
fn with_drop_exactly_what_is_not_delivered_is_written_with_status_5() {
    let load = offer("durability = memory\n[Sender]\nwhen_full = drop\n");
    let dropped = load.drain(5);
    assert!(dropped > 1_000, "{dropped} dropped");
    assert_eq!(load.delivered() + dropped, load.accepted.len());
}
