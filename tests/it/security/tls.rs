//! TLS on the main port, with a client that checks certificates as any other does.

pub(crate) mod rig;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    num::NonZeroU64,
    path::Path,
};

use rcgen::{KeyPair, date_time_ymd};
use rustix::process::Signal;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use simulator::{Options, Simulator};

use self::rig::{Authority, Files, connect, secured};
use super::{EVENTS, NOTHING, direct};
use crate::{
    administration::assert_says,
    app::{TestApp, event, eventually, login, triggered_by},
    commands::{Daemon, onegin, text},
    database::Database,
    http::{Client, tcp},
};

/// A running app behind TLS. The folder of the files lives as long.
fn encrypted(
    database: Database,
    header_timeout_sec: u64,
) -> (TestApp, Authority, tempfile::TempDir) {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let files = Files::new(folder.path());
    files.renew(&authority);
    let app = TestApp::start_with(database, |setting| {
        let server = &mut setting.config.server;
        server.tls_certificate_path = Some(files.certificate.display().to_string());
        server.tls_key_path = Some(files.key.display().to_string());
        server.header_timeout_sec = NonZeroU64::new(header_timeout_sec).unwrap();
    });
    (app, authority, folder)
}

fn failed_handshakes(address: SocketAddr, authority: &Authority) -> u64 {
    let text = connect(address, authority).0.get("/metrics").body;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("onegin_tls_handshakes_failed_total "));
    line.unwrap().parse().unwrap()
}

on_each_database! {
    fn events_come_over_tls_and_their_notifications_are_delivered(database) {
        let (mut app, authority, _folder) = encrypted(database, 10);
        app.message(triggered_by("raid", 100), &[(1, "T", "Raid")]);
        let stream = secured(app.pipeline.address(), authority.client(&[b"h2", b"http/1.1"])).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut client = Client::over(stream);
        for events in [login(1, 1, "phone", 1), event(1, 100, serde_json::json!({}))] {
            let body = serde_json::json!({ "events": [events] }).to_string();
            client.post(EVENTS, "", body.as_bytes()).accepted();
            app.expect_requests(1);
            app.finish();
        }
        assert_eq!(app.simulator.fcm().counters().delivered, 1);
        // Larger than any TLS record and than the doors' buffer.
        let large = format!("{{\"events\": [], \"padding\": \"{}\"}}", "x".repeat(300_000));
        client.post(EVENTS, "", large.as_bytes()).accepted();
        assert_eq!(client.get("/healthz").body, "ok");
        app.stop();
    }
}

#[test]
fn plain_http_and_strangers_to_http_1_get_nothing_and_are_counted() {
    let (app, authority, _folder) = encrypted(Database::Sqlite, 10);
    let address = app.pipeline.address();
    let mut plain = tcp(address);
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        .unwrap();
    let mut said = Vec::new();
    // A reset is an end too.
    drop(plain.read_to_end(&mut said));
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    let refused = secured(address, authority.client(&[b"h2"])).unwrap_err();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    // A client that trusts somebody else does not trust us.
    let refused = secured(address, Authority::new().client(&[])).unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    eventually("the three are counted", || {
        failed_handshakes(address, &authority) >= 3
    });
    app.stop();
}

#[test]
fn handshakes_that_stall_hold_nobody_up_and_end_in_time() {
    let (app, authority, _folder) = encrypted(Database::Sqlite, 5);
    let address = app.pipeline.address();
    let mut stalled: Vec<_> = (0..100).map(|_| tcp(address)).collect();
    for (number, stream) in stalled.iter_mut().enumerate() {
        // They begin a record, half of them only with its first byte, and never end it. Who says
        // nothing at all is an idle connection.
        let begun: &[u8] = if number % 2 == 0 {
            &[0x16, 3, 1, 2, 0, 1]
        } else {
            &[0x16]
        };
        stream.write_all(begun).unwrap();
    }
    let (mut client, _) = connect(address, &authority);
    client.post(EVENTS, "", NOTHING).accepted();
    for stream in &mut stalled {
        // Ends when the daemon closes it, by a reset or not.
        drop(stream.read_to_end(&mut Vec::new()));
    }
    eventually("all are counted", || {
        failed_handshakes(address, &authority) >= 100
    });
    app.stop();
}

#[test]
fn a_stop_does_not_wait_for_handshakes() {
    let (app, _authority, _folder) = encrypted(Database::Sqlite, 100_000);
    let mut stalled: Vec<_> = (0..10).map(|_| tcp(app.pipeline.address())).collect();
    for stream in &mut stalled {
        stream.write_all(&[0x16]).unwrap();
    }
    // Within the minute that a test has, which the handshakes would not have ended in.
    app.stop();
}

