//! Writes reports as lines, and settles their receipts.
//!
//! A batch of reports comes in; its lines go out in as few writes as possible, and only then is
//! each receipt settled. While the file cannot be written to, the batch is kept and tried again
//! with back-off: the queue behind it fills and the stages before it slow down, but no row is
//! lost and none is written twice.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use model::{Clock, Report};
use queue::Taken;
use tracing::{error, info};

use crate::{Metrics, Row, rotating_file::RotatingFile};

/// Lines are handed to the system when they are this many bytes, or at the batch's end.
const WRITE_BYTES: usize = 256 * 1024;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Told of every report after its line is written and before its receipt is settled.
pub type Observer = Arc<dyn Fn(&Report) + Send + Sync>;

/// What every writer of this log is made from; after a panic the next one goes on with it.
#[derive(Clone)]
pub(crate) struct Setting {
    /// Locked by the one writer there is at a time, while it appends.
    pub(crate) file: Arc<Mutex<RotatingFile>>,
    pub(crate) game: Arc<str>,
    pub(crate) world_id: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) observer: Option<Observer>,
    /// Disconnected when nobody waits for the log any more: then a failed write is not repeated.
    pub(crate) owner: Receiver<()>,
}

/// The work of the log's thread.
pub(crate) struct Writer {
    setting: Setting,
    /// Reports whose lines stand in `lines`.
    reports: Vec<Taken<Report>>,
    lines: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            setting,
            reports: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Writes and settles the whole batch.
    pub(crate) fn record(&mut self, batch: &mut Vec<Taken<Report>>) {
        for report in batch.drain(..) {
            let row = Row::of(&report.value, &self.setting.game, &self.setting.world_id);
            row.write_line(&mut self.lines);
            self.reports.push(report);
            if self.lines.len() >= WRITE_BYTES {
                self.write_and_settle();
            }
        }
        self.write_and_settle();
    }

    fn write_and_settle(&mut self) {
        if self.write_patiently() {
            self.setting.metrics.lines.inc_by(self.reports.len() as u64);
            for Taken { value, slot, held } in self.reports.drain(..) {
                self.setting.metrics.count(&value);
                if let Some(observer) = &self.setting.observer {
                    observer(&value);
                }
                let model::Notification { id, receipt, .. } = value.notification;
                receipt.settle_notification(id);
                drop((slot, held));
            }
        } else {
            // Unsettled: their requests stay unfinished, and a journal brings them again.
            error!(
                lines = self.reports.len(),
                "the notification log is left with lines unwritten"
            );
            self.reports.clear();
        }
        self.lines.clear();
        // One huge text must not keep its memory for ever.
        self.lines.shrink_to(2 * WRITE_BYTES);
    }

    /// Returns false when the lines could not be written and nobody waits for them any more.
    fn write_patiently(&self) -> bool {
        let mut written = 0;
        let mut wait = FIRST_WAIT;
        let mut failed = false;
        loop {
            let Err(error) = self.write(&mut written) else {
                if failed {
                    info!("the notification log is written to again");
                }
                return true;
            };
            self.setting.metrics.errors.inc();
            if !failed {
                failed = true;
                let error = &error as &(dyn Error + 'static);
                error!(
                    error,
                    "the notification log waits until it can be written to"
                );
            }
            match self.setting.owner.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => wait = (wait * 2).min(LONGEST_WAIT),
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn write(&self, written: &mut usize) -> Result<(), crate::NotificationLogError> {
        // A panic elsewhere under this lock leaves the file as its last write left it.
        let mut file = self
            .setting
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        file.append(&self.lines, written, self.setting.clock.now())
    }
}
