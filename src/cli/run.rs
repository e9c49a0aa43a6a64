//! `onegin --configuration FILE`: the daemon, and `--upgrade-db`.

use std::{
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use journal::Durability;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::open_files;
use crate::{
    config::{self, Loaded},
    credentials,
    main_log::{self, MainLog},
    pipeline::{Hooks, Pipeline},
    service_manager::ServiceManager,
    telemetry, tls,
};

/// Reads the configuration and the environment's overrides.
///
/// # Errors
/// When anything in it cannot be used; the text names every mistake.
pub(super) fn load(path: &Path) -> anyhow::Result<Loaded> {
    Ok(config::load(path, environment())?)
}

/// The environment's variables. Those that are no text cannot be ours.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Creates or upgrades the database and says what was done.
///
/// # Errors
/// When the database cannot be reached or is of a kind that cannot be upgraded.
#[allow(
    clippy::print_stdout,
    reason = "the operator at the terminal waits for it"
)]
pub fn upgrade(configuration: &Path) -> anyhow::Result<ExitCode> {
    let loaded = load(configuration)?;
    let upgrade = storage::Storage::upgrade(&loaded.config.database)?;
    if let Some(revision) = &upgrade.adopted_from {
        println!("adopted a Pushkin database of revision {revision}; its rows are kept");
    }
    if upgrade.superseded_blacklists > 0 {
        println!(
            "dropped {} opt-out lists of users who have a newer one",
            upgrade.superseded_blacklists
        );
    }
    for migration in &upgrade.applied {
        println!("applied {migration}");
    }
    if upgrade.applied.is_empty() {
        println!("the database is up to date");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When it cannot start; the text names section, key and file.
#[allow(
    clippy::print_stdout,
    reason = "whoever starts it by hand sees where it listens; the rest is in the log"
)]
pub fn run(configuration: &Path) -> anyhow::Result<ExitCode> {
    let mut loaded = load(configuration)?;
    let too_few_files = open_files::make_room(&mut loaded.config);
    let config = &loaded.config;
    let (credentials, off) = credentials::read(&config.messenger)?;
    let main_log = main_log::open(&config.log, telemetry::system_clock())?;
    let exposed = tls::exposure(&config.server);
    let warnings = loaded.warnings.iter().chain(&off);
    for warning in warnings.chain(&exposed).chain(&too_few_files) {
        warn!("{warning}");
    }
    let is_durable = config.request_processor.journal.durability == Durability::Journal;
    if !is_durable {
        info!(
            "durability is memory: accepted requests that are not sent yet are lost when the process dies"
        );
    }
    let service_manager =
        ServiceManager::from_environment(|name| std::env::var_os(name), std::process::id());
    let mut signals = Signals::register()?;
    let mut pipeline = Pipeline::start(config, credentials, Hooks::default())?;
    let scheme = if pipeline.is_encrypted() {
        "https"
    } else {
        "http"
    };
    println!("onegin listens on {scheme}://{}", pipeline.address());
    info!(address = %pipeline.address(), version = env!("CARGO_PKG_VERSION"), "started");
    let status = format!("listening on {}", pipeline.address());
    service_manager.ready(&status);
    let watchdog = service_manager.keep_watchdog_quiet(pipeline.vital_signs());
    loop {
        match signals.next() {
            Told::Reload => {
                service_manager.reloading();
                reload(configuration, &main_log, &mut pipeline);
                service_manager.ready(&status);
            }
            Told::Stop(signal) => {
                info!(signal, "told to stop");
                break;
            }
        }
    }
    let main_log = OpenLog(Arc::new(Mutex::new(Some(main_log))));
    signals.exit_at_once_on_the_next(is_durable, main_log.clone());
    let limit = Duration::from_secs(config.server.shutdown_timeout_sec);
    service_manager.stopping(limit);
    if let Some(watchdog) = &watchdog {
        watchdog.stages_end_now();
    }
    let kept_or_sent = pipeline.stop(limit);
    drop(watchdog);
    let code = if kept_or_sent {
        if is_durable {
            info!("stopped; what was accepted is sent or in the journal");
        } else {
            info!("stopped, everything accepted was sent");
        }
        ExitCode::SUCCESS
    } else {
        error!("stopped with work left; it is lost, durability is memory");
        ExitCode::FAILURE
    };
    main_log.close();
    Ok(code)
}

/// The main log near the end: whoever ends the program closes it, which writes its last lines.
#[derive(Clone)]
struct OpenLog(Arc<Mutex<Option<MainLog>>>);

impl OpenLog {
    fn close(&self) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(open.take());
    }
}

/// SIGHUP: the log level, the certificate and the credentials of the file, and the database's
/// messages. A file with a mistake changes nothing.
fn reload(configuration: &Path, main_log: &MainLog, pipeline: &mut Pipeline) {
    let loaded = load(configuration).and_then(|loaded| {
        main_log.set_level(loaded.config.log.main_log_level)?;
        Ok(loaded)
    });
    match loaded {
        Ok(loaded) => {
            info!("log level is reloaded");
            pipeline.reload(&loaded.config);
        }
        Err(error) => error!("{error:#}: going on with what was there"),
    }
}

/// What the daemon is told from outside.
enum Told {
    Stop(&'static str),
    Reload,
}

/// The signals, registered before anything is started so that none is lost.
pub(super) struct Signals {
    runtime: tokio::runtime::Runtime,
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes the signals over from the operating system's defaults.
    pub(super) fn register() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let guard = runtime.enter();
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        let (quit, hang_up) = (SignalKind::quit(), SignalKind::hangup());
        let (interrupt, terminate) = (signal(interrupt)?, signal(terminate)?);
        let (quit, hang_up) = (signal(quit)?, signal(hang_up)?);
        drop(guard);
        Ok(Self {
            runtime,
            interrupt,
            terminate,
            quit,
            hang_up,
        })
    }

    fn next(&mut self) -> Told {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.interrupt.recv() => Told::Stop("SIGINT"),
                _ = self.terminate.recv() => Told::Stop("SIGTERM"),
                _ = self.quit.recv() => Told::Stop("SIGQUIT"),
                _ = self.hang_up.recv() => Told::Reload,
            }
        })
    }

    /// Waits until the program is told to stop.
    pub(super) fn wait_for_stop(&mut self) {
        while let Told::Reload = self.next() {}
    }

    /// A second stop signal means that the operator does not want to wait for the drain.
    fn exit_at_once_on_the_next(mut self, is_durable: bool, main_log: OpenLog) {
        std::thread::spawn(move || {
            self.wait_for_stop();
            if is_durable {
                warn!(
                    "told to stop again: exiting at once; what is not sent is in the journal, and the next start may send again what was in flight"
                );
            } else {
                error!(
                    "told to stop again: exiting at once; what is not sent is lost, durability is memory"
                );
            }
            main_log.close();
            std::process::exit(1);
        });
    }
}