/// The content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, head) = match der[1] {
        short if short < 0x80 => (usize::from(short), 2),
        0x81 => (usize::from(der[2]), 3),
        0x82 => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
        _ => panic!("no key is so long"),
    };
    der[head..].split_at(length)
}

/// The key inside PKCS#8: `RSAPrivateKey` (PKCS#1) or `ECPrivateKey` (SEC1).
fn inner(label: &str, pkcs8: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let der = PrivatePkcs8KeyDer::from_pem_slice(pkcs8.as_bytes()).unwrap();
    let (info, _) = element(der.secret_pkcs8_der());
    let (_version, rest) = element(info);
    let (_algorithm, rest) = element(rest);
    let text = STANDARD.encode(element(rest).0);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[test]
fn keys_in_pkcs_8_pkcs_1_and_sec_1_form_are_taken() {
    let authority = Authority::new();
    let simulator = Simulator::start(Options::default()).unwrap();
    let account: serde_json::Value =
        serde_json::from_str(&simulator.service_account_json()).unwrap();
    let rsa_pem = account["private_key"].as_str().unwrap();
    let rsa = KeyPair::from_pem(rsa_pem).unwrap();
    let elliptic = KeyPair::generate().unwrap();
    for (chain, key) in [
        (authority.chain(&elliptic, |_| {}), elliptic.serialize_pem()),
        (
            authority.chain(&elliptic, |_| {}),
            inner("EC PRIVATE KEY", &elliptic.serialize_pem()),
        ),
        (authority.chain(&rsa, |_| {}), rsa_pem.to_owned()),
        (
            authority.chain(&rsa, |_| {}),
            inner("RSA PRIVATE KEY", rsa_pem),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        files.write(&chain, &key);
        let app = TestApp::start_with(Database::Sqlite, |setting| {
            let server = &mut setting.config.server;
            server.tls_certificate_path = Some(files.certificate.display().to_string());
            server.tls_key_path = Some(files.key.display().to_string());
        });
        let (mut client, _) = connect(app.pipeline.address(), &authority);
        assert_eq!(client.get("/healthz").status, 200);
        app.stop();
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log/pushkin.log")).unwrap_or_default()
}

#[test]
fn sighup_takes_a_new_certificate_and_keeps_the_old_one_where_the_new_is_wrong() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let files = Files::new(folder.path());
    let first = files.renew(&authority);
    let config = folder.path().join("config.ini");
    fs::write(
        &config,
        format!("[ServerSpecific]\nport = 0\n{}", files.keys()),
    )
    .unwrap();
    let daemon = Daemon::start(folder.path(), &config, &[]);
    let (mut old, shown) = connect(daemon.address, &authority);
    assert_eq!(shown, first);
    old.post(EVENTS, "", NOTHING).accepted();

    let second = files.renew(&authority);
    daemon.signal(Signal::HUP);
    eventually("new connections get the new certificate", || {
        connect(daemon.address, &authority).1 == second
    });
    old.post(EVENTS, "", NOTHING).accepted();
    assert_eq!(
        log(folder.path())
            .matches("the TLS certificate is reloaded")
            .count(),
        1
    );

    // Wrong ones: nothing there, something else there, and another certificate's key.
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let good = fs::read(&files.key).unwrap();
    let errors = || log(folder.path()).matches(" ERROR ").count();
    let wrong = [
        (
            None,
            format!("tls_key_path = {key}: the file cannot be read"),
        ),
        (
            Some("nothing of the kind".to_owned()),
            format!("tls_key_path = {key}: the file has no private key"),
        ),
        (
            Some(KeyPair::generate().unwrap().serialize_pem()),
            format!("tls_key_path = {key}: the key cannot be used with the first certificate"),
        ),
    ];
    for (number, (written, says)) in wrong.into_iter().enumerate() {
        match written {
            None => fs::remove_file(&files.key).unwrap(),
            Some(written) => fs::write(&files.key, written).unwrap(),
        }
        daemon.signal(Signal::HUP);
        eventually("the mistake is in the log", || errors() == number + 1);
        assert_says(
            &log(folder.path()),
            &[
                &format!("[ServerSpecific] {says}"),
                "going on with the certificate that was there",
            ],
        );
        let (mut client, shown) = connect(daemon.address, &authority);
        assert_eq!(shown, second);
        client.post(EVENTS, "", NOTHING).accepted();
    }
    fs::write(&files.key, good).unwrap();
    fs::write(&files.certificate, "").unwrap();
    daemon.signal(Signal::HUP);
    eventually("the mistake is in the log", || errors() == 4);
    assert_says(
        &log(folder.path()),
        &[&format!(
            "tls_certificate_path = {certificate}: the file has no certificate"
        )],
    );

    // And a good one again. The oldest connection has seen all of that.
    let third = files.renew(&authority);
    daemon.signal(Signal::HUP);
    eventually("the third certificate is shown", || {
        connect(daemon.address, &authority).1 == third
    });
    old.post("/post_notification_json", "", &direct("C"))
        .accepted();
    // TLS itself is not switched off by a reload.
    fs::write(&config, "[ServerSpecific]\nport = 0\n").unwrap();
    daemon.signal(Signal::HUP);
    eventually("that needs a restart", || {
        log(folder.path()).contains("TLS is switched on and off by a restart only")
    });
    assert_eq!(connect(daemon.address, &authority).1, third);
    assert_eq!(daemon.stop(), Some(0));
}

/// What the daemon says at its start, and what `check-config` says, of this configuration.
fn refused(folder: &Path, keys: &str) -> [String; 2] {
    fs::write(
        folder.join("config.ini"),
        format!("[ServerSpecific]\nport = 0\n{keys}"),
    )
    .unwrap();
    let run = |command: &[&str]| {
        let output = onegin()
            .current_dir(folder)
            .args(command)
            .args(["--configuration", "config.ini"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        text(&output.stdout) + &text(&output.stderr)
    };
    [run(&[]), run(&["check-config"])]
}

#[test]
fn what_cannot_be_used_stops_the_start_and_names_key_and_file() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let files = Files::new(folder.path());
    files.renew(&authority);
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(folder.path().join("other.key"), &other).unwrap();
    for (certificate, key, says) in [
        (
            Some("tls.pem"),
            Some("other.key"),
            "[ServerSpecific] tls_key_path = other.key: the key cannot be used with the first certificate of tls_certificate_path",
        ),
        (
            Some("missing.pem"),
            Some("tls.key"),
            "[ServerSpecific] tls_certificate_path = missing.pem: the file cannot be read",
        ),
        (
            Some("config.ini"),
            Some("tls.key"),
            "[ServerSpecific] tls_certificate_path = config.ini: the file has no certificate in PEM form",
        ),
        (
            Some("tls.pem"),
            Some("tls.pem"),
            "[ServerSpecific] tls_key_path = tls.pem: the file has no private key in PEM form",
        ),
        (
            Some("tls.pem"),
            None,
            "[ServerSpecific] tls_key_path is not set, but tls_certificate_path needs it",
        ),
        (
            None,
            Some("tls.key"),
            "[ServerSpecific] tls_certificate_path is not set, but tls_key_path needs it",
        ),
    ] {
        let line = |key: &str, file: Option<&str>| {
            file.map_or_else(String::new, |file| format!("{key} = {file}\n"))
        };
        let keys = line("tls_certificate_path", certificate) + &line("tls_key_path", key);
        for said in refused(folder.path(), &keys) {
            assert_says(&said, &[says]);
            let secret = other.lines().nth(1).unwrap();
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[test]
fn a_certificate_out_of_its_time_is_warned_about_and_used() {
    for (from, until, says) in [
        (
            (2001, 1, 1),
            (2002, 3, 4),
            "has expired on 2002-03-04T00:00:00Z",
        ),
        (
            (2999, 1, 1),
            (3000, 1, 1),
            "is not valid before 2999-01-01T00:00:00Z",
        ),
    ] {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let files = Files::new(folder.path());
        let key = KeyPair::generate().unwrap();
        let chain = authority.chain(&key, |params| {
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(until.0, until.1, until.2);
        });
        files.write(&chain, &key.serialize_pem());
        let config = folder.path().join("config.ini");
        fs::write(
            &config,
            format!("[ServerSpecific]\nport = 0\n{}", files.keys()),
        )
        .unwrap();
        let daemon = Daemon::start(folder.path(), &config, &[]);
        let refused = secured(daemon.address, authority.client(&[])).unwrap_err();
        assert!(refused.contains("invalid peer certificate"), "{refused}");
        eventually("the warning is in the log", || {
            log(folder.path()).contains(&format!("the certificate {says}, clients refuse it"))
        });
        assert_eq!(daemon.stop(), Some(0));
        let checked = onegin()
            .args(["check-config", "--configuration"])
            .arg(&config)
            .output()
            .unwrap();
        assert!(checked.status.success());
        assert_says(
            &text(&checked.stdout),
            &["[ServerSpecific] tls_certificate_path", says],
        );
    }
}
