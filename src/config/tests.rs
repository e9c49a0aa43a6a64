use serde_json::Value;

use super::*;

fn read(text: &str, environment: &[(&str, &str)]) -> Loaded {
    let environment = environment
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    inspect_text(Path::new("config.ini"), text, environment)
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let text = "[ServerSpecific]\nPORT = 8001\ngame = Chess\n";
    let loaded = read(text, &[("ONEGIN__SERVERSPECIFIC__PORT", "8002")]);
    assert_eq!(loaded.errors, [""; 0]);
    assert_eq!(loaded.config.server.port, 8002);
    assert_eq!(loaded.config.server.game, "Chess");
    assert_eq!(loaded.config.server.world_id, "1");
    let origin = |key| {
        let origin = loaded.origin("ServerSpecific", key);
        origin.map(ToString::to_string)
    };
    assert_eq!(
        origin("port").unwrap(),
        "environment variable ONEGIN__SERVERSPECIFIC__PORT"
    );
    assert_eq!(origin("game").unwrap(), "config.ini:3");
    assert_eq!(origin("bind_address"), None);
}

#[test]
fn every_key_can_be_set_by_the_environment_and_its_mistakes_name_the_variable() {
    for (section, options) in known_keys() {
        for (key, default) in options.as_object().unwrap() {
            let variable = format!("ONEGIN__{}__{}", section, key).to_uppercase();
            let text = match default {
                Value::String(text) => text.clone(),
                Value::Null => "text".to_owned(),
                other => other.to_string(),
            };
            let loaded = read("", &[(&variable, &text)]);
            assert_eq!(loaded.errors, [""; 0]);
            assert_eq!(
                loaded.origin(&section, key),
                Some(&Origin::Environment {
                    variable: variable.clone()
                })
            );
            if default.is_number() || default.is_boolean() {
                let loaded = read("", &[(&variable, "many")]);
                let expected =
                    format!("environment variable {variable}: [{section}] {key} = many: expected ");
                assert_eq!(loaded.errors.len(), 1, "{:?}", loaded.errors);
                assert!(
                    loaded.errors[0].starts_with(&expected),
                    "{}",
                    loaded.errors[0]
                );
            }
        }
    }
}

