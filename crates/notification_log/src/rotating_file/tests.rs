use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;

const HOUR_MS: i64 = 3_600_000;

/// 2026-11-21 20:36:58 in Central Europe.
const EVENING: UnixMs = UnixMs(1_795_289_818_442);

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("notifications.csv")
    }

    fn open(&self, rotation: Rotation, now: UnixMs) -> RotatingFile {
        RotatingFile::open(self.log(), rotation, now).unwrap()
    }

    fn put(&self, name: &str, content: &str, modified: UnixMs) {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        let file = OpenOptions::new().append(true).open(path).unwrap();
        file.set_modified(system_time(modified)).unwrap();
    }

    /// Every file's name and content, sorted.
    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn names(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).collect()
    }
}

fn system_time(time: UnixMs) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(time.0.try_into().unwrap())
}

fn rotation(when: &str) -> Rotation {
    Rotation {
        when: when.parse().unwrap(),
        suffix: Suffix::hourly(),
        keep_log_days: 7,
        mode: FileMode::default(),
        zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
    }
}

fn append(file: &mut RotatingFile, line: &str, now: UnixMs) {
    let mut written = 0;
    file.append(line.as_bytes(), &mut written, now).unwrap();
    assert_eq!(written, line.len());
}

fn file(name: &str, content: &str) -> (String, String) {
    (name.to_owned(), content.to_owned())
}

#[test]
fn the_first_line_after_an_hour_goes_into_a_new_file() {
    let folder = Folder::new();
    let mut log = folder.open(rotation("H"), EVENING);
    append(&mut log, "1\n", EVENING);
    append(&mut log, "2\n", EVENING.plus_ms(HOUR_MS - 1));
    append(&mut log, "3\n", EVENING.plus_ms(3 * HOUR_MS));
    append(&mut log, "4\n", EVENING.plus_ms(4 * HOUR_MS - 1));
    append(&mut log, "5\n", EVENING.plus_ms(4 * HOUR_MS));
    assert_eq!(
        folder.files(),
        [
            file("notifications.csv", "5\n"),
            file("notifications.csv.2026-11-21_20", "1\n2\n"),
            file("notifications.csv.2026-11-21_23", "3\n4\n"),
        ]
    );
}

#[test]
fn a_file_from_before_the_start_is_in_the_period_of_its_last_line() {
    let folder = Folder::new();
    folder.put("notifications.csv", "old\n", EVENING.plus_ms(-2 * HOUR_MS));
    let mut log = folder.open(rotation("midnight"), EVENING);
    append(&mut log, "same day\n", EVENING);
    drop(log);
    folder.put(
        "notifications.csv",
        "yesterday\n",
        EVENING.plus_ms(-24 * HOUR_MS),
    );
    let mut log = folder.open(rotation("midnight"), EVENING);
    append(&mut log, "today\n", EVENING);
    assert_eq!(
        folder.files(),
        [
            file("notifications.csv", "today\n"),
            file("notifications.csv.2026-11-20_00", "yesterday\n"),
        ]
    );
}

#[test]
fn a_rotated_file_is_never_overwritten() {
    let folder = Folder::new();
    let mut log = folder.open(rotation("S"), EVENING);
    for second in 0..4 {
        let line = format!("{second}\n");
        append(&mut log, &line, EVENING.plus_ms(second * 1000));
    }
    assert_eq!(
        folder.files(),
        [
            file("notifications.csv", "3\n"),
            file("notifications.csv.2026-11-21_20", "0\n"),
            file("notifications.csv.2026-11-21_20.1", "1\n"),
            file("notifications.csv.2026-11-21_20.2", "2\n"),
        ]
    );
}

#[test]
fn a_file_without_lines_is_not_put_aside() {
    let folder = Folder::new();
    let mut log = folder.open(rotation("H"), EVENING);
    append(&mut log, "1\n", EVENING.plus_ms(5 * HOUR_MS));
    assert_eq!(folder.files(), [file("notifications.csv", "1\n")]);
}

#[test]
fn rotated_files_are_deleted_by_days_whatever_their_suffix_and_nothing_else_is() {
    let folder = Folder::new();
    let days_old = |days: i64| EVENING.plus_ms(-days * DAY_MS - 1);
    folder.put("notifications.csv.2026-11-14_20", "", days_old(7));
    folder.put("notifications.csv.monday", "", days_old(30));
    folder.put("notifications.csv.2026-11-15_20", "", days_old(6));
    folder.put("notifications.csvx", "", days_old(30));
    folder.put("pushkin.log.2026-01-01", "", days_old(300));
    let kept = Rotation {
        keep_log_days: 0,
        ..rotation("H")
    };
    drop(folder.open(kept, EVENING));
    assert_eq!(folder.names().len(), 6);
    let mut log = folder.open(rotation("H"), EVENING);
    let remaining = [
        "notifications.csv",
        "notifications.csv.2026-11-15_20",
        "notifications.csvx",
        "pushkin.log.2026-01-01",
    ];
    assert_eq!(folder.names(), remaining);
    // And at every rotation. (The file put aside is new by the machine's clock.)
    append(&mut log, "1\n", EVENING);
    let later = EVENING.plus_ms(2 * DAY_MS);
    append(&mut log, "2\n", later);
    assert!(!folder.names().contains(&remaining[1].to_owned()));
}

