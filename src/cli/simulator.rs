//! `onegin simulator`: Apple's and Google's push services as a process of their own.

use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Args;
use simulator::{Options, Simulator};

/// Options of `onegin simulator`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  onegin simulator --directory sim --apns-port 2197 --latency-ms 50\n\nThe folder then holds ca.pem, the APNs key and the service-account file; the lines printed at the\nstart go into config.ini. Scripted failures: POST rules to the control address, such as\n  curl CONTROL/rules -d '{\"when\":{\"token_prefix\":\"dead\"},\"then\":{\"refuse\":{\"status\":410,\"reason\":\"Unregistered\"}}}'"
)]
pub struct SimulatorArguments {
    /// Where the credentials are written; it is made if it is not there.
    #[arg(long, value_name = "FOLDER", default_value = "simulator")]
    directory: PathBuf,
    /// Address to listen on. The control API has no authentication: keep it on loopback.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind_address: IpAddr,
    /// Port of APNs; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 2197)]
    apns_port: u16,
    /// Port of FCM and its OAuth endpoint; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 2198)]
    fcm_port: u16,
    /// Port of the control API; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 2199)]
    control_port: u16,
    /// Time between a request and its answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,
    /// Concurrent streams that APNs allows on a connection.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    apns_max_streams: u32,
    /// Concurrent streams that FCM allows on a connection.
    #[arg(long, value_name = "N", default_value_t = 100)]
    fcm_max_streams: u32,
    /// Requests each service remembers; 0 counts only, for load tests.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    log_limit: usize,
}

/// Runs the simulator until Ctrl-C or SIGTERM.
///
/// # Errors
/// When a port is taken or the folder cannot be written.
#[allow(
    clippy::print_stdout,
    reason = "the addresses are for the terminal, or for a script that reads them"
)]
pub fn simulator(arguments: &SimulatorArguments) -> anyhow::Result<ExitCode> {
    let mut signals = super::run::Signals::register()?;
    let simulator = Simulator::start(Options {
        bind_address: arguments.bind_address,
        apns_port: arguments.apns_port,
        fcm_port: arguments.fcm_port,
        control_port: arguments.control_port,
        latency: Duration::from_millis(arguments.latency_ms),
        apns_max_streams: arguments.apns_max_streams,
        fcm_max_streams: arguments.fcm_max_streams,
        log_limit: arguments.log_limit,
        ..Options::default()
    })?;
    std::fs::create_dir_all(&arguments.directory)
        .with_context(|| format!("cannot make the folder {}", arguments.directory.display()))?;
    let files = simulator
        .write_files(&arguments.directory)
        .with_context(|| format!("cannot write into {}", arguments.directory.display()))?;
    let key = simulator.apns_key();
    println!(
        "# The push services are up; control API: {}",
        simulator.control_url()
    );
    println!("[Messenger]");
    println!("apns_endpoint = {}", simulator.apns_url());
    println!("apns_ca_path = {}", files.ca.display());
    println!("apns_key_path = {}", files.apns_key.display());
    println!("apns_key_id = {}", key.key_id);
    println!("apns_team_id = {}", key.team_id);
    println!("apns_topic = {}", key.topic);
    println!("fcm_endpoint = {}", simulator.fcm_url());
    println!("fcm_ca_path = {}", files.ca.display());
    println!(
        "fcm_service_account_path = {}",
        files.service_account.display()
    );
    signals.wait_for_stop();
    Ok(ExitCode::SUCCESS)
}
