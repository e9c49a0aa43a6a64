//! What a client proves itself with is in no log, at no level.

use std::{fs, io::Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::process::Signal;
use serde_json::Value;

use super::{
    EVENTS, basic, direct,
    tls::rig::{Authority, Files, connect},
};
use crate::{administration::Program, app::eventually, commands::Daemon, http::tcp};

#[test]
fn no_key_no_secret_and_no_private_key_is_in_the_log_at_its_lowest_level() {
    for format in ["text", "json"] {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let files = Files::new(folder.path());
        files.renew(&authority);
        let url = format!("sqlite:{}", folder.path().join("data/onegin.db").display());
        let program = Program::on(tempfile::tempdir().unwrap(), &url);
        let created: Value = program.json(&["key", "create"]);
        let [key, secret] = ["key", "secret"].map(|name| created[name].as_str().unwrap());
        program.run_with(&["key", "import", "imported-key"], "imported-secret");
        let config = folder.path().join("config.ini");
        let sections = format!(
            "[ServerSpecific]\nport = 0\nrequire_api_key = yes\n{}\
             [Log]\nmain_log_level = notset\nlog_format = {format}\n",
            files.keys()
        );
        fs::write(&config, sections).unwrap();
        let daemon = Daemon::start(folder.path(), &config, &[]);
        let malformed = basic(key, secret).replace("Basic ", "Basic *");
        let with_a_nul = STANDARD.encode(format!("{key}\0:{secret}"));
        for (header, status) in [
            (basic(key, secret), 200),
            (basic("imported-key", "imported-secret"), 200),
            (basic(key, "wrong-secret"), 401),
            (basic("imported-key", "wrong-secret"), 401),
            (basic("unknown-key", secret), 401),
            (malformed.clone(), 401),
            (format!("Authorization: Basic {with_a_nul}\r\n"), 401),
        ] {
            let (mut client, _) = connect(daemon.address, &authority);
            let body = direct("body-of-a-message");
            let answer = client.post("/post_notification_json", &header, &body);
            assert_eq!(answer.status, status, "{header}");
            let (mut client, _) = connect(daemon.address, &authority);
            let answer = client.post(EVENTS, &header, b"{\"events\": \"body-of-a-message\"}");
            assert_eq!(answer.status, if status == 200 { 400 } else { 401 });
        }
        // A damaged hash, a look-up that fails, a handshake that fails, a reload: all are told.
        program.run(&["key", "create", "--note", "damaged"]);
        let damage = |sql: &str| {
            use diesel::{Connection as _, connection::SimpleConnection as _};
            let path = url.strip_prefix("sqlite:").unwrap();
            let mut connection = diesel::SqliteConnection::establish(path).unwrap();
            connection.batch_execute(sql).unwrap();
        };
        damage("UPDATE api_key SET hash = 'hash-in-the-table' WHERE key = 'imported-key'");
        let log = || fs::read_to_string(folder.path().join("log/pushkin.log")).unwrap();
        eventually("the damaged hash is told", || {
            let (mut client, _) = connect(daemon.address, &authority);
            client.post(EVENTS, &basic("imported-key", "imported-secret"), b"{}");
            log().contains("an API key cannot be used")
        });
        damage("ALTER TABLE api_key RENAME TO away");
        let (mut client, _) = connect(daemon.address, &authority);
        assert_eq!(
            client.post(EVENTS, &basic("new", secret), b"{}").status,
            503
        );
        tcp(daemon.address).write_all(b"no TLS").unwrap();
        daemon.signal(Signal::HUP);
        for told in [
            "API keys cannot be looked up",
            "a TLS handshake failed",
            "the TLS certificate is reloaded",
        ] {
            eventually(told, || log().contains(told));
        }
        assert_eq!(daemon.stop(), Some(0));
        let (log, private) = (log(), fs::read_to_string(&files.key).unwrap());
        let encoded = |header: &str| header.trim().rsplit(' ').next().unwrap().to_owned();
        let secrets = [
            key,
            secret,
            "imported-key",
            "imported-secret",
            "wrong-secret",
            "unknown-key",
            "body-of-a-message",
            "hash-in-the-table",
            "Basic ",
            &encoded(&basic(key, secret)),
            &encoded(&malformed),
            &with_a_nul,
            private.lines().nth(1).unwrap(),
        ];
        for secret in secrets {
            assert!(!log.contains(secret), "{secret} is in {log}");
        }
    }
}
