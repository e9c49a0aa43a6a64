//! The folder: created, private, one daemon's; damaged files are put aside.

use std::{error::Error, fs, os::unix::fs::PermissionsExt, path::Path};

use journal::{FileJournal, Journal, Metrics, OpenError};

use crate::rig::{config, open, request};

#[tokio::test]
async fn folder_and_files_are_created_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.journal_path = folder.path().join("data/deep/journal");
    let (journal, _) = FileJournal::open(&config, Metrics::default()).unwrap();
    journal.append(&request(0, 1, 100)).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&config.journal_path), 0o700);
    for file in fs::read_dir(&config.journal_path).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_second_daemon_on_the_same_path_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = open(folder.path());
    let config = config(folder.path());
    let refused = FileJournal::open(&config, Metrics::default()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    let path = config.journal_path.display().to_string();
    assert!(refused.to_string().contains(&path), "{refused}");
    first.append(&request(0, 1, 100)).await.unwrap();
    drop(first);
    assert_eq!(open(folder.path()).1.len(), 1);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("journal"), "a file").unwrap();
    let refused = FileJournal::open(&config(folder.path()), Metrics::default()).unwrap_err();
    assert!(refused.to_string().contains("journal"), "{refused}");
    assert!(refused.source().is_some());
}

/// Damages a journal with one request in it and opens it again.
async fn open_damaged(damage: impl Fn(&mut Vec<u8>)) {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    for number in 0..50 {
        journal.append(&request(0, number, 1_000)).await.unwrap();
    }
    drop(journal);
    let file = folder.path().join("journal/journal.redb");
    let mut bytes = fs::read(&file).unwrap();
    damage(&mut bytes);
    fs::write(&file, &bytes).unwrap();
    let metrics = Metrics::default();
    let (journal, unfinished) = FileJournal::open(&config(folder.path()), metrics.clone()).unwrap();
    assert_eq!(unfinished.requests(), 0);
    assert_eq!(metrics.kept_aside.get(), 1);
    let aside = folder.path().join("journal/journal.redb.damaged-1");
    assert_eq!(fs::read(aside).unwrap(), bytes);
    let later = request(0, 50, 100);
    journal.append(&later).await.unwrap();
    drop(journal);
    assert_eq!(open(folder.path()).1, [later]);
}

#[tokio::test]
async fn a_file_with_wrong_checksums_is_put_aside_and_the_daemon_starts() {
    open_damaged(|bytes| bytes.iter_mut().skip(8_192).for_each(|byte| *byte ^= 0x5a)).await;
}

#[tokio::test]
async fn a_file_that_is_cut_is_put_aside_and_the_daemon_starts() {
    open_damaged(|bytes| bytes.truncate(bytes.len() / 2)).await;
}

#[tokio::test]
async fn a_file_of_something_else_is_put_aside_and_the_daemon_starts() {
    open_damaged(|bytes| bytes.fill(b'x')).await;
}
