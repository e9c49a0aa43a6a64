use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use tempfile::TempDir;
use tracing::{debug, error, info, warn};

use super::*;

/// 2026-11-21 20:36:58,442 in Central Europe.
const EVENING: UnixMs = UnixMs(1_795_289_818_442);

fn config(folder: &Path) -> LogConfig {
    LogConfig {
        main_log_path: folder.to_owned(),
        ..LogConfig::default()
    }
}

/// What the log's files hold after `act`, with the clock at [`EVENING`].
fn logged(config: &LogConfig, act: impl FnOnce(&MainLog)) -> String {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let clock = Clock::new(|| EVENING);
    let file = DailyFile::open(config, clock.clone(), zone.clone()).unwrap();
    let (lines, writer) = in_background(file);
    let (subscriber, level) = subscriber(config, clock, zone, lines);
    tracing::subscriber::with_default(subscriber, || {
        let log = MainLog {
            level,
            _writer: writer,
        };
        act(&log);
    });
    fs::read_to_string(config.main_log_path.join(FILE_NAME)).unwrap()
}

#[test]
fn a_line_has_pushkins_shape_with_the_fields_after_the_message() {
    let folder = TempDir::new().unwrap();
    let error = anyhow::anyhow!("disk full");
    let log = logged(&config(folder.path()), |_| {
        warn!(login.id = 7, %error, "cannot go on");
        info!("started");
    });
    assert_eq!(
        log,
        "2026-11-21 20:36:58,442 WARNING cannot go on login.id=7 error=disk full\n\
         2026-11-21 20:36:58,442 INFO started\n"
    );
}

#[test]
fn an_event_is_one_line_whatever_its_texts_contain() {
    let folder = TempDir::new().unwrap();
    let log = logged(&config(folder.path()), |_| {
        info!(text = %"a\r\n2026-11-21 20:36:58,442 ERROR forged\u{2028}", "b\nc");
    });
    assert_eq!(log.lines().count(), 1);
    assert!(log.contains(r"INFO b\nc text=a\r\n2026"), "{log}");
}

#[test]
fn the_level_hides_what_is_below_it_and_can_be_changed() {
    let folder = TempDir::new().unwrap();
    let log = logged(&config(folder.path()), |log| {
        debug!(target: "onegin_sender", "hidden");
        log.set_level("debug".parse().unwrap()).unwrap();
        debug!(target: "onegin_sender", "shown");
        debug!(target: "h2::codec", "hidden");
        log.set_level("critical".parse().unwrap()).unwrap();
        warn!(target: "onegin_sender", "hidden");
    });
    assert_eq!(log, "2026-11-21 20:36:58,442 DEBUG shown\n");
}

#[test]
fn json_is_one_object_a_line_with_the_fields_beside_the_message() {
    let folder = TempDir::new().unwrap();
    let json = LogConfig {
        log_format: LogFormat::Json,
        ..config(folder.path())
    };
    let log = logged(&json, |_| warn!(login.id = 7, "a\nb"));
    let line: serde_json::Value = serde_json::from_str(&log).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["message"], "a\nb");
    assert_eq!(line["login.id"], 7);
    assert_eq!(log.lines().count(), 1);
}

#[test]
fn yesterdays_lines_are_put_aside_under_yesterdays_date() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(FILE_NAME);
    fs::write(&file, "yesterday\n").unwrap();
    let day = Duration::from_hours(24);
    let evening = Duration::from_millis(EVENING.0.try_into().unwrap());
    let yesterday = UNIX_EPOCH + evening - day;
    let opened = fs::File::options().append(true).open(&file).unwrap();
    opened.set_modified(yesterday).unwrap();
    let log = logged(&config(folder.path()), |_| info!("today"));
    assert_eq!(log, "2026-11-21 20:36:58,442 INFO today\n");
    let aside = folder.path().join("pushkin.log.2026-11-20");
    assert_eq!(fs::read_to_string(aside).unwrap(), "yesterday\n");
}

#[test]
fn a_full_disk_stops_nothing() {
    let folder = TempDir::new().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join(FILE_NAME)).unwrap();
    let zone = TimeZone::UTC;
    let clock = Clock::new(|| EVENING);
    let mut file = DailyFile::open(&config(folder.path()), clock, zone).unwrap();
    assert_eq!(file.write(b"this line is part of a test\n").unwrap(), 28);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let config = config(&file.join("log"));
    let error = DailyFile::open(&config, Clock::new(|| EVENING), TimeZone::UTC)
        .err()
        .unwrap();
    let text = format!("{error:#}");
    assert!(
        text.contains("main_log_path") && text.contains("file/log"),
        "{text}"
    );
}

#[test]
fn lines_of_the_next_day_go_into_a_new_file_and_tail_finds_them_under_the_same_name() {
    static NOW: AtomicI64 = AtomicI64::new(EVENING.0);
    let folder = TempDir::new().unwrap();
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let clock = Clock::new(|| UnixMs(NOW.load(Ordering::Relaxed)));
    let mut file = DailyFile::open(&config(folder.path()), clock, zone).unwrap();
    file.write_all(b"evening\n").unwrap();
    // 2026-11-22 00:00:00,000 in Central Europe, and the moment before.
    let midnight = 1_795_302_000_000;
    NOW.store(midnight - 1, Ordering::Relaxed);
    file.write_all(b"last moment\n").unwrap();
    NOW.store(midnight, Ordering::Relaxed);
    file.write_all(b"midnight\n").unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("pushkin.log.2026-11-21"), "evening\nlast moment\n");
    assert_eq!(read("pushkin.log"), "midnight\n");
}

#[test]
fn rotated_files_are_kept_for_the_configured_days() {
    let folder = TempDir::new().unwrap();
    let day = Duration::from_hours(24);
    let evening = UNIX_EPOCH + Duration::from_millis(EVENING.0.try_into().unwrap());
    for (name, days) in [("pushkin.log.old", 4), ("pushkin.log.kept", 2)] {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        file.set_modified(evening - day * days).unwrap();
    }
    let config = LogConfig {
        keep_log_days: 3,
        ..config(folder.path())
    };
    logged(&config, |_| ());
    assert!(!folder.path().join("pushkin.log.old").exists());
    assert!(folder.path().join("pushkin.log.kept").exists());
}

#[test]
fn every_level_of_pushkin_shows_what_is_at_or_above_it() {
    for (level, shown) in [
        ("notset", "DIWE"),
        ("Debug", "DIWE"),
        ("INFO", "IWE"),
        ("warning", "WE"),
        ("error", "E"),
        ("critical", "E"),
    ] {
        let folder = TempDir::new().unwrap();
        let config = LogConfig {
            main_log_level: level.parse().unwrap(),
            ..config(folder.path())
        };
        let log = logged(&config, |_| {
            debug!(target: "onegin", "D");
            info!(target: "onegin", "I");
            warn!(target: "onegin", "W");
            error!(target: "onegin", "E");
        });
        let messages: String = log.lines().filter_map(|line| line.chars().last()).collect();
        assert_eq!(messages, shown, "{level}");
        let words = ["DEBUG D", "INFO I", "WARNING W", "ERROR E"];
        assert!(
            log.lines()
                .all(|line| words.iter().any(|word| line.ends_with(word)))
        );
    }
}
