//! The demo's game: its players, its messages, and what happens in it.

use model::{LoginId, Platform, Priority};
use serde_json::{Value, json};
use storage::{MessageAttributes, Storage};

use crate::telemetry;

/// A user of the demo's game.
pub(super) struct Player {
    pub(super) login: i64,
    pub(super) name: &'static str,
    pub(super) language: (i16, &'static str),
    devices: &'static [(Platform, &'static str)],
}

const ENGLISH: (i16, &str) = (1, "English");
const GERMAN: (i16, &str) = (2, "German");
const SERBIAN: (i16, &str) = (3, "Serbian");
const JAPANESE: (i16, &str) = (4, "Japanese");

pub(super) const PLAYERS: [Player; 5] = [
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

pub(super) fn player(login: LoginId) -> Option<&'static Player> {
    PLAYERS.iter().find(|player| player.login == login.0)
}

/// A sample message: its trigger and its texts by language.
struct Sample {
    attributes: MessageAttributes,
    texts: &'static [((i16, &'static str), &'static str, &'static str)],
}

/// Everybody logs in on all their devices.
pub(super) fn logins() -> Value {
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

/// The same event for each of `logins`.
pub(super) fn events(event_id: i32, logins: &[i64], pairs: impl Fn(i64) -> Value) -> Value {
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
    telemetry::system_clock().now().0
}

/// Puts the game's messages into the database.
pub(super) fn add_messages(storage: &Storage) -> anyhow::Result<()> {
    samples()
        .iter()
        .try_for_each(|sample| add_message(storage, sample))
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
