use std::{fs, os::unix::fs::symlink, path::PathBuf, sync::mpsc, time::Duration};

use model::{
    AppId, Content, DeviceToken, FinishedRequests, ItemId, Lane, LoginId, MessageId, Notification,
    NotificationId, Outcome, Platform, Priority, QueueName, Receipt, RequestId, UnixMs,
};
use queue::{Limits, Producer};
use tempfile::TempDir;

use super::*;
use crate::{Row, parse_line};

/// Tells which requests are finished, and how long the file was by then.
struct Finished {
    csv: PathBuf,
    told: mpsc::Sender<(RequestId, u64)>,
}

impl FinishedRequests for Finished {
    fn ended(&self, _request: RequestId, _notification: NotificationId) {}

    fn finished(&self, request: RequestId) {
        let length = fs::metadata(&self.csv).map_or(0, |csv| csv.len());
        // The test may have ended by a failed assertion.
        self.told.send((request, length)).ok();
    }
}

struct Log {
    folder: TempDir,
    finished: Arc<Finished>,
    told: mpsc::Receiver<(RequestId, u64)>,
    reports: Producer<Report>,
    metrics: Metrics,
    log: NotificationLog,
}

impl Log {
    fn start(prepare: impl FnOnce(&TempDir), observer: Option<Observer>) -> Self {
        let folder = TempDir::new().unwrap();
        prepare(&folder);
        let (told, telling) = mpsc::channel();
        let csv = folder.path().join(FILE_NAME);
        let (reports, queue) = queue::bounded(QueueName::NotificationLog, Limits::items(100_000));
        let metrics = Metrics::default();
        let config = LogConfig {
            notification_log_path: folder.path().to_owned(),
            ..LogConfig::default()
        };
        let clock = Clock::new(|| UnixMs(1_795_289_818_442));
        let counts = metrics.clone();
        let log = start(&queue, &config, "Game,Name", "1", clock, counts, observer).unwrap();
        drop(queue);
        Self {
            folder,
            finished: Arc::new(Finished { csv, told }),
            told: telling,
            reports,
            metrics,
            log,
        }
    }

    fn csv(&self) -> PathBuf {
        self.folder.path().join(FILE_NAME)
    }

    fn report(&self, login: i64, body: &str) -> Report {
        let item = ItemId {
            request: RequestId::generate(),
            index: 0,
        };
        let token = DeviceToken::new(format!("token-{login}"));
        let content = Content::pushkin(MessageId(1), "T", body, body, Priority::Normal);
        Report {
            notification: Notification {
                id: NotificationId::derive(item, MessageId(1), &token),
                item,
                app: AppId::LEGACY,
                lane: Lane::Urgent,
                accepted_at: UnixMs(1),
                created_at: UnixMs(2),
                expires_at: UnixMs(3),
                login: LoginId(login),
                platform: Platform::IPHONE,
                token,
                content: Arc::new(content),
                receipt: Receipt::open(
                    item.request,
                    Arc::<Finished>::clone(&self.finished) as Arc<dyn FinishedRequests>,
                ),
            },
            outcome: Outcome::Unregistered,
            reason: "Unregistered".into(),
            ended_at: UnixMs(4),
        }
    }

    fn send(&self, report: Report) {
        let place = self.reports.try_reserve(Lane::Urgent, 1, 0).unwrap();
        place.send(report);
    }

