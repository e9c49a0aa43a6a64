//! `onegin demo`: the whole pipeline on loopback, from a game's POST to (simulated) phones.
//!
//! Nothing is faked on our side: the daemon runs with a database file, posts arrive at its own
//! HTTP port, and the notifications leave by TLS and HTTP/2. Only Apple and Google are played
//! by the simulator. Each step waits until everything that came of the one before has ended.

mod cast;

mod screen;

use std::{
    path::Path,
    process::ExitCode,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use model::LoginId;
use serde_json::{Value, json};
use simulator::{Action, Options, Refusal, Rule, Simulator};

use self::{
    cast::{PLAYERS, events, logins, player},
    screen::{Line, Tally, hooks},
};
use super::run::Signals;
use crate::{config::Config, credentials, pipeline::Pipeline};

/// Longest wait for one step; the whole demo takes a few seconds.
const STEP_LIMIT: Duration = Duration::from_secs(8);
/// Tokens that begin like this are answered with 410 Unregistered.
const DEAD_PREFIX: &str = "dead";

/// Options of `onegin demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  onegin demo --keep     stay up afterwards, to post events of your own"
)]
pub struct DemoArguments {
    /// Stay up afterwards and print the addresses; ends with Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
///
/// # Errors
/// When any part of it does not do what it is there to show.
pub fn demo(arguments: &DemoArguments) -> anyhow::Result<ExitCode> {
    let directory = tempfile::tempdir().context("cannot make a temporary folder")?;
    let simulator = Simulator::start(Options::default())?;
    simulator.script().add(
        Rule::new(Action::Refuse(Refusal::new(410, "Unregistered"))).token_prefix(DEAD_PREFIX),
    );
    let config = configuration(directory.path(), &simulator)?;
    let (credentials, _) = credentials::read(&config.messenger)?;
    let (lines, output) = mpsc::channel();
    let pipeline = Pipeline::start(&config, credentials, hooks(&lines))?;
    let mut demo = Demo {
        pipeline,
        http: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?,
        client: reqwest::Client::new(),
        output,
        started: Instant::now(),
        posted: 0,
        tally: Tally::default(),
    };
    demo.introduce();
    demo.play()?;
    demo.summarise(directory.path())?;
    if arguments.keep {
        demo.stay_up(&simulator, &mut Signals::register()?);
    }
    ensure!(demo.pipeline.stop(STEP_LIMIT), "the pipeline did not drain");
    Ok(ExitCode::SUCCESS)
}

/// A configuration as an operator would write it, with the simulator's addresses.
fn configuration(directory: &Path, simulator: &Simulator) -> anyhow::Result<Config> {
    let files = simulator.write_files(directory)?;
    let key = simulator.apns_key();
    let text = |path: &Path| Some(path.display().to_string());
    let mut config = Config::default();
    config.server.port = 0;
    config.server.game = "Demo".to_owned();
    config.messenger.apns_key_path = text(&files.apns_key);
    config.messenger.apns_key_id = Some(key.key_id.clone());
    config.messenger.apns_team_id = Some(key.team_id.clone());
    config.messenger.apns_topic = Some(key.topic.clone());
    config.messenger.apns_endpoint = Some(simulator.apns_url());
    config.messenger.apns_ca_path = text(&files.ca);
    config.messenger.fcm_service_account_path = text(&files.service_account);
    config.messenger.fcm_endpoint = Some(simulator.fcm_url());
    config.messenger.fcm_ca_path = text(&files.ca);
    config.messenger.base_deeplink_url = "demo".to_owned();
    config.log.notification_log_path = directory.join("log");
    config.request_processor.journal.journal_path = directory.join("journal");
    let database = directory.join("demo.db");
    config.database.db_url = Some(format!("sqlite:{}", database.display()));
    Ok(config)
}

struct Demo {
    pipeline: Pipeline,
    http: tokio::runtime::Runtime,
    client: reqwest::Client,
    output: mpsc::Receiver<Line>,
    started: Instant,
    posted: u64,
    tally: Tally,
}

#[allow(clippy::print_stdout, reason = "the demo's output is for the terminal")]
impl Demo {
    fn introduce(&self) {
        println!(
            "Onegin's demo: a game server's events become notifications on (simulated) phones."
        );
        println!(
            "The daemon listens on http://{}; APNs and FCM are played by the simulator over TLS and HTTP/2.\n",
            self.pipeline.address()
        );
    }

