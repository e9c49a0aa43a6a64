//! The main log: `pushkin.log`, in Pushkin's lines or as JSON.
//!
//! Events come in from every thread; lines go out through one writer thread, so that no stage
//! waits for a disk. The newest lines are always in `pushkin.log`; at local midnight it becomes
//! `pushkin.log.YYYY-MM-DD`. What must hold: an event is one line, whatever its texts contain,
//! and a full disk stops nothing: lines that cannot be written go to standard error.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::Context as _;
use jiff::{Timestamp, tz::TimeZone};
use model::{Clock, UnixMs};
use notification_log::{
    FileMode, LogConfig, LogFormat, LogLevel, Suffix, When,
    rotating_file::{RotatingFile, Rotation},
};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::{Layered, SubscriberExt as _},
    registry::LookupSpan,
    reload,
};

/// The file's name in the configured folder, as Pushkin's.
const FILE_NAME: &str = "pushkin.log";

/// What the targets of our own crates begin with.
const OUR_TARGETS: &str = "onegin";

/// The open main log. Dropping it writes what is still waiting, for at most a second.
pub(crate) struct MainLog {
    level: reload::Handle<Targets, Registry>,
    _writer: WorkerGuard,
}

impl MainLog {
    /// Changes how much is logged from now on.
    ///
    /// # Errors
    /// When the log is not in use any more.
    pub(crate) fn set_level(&self, level: LogLevel) -> anyhow::Result<()> {
        self.level
            .reload(enabled(level))
            .context("failed to change the level of the main log")
    }
}

/// Opens the main log and makes it the one that every thread logs to.
///
/// With an empty `main_log_path` it goes to standard error.
///
/// # Errors
/// When the folder or the file cannot be made, or when there is a main log already.
pub(crate) fn open(config: &LogConfig, clock: Clock) -> anyhow::Result<MainLog> {
    let zone = TimeZone::system();
    let (lines, writer) = if config.main_log_path.as_os_str().is_empty() {
        in_background(io::stderr())
    } else {
        in_background(DailyFile::open(config, clock.clone(), zone.clone())?)
    };
    let (subscriber, level) = subscriber(config, clock, zone, lines);
    tracing::subscriber::set_global_default(subscriber).context("failed to start the main log")?;
    Ok(MainLog {
        level,
        _writer: writer,
    })
}

/// A writer that only hands lines over; what does not fit in its queue is dropped.
fn in_background(sink: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .thread_name("main-log")
        // The writer itself logs when it rotates: it must not wait for its own queue.
        .lossy(true)
        .finish(sink)
}

type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;

fn subscriber(
    config: &LogConfig,
    clock: Clock,
    zone: TimeZone,
    lines: NonBlocking,
) -> (
    impl Subscriber + Send + Sync + use<>,
    reload::Handle<Targets, Registry>,
) {
    let (filter, level) = reload::Layer::new(enabled(config.main_log_level));
    let layer = tracing_subscriber::fmt::layer().with_writer(lines);
    let layer: Box<dyn Layer<Filtered> + Send + Sync> = match config.log_format {
        LogFormat::Text => layer
            .with_ansi(false)
            .event_format(PushkinLine { clock, zone })
            .boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    (subscriber, level)
}

/// What is logged at `level`. Other people's crates say nothing below INFO: their detail is
/// about frames and headers, which hold tokens.
fn enabled(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::NotSet => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Critical => LevelFilter::ERROR,
    };
    Targets::new()
        .with_default(ours.min(LevelFilter::INFO))
        .with_target(OUR_TARGETS, ours)
}

/// Pushkin's line: local time with milliseconds, level, message, and then the fields.
struct PushkinLine {
    clock: Clock,
    zone: TimeZone,
}

impl<S, N> FormatEvent<S, N> for PushkinLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = self.local_time(self.clock.now());
        let level = level_name(*event.metadata().level());
        write!(line, "{time} {level} ")?;
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        write_on_one_line(&mut line, &text)?;
        writeln!(line)
    }
}

impl PushkinLine {
    fn local_time(&self, time: UnixMs) -> impl fmt::Display + use<> {
        Timestamp::from_millisecond(time.0)
            .unwrap_or_default()
            .to_zoned(self.zone.clone())
            .datetime()
            .strftime("%Y-%m-%d %H:%M:%S,%3f")
            .to_string()
    }
}

/// The level as Python calls it.
fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        // A Python logger has nothing below.
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// A text that somebody else chose must not look like a line of its own.
fn write_on_one_line(line: &mut Writer<'_>, text: &str) -> fmt::Result {
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            write!(line, "{}", character.escape_default())?;
        } else {
            line.write_char(character)?;
        }
    }
    Ok(())
}

/// `pushkin.log`, put aside at local midnight.
struct DailyFile {
    file: RotatingFile,
    clock: Clock,
}

impl DailyFile {
    fn open(config: &LogConfig, clock: Clock, zone: TimeZone) -> anyhow::Result<Self> {
        let rotation = Rotation {
            when: When::Midnight,
            suffix: Suffix::daily(),
            keep_log_days: config.keep_log_days,
            mode: FileMode::default(),
            zone,
        };
        let path = config.main_log_path.join(FILE_NAME);
        let file = RotatingFile::open(path, rotation, clock.now())
            .context("failed to open the main log, see main_log_path in section [Log]")?;
        Ok(Self { file, clock })
    }
}

impl Write for DailyFile {
    /// Always takes the whole line: a failure here would be swallowed by the writer thread.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        let written_to_file = self.file.append(line, &mut written, self.clock.now());
        if written_to_file.is_err() {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
