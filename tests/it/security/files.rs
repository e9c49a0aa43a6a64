//! Nobody else on the machine reads what the daemon keeps.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use simulator::{Options, Simulator};

use crate::{app::eventually, commands::Daemon, http::Client};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every file and folder below `folder`, with its mode.
fn modes_below(folder: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_folder = path.is_dir();
        found.push((path.clone(), is_folder, mode(&path)));
        if is_folder {
            found.extend(modes_below(&path));
        }
    }
    found
}

#[test]
fn what_the_daemon_makes_has_the_modes_of_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.ini");
    fs::write(
        &config,
        "[ServerSpecific]\nport = 0\n[Log]\nnotification_log_mode = 0600\n",
    )
    .unwrap();
    let daemon = Daemon::start(folder.path(), &config, &[]);
    // So that there is a row in every file.
    let csv = folder.path().join("log/notification/notifications.csv");
    eventually("a notification has ended", || {
        let mut client = Client::connect(daemon.address);
        let login = crate::app::login(1, 1, "phone", 1);
        let body = serde_json::json!({ "events": [login] }).to_string();
        client.post(super::EVENTS, "", body.as_bytes()).accepted();
        client
            .post("/post_notification_json", "", &super::direct("C"))
            .accepted();
        fs::read_to_string(&csv).is_ok_and(|text| text.contains("phone"))
    });
    let data = folder.path().join("data");
    assert_eq!(mode(&data), 0o700);
    let kept = modes_below(&data);
    let names: Vec<&str> = kept
        .iter()
        .filter_map(|(path, ..)| path.file_name()?.to_str())
        .collect();
    for name in [
        "journal",
        "journal.redb",
        "lock",
        "onegin.db",
        "onegin.db-wal",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for (path, is_folder, mode) in &kept {
        let expected = if *is_folder { 0o700 } else { 0o600 };
        assert_eq!(*mode, expected, "{}", path.display());
    }
    assert_eq!(mode(&folder.path().join("log/pushkin.log")), 0o640);
    assert_eq!(mode(&csv), 0o600);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn key_files_that_we_make_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(Options::default()).unwrap();
    let files = simulator.write_files(folder.path()).unwrap();
    for path in [files.apns_key, files.service_account] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