    fn next_finished(&self) -> (RequestId, u64) {
        self.told.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    /// Ends the senders, waits for the writer, and returns what it left.
    fn end(self) -> (String, Metrics) {
        let csv = self.csv();
        drop(self.reports);
        let deadline = Instant::now() + Duration::from_secs(60);
        assert!(self.log.join_until(deadline));
        (fs::read_to_string(csv).unwrap(), self.metrics)
    }
}

#[test]
fn a_request_is_finished_after_its_line_is_written() {
    let log = Log::start(|_| (), None);
    for login in 0..50 {
        let report = log.report(login, "text");
        let request = report.notification.item.request;
        log.send(report);
        let (finished, length) = log.next_finished();
        assert_eq!(finished, request);
        let mut csv = fs::read(log.csv()).unwrap();
        csv.truncate(length.try_into().unwrap());
        let line_end = format!("token-{login}\n");
        assert!(csv.ends_with(line_end.as_bytes()), "{line_end}");
    }
    let (csv, metrics) = log.end();
    assert_eq!(csv.lines().count(), 50);
    assert_eq!(metrics.lines.get(), 50);
    assert!(csv.starts_with(r"201,0,text,1,1,0,Game\,Name,1,text,2,3,2,token-0"));
}

#[test]
fn the_observer_sees_each_report_before_its_request_is_finished() {
    let (seen, seeing) = mpsc::channel();
    let observer: Observer = Arc::new(move |report: &Report| {
        seen.send(report.notification.login).unwrap();
    });
    let log = Log::start(|_| (), Some(observer));
    for login in 0..10 {
        log.send(log.report(login, "text"));
        log.next_finished();
        assert_eq!(seeing.try_recv(), Ok(LoginId(login)));
    }
    log.end();
}

#[test]
fn ten_thousand_notifications_with_all_of_unicode_are_read_back_one_line_each() {
    // Every character there is stands in one of them, 112 in a row.
    let characters: Vec<char> = ('\0'..=char::MAX).collect();
    let texts: Vec<String> = characters
        .chunks(112)
        .map(|text| text.iter().collect())
        .chain(std::iter::repeat_with(|| r"\,\n,\\".to_owned()))
        .take(10_000)
        .collect();
    assert!(texts.len() * 112 >= characters.len());

    let log = Log::start(|_| (), None);
    for (login, text) in (0..).zip(&texts) {
        log.send(log.report(login, text));
    }
    let (csv, _) = log.end();
    let ends = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let lines: Vec<&str> = csv.split_terminator(ends).collect();
    assert_eq!(lines.len(), 10_000);
    for ((login_id, text), line) in (0..).zip(&texts).zip(lines) {
        let expected = Row {
            status: 201,
            login_id,
            content: text.into(),
            message_id: 1,
            campaign_id: 1,
            sending_id: "0".into(),
            game: "Game,Name".into(),
            world_id: "1".into(),
            screen: text.into(),
            time: 2,
            time_to_live_ts_bigint: 3,
            platform: 2,
            receiver_id: format!("token-{login_id}").into(),
        };
        assert_eq!(parse_line(line).unwrap(), expected);
    }
}

#[test]
fn while_the_disk_is_full_nothing_is_settled_and_afterwards_each_row_is_there_once() {
    let full = |folder: &TempDir| {
        symlink("/dev/full", folder.path().join(FILE_NAME)).unwrap();
    };
    let log = Log::start(full, None);
    let reports: Vec<Report> = (0..100).map(|login| log.report(login, "text")).collect();
    for report in reports {
        log.send(report);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while log.metrics.errors.get() == 0 {
        assert!(Instant::now() < deadline, "the full disk was never noticed");
        std::thread::yield_now();
    }
    assert_eq!(log.told.try_recv(), Err(mpsc::TryRecvError::Empty));
    assert_eq!(log.metrics.lines.get(), 0);

    fs::remove_file(log.csv()).unwrap();
    for _ in 0..100 {
        log.next_finished();
    }
    let (csv, metrics) = log.end();
    let logins: Vec<i64> = csv
        .lines()
        .map(|line| parse_line(line).unwrap().login_id)
        .collect();
    assert_eq!(logins, (0..100).collect::<Vec<_>>());
    assert_eq!(metrics.lines.get(), 100);
}

#[test]
fn a_stop_on_a_full_disk_ends_at_its_deadline_and_settles_nothing() {
    let full = |folder: &TempDir| {
        symlink("/dev/full", folder.path().join(FILE_NAME)).unwrap();
    };
    let log = Log::start(full, None);
    log.send(log.report(1, "text"));
    let Log {
        folder: _folder,
        finished,
        told,
        reports,
        metrics: _,
        log,
    } = log;
    drop((reports, finished));
    assert!(!log.join_until(Instant::now() + Duration::from_millis(1)));
    // All who could tell are gone, and nobody did.
    let end = told.recv_timeout(Duration::from_secs(30));
    assert_eq!(end, Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_panic_of_the_observer_leaves_its_batch_unsettled_and_the_log_goes_on() {
    let observer: Observer = Arc::new(|report: &Report| {
        let login = report.notification.login;
        assert_ne!(login, LoginId(13), "this panic is part of the test");
    });
    let log = Log::start(|_| (), Some(observer));
    log.send(log.report(13, "text"));
    let good = log.report(14, "text");
    let request = good.notification.item.request;
    let deadline = Instant::now() + Duration::from_secs(30);
    while log.metrics.panics.get() == 0 {
        assert!(Instant::now() < deadline, "the panic was never counted");
        std::thread::yield_now();
    }
    log.send(good);
    assert_eq!(log.next_finished().0, request);
    let (csv, _) = log.end();
    assert_eq!(csv.lines().count(), 2);
}
