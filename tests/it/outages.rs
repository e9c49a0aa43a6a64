//! Outages of everything around the daemon while clients go on posting: what was accepted is
//! delivered, once, and what cannot be accepted is told.
//!
//! Connections to PostgreSQL that break are in `tests/it/failures.rs`; queues that fill are in
//! `tests/it/pressure.rs`.

mod clock;

mod disk;

mod locked;

mod once;

mod postgres;

mod push_services;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use model::{Clock, UnixMs};
use sender::{BackOff, PoolSettings};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    app::{Setting, TestApp, login},
    database::skipped,
};

pub(crate) const HOUR_MS: i64 = 60 * 60 * 1000;

/// A clock that a test sets; it runs with the machine's monotonic one.
#[derive(Clone)]
pub(crate) struct TestClock {
    started: Instant,
    started_ms: i64,
    /// Written by the test.
    ahead_ms: Arc<AtomicI64>,
}

impl TestClock {
    /// The machine's time.
    #[allow(
        clippy::disallowed_methods,
        reason = "it is asked once; from then on the test has the say"
    )]
    pub(crate) fn new() -> Self {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            started: Instant::now(),
            started_ms: since_1970.unwrap().as_millis().try_into().unwrap(),
            ahead_ms: Arc::default(),
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let passed: i64 = self.started.elapsed().as_millis().try_into().unwrap();
        self.started_ms + passed + self.ahead_ms.load(Ordering::SeqCst)
    }

    /// Moves it to so much after the machine's time.
    pub(crate) fn set_ahead_ms(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::SeqCst);
    }

    /// What the daemon is given.
    pub(crate) fn handle(&self) -> Clock {
        let clock = self.clone();
        Clock::new(move || UnixMs(clock.now_ms()))
    }
}

/// Push services are tried again at once, and not only once a minute.
pub(crate) fn impatient(setting: &mut Setting) {
    setting.hooks.sender_settings = Some(Box::new(be_impatient));
}

pub(crate) fn be_impatient(settings: &mut PoolSettings) {
    let soon = BackOff {
        base: Duration::from_millis(50),
        cap: Duration::from_millis(200),
    };
    settings.breaker.wait = soon;
    settings.reconnect = soon;
    settings.back_off = soon;
}

/// Users with one Android phone each, `tok` and their number.
pub(crate) fn log_phones_in(app: &mut TestApp, users: std::ops::Range<i64>) {
    let logins: Vec<Value> = users
        .map(|user| login(user, 1, &format!("tok{user}"), 1))
        .collect();
    app.post_events(&logins);
    app.finish();
}

pub(crate) fn direct(user: i64, content: &str) -> Value {
    json!({"login_id": user, "title": "T", "content": content})
}

pub(crate) fn body_of(notifications: &[Value]) -> Vec<u8> {
    json!({ "notifications": notifications })
        .to_string()
        .into_bytes()
}

/// `/readyz`.
pub(crate) fn readiness(app: &TestApp) -> (u16, String) {
    let answer = app.client().get("/readyz");
    (answer.status, answer.body)
}

/// The texts that FCM has delivered, of which none comes twice.
#[track_caller]
pub(crate) fn delivered_once(app: &TestApp) -> BTreeSet<String> {
    let all = crate::pushkin_http::texts(app);
    let count = all.len();
    let different: BTreeSet<String> = all.into_iter().collect();
    assert_eq!(different.len(), count, "something came twice");
    different
}

/// Nothing accepted was given up, and no thread broke down.
#[track_caller]
pub(crate) fn assert_unharmed(app: &TestApp) {
    for metric in [
        "onegin_items_ended_total{reason=\"storage_failed\"}",
        "onegin_worker_panics_total",
        "onegin_feedback_dropped_total",
        "onegin_batches_held_up",
    ] {
        assert_eq!(app.metric(metric), 0, "{metric}");
    }
}

/// A file system of its own, small enough to be filled; unmounted with the test.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// `None`, with a line that says so, where the test may not mount one.
    pub(crate) fn new(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs"],
            folder.path(),
        );
        if !mounted {
            skipped("tests on a full disk, which need the right to mount a tmpfs");
            return None;
        }
        Some(Self { folder })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Leaves no room for another page.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        // A write that finds some room takes it, and says how much it was.
        while filler
            .write(&[0; 64 * 1024])
            .is_ok_and(|written| written > 0)
        {}
        assert!(fs::write(self.folder.path().join("more"), [0; 4096]).is_err());
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l"], self.folder.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
