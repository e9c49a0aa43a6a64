//! What was promised, compared with what has happened.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::{Duration, Instant},
};

use notification_log::Row;

use super::{
    lateness::Measured,
    load::{Posted, Posts, token},
};
use crate::site::Delivery;

/// A mark is on stable storage within this time after the answer.
const PROMISED: Duration = Duration::from_millis(100);
/// A test's build takes a while to get from the answer to its line.
const DEBUG_BUILD: Duration = Duration::from_millis(50);
/// Twice what both sender queues hold: what was in flight, and as many answered just before.
const TWICE_PER_BREAK: usize = 80;

/// When what was in flight lost its answer.
#[derive(Default)]
pub(super) struct Breaks {
    kills: Vec<Kill>,
    apns_away: Vec<Instant>,
}

/// One kill.
pub(super) struct Kill {
    /// Just before the signal.
    pub(super) from: Instant,
    /// When the process was gone.
    pub(super) to: Instant,
    /// How long APNs and FCM took for their answers.
    pub(super) latencies: [Duration; 2],
}

impl Kill {
    /// How long the answer to this one took.
    fn latency(&self, delivery: &Delivery) -> Duration {
        let [apns, fcm] = self.latencies;
        delivery.apns_id.as_ref().map_or(fcm, |_| apns)
    }
}

impl Breaks {
    pub(super) fn killed(&mut self, kill: Kill) {
        self.kills.push(kill);
    }

    pub(super) fn apns_goes_away(&mut self, at: Instant) {
        self.apns_away.push(at);
    }
}

pub(super) struct Tally<'t> {
    posts: &'t Posts,
    /// By text, in the order of their coming.
    deliveries: HashMap<&'t str, Vec<&'t Delivery>>,
    rows: HashMap<&'t str, Vec<&'t Row<'t>>>,
}

/// What arrived twice, and why.
pub(super) struct Explained {
    by_kill: usize,
    by_outage: usize,
    /// The longest time before a kill at which something arrived that arrived again.
    earliest: Duration,
    largest_allowance: Duration,
}