#[test]
fn the_mode_is_the_configured_one() {
    let folder = Folder::new();
    for (text, bits) in [("0640", 0o640), ("0666", 0o666), ("0600", 0o600)] {
        let rotation = Rotation {
            mode: text.parse().unwrap(),
            ..rotation("H")
        };
        let log = folder.open(rotation, EVENING);
        let mode = fs::metadata(log.path()).unwrap().mode();
        assert_eq!(mode & 0o777, bits);
    }
}

#[test]
fn the_folder_is_created() {
    let folder = Folder::new();
    let path = folder.0.path().join("log/notification").join("n.csv");
    let mut log = RotatingFile::open(path.clone(), rotation("H"), EVENING).unwrap();
    append(&mut log, "1\n", EVENING);
    assert_eq!(fs::read_to_string(path).unwrap(), "1\n");
}

#[test]
fn a_path_that_cannot_be_a_file_is_an_error_with_its_name() {
    let folder = Folder::new();
    fs::create_dir(folder.log()).unwrap();
    let error = RotatingFile::open(folder.log(), rotation("H"), EVENING).unwrap_err();
    let expected = format!("failed to open the log file {}", folder.log().display());
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_line_that_a_crash_tore_is_ended_before_the_next() {
    let folder = Folder::new();
    folder.put("notifications.csv", "1\n2 is to", EVENING);
    let mut log = folder.open(rotation("H"), EVENING);
    append(&mut log, "3\n", EVENING);
    assert_eq!(
        folder.files(),
        [file("notifications.csv", "1\n2 is to\n3\n")]
    );
}

#[test]
fn a_file_that_was_moved_away_or_deleted_is_made_anew() {
    let folder = Folder::new();
    let mut log = folder.open(rotation("H"), EVENING);
    append(&mut log, "1\n", EVENING);
    fs::rename(folder.log(), folder.0.path().join("moved")).unwrap();
    append(&mut log, "2\n", EVENING);
    assert_eq!(
        folder.files(),
        [file("moved", "1\n"), file("notifications.csv", "2\n")]
    );
    fs::remove_file(folder.log()).unwrap();
    append(&mut log, "3\n", EVENING);
    assert_eq!(folder.files()[1], file("notifications.csv", "3\n"));
}

/// Writes the first `bytes` of `lines` and fails, as on a disk that is full there.
fn write_and_fail(log: &mut RotatingFile, lines: &str, bytes: usize) -> usize {
    let (start, _) = lines.split_at(bytes);
    let mut written = 0;
    log.append(start.as_bytes(), &mut written, EVENING).unwrap();
    log.open = None;
    written
}

#[test]
fn a_write_that_failed_within_a_line_goes_on_where_it_stopped() {
    let lines = "first\nsecond\n";
    for bytes in 0..lines.len() {
        let folder = Folder::new();
        let mut log = folder.open(rotation("H"), EVENING);
        append(&mut log, "zeroth\n", EVENING);
        let mut written = write_and_fail(&mut log, lines, bytes);
        log.append(lines.as_bytes(), &mut written, EVENING).unwrap();
        assert_eq!(
            folder.files(),
            [file("notifications.csv", "zeroth\nfirst\nsecond\n")],
            "failed after {bytes} bytes"
        );
    }
}

#[test]
fn a_line_starts_again_when_its_beginning_is_in_another_file() {
    let lines = "first\nsecond\n";
    let folder = Folder::new();
    let mut log = folder.open(rotation("H"), EVENING);
    let mut written = write_and_fail(&mut log, lines, 9);
    fs::rename(folder.log(), folder.0.path().join("moved")).unwrap();
    log.append(lines.as_bytes(), &mut written, EVENING).unwrap();
    assert_eq!(
        folder.files(),
        [
            file("moved", "first\nsec"),
            file("notifications.csv", "second\n")
        ]
    );
}

#[test]
fn a_torn_line_that_is_given_up_does_not_spoil_the_next() {
    let folder = Folder::new();
    let mut log = folder.open(rotation("H"), EVENING);
    write_and_fail(&mut log, "given up\n", 5);
    append(&mut log, "next\n", EVENING);
    assert_eq!(folder.files(), [file("notifications.csv", "given\nnext\n")]);
}

#[test]
fn a_folder_that_forbids_renaming_costs_no_line() {
    let folder = Folder::new();
    let long = "n".repeat(230);
    let path = folder.0.path().join(&long);
    let mut log = RotatingFile::open(path, rotation("S"), EVENING).unwrap();
    append(&mut log, "1\n", EVENING);
    // A name of more than 255 bytes makes the rename fail, for root too.
    log.rotation.suffix = "%Y".repeat(10).parse().unwrap();
    append(&mut log, "2\n", EVENING.plus_ms(1000));
    assert_eq!(folder.files(), [file(&long, "1\n2\n")]);
    log.rotation.suffix = Suffix::hourly();
    append(&mut log, "3\n", EVENING.plus_ms(1000 + ROTATION_RETRY_MS));
    assert_eq!(
        folder.files(),
        [
            file(&long, "3\n"),
            file(&format!("{long}.2026-11-21_20"), "1\n2\n"),
        ]
    );
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_the_file_for_ever() {
    let folder = Folder::new();
    let mut log = folder.open(rotation("H"), EVENING.plus_ms(1000 * DAY_MS));
    append(&mut log, "1\n", EVENING);
    append(&mut log, "2\n", EVENING.plus_ms(HOUR_MS));
    assert_eq!(folder.names().len(), 2);
}

/// 2026-11-21 is a Saturday; the period that [`EVENING`] is in, by its first and last moment.
#[test]
fn every_period_in_any_case_ends_where_it_should_and_names_the_file_by_its_start() {
    let local = |text: &str| {
        let civil: jiff::civil::DateTime = text.parse().unwrap();
        let zoned = civil.to_zoned(rotation("H").zone).unwrap();
        UnixMs(zoned.timestamp().as_millisecond())
    };
    for (when, end, start) in [
        ("S", EVENING.plus_ms(1_000), "20261121-203658"),
        ("s", EVENING.plus_ms(1_000), "20261121-203658"),
        ("M", EVENING.plus_ms(60_000), "20261121-203658"),
        ("m", EVENING.plus_ms(60_000), "20261121-203658"),
        ("H", EVENING.plus_ms(HOUR_MS), "20261121-203658"),
        ("h", EVENING.plus_ms(HOUR_MS), "20261121-203658"),
        ("D", EVENING.plus_ms(DAY_MS), "20261121-203658"),
        ("d", EVENING.plus_ms(DAY_MS), "20261121-203658"),
        ("midnight", local("2026-11-22 00:00:00"), "20261121-000000"),
        ("MIDNIGHT", local("2026-11-22 00:00:00"), "20261121-000000"),
        ("W0", local("2026-11-24 00:00:00"), "20261117-000000"),
        ("w1", local("2026-11-25 00:00:00"), "20261118-000000"),
        ("W2", local("2026-11-26 00:00:00"), "20261119-000000"),
        ("w3", local("2026-11-27 00:00:00"), "20261120-000000"),
        ("W4", local("2026-11-28 00:00:00"), "20261121-000000"),
        ("w5", local("2026-11-22 00:00:00"), "20261115-000000"),
        ("W6", local("2026-11-23 00:00:00"), "20261116-000000"),
    ] {
        let folder = Folder::new();
        let rotation = Rotation {
            suffix: "%Y%m%d-%H%M%S".parse().unwrap(),
            ..rotation(when)
        };
        let mut log = folder.open(rotation, EVENING);
        append(&mut log, "first\n", EVENING);
        append(&mut log, "last\n", end.plus_ms(-1));
        append(&mut log, "next\n", end);
        assert_eq!(
            folder.files(),
            [
                file("notifications.csv", "next\n"),
                file(&format!("notifications.csv.{start}"), "first\nlast\n"),
            ],
            "{when}"
        );
    }
}

#[test]
fn old_and_new_files_have_the_configured_mode_also_after_a_change_of_it() {
    let folder = Folder::new();
    let mode = |name: &str| fs::metadata(folder.0.path().join(name)).unwrap().mode() & 0o777;
    let opened = |text: &str| {
        let mode = text.parse().unwrap();
        folder.open(
            Rotation {
                mode,
                ..rotation("H")
            },
            EVENING,
        )
    };
    let mut log = opened("0666");
    append(&mut log, "1\n", EVENING);
    append(&mut log, "2\n", EVENING.plus_ms(HOUR_MS));
    assert_eq!(mode("notifications.csv.2026-11-21_20"), 0o666);
    assert_eq!(mode("notifications.csv"), 0o666);
    drop(opened("0600"));
    assert_eq!(mode("notifications.csv"), 0o600);
}

#[test]
fn days_are_kept_and_not_files() {
    let folder = Folder::new();
    let mut log = folder.open(rotation("H"), EVENING);
    for hour in 0..100 {
        append(&mut log, "a line\n", EVENING.plus_ms(hour * HOUR_MS));
    }
    // Where Pushkin kept the 7 newest.
    assert_eq!(folder.names().len(), 100);
}
