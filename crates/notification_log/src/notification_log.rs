//! The stage: takes reports out of its queue until all senders are gone.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use crossbeam_channel::{Sender, bounded};
use jiff::tz::TimeZone;
use model::{Clock, Report};
use queue::{Consumer, Pulse, Workers};

use crate::{
    LogConfig, Metrics, NotificationLogError, Observer,
    rotating_file::{RotatingFile, Rotation, sync},
    writer::{Setting, Writer},
};

/// The file's name in the configured folder, as Pushkin's.
pub const FILE_NAME: &str = "notifications.csv";

/// Reports taken out of the queue at a time.
const BATCH_REPORTS: usize = 1_000;

/// The running notification log.
#[derive(Debug)]
pub struct NotificationLog {
    worker: Workers,
    file: Arc<Mutex<RotatingFile>>,
    /// Never sent to; held so that the writer knows that somebody waits for its lines.
    owner: Sender<()>,
}

/// Opens the file and starts the thread that writes to it; `game` and `world_id` are columns.
///
/// # Errors
/// When the folder cannot be made or the file not be opened.
pub fn start(
    reports: &Consumer<Report>,
    config: &LogConfig,
    game: &str,
    world_id: &str,
    clock: Clock,
    metrics: Metrics,
    observer: Option<Observer>,
) -> Result<NotificationLog, NotificationLogError> {
    let rotation = Rotation {
        when: config.notification_log_when_to_rotate,
        suffix: config.notification_log_rotate_suffix.clone(),
        keep_log_days: config.keep_log_days,
        mode: config.notification_log_mode,
        zone: TimeZone::system(),
    };
    let path = config.notification_log_path.join(FILE_NAME);
    let file = Arc::new(Mutex::new(RotatingFile::open(path, rotation, clock.now())?));
    let (owner, ownership) = bounded(0);
    let panics = metrics.panics.clone();
    let setting = Setting {
        file: Arc::clone(&file),
        game: game.into(),
        world_id: world_id.into(),
        clock,
        metrics,
        observer,
        owner: ownership,
    };
    let make_work = move || {
        let mut writer = Writer::new(setting.clone());
        move |batch: &mut Vec<_>| writer.record(batch)
    };
    // One thread: the lines of one file have one writer.
    let worker = Workers::spawn(
        "notification-log",
        1,
        reports,
        BATCH_REPORTS,
        &panics,
        make_work,
    );
    Ok(NotificationLog {
        worker,
        file,
        owner,
    })
}

impl NotificationLog {
    /// A function that makes every line written before its call durable. Lines in files that have
    /// been put aside since are durable already.
    pub fn durability(&self) -> impl FnMut() -> io::Result<()> + Send + 'static {
        let file = Arc::clone(&self.file);
        move || {
            // Synced without the lock: the writer goes on meanwhile.
            let current = file
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .handle()?;
            current.map_or(Ok(()), |file| sync(&file))
        }
    }

    /// Whether the thread runs.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.worker.pulse()
    }

    /// Waits until every report is written, which ends when all senders are gone. Returns false
    /// when `deadline` comes first; what cannot be written then is left unsettled.
    #[must_use]
    pub fn join_until(self, deadline: Instant) -> bool {
        let ended = self.worker.join_until(deadline);
        drop(self.owner);
        ended
    }
}

#[cfg(test)]
mod tests;
