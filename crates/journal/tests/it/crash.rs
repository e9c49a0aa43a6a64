//! `kill -9` at random moments: this test program starts itself as the writer and kills it.

use std::{
    collections::HashSet,
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use journal::Journal;
use model::RequestId;
use rustix::process::{Pid, Signal};

use crate::rig::{eventually, open, origin, request};

/// Names the writer's folder to the writer.
const FOLDER: &str = "ONEGIN_JOURNAL_TEST_FOLDER";

/// What the writer says of a request; a line each, written before it goes on.
const ACCEPTED: &str = "=accepted";
const FINISHING: &str = "=finishing";
const FINISHED: &str = "=finished";

/// Appends and finishes; for ever as the writer of the test below, a hundred times on its own.
#[tokio::test]
async fn a_writer_reads_back_what_it_has_written() {
    let of_its_own = tempfile::tempdir().unwrap();
    let folder = env::var_os(FOLDER).map(PathBuf::from);
    let turns = if folder.is_some() { i64::MAX } else { 100 };
    let (journal, _) = open(folder.as_deref().unwrap_or(of_its_own.path()));
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let writers: Vec<_> = (0..8)
        .map(|writer| tokio::spawn(write(Arc::clone(&journal), writer, turns)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn write(journal: Arc<dyn Journal>, writer: i32, turns: i64) {
    let mut random = fastrand::Rng::new();
    for number in 0..turns {
        let length = if random.u8(..) < 8 {
            70_000
        } else {
            random.usize(..500)
        };
        let request = request(writer, number, length);
        journal.append(&request).await.unwrap();
        say(ACCEPTED, request.id);
        if random.bool() {
            assert_eq!(journal.read(request.id).unwrap().as_ref(), Some(&request));
            say(FINISHING, request.id);
            journal.finished(&[request.id]);
            if random.bool() {
                eventually("the mark is written", || {
                    journal.read(request.id).unwrap().is_none()
                })
                .await;
                say(FINISHED, request.id);
            }
        }
    }
}

fn say(what: &str, id: RequestId) {
    if env::var_os(FOLDER).is_none() {
        return;
    }
    writeln!(std::io::stdout().lock(), "{what} {id}").unwrap();
}

fn start_writer(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::a_writer_reads_back_what_it_has_written",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn kill_nine_at_any_moment_loses_no_accepted_request_and_brings_no_finished_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::new();
    let (mut accepted, mut finishing, mut finished) =
        <(HashSet<_>, HashSet<_>, HashSet<_>)>::default();
    for round in 0..8 {
        let mut writer = start_writer(folder.path());
        let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
        let lines = random.usize(0..2_000);
        let mut heard: Vec<_> = said.by_ref().take(lines).map(Result::unwrap).collect();
        let pid = Pid::from_child(&writer);
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        writer.wait().unwrap();
        heard.extend(said.map_while(Result::ok));
        for line in heard {
            // The test harness may have begun the line.
            let Some((what, id)) = line
                .find('=')
                .and_then(|at| line.get(at..)?.split_once(' '))
            else {
                continue;
            };
            let id = id.to_owned();
            match what {
                ACCEPTED => accepted.insert(id),
                FINISHING => finishing.insert(id),
                FINISHED => finished.insert(id),
                other => panic!("{other}"),
            };
        }
        let (journal, found) = open(folder.path());
        let ids: HashSet<_> = found.iter().map(|request| request.id.to_string()).collect();
        let lost: Vec<_> = accepted
            .difference(&finishing)
            .filter(|id| !ids.contains(*id))
            .collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        let back: Vec<_> = finished.intersection(&ids).collect();
        assert!(back.is_empty(), "round {round}: back {back:?}");
        for writer in 0..8 {
            // Rounds begin again at number 0, so what is left is finished between rounds.
            let origins = found.iter().map(origin).filter(|origin| origin.0 == writer);
            assert!(origins.is_sorted(), "round {round}: out of order");
        }
        let left: Vec<_> = found.iter().map(|request| request.id).collect();
        finished.extend(ids.iter().cloned());
        finishing.extend(ids);
        journal.finished(&left);
    }
    assert!(
        accepted.len() > 100,
        "the writer wrote {} requests",
        accepted.len()
    );
    assert!(!finished.is_empty());
}
