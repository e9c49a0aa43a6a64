//! A log file that puts itself aside when its period is over. Both logs are kept in one.
//!
//! Whole lines come in; they stand in the file in order, each once. The rule that must hold: a
//! line is never torn and never doubled. A write that fails half-way is gone on with where it
//! stopped, if the file is still the same and ends there; if not, the line starts again on a
//! line of its own. The newest lines are always under the file's own name; a file that somebody
//! else moved away or deleted (`logrotate`) is made anew.

use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use jiff::tz::TimeZone;
use model::UnixMs;
use tracing::{info, warn};

use crate::{FileMode, NotificationLogError, Suffix, When};

const DAY_MS: i64 = 86_400_000;

/// How long to go on with the old file when it cannot be put aside.
const ROTATION_RETRY_MS: i64 = 60_000;

/// When a file is put aside, under which name, and for how long.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// When its period ends.
    pub when: When,
    /// What its name then ends with.
    pub suffix: Suffix,
    /// Days after its last line until it is deleted; 0 is never.
    pub keep_log_days: u32,
    /// Who may read it.
    pub mode: FileMode,
    /// Where midnight is, and the suffix's hours are.
    pub zone: TimeZone,
}

/// A file that is appended to, and put aside at the first line after its period.
///
/// It belongs to one thread at a time, and nobody else may write to the file.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    /// Closed by a failed write; the next one opens it again.
    open: Option<(File, Identity)>,
    /// The file we last wrote to, and its length then.
    end: Option<(Identity, u64)>,
    period: Period,
}

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// The time whose lines go into one file.
#[derive(Clone, Copy, Debug)]
struct Period {
    start: UnixMs,
    end: UnixMs,
}

impl Period {
    fn around(time: UnixMs, rotation: &Rotation) -> Self {
        let end = rotation.when.period_end(time, &rotation.zone);
        Self {
            start: rotation.when.period_start(end, &rotation.zone),
            end,
        }
    }
}

impl RotatingFile {
    /// Opens the file for appending, with its folder; and deletes rotated files that are too old.
    ///
    /// A file that already has lines is in the period of its last line, as in Python.
    ///
    /// # Errors
    /// When the folder cannot be made, or the file not be opened or inspected.
    pub fn open(
        path: PathBuf,
        rotation: Rotation,
        now: UnixMs,
    ) -> Result<Self, NotificationLogError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|cause| NotificationLogError::CreateFolder {
                path: folder.to_owned(),
                cause,
            })?;
        }
        // Asked before it is opened: ending a torn line would make the file new.
        let last_line = match metadata_at(&path)? {
            Some(metadata) if metadata.len() > 0 => modified_at(&metadata).min(now),
            Some(_) | None => now,
        };
        let mut file = Self {
            period: Period::around(last_line, &rotation),
            path,
            rotation,
            open: None,
            end: None,
        };
        file.reopen_if_needed(0)?;
        file.delete_old_files(now);
        Ok(file)
    }

    /// The path under which the newest lines are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `lines` (whole lines, each with its line feed) from byte `written` on, and moves
    /// `written` along. After an error call again with the same two, later; `written` may have
    /// gone back to the start of a line. The file is put aside before a line, never within.
    ///
    /// # Errors
    /// When the file cannot be opened, inspected or written to. What is written so far stays.
    pub fn append(
        &mut self,
        lines: &[u8],
        written: &mut usize,
        now: UnixMs,
    ) -> Result<(), NotificationLogError> {
        if *written == 0 {
            self.rotate_if_due(now);
        }
        if !self.reopen_if_needed(*written)? {
            *written = line_start(lines, *written);
        }
        while *written < lines.len() {
            match self.write(&lines[*written..]) {
                Ok(bytes) => *written += bytes,
                Err(cause) => {
                    self.close();
                    let path = self.path.clone();
                    return Err(NotificationLogError::Write { path, cause });
                }
            }
        }
        Ok(())
    }

    /// The open file, for whoever makes it durable.
    ///
    /// # Errors
    /// When the system has no file descriptor to give.
    pub(crate) fn handle(&self) -> io::Result<Option<File>> {
        let file = self.open.as_ref().map(|(file, _)| file.try_clone());
        file.transpose()
    }

    /// Lets go of the file. Its lines are made durable here: nobody looks back at it.
    fn close(&mut self) {
        if let Some((file, _)) = self.open.take()
            && let Err(error) = sync(&file)
        {
            let file = self.path.display();
            warn!(%file, %error, "the last lines of a log file may not survive a power cut");
        }
    }

    /// One write to the file; keeps `end` true.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some((file, identity)) = &mut self.open else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let written = loop {
            match file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                answer => break answer?,
            }
        };
        let length = match self.end {
            Some((before, length)) if before == *identity => length,
            Some(_) | None => 0,
        };
        self.end = Some((*identity, length + written as u64));
        Ok(written)
    }

    /// Makes sure that the file at our path is the open one. Returns whether it ends where the
    /// last write stopped, `written` bytes into its lines; otherwise its last line is complete.
    fn reopen_if_needed(&mut self, written: usize) -> Result<bool, NotificationLogError> {
        let at_path = metadata_at(&self.path)?.map(|metadata| Identity::of(&metadata));
        if let Some((_, identity)) = &self.open
            && at_path == Some(*identity)
        {
            return Ok(true);
        }
        self.close();
        let (file, metadata) = open_for_appending(&self.path, self.rotation.mode)?;
        let identity = Identity::of(&metadata);
        let goes_on = written > 0 && self.end == Some((identity, metadata.len()));
        self.end = Some((identity, metadata.len()));
        let torn = !goes_on && last_byte(&file, &metadata).is_some_and(|byte| byte != b'\n');
        self.open = Some((file, identity));
        if torn {
            // What a crash left: its row is lost to readers, the next one must not be.
            self.write(b"\n").map_err(|cause| {
                self.open = None;
                let path = self.path.clone();
                NotificationLogError::Write { path, cause }
            })?;
        }
        Ok(goes_on)
    }

    fn rotate_if_due(&mut self, now: UnixMs) {
        // A clock that was set back would otherwise keep the file for as long as it was wrong.
        if now < self.period.start {
            self.period = Period::around(now, &self.rotation);
        }
        if now < self.period.end {
            return;
        }
        match self.put_aside() {
            Ok(()) => {
                self.period = Period::around(now, &self.rotation);
                self.delete_old_files(now);
            }
            Err(cause) => {
                // The lines matter more than the name of their file.
                self.period.end = now.plus_ms(ROTATION_RETRY_MS);
                let file = self.path.display();
                warn!(%file, error = %cause, "cannot rotate a log file, going on with it");
            }
        }
    }

    /// Renames the file to one that is not there yet. A file without lines stays where it is.
    fn put_aside(&mut self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > 0 => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        let suffix = self
            .rotation
            .suffix
            .at(self.period.start, &self.rotation.zone);
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        let mut target = PathBuf::from(&name);
        let mut number = 0_u64;
        // Python overwrites here, and loses the older file.
        while target.symlink_metadata().is_ok() {
            number += 1;
            let mut numbered = name.clone();
            numbered.push(format!(".{number}"));
            target = numbered.into();
        }
        fs::rename(&self.path, &target)?;
        self.close();
        Ok(())
    }

    /// Deletes the files called like ours with a suffix, whatever the suffix, whose last line is
    /// older than `keep_log_days`. What cannot be deleted is tried again at the next rotation.
    fn delete_old_files(&self, now: UnixMs) {
        if self.rotation.keep_log_days == 0 {
            return;
        }
        let oldest_kept = now.plus_ms(-DAY_MS * i64::from(self.rotation.keep_log_days));
        let folder = self.folder();
        let rotated = match self.rotated_files() {
            Ok(rotated) => rotated,
            Err(error) => {
                warn!(folder = %folder.display(), %error, "cannot look for old log files");
                return;
            }
        };
        for (path, metadata) in rotated {
            if modified_at(&metadata) >= oldest_kept {
                continue;
            }
            let file = path.display();
            match fs::remove_file(&path) {
                Ok(()) => info!(%file, "deleted an old log file"),
                Err(error) => warn!(%file, %error, "cannot delete an old log file"),
            }
        }
    }

    fn rotated_files(&self) -> io::Result<Vec<(PathBuf, Metadata)>> {
        let Some(name) = self.path.file_name() else {
            return Ok(Vec::new());
        };
        let mut prefix = name.as_encoded_bytes().to_vec();
        prefix.push(b'.');
        let mut rotated = Vec::new();
        for entry in fs::read_dir(self.folder())? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(&prefix) {
                continue;
            }
            // An entry that has just been deleted by somebody else is no error.
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                rotated.push((entry.path(), metadata));
            }
        }
        Ok(rotated)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        }
    }
}

