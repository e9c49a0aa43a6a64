//! The notification log is durable before a request leaves the journal.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use journal::{FileJournal, Finisher};
use model::{Receipt, Request};

use crate::rig::{append_all, eventually, open, request, soon};

async fn journal_with(count: i64, folder: &std::path::Path) -> (Arc<FileJournal>, Vec<Request>) {
    let (journal, _) = open(folder);
    let requests: Vec<_> = (0..count).map(|number| request(0, number, 10)).collect();
    append_all(&journal, &requests).await;
    (Arc::new(journal), requests)
}

#[tokio::test]
async fn finished_requests_leave_after_one_flush_of_the_log_for_many() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, requests) = journal_with(500, folder.path()).await;
    let (flushes, seen) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&journal));
    let flush = {
        let flushes = Arc::clone(&flushes);
        move || {
            if flushes.fetch_add(1, Ordering::SeqCst) == 0 {
                assert_eq!(
                    seen.depth(),
                    500,
                    "nothing leaves before the log is durable"
                );
            }
            Ok(())
        }
    };
    let finisher = Arc::new(Finisher::start(Arc::<FileJournal>::clone(&journal), flush));
    for request in &requests {
        Receipt::open(request.id, Arc::<Finisher>::clone(&finisher)).settle();
    }
    eventually("everything leaves", || journal.depth() == 0).await;
    let flushes = flushes.load(Ordering::SeqCst);
    assert!((1..50).contains(&flushes), "{flushes} flushes");
}

#[tokio::test]
async fn nothing_leaves_while_the_log_cannot_be_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, requests) = journal_with(3, folder.path()).await;
    let (broken, tries) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let flush = {
        let (broken, tries) = (Arc::clone(&broken), Arc::clone(&tries));
        move || {
            tries.fetch_add(1, Ordering::SeqCst);
            match broken.load(Ordering::SeqCst) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    };
    let finisher = Arc::new(Finisher::start(Arc::<FileJournal>::clone(&journal), flush));
    for request in &requests {
        Receipt::open(request.id, Arc::<Finisher>::clone(&finisher)).settle();
    }
    eventually("it is tried again", || tries.load(Ordering::SeqCst) >= 2).await;
    assert_eq!(journal.depth(), 3);
    broken.store(false, Ordering::SeqCst);
    eventually("everything leaves", || journal.depth() == 0).await;
}

#[tokio::test]
async fn stopping_passes_on_what_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, requests) = journal_with(3, folder.path()).await;
    let finisher = Arc::new(Finisher::start(Arc::<FileJournal>::clone(&journal), || {
        Ok(())
    }));
    for request in &requests[..2] {
        Receipt::open(request.id, Arc::<Finisher>::clone(&finisher)).settle();
    }
    assert!(finisher.stop(soon()));
    assert!(journal.stop(soon()));
    drop((finisher, journal));
    assert_eq!(open(folder.path()).1, requests[2..]);
}
