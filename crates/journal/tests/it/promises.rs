//! Order, reading back, the limit, the size of the file, the shared fsync, stopping.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use journal::{AppendError, FileJournal, Journal, JournalConfig, Metrics, NoJournal};
use model::RequestId;

use crate::rig::{all, append_all, config, eventually, limited, open, request, soon};

/// Disk space of the folder.
fn disk_bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder.join("journal")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().blocks() * 512)
        .sum()
}

#[tokio::test]
async fn unfinished_requests_come_back_in_the_order_of_acceptance() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let requests: Vec<_> = (0..200).map(|number| request(0, number, 300)).collect();
    append_all(&journal, &requests).await;
    let (finished, open_still): (Vec<_>, Vec<_>) = requests
        .into_iter()
        .partition(|request| request.id.0.as_bytes()[15] % 3 == 0);
    let ids: Vec<_> = finished.iter().map(|request| request.id).collect();
    journal.finished(&ids);
    eventually("marks are written", || journal.depth() == open_still.len()).await;
    drop(journal);
    let (journal, found) = open(folder.path());
    assert_eq!(found, open_still);
    // And again, with marks on rows that had marks already.
    let later = request(0, 200, 300);
    journal.append(&later).await.unwrap();
    journal.finished(&[found[0].id]);
    eventually("a mark is written", || journal.depth() == found.len()).await;
    drop(journal);
    let expected: Vec<_> = found.into_iter().skip(1).chain([later]).collect();
    assert_eq!(open(folder.path()).1, expected);
}

#[tokio::test]
async fn an_unfinished_request_is_read_back_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let requests = [request(0, 1, 10), request(0, 2, 100_000), request(0, 3, 10)];
    append_all(&journal, &requests).await;
    for request in &requests {
        assert_eq!(journal.read(request.id).unwrap().as_ref(), Some(request));
    }
    journal.finished(&[requests[1].id]);
    eventually("it is gone", || {
        journal.read(requests[1].id).unwrap().is_none()
    })
    .await;
    assert_eq!(journal.read(RequestId::generate()).unwrap(), None);
    drop(journal);
    let (journal, _) = open(folder.path());
    assert_eq!(
        journal.read(requests[2].id).unwrap().as_ref(),
        Some(&requests[2])
    );
}

#[tokio::test]
async fn a_full_journal_refuses_until_something_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::default();
    let config = limited(folder.path(), 4);
    let (journal, _) = FileJournal::open(&config, metrics.clone()).unwrap();
    let mut accepted = Vec::new();
    let refused = loop {
        let request = request(0, 0, 20_000);
        match journal.append(&request).await {
            Ok(()) => accepted.push(request.id),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, AppendError::Full), "{refused:?}");
    assert_eq!(metrics.refused_full.get(), 1);
    assert!(accepted.len() > 100, "{} of 20 KB fit", accepted.len());
    assert!(journal.bytes() <= 4 << 20);
    let used = disk_bytes(folder.path());
    assert!(used < 8 << 20, "{used} bytes on disk");
    journal.finished(&accepted);
    eventually("there is room", || journal.bytes() == 0).await;
    // The limit holds across a restart, and so does the room.
    for _ in 0..accepted.len() {
        journal.append(&request(0, 0, 20_000)).await.unwrap();
    }
    drop(journal);
    let (journal, unfinished) = FileJournal::open(&config, Metrics::default()).unwrap();
    assert_eq!(unfinished.requests(), accepted.len());
    let refused = journal.append(&request(0, 0, 20_000)).await;
    assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
}

#[tokio::test]
async fn requests_that_come_and_go_do_not_make_the_file_grow() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let mut used = Vec::new();
    for _ in 0..100 {
        let requests: Vec<_> = (0..1_000).map(|number| request(0, number, 100)).collect();
        append_all(&journal, &requests).await;
        let ids: Vec<_> = requests.iter().map(|request| request.id).collect();
        journal.finished(&ids);
        used.push(disk_bytes(folder.path()));
    }
    eventually("everything is finished", || journal.depth() == 0).await;
    let most = used.into_iter().max().unwrap();
    assert!(most < 8 << 20, "{most} bytes on disk");
    assert_eq!(journal.bytes(), 0);
}

#[tokio::test]
async fn concurrent_appends_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::default();
    let (journal, _) = FileJournal::open(&config(folder.path()), metrics.clone()).unwrap();
    let requests: Vec<_> = (0..1_000).map(|number| request(0, number, 100)).collect();
    append_all(&journal, &requests).await;
    let commits = metrics.commits.get();
    assert!(commits < 100, "{commits} commits for 1000 requests");
}

#[tokio::test]
async fn a_lone_request_does_not_wait_for_the_commit_interval() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        journal_commit_interval_ms: 3_600_000,
        ..config(folder.path())
    };
    let (journal, _) = FileJournal::open(&config, Metrics::default()).unwrap();
    for number in 0..5 {
        let answer = journal.append(&request(0, number, 100));
        let answer = tokio::time::timeout(Duration::from_secs(60), answer).await;
        answer.expect("it does not wait for an hour").unwrap();
    }
}

#[tokio::test]
async fn stopping_writes_what_has_arrived_and_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        journal_commit_interval_ms: 3_600_000,
        ..config(folder.path())
    };
    let (journal, _) = FileJournal::open(&config, Metrics::default()).unwrap();
    let requests: Vec<_> = (0..50).map(|number| request(0, number, 100)).collect();
    let answers: Vec<_> = requests
        .iter()
        .map(|request| journal.append(request))
        .collect();
    assert!(journal.stop(soon()));
    for answer in answers {
        answer.await.unwrap();
    }
    let refused = journal.append(&request(0, 50, 100)).await;
    assert!(matches!(refused, Err(AppendError::Stopped)), "{refused:?}");
    assert!(
        journal.stop(Instant::now()),
        "stopping twice is stopping once"
    );
    drop(journal);
    assert_eq!(open(folder.path()).1, requests);
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let request = request(0, 1, 100);
    drop(journal.append(&request));
    drop(journal);
    assert_eq!(open(folder.path()).1, [request]);
}

#[tokio::test]
async fn without_a_journal_everything_is_accepted_and_nothing_kept() {
    let request = request(0, 1, 100);
    NoJournal.append(&request).await.unwrap();
    assert_eq!(NoJournal.read(request.id).unwrap(), None);
}

#[tokio::test]
async fn what_is_unfinished_is_read_in_batches_of_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    for number in 0..100 {
        journal.append(&request(0, number, 100_000)).await.unwrap();
    }
    drop(journal);
    let (_journal, unfinished) =
        FileJournal::open(&config(folder.path()), Metrics::default()).unwrap();
    let mut batches = 0;
    for batch in unfinished {
        assert!(batch.unwrap().len() <= 12);
        batches += 1;
    }
    assert!(batches >= 9, "{batches} batches");
    drop(_journal);
    let (_journal, unfinished) =
        FileJournal::open(&config(folder.path()), Metrics::default()).unwrap();
    assert_eq!(all(unfinished).len(), 100);
}
