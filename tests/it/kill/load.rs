//! The load: threads that post and note what became of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use fastrand::Rng;
use serde_json::{Value, json};

use super::pause;
use crate::{app::event, http::Client};

pub(super) const USERS: i64 = 40;
/// The event whose message has no cooldown.
pub(super) const RAID: i32 = 100;
const POSTERS: u64 = 3;

/// The event whose message has a cooldown and belongs to `round`.
pub(super) fn cooled_trigger(round: usize) -> i32 {
    200 + i32::try_from(round).unwrap()
}

/// A user's device token: an iPhone's for the even ones.
pub(super) fn token(user: i64) -> String {
    if user % 2 == 0 {
        format!("{user:064x}")
    } else {
        format!("android-{user}")
    }
}

/// One posted item; its text is its own.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) user: i64,
    pub(super) text: String,
    /// The message with a cooldown that it may lead to.
    pub(super) cooled: Option<usize>,
}

/// What was posted, by what was answered.
#[derive(Default)]
pub(super) struct Posts {
    /// 200.
    pub(super) accepted: Vec<Posted>,
    /// 503.
    pub(super) refused: Vec<Posted>,
    /// Nothing: the daemon was killed. Either may be.
    pub(super) unanswered: Vec<Posted>,
}

pub(super) struct Load {
    shared: Arc<Shared>,
    posters: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The living daemon's address, and the round. Written by the test.
    target: Mutex<Option<(SocketAddr, usize)>>,
    is_over: AtomicBool,
    posts: Mutex<Posts>,
}

impl Load {
    pub(super) fn start(seed: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let posters = (0..POSTERS)
            .map(|number| {
                let shared = Arc::clone(&shared);
                let rng = Rng::with_seed(seed.wrapping_add(number));
                thread::spawn(move || shared.post(number, rng))
            })
            .collect();
        Self { shared, posters }
    }

    pub(super) fn goes_to(&self, target: Option<(SocketAddr, usize)>) {
        *self.shared.target.lock().unwrap() = target;
    }

    pub(super) fn stop(self) -> Posts {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for poster in self.posters {
            poster.join().unwrap();
        }
        std::mem::take(&mut self.shared.posts.lock().unwrap())
    }
}

impl Shared {
    fn post(&self, poster: u64, mut rng: Rng) {
        let mut number = 0;
        let mut connected: Option<(SocketAddr, Client)> = None;
        while !self.is_over.load(Ordering::SeqCst) {
            // What a game has to do between its posts.
            pause(Duration::from_millis(rng.u64(2..20)));
            let Some((address, round)) = *self.target.lock().unwrap() else {
                continue;
            };
            if connected.as_ref().is_none_or(|(to, _)| *to != address) {
                connected = Client::try_connect(address).map(|client| (address, client));
            }
            let Some((_, client)) = &mut connected else {
                continue;
            };
            let items: Vec<Posted> = (0..rng.usize(1..8))
                .map(|_| {
                    number += 1;
                    Posted {
                        user: rng.i64(0..USERS),
                        text: format!("{poster}-{number}"),
                        cooled: None,
                    }
                })
                .collect();
            let (path, body, items) = if rng.bool() {
                notifications(items)
            } else {
                events(items, round, &mut rng)
            };
            let status = client.try_post(path, body.to_string().as_bytes());
            if status.is_none() {
                connected = None;
            }
            let mut posts = self.posts.lock().unwrap();
            match status {
                Some(200) => posts.accepted.extend(items),
                Some(503) => posts.refused.extend(items),
                Some(other) => panic!("answered {other}"),
                None => posts.unanswered.extend(items),
            }
        }
    }
}

fn notifications(items: Vec<Posted>) -> (&'static str, Value, Vec<Posted>) {
    let direct = |item: &Posted| json!({"login_id": item.user, "title": "T", "content": item.text});
    let all: Vec<Value> = items.iter().map(direct).collect();
    let body = json!({ "notifications": all });
    ("/post_notification_json", body, items)
}

/// Every other event's message has a cooldown.
fn events(
    mut items: Vec<Posted>,
    round: usize,
    rng: &mut Rng,
) -> (&'static str, Value, Vec<Posted>) {
    let mut all = Vec::new();
    for item in &mut items {
        item.cooled = rng.bool().then_some(round);
        let trigger = item.cooled.map_or(RAID, cooled_trigger);
        all.push(event(item.user, trigger, json!({"tag": item.text})));
    }
    ("/post_events_json", json!({ "events": all }), items)
}