/// Makes what was written durable. Pipes and devices have nothing to make durable.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        answer => answer,
    }
}

/// The start of the line that byte `at` is in.
fn line_start(lines: &[u8], at: usize) -> usize {
    let line_feed = lines[..at].iter().rposition(|byte| *byte == b'\n');
    line_feed.map_or(0, |line_feed| line_feed + 1)
}

fn metadata_at(path: &Path) -> Result<Option<Metadata>, NotificationLogError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(NotificationLogError::Inspect {
            path: path.to_owned(),
            cause,
        }),
    }
}

fn open_for_appending(
    path: &Path,
    mode: FileMode,
) -> Result<(File, Metadata), NotificationLogError> {
    let open = || {
        let file = OpenOptions::new()
            .read(true) // for the last byte
            .append(true)
            .create(true)
            .mode(mode.bits())
            .open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    let (file, metadata) = open().map_err(|cause| NotificationLogError::Open {
        path: path.to_owned(),
        cause,
    })?;
    // The umask may have taken bits away. Devices and pipes are not ours to change.
    if metadata.is_file() && metadata.mode() & 0o777 != mode.bits() {
        let permissions = Permissions::from_mode(mode.bits());
        if let Err(error) = file.set_permissions(permissions) {
            warn!(file = %path.display(), %mode, %error, "cannot set a log file's mode");
        }
    }
    Ok((file, metadata))
}

/// `None` for an empty file, and for what cannot be read at a place (a pipe).
fn last_byte(file: &File, metadata: &Metadata) -> Option<u8> {
    let mut byte = [0];
    let at = metadata.len().checked_sub(1)?;
    file.read_exact_at(&mut byte, at).ok()?;
    Some(byte[0])
}

/// When the file was last written to; 1970 where the system does not say.
fn modified_at(metadata: &Metadata) -> UnixMs {
    let since_1970 = metadata
        .modified()
        .ok()
        .and_then(|modified| modified.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    UnixMs(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
