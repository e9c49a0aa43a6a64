//! Requests, an open journal, waiting.

use std::{
    num::NonZeroU32,
    path::Path,
    time::{Duration, Instant},
};

use journal::{FileJournal, Journal, JournalConfig, Metrics, Unfinished};
use model::{AppId, DirectNotification, Event, Item, Lane, LoginId, Request, RequestId, UnixMs};

/// The configuration of a journal in `folder`.
pub(crate) fn config(folder: &Path) -> JournalConfig {
    JournalConfig {
        journal_path: folder.join("journal"),
        ..JournalConfig::default()
    }
}

/// The same with a limit in MiB.
pub(crate) fn limited(folder: &Path, limit_mb: u32) -> JournalConfig {
    JournalConfig {
        journal_limit_mb: NonZeroU32::new(limit_mb).unwrap(),
        ..config(folder)
    }
}

/// Opens the journal in `folder`, and what it holds.
pub(crate) fn open(folder: &Path) -> (FileJournal, Vec<Request>) {
    let (journal, unfinished) = FileJournal::open(&config(folder), Metrics::default()).unwrap();
    (journal, all(unfinished))
}

pub(crate) fn all(unfinished: Unfinished) -> Vec<Request> {
    let announced = unfinished.requests();
    let requests: Vec<_> = unfinished.flat_map(|batch| batch.unwrap()).collect();
    assert_eq!(requests.len(), announced);
    requests
}

/// Appends requests, all of them at once; each must be kept.
pub(crate) async fn append_all(journal: &FileJournal, requests: &[Request]) {
    let answers: Vec<_> = requests
        .iter()
        .map(|request| journal.append(request))
        .collect();
    for answer in answers {
        answer.await.unwrap();
    }
}

/// A request that knows its writer and its number, of about `length` bytes.
pub(crate) fn request(writer: i32, number: i64, length: usize) -> Request {
    Request {
        id: RequestId::generate(),
        accepted_at: UnixMs(1_795_293_388_117),
        lane: Lane::Urgent,
        app: AppId::LEGACY,
        items: vec![
            Item::Event(Event {
                login: LoginId(number),
                event_id: writer,
                timestamp: None,
                pairs: Vec::new(),
            }),
            Item::Notification(DirectNotification {
                login: LoginId(number),
                title: "T".into(),
                content: "x".repeat(length).into(),
                screen: "".into(),
            }),
        ],
        ended: model::Ended::default(),
    }
}

/// Writer and number of a request made by [`request`].
pub(crate) fn origin(request: &Request) -> (i32, i64) {
    match &request.items[0] {
        Item::Event(event) => (event.event_id, event.login.0),
        Item::Notification(_) => panic!("not one of ours"),
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}
