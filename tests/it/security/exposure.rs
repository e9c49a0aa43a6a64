//! What is said of a port that is open to the world with neither keys nor TLS.

use std::{fs, net::TcpListener};

use rcgen::{CertificateParams, KeyPair};

use crate::{
    administration::assert_says,
    app::eventually,
    commands::{Daemon, onegin, text},
    database::skipped,
};

/// What `check-config` and the log of a daemon say, in this order.
fn said(keys: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    fs::write(
        folder.path().join("tls.pem"),
        certificate + &key.serialize_pem(),
    )
    .unwrap();
    let config = format!("[ServerSpecific]\nport = 0\n{keys}\n");
    let path = folder.path().join("config.ini");
    fs::write(&path, config).unwrap();
    let checked = onegin()
        .current_dir(folder.path())
        .args(["check-config", "--configuration", "config.ini"])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let daemon = Daemon::start(folder.path(), &path, &[]);
    let log = || fs::read_to_string(folder.path().join("log/pushkin.log")).unwrap();
    eventually("the start is logged", || log().contains(" INFO started"));
    assert_eq!(daemon.stop(), Some(0));
    (text(&checked.stdout), log())
}

#[test]
fn a_port_that_is_open_to_the_world_is_warned_about_unless_it_is_guarded() {
    const WARNING: &str = "whoever reaches port 0 can send notifications to every user: \
                           set require_api_key, and tls_certificate_path with tls_key_path";
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    if !has_ipv6 {
        skipped("addresses of IPv6, which this machine has not");
    }
    let addresses = ["0.0.0.0", "::"];
    for address in &addresses[..1 + usize::from(has_ipv6)] {
        let (checked, log) = said(&format!("bind_address = {address}"));
        let warning = format!("[ServerSpecific] bind_address = {address}: {WARNING}");
        assert_says(&checked, &[&warning]);
        assert_says(&log, &[&format!(" WARNING {warning}")]);
    }
    let loopback_6 = if has_ipv6 { "bind_address = ::1" } else { "" };
    for keys in [
        "bind_address = 127.0.0.1",
        loopback_6,
        "bind_address = 0.0.0.0\nrequire_api_key = yes",
        "bind_address = 0.0.0.0\ntls_certificate_path = tls.pem\ntls_key_path = tls.pem",
    ] {
        let (checked, log) = said(keys);
        for text in [checked, log] {
            assert!(!text.contains("whoever reaches"), "{keys}: {text}");
        }
    }
}
