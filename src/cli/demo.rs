//! `onegin demo`: the whole pipeline on loopback, from a game's POST to (simulated) phones.
//!
//! Nothing is faked on our side: the daemon runs with a database file, posts arrive at its own
//! HTTP port, and the notifications leave by TLS and HTTP/2. Only Apple and Google are played
//! by the simulator. Each step waits until everything that came of the one before has ended.

use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitCode,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use model::{LoginId, Outcome, Platform, Priority, Provider};
use processor::{EndReason, Ended};
use serde_json::{Value, json};
use simulator::{Action, Options, Refusal, Rule, Simulator};
use storage::{MessageAttributes, Storage};

use super::run::Signals;
use crate::{
    config::Config,
    credentials,
    pipeline::{Hooks, Pipeline},
};

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

/// A user of the demo's game.
struct Player {
    login: i64,
    name: &'static str,
    language: (i16, &'static str),
    devices: &'static [(Platform, &'static str)],
}

const ENGLISH: (i16, &str) = (1, "English");
const GERMAN: (i16, &str) = (2, "German");
const SERBIAN: (i16, &str) = (3, "Serbian");
const JAPANESE: (i16, &str) = (4, "Japanese");

const PLAYERS: [Player; 5] = [
    Player {
        login: 1001,
        name: "Ana",
        language: SERBIAN,
        devices: &[(Platform::IPHONE, "a1a1a1a1a1a1a1a1")],
    },
    Player {
        login: 1002,
        name: "Ben",
        language: ENGLISH,
        devices: &[(Platform::ANDROID, "ben-phone")],
    },
    Player {
        login: 1003,
        name: "Chiyo",
        language: JAPANESE,
        devices: &[
            (Platform::IPAD, "c3c3c3c3c3c3c3c3"),
            (Platform::ANDROID_TABLET, "chiyo-tablet"),
        ],
    },
    Player {
        login: 1004,
        name: "Dieter",
        language: GERMAN,
        devices: &[(Platform::ANDROID, "dieter-phone")],
    },
    Player {
        login: 1005,
        name: "Emil",
        language: GERMAN,
        devices: &[(Platform::IPHONE, "dead0000dead0000")],
    },
];

/// A sample message: its trigger and its texts by language.
struct Sample {
    attributes: MessageAttributes,
    texts: &'static [((i16, &'static str), &'static str, &'static str)],
}

/// One line of the demo's output, made on a stage's thread.
enum Line {
    Delivered {
        login: LoginId,
        platform: Platform,
        title: String,
        body: String,
        latency_ms: i64,
    },
    Refused {
        login: LoginId,
        platform: Platform,
        outcome: Outcome,
        reason: String,
    },
    Ended(Ended),
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
    let database = directory.join("demo.db");
    config.database.db_url = Some(format!("sqlite:{}", database.display()));
    Ok(config)
}

/// Sends what happens on the stages' threads to the demo's own.
fn hooks(lines: &mpsc::Sender<Line>) -> Hooks {
    // A send fails only when the demo has ended; then nobody looks.
    let (ended, reported) = (lines.clone(), lines.clone());
    Hooks {
        ended: Some(Arc::new(move |end: &Ended| {
            drop(ended.send(Line::Ended(*end)));
        })),
        reported: Some(Arc::new(move |report: &model::Report| {
            let notification = &report.notification;
            let (login, platform) = (notification.login, notification.platform);
            drop(reported.send(match report.outcome {
                Outcome::Delivered => Line::Delivered {
                    login,
                    platform,
                    title: notification.content.title.to_string(),
                    body: notification.content.body.to_string(),
                    latency_ms: report.ended_at.since_ms(notification.accepted_at),
                },
                outcome => Line::Refused {
                    login,
                    platform,
                    outcome,
                    reason: report.reason.to_string(),
                },
            }));
        })),
    }
}