impl<'t> Tally<'t> {
    pub(super) fn new(
        posts: &'t Posts,
        deliveries: &'t [Delivery],
        rows: &'t [Row<'static>],
    ) -> Self {
        let mut by_text: HashMap<&str, Vec<&Delivery>> = HashMap::new();
        for delivery in deliveries {
            by_text.entry(&delivery.text).or_default().push(delivery);
        }
        for same in by_text.values_mut() {
            same.sort_by_key(|delivery| delivery.at);
        }
        let mut rows_by_text: HashMap<&str, Vec<&Row<'_>>> = HashMap::new();
        for row in rows {
            rows_by_text.entry(&row.content).or_default().push(row);
        }
        Self {
            posts,
            deliveries: by_text,
            rows: rows_by_text,
        }
    }

    fn is_delivered(&self, item: &Posted) -> bool {
        self.deliveries.contains_key(item.text.as_str())
    }

    /// Every accepted notification has a line, and is delivered or its line says why not.
    pub(super) fn nothing_is_lost(&self) {
        let without_cooldown = |item: &&Posted| item.cooled.is_none();
        for item in self.posts.accepted.iter().filter(without_cooldown) {
            self.has_ended(item);
        }
        for (text, rows) in &self.rows {
            let says_delivered = rows.iter().any(|row| row.status == 0);
            assert_eq!(
                says_delivered,
                self.deliveries.contains_key(text),
                "{text:?}: {rows:?}"
            );
        }
    }

    #[track_caller]
    fn has_ended(&self, item: &Posted) {
        let rows = self.rows.get(item.text.as_str());
        let rows = rows.unwrap_or_else(|| panic!("lost: {item:?} has no line"));
        for row in rows {
            let to = (row.login_id, &*row.receiver_id);
            assert_eq!(to, (item.user, token(item.user).as_str()));
        }
        let excused = rows.iter().any(|row| row.status != 0);
        assert!(self.is_delivered(item) || excused, "lost: {item:?}");
    }

    /// 503 means that nothing of the POST was taken.
    pub(super) fn refused_is_not_taken(&self) {
        for item in &self.posts.refused {
            assert!(!self.is_delivered(item), "refused and delivered: {item:?}");
        }
    }

    /// Of all that was posted for a user and a message with a cooldown, one item won.
    pub(super) fn a_cooldown_holds(&self) {
        let mut winners: HashMap<(i64, usize), HashSet<&str>> = HashMap::new();
        let taken = self.posts.accepted.iter().chain(&self.posts.unanswered);
        for item in taken {
            if let Some(message) = item.cooled
                && self.rows.contains_key(item.text.as_str())
            {
                winners
                    .entry((item.user, message))
                    .or_default()
                    .insert(&item.text);
            }
        }
        for (pair, won) in &winners {
            assert_eq!(won.len(), 1, "user and message {pair:?} twice: {won:?}");
        }
        for item in &self.posts.accepted {
            if let Some(message) = item.cooled {
                let pair = (item.user, message);
                assert!(winners.contains_key(&pair), "lost: nobody won {pair:?}");
            }
        }
    }

    /// A second delivery has the first one's id, and the first one was in flight or hardly
    /// answered when something broke.
    pub(super) fn only_what_broke_is_there_twice(
        &self,
        breaks: &Breaks,
        lateness: &Measured,
        latency: Duration,
    ) -> Explained {
        let windows: Vec<(&Kill, Duration)> = breaks
            .kills
            .iter()
            .map(|kill| (kill, lateness.allowance(kill.from)))
            .collect();
        let mut explained = Explained {
            by_kill: 0,
            by_outage: 0,
            earliest: Duration::ZERO,
            largest_allowance: windows.iter().map(|window| window.1).max().unwrap(),
        };
        for same in self.deliveries.values() {
            for pair in same.windows(2) {
                let (first, again) = (pair[0], pair[1]);
                assert_eq!(first.apns_id, again.apns_id, "{first:?}");
                let kill = windows.iter().find(|(kill, allowance)| {
                    // It arrived before the answer that is promised to be remembered.
                    let remembered = kill.latency(first) + PROMISED + DEBUG_BUILD + *allowance;
                    // What the dead process had written is read when the push service gets to it.
                    let read = DEBUG_BUILD + *allowance;
                    (kill.from - remembered..=kill.to + read).contains(&first.at)
                });
                let away = || {
                    breaks.apns_away.iter().any(|at| {
                        let in_flight = *at - latency - lateness.allowance(*at)..=*at + latency;
                        first.apns_id.is_some() && in_flight.contains(&first.at)
                    })
                };
                if let Some((kill, _)) = kill {
                    explained.by_kill += 1;
                    let before = kill.from.saturating_duration_since(first.at);
                    explained.earliest = explained.earliest.max(before);
                } else if away() {
                    explained.by_outage += 1;
                } else {
                    let next = windows.iter().find(|(kill, _)| kill.from > first.at);
                    let next = next.map(|(kill, allowance)| {
                        (kill.from - first.at, kill.latency(first), *allowance)
                    });
                    panic!(
                        "{first:?} is there again: {again:?}; the next kill, its latency and the machine's: {next:?}"
                    );
                }
            }
        }
        // The later the marks, the more of what was answered is without one.
        let late =
            |(_, allowance): &(&Kill, Duration)| allowance.as_millis() / PROMISED.as_millis();
        let late: u128 = windows.iter().map(late).sum();
        let breaks = breaks.kills.len() + breaks.apns_away.len();
        let most = TWICE_PER_BREAK * (breaks + usize::try_from(late).unwrap());
        let twice = explained.by_kill + explained.by_outage;
        assert!(twice <= most, "{twice} are there twice, {explained}");
        explained
    }
}

impl fmt::Display for Tally<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Posts {
            accepted,
            refused,
            unanswered,
        } = self.posts;
        let delivered: usize = self.deliveries.values().map(Vec::len).sum();
        let rows: usize = self.rows.values().map(Vec::len).sum();
        write!(
            formatter,
            "items accepted {}, refused {}, unanswered {}; lost 0; delivered {} different, {} with repetitions; lines {rows}",
            accepted.len(),
            refused.len(),
            unanswered.len(),
            self.deliveries.len(),
            delivered,
        )
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "twice: {} for a kill (the earliest arrived {} ms before it, allowed are 170 ms and for this machine's lateness up to {} ms), {} for an outage",
            self.by_kill,
            self.earliest.as_millis(),
            self.largest_allowance.as_millis(),
            self.by_outage
        )
    }
}