    /// The story, one step after the other.
    fn play(&mut self) -> anyhow::Result<()> {
        cast::add_messages(self.pipeline.storage())?;
        self.step(
            "five players log in on six devices",
            "/post_events_json",
            logins(),
        )?;
        let everybody: Vec<i64> = PLAYERS.iter().map(|player| player.login).collect();
        self.step(
            "everybody reaches a new level",
            "/post_events_json",
            events(101, &everybody, |login| {
                json!({"name": player(LoginId(login)).map_or("you", |player| player.name), "level": 12})
            }),
        )?;
        self.wait_for_dead_token(LoginId(1005))?;
        self.step(
            "Emil reaches another level, but his token is dead",
            "/post_events_json",
            events(101, &[1005], |_| json!({"name": "Emil", "level": 13})),
        )?;
        self.step(
            "Ben's and Chiyo's villages are raided",
            "/post_events_json",
            events(102, &[1002, 1003], |_| json!({})),
        )?;
        self.step(
            "Ben's village is raided again, within the message's cooldown of 10 minutes",
            "/post_events_json",
            events(102, &[1002], |_| json!({})),
        )?;
        let daily_bonus = self
            .pipeline
            .storage()
            .catalogue()
            .named("daily_bonus")
            .context("the message daily_bonus was just added")?
            .id;
        self.step(
            "Dieter turns the daily bonus off",
            "/post_events_json",
            events(4006, &[1004], |_| json!({"message": daily_bonus.0})),
        )?;
        self.step(
            "the daily bonus is ready for Ana, Ben and Dieter",
            "/post_events_json",
            events(103, &[1001, 1002, 1004], |_| json!({})),
        )?;
        self.step(
            "the game writes to Ana directly",
            "/post_notification_json",
            json!({"notifications": [{
                "login_id": 1001,
                "title": "Onegin",
                "content": "Pismo za tebe je stiglo.",
                "screen": "mail/7"
            }]}),
        )
    }

    /// Posts `body` and prints what comes of it, to the end.
    fn step(&mut self, what: &str, path: &str, body: Value) -> anyhow::Result<()> {
        println!("{:>8}  {what}   (POST {path})", self.elapsed());
        let url = format!("http://{}{path}", self.pipeline.address());
        let request = self.client.post(url).body(body.to_string());
        let response = self.http.block_on(request.send())?;
        ensure!(
            response.status() == reqwest::StatusCode::OK,
            "the daemon answered {}",
            response.status()
        );
        self.posted += 1;
        let deadline = Instant::now() + STEP_LIMIT;
        if !self.pipeline.finished().wait_for(self.posted, deadline) {
            bail!("not everything of this step ended in time");
        }
        // Everything is reported before its request is finished, so all lines are here.
        while let Ok(line) = self.output.try_recv() {
            self.tally.print(line);
        }
        Ok(())
    }

    /// What APNs said about the token is written back behind the delivery's back.
    fn wait_for_dead_token(&self, login: LoginId) -> anyhow::Result<()> {
        let deadline = Instant::now() + STEP_LIMIT;
        let (_never, tick) = mpsc::channel::<()>();
        loop {
            let devices = self.pipeline.storage().devices(login)?;
            if !devices.iter().any(|device| device.is_active) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the dead token was not recorded");
            let pause = tick.recv_timeout(Duration::from_millis(10));
            debug_assert!(pause.is_err(), "nobody ever sends");
        }
    }

    fn summarise(&mut self, directory: &Path) -> anyhow::Result<()> {
        let tally = &mut self.tally;
        tally.latencies_ms.sort_unstable();
        let median = tally.latencies_ms.get(tally.latencies_ms.len() / 2);
        let (median, slowest) = median
            .zip(tally.latencies_ms.last())
            .context("nothing was delivered")?;
        let log = std::fs::read_to_string(directory.join("log/notifications.csv"))
            .context("cannot read the notification log")?;
        println!("\nSummary, after {}", format_elapsed(self.started));
        println!(
            "  {} delivered: {} through APNs, {} through FCM, in {} languages ({})",
            tally.apns + tally.fcm,
            tally.apns,
            tally.fcm,
            tally.languages.len(),
            tally
                .languages
                .iter()
                .copied()
                .collect::<Vec<_>>()
                .join(", ")
        );
        println!(
            "  {} held back by a cooldown, {} turned off by its user",
            tally.cooling_down, tally.blacklisted
        );
        println!(
            "  {} dead token found; {} later notification had no device left",
            tally.dead_tokens, tally.without_device
        );
        println!("  from POST to push service: median {median} ms, slowest {slowest} ms");
        println!(
            "  {} lines in the notification log, the last one:\n    {}",
            log.lines().count(),
            log.lines().last().unwrap_or_default()
        );
        ensure!(
            tally.apns > 0
                && tally.fcm > 0
                && tally.languages.len() >= 3
                && tally.cooling_down == 1
                && tally.blacklisted == 1
                && tally.dead_tokens == 1,
            "the demo did not show what it is there to show"
        );
        Ok(())
    }

    fn stay_up(&self, simulator: &Simulator, signals: &mut Signals) {
        let address = self.pipeline.address();
        println!("\nStill up; Ctrl-C ends it.");
        println!("  events           http://{address}/post_events_json");
        println!("  metrics          http://{address}/metrics");
        println!("  APNs             {}", simulator.apns_url());
        println!("  FCM              {}", simulator.fcm_url());
        println!(
            "  what they got    {}/received?service=apns",
            simulator.control_url()
        );
        println!(
            "\nTry:\n  curl http://{address}/post_events_json -d '{}'",
            events(103, &[1001, 1002], |_| json!({}))
        );
        signals.wait_for_stop();
    }

    fn elapsed(&self) -> String {
        format_elapsed(self.started)
    }
}

fn format_elapsed(since: Instant) -> String {
    format!("{:.2} s", since.elapsed().as_secs_f64())
}
