use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use model::{Clock, DeviceToken, Lane, LoginId, Platform, QueueName, UnixMs};
use queue::{Limits, Producer};
use storage::{DatabaseConfig, Login, OpenOptions};
use tempfile::TempDir;

use super::*;

fn away() -> Unwritten {
    Unwritten::Away("the database is away".into())
}

fn refused() -> Unwritten {
    Unwritten::Refused("the database refuses it".into())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn patience(tries: u32) -> Patience {
    let wait = Duration::from_millis(1);
    Patience {
        first_wait: wait,
        longest_wait: wait,
        tries,
    }
}

fn unregistered(login: i64, token: &str) -> Feedback {
    Feedback::Unregistered {
        login: LoginId(login),
        platform: Platform::ANDROID,
        token: DeviceToken::new(token),
        since: None,
    }
}

fn queue() -> (Producer<Feedback>, Consumer<Feedback>) {
    queue::bounded(QueueName::PostProcessor, Limits::items(10_000))
}

fn send(producer: &Producer<Feedback>, feedback: Feedback) {
    let place = producer.try_reserve(Lane::Urgent, 1, 0).unwrap();
    place.send(feedback);
}

fn open_storage(folder: &TempDir) -> Storage {
    let config = DatabaseConfig {
        db_url: Some(format!("sqlite:{}", folder.path().join("db").display())),
        ..DatabaseConfig::default()
    };
    let options = OpenOptions {
        processor_threads: 1,
        durable: false,
        clock: Clock::new(|| UnixMs(1_795_289_818_442)),
    };
    Storage::open(&config, options).unwrap()
}

fn log_in(storage: &Storage, login: i64, token: &str) {
    let login = Login {
        login: LoginId(login),
        language: Some(1),
        platform: Platform::ANDROID,
        token: Some(DeviceToken::new(token)),
        application_version: None,
    };
    storage.log_in(&login).unwrap();
}

#[test]
fn what_push_services_said_is_in_the_device_rows_when_it_has_ended() {
    let folder = TempDir::new().unwrap();
    let storage = open_storage(&folder);
    log_in(&storage, 1, "dead");
    log_in(&storage, 2, "old");
    let (producer, consumer) = queue();
    for _ in 0..10 {
        send(&producer, unregistered(1, "dead"));
    }
    send(
        &producer,
        Feedback::Replaced {
            login: LoginId(2),
            platform: Platform::ANDROID,
            old: DeviceToken::new("old"),
            new: DeviceToken::new("new"),
        },
    );
    send(&producer, unregistered(3, "unknown"));
    drop(producer);
    let metrics = Metrics::default();
    let post_processor = start(&consumer, storage.clone(), &metrics);
    assert!(post_processor.join_until(soon()));

    let dead = &storage.devices(LoginId(1)).unwrap()[0];
    assert!(!dead.is_active);
    let replaced = &storage.devices(LoginId(2)).unwrap()[0];
    assert!(replaced.is_active);
    assert_eq!(replaced.token_new, Some(DeviceToken::new("new")));
    assert_eq!(metrics.unregistered.get(), 1);
    assert_eq!(metrics.replaced.get(), 1);
    assert_eq!(metrics.without_effect.get(), 1);
    assert_eq!(metrics.dropped.get(), 0);
}

/// Sends `feedback` to a database that fails the first `failures` tries. Returns the metrics and
/// the number of tries.
fn written_after(
    failures: u32,
    failure: fn() -> Unwritten,
    feedback: &[Feedback],
) -> (Metrics, u32) {
    let (producer, consumer) = queue();
    for feedback in feedback {
        send(&producer, feedback.clone());
    }
    let depth = producer.monitor();
    drop(producer);
    let metrics = Metrics::default();
    let tried = Arc::new(AtomicU32::new(0));
    let trying = Arc::clone(&tried);
    let write = move |feedback: &[Feedback]| {
        if trying.fetch_add(1, Ordering::Relaxed) < failures {
            return Err(failure());
        }
        Ok(unregistered_all(feedback))
    };
    let post_processor = start_writing(&consumer, &metrics, patience(4), write);
    assert!(post_processor.join_until(soon()));
    assert_eq!(depth.depth(), 0);
    (metrics, tried.load(Ordering::Relaxed))
}

fn unregistered_all(feedback: &[Feedback]) -> FeedbackCounts {
    FeedbackCounts {
        unregistered: feedback.len() as u64,
        ..FeedbackCounts::default()
    }
}

#[test]
fn a_database_that_is_away_is_waited_for_and_gets_everything_once() {
    let feedback = [unregistered(1, "a"), unregistered(2, "b")];
    let (metrics, tried) = written_after(40, away, &feedback);
    assert_eq!((metrics.unregistered.get(), tried), (2, 41));
    assert_eq!(metrics.dropped.get(), 0);
}

#[test]
fn what_a_living_database_refuses_is_given_up_and_all_of_it_is_counted() {
    // Three equal ones count three times: that many were told and not written.
    let feedback = [(); 3].map(|()| unregistered(1, "a"));
    let (metrics, tried) = written_after(u32::MAX, refused, &feedback);
    assert_eq!((metrics.unregistered.get(), tried), (0, 4));
    assert_eq!(metrics.dropped.get(), 3);
}

#[test]
fn a_refused_batch_costs_itself_and_not_what_waits_behind_it() {
    let feedback: Vec<Feedback> = (0..700).map(|user| unregistered(user, "a")).collect();
    let (metrics, tried) = written_after(4, refused, &feedback);
    assert_eq!((metrics.unregistered.get(), tried), (200, 5));
    assert_eq!(metrics.dropped.get(), 500);
}

#[test]
fn repetitions_that_come_during_an_outage_leave_the_queue_and_devices_stay_in_it() {
    let (producer, consumer) = queue();
    let is_away = Arc::new(AtomicU32::new(1));
    let state = Arc::clone(&is_away);
    let write = move |feedback: &[Feedback]| match state.load(Ordering::Relaxed) {
        0 => Ok(unregistered_all(feedback)),
        _ => Err(away()),
    };
    let metrics = Metrics::default();
    let post_processor = start_writing(&consumer, &metrics, patience(4), write);
    let depth = |expected: usize| {
        let (_never, pause) = bounded::<()>(0);
        let limit = soon();
        while producer.depth() != expected {
            assert!(Instant::now() < limit, "{} places", producer.depth());
            assert!(pause.recv_timeout(Duration::from_millis(1)).is_err());
        }
    };
    send(&producer, unregistered(0, "a"));
    for user in 0..1_200 {
        for _ in 0..3 {
            send(&producer, unregistered(user, "a"));
        }
    }
    depth(1_200);
    assert_eq!(metrics.dropped.get(), 0);
    is_away.store(0, Ordering::Relaxed);
    depth(0);
    drop(producer);
    assert!(post_processor.join_until(soon()));
    assert_eq!(metrics.unregistered.get(), 1_200);
    assert_eq!(metrics.dropped.get(), 0);
}

#[test]
fn a_stop_does_not_wait_for_a_database_that_is_away() {
    let (producer, consumer) = queue();
    send(&producer, unregistered(1, "a"));
    drop(producer);
    let metrics = Metrics::default();
    let for_ever = Patience {
        first_wait: Duration::from_secs(3600),
        ..patience(u32::MAX)
    };
    let (ended, end) = bounded::<()>(0);
    let write = move |_: &[Feedback]| {
        // Held by the thread until it ends.
        let _held = &ended;
        Err::<FeedbackCounts, _>(away())
    };
    let post_processor = start_writing(&consumer, &metrics, for_ever, write);
    assert!(!post_processor.join_until(Instant::now() + Duration::from_millis(1)));
    assert_eq!(
        end.recv_deadline(soon()),
        Err(RecvTimeoutError::Disconnected)
    );
    assert_eq!(metrics.dropped.get(), 1);
}
