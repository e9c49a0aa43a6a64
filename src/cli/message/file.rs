//! Files of messages: which form, and standard input and output under the name `-`.

use std::{
    fs,
    io::{Read as _, Write},
    path::Path,
};

use anyhow::{Context, bail};
use clap::ValueEnum;

/// The form of a file of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Csv,
    Json,
}

impl Format {
    /// The named form, else the one that the file's name ends with.
    pub(super) fn of(file: &Path, named: Option<Self>) -> anyhow::Result<Self> {
        let ending = file.extension().map(|ending| ending.to_ascii_lowercase());
        match (named, ending.as_ref().and_then(|ending| ending.to_str())) {
            (Some(format), _) => Ok(format),
            (None, Some("csv")) => Ok(Self::Csv),
            (None, Some("json")) => Ok(Self::Json),
            (None, _) => bail!(
                "{}: the name ends neither with .csv nor with .json; say --format csv or --format json",
                file.display()
            ),
        }
    }
}

/// Whether standard input or output is meant.
pub(super) fn is_standard(file: &Path) -> bool {
    file == Path::new("-")
}

/// The whole file, without the mark that some programs put at its beginning.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = if is_standard(file) {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let mut bytes = bytes.with_context(|| format!("{}: cannot be read", file.display()))?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// Puts `bytes` in the file's place.
pub(super) fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = if is_standard(file) {
        std::io::stdout().write_all(bytes)
    } else {
        fs::write(file, bytes)
    };
    written.with_context(|| format!("{}: cannot be written", file.display()))
}
