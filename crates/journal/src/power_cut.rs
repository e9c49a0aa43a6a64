//! The store on a disk made of memory, which loses what was not synced when the power fails, and
//! can be full.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use model::{AppId, DirectNotification, Item, Lane, LoginId, Request, RequestId, UnixMs};
use parking_lot::Mutex;
use redb::StorageBackend;

use crate::{
    AppendError, FileJournal, Journal, JournalConfig, Metrics, Unfinished,
    error::StoreError,
    row::Row,
    store::{Change, Store},
};

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    cached: Vec<u8>,
    /// What is there after a power cut, whatever happens.
    synced: Vec<u8>,
    /// What may be there after a power cut, in order.
    unsynced: Vec<Write>,
    /// Writes and syncs that are left before the power fails.
    power: Option<usize>,
    full: bool,
}

#[derive(Debug)]
enum Write {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Write {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Bytes(offset, bytes) => {
                if image.len() < offset + bytes.len() {
                    image.resize(offset + bytes.len(), 0);
                }
                image[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl State {
    fn use_power(&mut self) -> io::Result<()> {
        match &mut self.power {
            Some(0) => Err(io::Error::other("there is no power")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, write: Write) -> io::Result<()> {
        self.use_power()?;
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        write.apply(&mut self.cached);
        self.unsynced.push(write);
        Ok(())
    }
}

impl Disk {
    fn fails_after(&self, operations: usize) {
        self.0.lock().power = Some(operations);
    }

    fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// The disk as it is found when the power is back: of what was not synced any sectors may
    /// have been written.
    fn after_power_cut(&self, random: &mut Rng) -> Self {
        let state = self.0.lock();
        let mut image = state.synced.clone();
        for write in &state.unsynced {
            match write {
                Write::Length(_) => {
                    if random.bool() {
                        write.apply(&mut image);
                    }
                }
                Write::Bytes(offset, bytes) => {
                    for (place, sector) in bytes.chunks(SECTOR).enumerate() {
                        if random.bool() {
                            let offset = offset + place * SECTOR;
                            Write::Bytes(offset, sector.to_vec()).apply(&mut image);
                        }
                    }
                }
            }
        }
        Self(Arc::new(Mutex::new(State {
            cached: image.clone(),
            synced: image,
            ..State::default()
        })))
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(self.clone())
    }

    fn journal(&self) -> (FileJournal, Unfinished) {
        let disk = self.clone();
        let store = self.open().unwrap();
        let reopen = Box::new(move || disk.open());
        FileJournal::start(&JournalConfig::default(), Metrics::default(), store, reopen).unwrap()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let state = self.0.lock();
        let bytes = state.cached.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0
            .lock()
            .write(Write::Length(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.use_power()?;
        let State {
            synced, unsynced, ..
        } = &mut *state;
        for write in unsynced.drain(..) {
            write.apply(synced);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.0.lock().write(Write::Bytes(offset, data.to_vec()))
    }
}

fn request(number: i64, length: usize) -> Request {
    Request {
        id: RequestId::generate(),
        accepted_at: UnixMs(1_795_293_388_117),
        lane: Lane::Urgent,
        app: AppId::LEGACY,
        items: vec![Item::Notification(DirectNotification {
            login: LoginId(number),
            title: "T".into(),
            content: "x".repeat(length).into(),
            screen: "".into(),
        })],
        ended: model::Ended::default(),
    }
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come true");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn all(unfinished: Unfinished) -> Vec<Request> {
    unfinished.flat_map(|batch| batch.unwrap()).collect()
}

/// Appends groups of requests and finishes some until the power fails; returns what was accepted
/// and not finished, what may be either, and what was finished.
async fn work_until_dark(disk: &Disk, random: &mut Rng) -> [Vec<Request>; 3] {
    let (journal, _) = disk.journal();
    disk.fails_after(random.usize(0..400));
    let [mut open, mut either, mut gone] = [const { Vec::new() }; 3];
    let mut number = 0;
    // Enough to use the power up, by far.
    for _ in 0..1_000 {
        let group: Vec<_> = (0..random.usize(1..40))
            .map(|_| {
                number += 1;
                let length = if random.u8(..) < 10 {
                    90_000
                } else {
                    random.usize(0..400)
                };
                request(number, length)
            })
            .collect();
        let answers: Vec<_> = group
            .iter()
            .map(|request| journal.append(request))
            .collect();
        for (request, answer) in group.into_iter().zip(answers) {
            match answer.await {
                Ok(()) => open.push(request),
                Err(_) => either.push(request),
            }
        }
        if !either.is_empty() {
            return [open, either, gone];
        }
        if random.bool() {
            let finished: Vec<_> = open.extract_if(.., |_| random.u8(..) < 128).collect();
            let ids: Vec<_> = finished.iter().map(|request| request.id).collect();
            journal.finished(&ids);
            let depth = open.len();
            let until = Instant::now() + Duration::from_secs(30);
            while journal.depth() > depth && journal.failed_writes() == 0 {
                assert!(Instant::now() < until, "marks are not written");
                tokio::task::yield_now().await;
            }
            if journal.depth() > depth {
                either.extend(finished);
                return [open, either, gone];
            }
            gone.extend(finished);
        }
    }
    [open, either, gone]
}

#[tokio::test]
async fn a_power_cut_at_any_moment_loses_no_accepted_request_and_brings_no_finished_one() {
    for seed in 0..80 {
        let mut random = Rng::with_seed(seed);
        let disk = Disk::default();
        drop(disk.journal());
        let [open, either, gone] = work_until_dark(&disk, &mut random).await;
        let found = all(disk.after_power_cut(&mut random).journal().1);
        let ids: Vec<_> = found.iter().map(|request| request.id).collect();
        for request in &open {
            assert!(
                ids.contains(&request.id),
                "seed {seed}: an accepted request is lost"
            );
        }
        for request in &gone {
            assert!(
                !ids.contains(&request.id),
                "seed {seed}: a finished request is back"
            );
        }
        for request in &found {
            assert!(
                open.contains(request) || either.contains(request),
                "seed {seed}: a request that nobody sent, or that is changed"
            );
        }
        let numbers: Vec<_> = found.iter().map(number).collect();
        assert!(
            numbers.is_sorted(),
            "seed {seed}: out of order: {numbers:?}"
        );
    }
}

fn number(request: &Request) -> i64 {
    match &request.items[0] {
        Item::Notification(notification) => notification.login.0,
        Item::Event(event) => event.login.0,
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_without_a_restart() {
    let disk = Disk::default();
    let (journal, _) = disk.journal();
    let first = request(1, 100);
    journal.append(&first).await.unwrap();
    let charged = journal.bytes();
    disk.set_full(true);
    for number in 2..5 {
        let refused = journal.append(&request(number, 100)).await;
        assert!(matches!(refused, Err(AppendError::Write(_))), "{refused:?}");
    }
    assert_eq!(journal.bytes(), charged);
    // Marks wait, and are written once the disk takes them, without another request.
    journal.finished(&[first.id]);
    disk.set_full(false);
    eventually(|| journal.depth() == 0).await;
    let last = request(5, 100);
    journal.append(&last).await.unwrap();
    drop(journal);
    assert_eq!(all(disk.journal().1), [last]);
}

#[tokio::test]
async fn what_was_refused_does_not_come_back() {
    // More than two commits have; which requests share one differs from turn to turn.
    let turns: Vec<_> = (0..30)
        .map(|operations| tokio::spawn(refused_after(operations)))
        .collect();
    let mut sound = 0;
    for turn in turns {
        sound += usize::from(turn.await.unwrap());
    }
    assert!((1..30).contains(&sound), "{sound} turns without a failure");
}

/// A disk that fails after so many operations and recovers; says whether nothing was refused.
async fn refused_after(operations: usize) -> bool {
    let disk = Disk::default();
    let (journal, _) = disk.journal();
    disk.fails_after(operations);
    // Too long to share a row, and gathered while the disk is slow: what is left of a failed
    // commit is more than the next one writes over.
    let requests: Vec<_> = (0..4).map(|number| request(number, 70_000)).collect();
    let slow = disk.0.lock();
    let answers: Vec<_> = requests
        .iter()
        .map(|request| journal.append(request))
        .collect();
    drop(slow);
    let mut expected = Vec::new();
    for (request, answer) in requests.into_iter().zip(answers) {
        if answer.await.is_ok() {
            expected.push(request);
        }
    }
    let sound = expected.len() == 4;
    disk.0.lock().power = None;
    let mut last = request(4, 100);
    while journal.append(&last).await.is_err() {
        last = request(4, 100);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    expected.push(last);
    drop(journal);
    let found = all(disk.journal().1);
    assert!(
        found == expected,
        "{} instead of {} after {operations} operations",
        found.len(),
        expected.len()
    );
    sound
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_aside_and_stops_nothing_else() {
    let disk = Disk::default();
    let (newer, sound) = (RequestId::generate(), request(1, 10));
    let mut row = Row::default();
    row.push(newer, &[200, 1, 2, 3]);
    row.push(sound.id, &sound.to_bytes());
    let change = Change {
        rows: vec![(0, Row::damaged(b"\x01damaged")), (1, row)],
        ..Change::default()
    };
    disk.open().unwrap().commit(&change).unwrap();
    // Twice: it is still there, and still in nobody's way, at the next start.
    for _ in 0..2 {
        let metrics = Metrics::default();
        let reopen = Box::new(|| Err(StoreError::Closed));
        let store = disk.open().unwrap();
        let (journal, unfinished) =
            FileJournal::start(&JournalConfig::default(), metrics.clone(), store, reopen).unwrap();
        assert_eq!(all(unfinished), std::slice::from_ref(&sound));
        assert_eq!(metrics.kept_aside.get(), 2);
        assert!(journal.read(newer).is_err());
    }
    let (journal, _) = disk.journal();
    journal.append(&request(2, 10)).await.unwrap();
}
