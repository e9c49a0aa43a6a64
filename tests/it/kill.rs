//! `kill -9` at any moment, again and again, under load, with retries, outages and parked items:
//! nothing that was accepted is lost, and what arrives twice was in flight at a kill or answered
//! in the last 100 ms before it.
//!
//! The daemon is a process of its own; the push services live on in the test's. The seed and the
//! figures are printed; `ONEGIN_TEST_SEED` repeats the order of events, not their time.

mod load;

mod lateness;

mod tally;

use std::{
    io::Write,
    num::NonZeroU64,
    process::Child,
    sync::mpsc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use simulator::{Action, GoAway, Options, Refusal, RetryAfter, Rule, Service};
use storage::MessageAttributes;

use self::{
    lateness::Lateness,
    load::{Load, RAID, USERS, cooled_trigger, token},
    tally::{Breaks, Kill, Tally},
};
use crate::{
    app::{login, triggered_by},
    commands::Daemon,
    site::{Site, drained, metric, post_events},
};

const KILLS: usize = 25;
/// A push service answers after so long.
const LATENCY: Duration = Duration::from_millis(20);
/// Twenty for each push service: the rest is parked.
const SENDER_QUEUE_LIMIT: &str = "40";

on_each_database! {
    fn a_daemon_that_is_killed_again_and_again_loses_nothing(database) {
        let seed = match std::env::var("ONEGIN_TEST_SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => fastrand::u64(..),
        };
        say(&format!("kill test on {database:?}, ONEGIN_TEST_SEED={seed}"));
        let options = Options {
            latency: LATENCY,
            ..Options::default()
        };
        Victim::new(Site::new(database, options), Rng::with_seed(seed)).run();
    }
}

/// Straight to the terminal: the harness keeps what passing tests print.
fn say(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

struct Victim {
    site: Site,
    rng: Rng,
    lateness: Lateness,
    breaks: Breaks,
    /// Counted by the daemons that were killed, as far as was seen.
    parked: u64,
    replayed: u64,
    retried: u64,
}

impl Victim {
    fn new(site: Site, rng: Rng) -> Self {
        let lateness = Lateness::measure(site.directory());
        Self {
            site,
            rng,
            lateness,
            breaks: Breaks::default(),
            parked: 0,
            replayed: 0,
            retried: 0,
        }
    }

    fn run(mut self) {
        self.prepare();
        let load = Load::start(self.rng.u64(..));
        for round in 0..KILLS {
            let mut daemon = self.start();
            load.goes_to(Some((daemon.address, round)));
            let at_half_time = self.trouble();
            let lives = Duration::from_millis(self.rng.u64(100..=1_000));
            pause(lives / 2);
            self.apns_is_there(at_half_time);
            pause(lives / 2);
            self.look_at(&daemon);
            self.kill(&mut daemon.process);
            load.goes_to(None);
        }
        let posts = load.stop();
        self.site.simulator.script().clear();
        self.site.simulator.apns().set_online(true);
        let daemon = self.start();
        drained(&daemon);
        self.look_at(&daemon);
        assert_eq!(daemon.stop(), Some(0));
        assert!(
            self.parked > 0 && self.replayed > 0 && self.retried > 0,
            "the trouble was none: {} parked, {} replayed, {} retried",
            self.parked,
            self.replayed,
            self.retried
        );
        let lateness = self.lateness.stop();
        let (deliveries, rows) = (self.site.deliveries(), self.site.rows());
        let tally = Tally::new(&posts, &deliveries, &rows);
        tally.nothing_is_lost();
        tally.refused_is_not_taken();
        tally.a_cooldown_holds();
        let explained = tally.only_what_broke_is_there_twice(&self.breaks, &lateness, LATENCY);
        say(&format!(
            "{tally}; parked items seen {}, requests replayed {}, retries {}; {explained}",
            self.parked, self.replayed, self.retried
        ));
    }

    fn start(&self) -> Daemon {
        self.site.start(&[
            ("SENDER__SENDER_QUEUE_LIMIT", SENDER_QUEUE_LIMIT),
            ("MESSENGER__CONNECTION_ERROR_RETRIES", "20"),
            ("REQUESTPROCESSOR__PARKED_LIMIT", "2000"),
        ])
    }

    /// Users on one device each, a message, and one with a cooldown for each round.
    fn prepare(&self) {
        let mut messages = vec![(triggered_by("raid", RAID), "{tag}")];
        for round in 0..KILLS {
            let cooled = MessageAttributes {
                cooldown_ms: Some(60 * 60 * 1000),
                ..triggered_by(&format!("cooled-{round}"), cooled_trigger(round))
            };
            messages.push((cooled, "{tag}"));
        }
        self.site.messages(&messages);
        let daemon = self.start();
        let logins: Vec<Value> = (0..USERS)
            .map(|user| login(user, if user % 2 == 0 { 2 } else { 1 }, &token(user), 1))
            .collect();
        post_events(&daemon, &logins);
        drained(&daemon);
        assert_eq!(daemon.stop(), Some(0));
    }

    /// Something that goes wrong in this round; whether APNs is there in its second half. While it
    /// is not, it refuses connections.
    fn trouble(&mut self) -> bool {
        let kind = self.rng.u8(0..6);
        self.apns_is_there(kind != 5);
        let simulator = &self.site.simulator;
        let script = simulator.script();
        script.clear();
        simulator.fcm().set_latency(LATENCY);
        let every = |nth| NonZeroU64::new(nth).unwrap();
        let later = |service, status, reason| {
            let refusal = Refusal::new(status, reason).retry_after(RetryAfter::Seconds(1));
            Rule::new(Action::Refuse(refusal)).service(service)
        };
        match kind {
            0 => {
                script.add(later(Service::Apns, 503, "ServiceUnavailable").every(every(3)));
                script.add(later(Service::Fcm, 503, "UNAVAILABLE").every(every(4)));
            }
            1 => {
                script.add(later(Service::Apns, 429, "TooManyRequests").every(every(2)));
                script.add(later(Service::Fcm, 429, "QUOTA_EXCEEDED").times(1));
            }
            2 => {
                let graceful = GoAway::Graceful { reason: None };
                script.add(Rule::new(Action::GoAway(graceful)).every(every(20)));
            }
            3 => {
                let (unprocessed, reason) = (5, None);
                let hard = GoAway::Hard {
                    unprocessed,
                    reason,
                };
                script.add(Rule::new(Action::GoAway(hard)).every(every(30)));
                simulator.fcm().set_latency(10 * LATENCY);
            }
            _ => {}
        }
        kind != 4
    }

    fn apns_is_there(&mut self, is_there: bool) {
        if !is_there {
            self.breaks.apns_goes_away(Instant::now());
        }
        self.site.simulator.apns().set_online(is_there);
    }

    fn look_at(&mut self, daemon: &Daemon) {
        self.parked += metric(daemon, "onegin_parked_items");
        self.replayed += metric(daemon, "onegin_requests_replayed_total");
        self.retried += metric(daemon, "onegin_sender_retries_total");
    }

    fn kill(&mut self, process: &mut Child) {
        let from = Instant::now();
        kill_process(Pid::from_child(process), Signal::KILL).unwrap();
        process.wait().unwrap();
        let simulator = &self.site.simulator;
        self.breaks.killed(Kill {
            from,
            to: Instant::now(),
            latencies: [simulator.apns().latency(), simulator.fcm().latency()],
        });
    }
}

/// The load goes on meanwhile; there is nothing to wait for.
fn pause(time: Duration) {
    let (_never, pause) = mpsc::channel::<()>();
    pause.recv_timeout(time).unwrap_err();
}
