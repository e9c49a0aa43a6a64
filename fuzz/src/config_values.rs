//! A whole configuration. Input: a file's text.
//!
//! * It is a configuration, or every mistake names the file, and its line where it has one.
//! * No message shows a password.
//! * What `check-config` shows is a file that says the same.

use std::path::Path;

use onegin::config::{Config, Loaded, load_text};

/// The end of every file: passwords that no message may show.
const SECRETS: &str =
    "\n[Database]\ndb_pass = s3cr3tw0rd\n[Messenger]\ngcm_access_key = s3cr3tw0rd\n";

/// The password in [`SECRETS`].
const SECRET: &str = "s3cr3tw0rd";

/// Checks one input.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if text.contains(SECRET) {
        return;
    }
    let text = format!("{text}{SECRETS}");
    match load(&text) {
        Err(errors) => {
            for error in errors {
                check_error(&error, text.lines().count());
            }
        }
        Ok(loaded) => {
            let shown = onegin::fuzzing::shown(&loaded);
            let said = format!("{shown} {:?} {:?}", loaded.warnings, loaded.config.database);
            assert!(!said.contains(SECRET), "{said}");
            check_shown(&shown, &loaded);
            check_users(&loaded.config);
        }
    }
}

fn load(text: &str) -> Result<Loaded, Vec<String>> {
    load_text(Path::new("config.ini"), text, std::iter::empty()).map_err(|errors| errors.0)
}

/// `config.ini:7: what is wrong`
fn check_error(error: &str, lines: usize) {
    assert!(!error.contains(SECRET), "{error}");
    let place = error
        .strip_prefix("config.ini:")
        .and_then(|rest| rest.split_once(": "));
    let line = place.and_then(|(line, _)| line.parse().ok());
    assert!(
        line.is_some_and(|line: usize| (1..=lines).contains(&line)),
        "{error}"
    );
}

fn check_shown(shown: &str, loaded: &Loaded) {
    // Without the defaults it says the same, and is read ten times as fast.
    let is_default = |line: &&str| !line.starts_with(' ') && line.ends_with("; default");
    let lines: Vec<&str> = shown.lines().filter(|line| !is_default(line)).collect();
    let shown_again =
        load(&lines.join("\n")).unwrap_or_else(|errors| panic!("{errors:?} in {shown}"));
    let (mut one, mut other) = (loaded.config.clone(), shown_again.config);
    for config in [&mut one, &mut other] {
        config.database.db_pass = None;
        config.database.db_url = None;
        config.messenger.gcm_access_key = None;
    }
    assert!(
        one == other,
        "{one:?} is shown as {shown} which is {other:?}"
    );
}

/// Whoever is handed the values: answers of any kind, no panics.
fn check_users(config: &Config) {
    drop(config.paths.check());
    drop(config.database.check());
    drop(onegin::fuzzing::enabled_senders(
        &config.sender.enabled_senders,
    ));
    let endpoints = [
        &config.messenger.apns_endpoint,
        &config.messenger.fcm_endpoint,
    ];
    for url in endpoints.into_iter().flatten() {
        if let Ok((host, port, authority)) = sender::fuzzing::endpoint(url) {
            assert!(
                !host.is_empty() && port != 0 && authority.contains(&host),
                "{url}"
            );
        }
    }
}
