//! A file system that takes no more: this test program starts itself under a limit on the length
//! of files, which is what a full disk looks like to a writer, and later lifts it.

use std::{env, path::PathBuf, process::Command, time::Duration};

use journal::{AppendError, Journal};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::rig::{open, origin, request};

/// Names the folder to the process that runs under the limit.
const FOLDER: &str = "ONEGIN_JOURNAL_FULL_DISK_TEST_FOLDER";

/// Runs under the limit if the test below has started it; on its own it fills nothing.
#[tokio::test]
async fn a_full_journal_file_recovers_when_there_is_space() {
    let of_its_own = tempfile::tempdir().unwrap();
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else {
        let (journal, _) = open(of_its_own.path());
        journal.append(&request(0, 0, 20_000)).await.unwrap();
        return;
    };
    let (journal, _) = open(&folder);
    let mut accepted = 0;
    let refused = loop {
        match journal.append(&request(0, accepted, 20_000)).await {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
        assert!(accepted < 1_000, "the limit on files does not hold");
    };
    assert!(matches!(refused, AppendError::Write(_)), "{refused:?}");
    let lifted = Rlimit {
        current: getrlimit(Resource::Fsize).maximum,
        maximum: getrlimit(Resource::Fsize).maximum,
    };
    setrlimit(Resource::Fsize, lifted).unwrap();
    while journal.append(&request(1, accepted, 20_000)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_disk_that_was_full_has_kept_what_was_accepted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // The signal would end the process; ignored, the write fails. A soft limit: it can be lifted.
    let limited = "trap '' XFSZ; ulimit -S -f 8192; exec \"$@\"";
    let status = Command::new("sh")
        .args(["-c", limited, "sh"])
        .arg(env::current_exe().unwrap())
        .args([
            "--exact",
            "full_disk::a_full_journal_file_recovers_when_there_is_space",
        ])
        .env(FOLDER, folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let (_, found) = open(folder.path());
    let (last, before) = found.split_last().unwrap();
    let count = i64::try_from(before.len()).unwrap();
    assert!(count > 10, "{count} requests were accepted");
    assert_eq!(origin(last), (1, count));
    assert!(
        before
            .iter()
            .map(origin)
            .eq((0..count).map(|number| (0, number)))
    );
}