/// What was seen, for the summary.
#[derive(Default)]
struct Tally {
    apns: usize,
    fcm: usize,
    languages: BTreeSet<&'static str>,
    cooling_down: usize,
    blacklisted: usize,
    dead_tokens: usize,
    without_device: usize,
    latencies_ms: Vec<i64>,
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
        for sample in samples() {
            add_message(self.pipeline.storage(), &sample)?;
        }
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
            self.print(line);
        }
        Ok(())
    }

    fn print(&mut self, line: Line) {
        match line {
            Line::Delivered {
                login,
                platform,
                title,
                body,
                latency_ms,
            } => {
                match platform.provider() {
                    Some(Provider::Apns) => self.tally.apns += 1,
                    Some(Provider::Fcm | Provider::WebPush) | None => self.tally.fcm += 1,
                }
                self.tally.latencies_ms.push(latency_ms);
                let language = player(login).map_or("", |player| player.language.1);
                self.tally.languages.insert(language);
                println!(
                    "            delivered    {:<7} {:<15} {language:<9} {title} – {body}",
                    name(login),
                    device(platform)
                );
            }
            Line::Refused {
                login,
                platform,
                outcome,
                reason,
            } => {
                let dead = outcome == Outcome::Unregistered;
                self.tally.dead_tokens += usize::from(dead);
                let word = if dead { "dead token" } else { "refused" };
                println!(
                    "            {word:<12} {:<7} {:<15} {reason}",
                    name(login),
                    device(platform)
                );
            }
            Line::Ended(end) => {
                let (word, counter) = match end.reason {
                    EndReason::CoolingDown => ("cooldown", &mut self.tally.cooling_down),
                    EndReason::Blacklisted => ("blacklist", &mut self.tally.blacklisted),
                    EndReason::NoDevice => ("no device", &mut self.tally.without_device),
                    EndReason::Recorded => return,
                    EndReason::NoHandler
                    | EndReason::InvalidEvent
                    | EndReason::UnknownUser
                    | EndReason::NoText
                    | EndReason::MissingParameter
                    | EndReason::StorageFailed => {
                        println!(
                            "            {:<12} {}",
                            end.reason.as_str(),
                            name(end.login)
                        );
                        return;
                    }
                };
                *counter += 1;
                println!(
                    "            {word:<12} {:<7} nothing is sent",
                    name(end.login)
                );
            }
        }
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

fn player(login: LoginId) -> Option<&'static Player> {
    PLAYERS.iter().find(|player| player.login == login.0)
}

fn name(login: LoginId) -> &'static str {
    player(login).map_or("?", |player| player.name)
}

fn device(platform: Platform) -> &'static str {
    match platform {
        Platform::ANDROID => "Android phone",
        Platform::IPHONE => "iPhone",
        Platform::IPAD => "iPad",
        Platform::ANDROID_TABLET => "Android tablet",
        _ => "?",
    }
}

fn logins() -> Value {
    let events: Vec<Value> = PLAYERS
        .iter()
        .flat_map(|player| {
            player.devices.iter().map(|(platform, token)| {
                json!({
                    "user_id": player.login,
                    "event_id": 4001,
                    "timestamp": now_ms(),
                    "pairs": {
                        "languageId": player.language.0,
                        "platformId": platform.0,
                        "deviceToken": token,
                        "applicationVersion": 1
                    }
                })
            })
        })
        .collect();
    json!({ "events": events })
}

fn events(event_id: i32, logins: &[i64], pairs: impl Fn(i64) -> Value) -> Value {
    let events: Vec<Value> = logins
        .iter()
        .map(|login| {
            json!({
                "user_id": login,
                "event_id": event_id,
                "timestamp": now_ms(),
                "pairs": pairs(*login)
            })
        })
        .collect();
    json!({ "events": events })
}

fn now_ms() -> i64 {
    crate::telemetry::system_clock().now().0
}

fn add_message(storage: &Storage, sample: &Sample) -> anyhow::Result<()> {
    let message = storage.upsert_message(&sample.attributes)?;
    for ((language, _), title, text) in sample.texts {
        storage.upsert_localization(message, *language, title, text)?;
    }
    Ok(())
}

fn samples() -> [Sample; 3] {
    let attributes = |name: &str, trigger: i32| MessageAttributes {
        name: name.to_owned(),
        trigger_event_id: Some(trigger),
        cooldown_ms: None,
        screen: String::new(),
        expiry_millis: None,
        priority: Priority::Normal,
    };
    [
        Sample {
            attributes: attributes("level_up", 101),
            texts: &[
                (ENGLISH, "Bravo, {name}!", "You have reached level {level}."),
                (GERMAN, "Bravo, {name}!", "Du hast Stufe {level} erreicht."),
                (SERBIAN, "Bravo, {name}!", "Sada si na nivou {level}."),
                (
                    JAPANESE,
                    "おめでとう、{name}！",
                    "レベル{level}に到達しました。",
                ),
            ],
        },
        Sample {
            attributes: MessageAttributes {
                cooldown_ms: Some(10 * 60 * 1000),
                screen: "village".to_owned(),
                priority: Priority::High,
                ..attributes("village_raided", 102)
            },
            texts: &[
                (ENGLISH, "Raid!", "Your village is under attack."),
                (JAPANESE, "襲撃！", "あなたの村が攻撃されています。"),
            ],
        },
        Sample {
            attributes: attributes("daily_bonus", 103),
            texts: &[
                (ENGLISH, "Daily bonus", "Your bonus is ready."),
                (GERMAN, "Tagesbonus", "Dein Bonus liegt bereit."),
                (SERBIAN, "Dnevni bonus", "Tvoj bonus te čeka."),
            ],
        },
    ]
}
