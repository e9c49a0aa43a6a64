//! What the demo shows: a line per delivery or end, and the sums.

use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc},
};

use model::{LoginId, Outcome, Platform, Provider};
use processor::{EndReason, Ended};

use super::cast::player;
use crate::pipeline::Hooks;

/// One line of the demo's output, made on a stage's thread.
pub(super) enum Line {
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

/// Sends what happens on the stages' threads to the demo's own.
pub(super) fn hooks(lines: &mpsc::Sender<Line>) -> Hooks {
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
        ..Hooks::default()
    }
}

/// What was seen, for the summary.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) apns: usize,
    pub(super) fcm: usize,
    pub(super) languages: BTreeSet<&'static str>,
    pub(super) cooling_down: usize,
    pub(super) blacklisted: usize,
    pub(super) dead_tokens: usize,
    pub(super) without_device: usize,
    pub(super) latencies_ms: Vec<i64>,
}

#[allow(clippy::print_stdout, reason = "the demo's output is for the terminal")]
impl Tally {
    /// Prints the line and counts it.
    pub(super) fn print(&mut self, line: Line) {
        match line {
            Line::Delivered {
                login,
                platform,
                title,
                body,
                latency_ms,
            } => {
                match platform.provider() {
                    Some(Provider::Apns) => self.apns += 1,
                    Some(Provider::Fcm | Provider::WebPush) | None => self.fcm += 1,
                }
                self.latencies_ms.push(latency_ms);
                let language = player(login).map_or("", |player| player.language.1);
                self.languages.insert(language);
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
                self.dead_tokens += usize::from(dead);
                let word = if dead { "dead token" } else { "refused" };
                println!(
                    "            {word:<12} {:<7} {:<15} {reason}",
                    name(login),
                    device(platform)
                );
            }
            Line::Ended(end) => {
                let (word, counter) = match end.reason {
                    EndReason::CoolingDown => ("cooldown", &mut self.cooling_down),
                    EndReason::Blacklisted => ("blacklist", &mut self.blacklisted),
                    EndReason::NoDevice => ("no device", &mut self.without_device),
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
