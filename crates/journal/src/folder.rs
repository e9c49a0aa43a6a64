//! The journal's folder: `journal.redb`, and `lock`, which one daemon holds.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::backends::FileBackend;

use crate::{OpenError, error::StoreError, store::Store};

/// A locked folder; the lock lasts as long as this value.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Held, not read. The store's own lock would not do: it is let go while the store is opened
    /// again after a failure, or put aside.
    _lock: File,
}

impl Folder {
    /// Creates the folder if need be, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|cause| OpenError::CreateFolder {
                path: path.to_owned(),
                cause,
            })?;
        let lock_path = path.join("lock");
        let failed = |cause| OpenError::File {
            path: lock_path.clone(),
            cause,
        };
        let lock = private_file(&lock_path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(cause)) => Err(failed(cause)),
        }
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.path.join("journal.redb")
    }

    /// Opens the store.
    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        let backend = private_file(&self.store_path())
            .map_err(redb::Error::Io)
            .and_then(|file| FileBackend::new(file).map_err(redb::Error::from))
            .map_err(|cause| StoreError::Open(Box::new(cause)))?;
        // redb answers some kinds of damage with a panic.
        let store = catch_unwind(AssertUnwindSafe(|| Store::open(backend)))
            .unwrap_or(Err(StoreError::Panicked))?;
        // A file that has just been made is there after a power cut only if its folder says so.
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(|cause| StoreError::Open(Box::new(redb::Error::Io(cause))))?;
        Ok(store)
    }

    /// Gives a damaged store another name, so that an empty one can take its place; returns it.
    pub(crate) fn put_aside(&self) -> io::Result<PathBuf> {
        let (from, mut number) = (self.store_path(), 1);
        loop {
            let to = from.with_extension(format!("redb.damaged-{number}"));
            if !to.try_exists()? {
                fs::rename(&from, &to)?;
                return Ok(to);
            }
            number += 1;
        }
    }

    /// Stores that were put aside, now and at earlier starts.
    pub(crate) fn aside(&self) -> usize {
        let names = fs::read_dir(&self.path).into_iter().flatten().flatten();
        names
            .filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-"))
            .count()
    }
}

/// Users' data: nobody else reads it, whatever the process's umask is.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}