#[test]
fn every_bad_value_is_named_with_place_section_key_value_and_what_is_allowed() {
    for (section, key, value, allowed) in [
        (
            "ServerSpecific",
            "port",
            "70000",
            "a whole number from 0 to 65535",
        ),
        (
            "ServerSpecific",
            "port",
            "http",
            "a whole number from 0 to 65535",
        ),
        (
            "ServerSpecific",
            "port",
            "",
            "a whole number from 0 to 65535",
        ),
        (
            "ServerSpecific",
            "bind_address",
            "*",
            "an IP address, such as 127.0.0.1",
        ),
        (
            "ServerSpecific",
            "max_body_bytes",
            "0",
            "a whole number from 1",
        ),
        (
            "Messenger",
            "dry_run",
            "maybe",
            "true or false (or yes, no, on, off, 1, 0)",
        ),
        ("Messenger", "dry_run", "", "true or false"),
        (
            "Messenger",
            "connection_error_retries",
            "0",
            "a whole number from 1 to 4294967295",
        ),
        (
            "Messenger",
            "fcm_rate_limit_per_sec",
            "-1",
            "a whole number from 0 to 4294967295",
        ),
        (
            "RequestProcessor",
            "queue_limit",
            "-1",
            "a whole number from 0",
        ),
        (
            "RequestProcessor",
            "queue_limit",
            "1.5",
            "a whole number from 0",
        ),
        (
            "Sender",
            "sender_queue_limit",
            "99999999999999999999",
            "a whole number from 1",
        ),
        (
            "Sender",
            "apn_sender_interval_sec",
            "-3",
            "a number of seconds from 0",
        ),
        (
            "Sender",
            "gcm_sender_interval_sec",
            "nan",
            "a number of seconds from 0",
        ),
        ("Sender", "when_full", "explode", "`block` or `drop`"),
        (
            "Log",
            "main_log_level",
            "loud",
            "notset, debug, info, warning, error or critical",
        ),
        (
            "Log",
            "notification_log_when_to_rotate",
            "W7",
            "W0 (Monday) to W6",
        ),
        ("Log", "notification_log_mode", "0999", "an octal file mode"),
        (
            "Event",
            "login_event_id",
            "3000000000",
            "a whole number from -2147483648 to 2147483647",
        ),
    ] {
        let loaded = read(&format!("[{section}]\n{key} = {value}\n"), &[]);
        let [error] = &loaded.errors[..] else {
            panic!("{section} {key} {value}: {:?}", loaded.errors);
        };
        let start = format!("config.ini:2: [{section}] {key} = {value}: ");
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains(allowed), "{allowed} is not in {error}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "[ServerSpecific]\nport = 70000\n[Messenger]\ndry_run = maybe\nnonsense\n";
    let environment = [("ONEGIN__LOG__KEEP_LOG_DAYS", "week")];
    let loaded = read(text, &environment);
    assert_eq!(loaded.errors.len(), 4, "{:?}", loaded.errors);
    let refused = load_text(Path::new("config.ini"), text, std::iter::empty());
    let refused = refused.unwrap_err().to_string();
    for part in ["config.ini:2: ", "config.ini:4: ", "config.ini:5: expected"] {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
}

#[test]
fn booleans_are_pythons_words_in_any_case() {
    for (text, expected) in [
        ("1", true),
        ("Yes", true),
        ("TRUE", true),
        ("on", true),
        ("0", false),
        ("nO", false),
        ("False", false),
        ("OFF", false),
    ] {
        let loaded = read(&format!("[Messenger]\ndry_run = {text}\n"), &[]);
        assert_eq!(loaded.errors, [""; 0]);
        assert_eq!(loaded.config.messenger.dry_run, expected, "{text}");
    }
}

#[test]
fn an_unknown_key_is_a_warning_that_suggests_what_may_be_meant() {
    let text = "[ServerSpecific]\nbind_address = ::1\n[Database]\nmax_device_per_user = 3\nport = 1\nzzz = 1\n[Datbase]\na = 1\nb = 2\n[My.Own]\nc = 1\n";
    let environment = [
        ("ONEGIN__SERVERSPECIFIC__PROT", "1"),
        ("ONEGIN__PORT", "1"),
        ("ONEGIN_TEST", "1"),
    ];
    let mut warnings = read(text, &environment).warnings;
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "config.ini:10: unknown section [My.Own]",
            "config.ini:4: unknown key [Database] max_device_per_user, did you mean max_devices_per_user?",
            "config.ini:5: unknown key [Database] port, it belongs into [ServerSpecific]",
            "config.ini:6: unknown key [Database] zzz",
            "config.ini:7: unknown section [Datbase], did you mean Database?",
            "environment variable ONEGIN__PORT names no key, expected ONEGIN__<SECTION>__<KEY>",
            "environment variable ONEGIN__SERVERSPECIFIC__PROT: unknown key [ServerSpecific] prot, did you mean port?",
        ]
    );
}

#[test]
fn a_limit_from_pushkin_is_explained_until_somebody_has_looked_at_it() {
    let warned = |text: &str| {
        let warnings = read(text, &[]).warnings;
        warnings.iter().any(|warning| {
            warning.starts_with("config.ini:2: [RequestProcessor] queue_limit = 500 counts items")
        })
    };
    let limit = "[RequestProcessor]\nqueue_limit = 500\n";
    assert!(warned(limit));
    assert!(!warned("[RequestProcessor]\n"));
    assert!(!warned(&format!("{limit}queue_limit_mb = 64\n")));
    assert!(!warned(&format!(
        "{limit}[ServerSpecific]\nbind_address = 0.0.0.0\n"
    )));
}

#[test]
fn a_sending_interval_from_pushkin_is_honoured_and_explained() {
    let text = "[Sender]\napn_sender_interval_sec = 3\ngcm_sender_interval_sec = 0.5\n";
    let loaded = read(text, &[]);
    assert!((loaded.config.sender.apn_sender_interval_sec - 3.0).abs() < f64::EPSILON);
    for part in [
        "apn_sender_interval_sec = 3: ",
        "gcm_sender_interval_sec = 0.5: ",
    ] {
        let count = loaded
            .warnings
            .iter()
            .filter(|text| text.contains(part))
            .count();
        assert_eq!(count, 1, "{:?}", loaded.warnings);
    }
}

#[test]
fn a_secret_is_not_shown_in_an_error() {
    assert!(is_secret("db_pass"));
    assert!(is_secret("gcm_access_key"));
}
