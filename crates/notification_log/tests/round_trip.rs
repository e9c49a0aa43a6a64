//! 10,000 random notifications through the running log into its file and back, by a reader that
//! knows nothing but the rule in the crate's documentation.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "helpers fail their test; the lints know only tests themselves"
)]

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{
    AppId, Clock, Content, DeviceToken, FinishedRequests, ItemId, Lane, LoginId, MessageId,
    Notification, NotificationId, Outcome, Platform, Priority, QueueName, Receipt, Report,
    RequestId, UnixMs,
};
use onegin_notification_log::{FILE_NAME, LogConfig, Metrics, start};
use queue::Limits;

/// Logs, each with a game and a world of its own, and the notifications of each.
const LOGS: usize = 50;
const NOTIFICATIONS: usize = 200;

/// What some reader or other takes for the end of a line.
const LINE_ENDS: [char; 10] = [
    '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// What the rule itself is made of.
const MARKS: [char; 9] = [',', '\\', 'n', 'r', 'u', '{', '}', '"', '0'];

/// Numbers that look random and are the same in every run: a failure is the same tomorrow.
/// (`SplitMix64`: a counter, well stirred.)
struct Numbers(u64);

impl Numbers {
    /// A number below `end`.
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let stirred = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let stirred = (stirred ^ (stirred >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from(stirred >> 32).unwrap();
        high % end
    }

    /// All of Unicode; half of it control characters and what the rule itself is made of.
    fn character(&mut self) -> char {
        let one_of = |some: &[char], place: u32| some[usize::try_from(place).unwrap()];
        match self.below(6) {
            0 => char::from_u32(self.below(0xa0)).unwrap(),
            1 => one_of(&MARKS, self.below(9)),
            2 => one_of(&LINE_ENDS, self.below(10)),
            // Surrogates are no characters.
            _ => char::from_u32(self.below(0x11_0000)).unwrap_or('\u{fffd}'),
        }
    }

    fn text(&mut self) -> String {
        (0..self.below(20)).map(|_| self.character()).collect()
    }
}

/// What one notification says.
#[derive(Clone, Debug)]
struct Texts {
    content: String,
    screen: String,
    token: String,
}

struct Nobody;

impl FinishedRequests for Nobody {
    fn ended(&self, _request: RequestId, _notification: NotificationId) {}

    fn finished(&self, _request: RequestId) {}
}

fn report(login: i64, texts: &Texts) -> Report {
    let item = ItemId {
        request: RequestId::generate(),
        index: 0,
    };
    let token = DeviceToken::new(texts.token.clone());
    let Texts {
        content, screen, ..
    } = texts;
    let content = Content::pushkin(
        MessageId(3),
        "T",
        content.as_str(),
        screen.as_str(),
        Priority::Normal,
    );
    Report {
        notification: Notification {
            id: NotificationId::derive(item, MessageId(3), &token),
            item,
            app: AppId::LEGACY,
            lane: Lane::Urgent,
            accepted_at: UnixMs(1),
            created_at: UnixMs(-2),
            expires_at: UnixMs(i64::MAX),
            login: LoginId(login),
            platform: Platform::IPHONE,
            token,
            content: Arc::new(content),
            receipt: Receipt::open(item.request, Arc::new(Nobody)),
        },
        outcome: Outcome::Delivered,
        reason: "".into(),
        ended_at: UnixMs(4),
    }
}

/// Runs a log of these notifications to its end and returns its file's text.
fn written(game: &str, world_id: &str, notifications: &[Texts]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = LogConfig {
        notification_log_path: folder.path().to_owned(),
        ..LogConfig::default()
    };
    let limits = Limits::items(notifications.len());
    let (reports, queue) = queue::bounded(QueueName::NotificationLog, limits);
    let clock = Clock::new(|| UnixMs(1_795_289_818_442));
    let metrics = Metrics::default();
    let log = start(&queue, &config, game, world_id, clock, metrics, None).unwrap();
    for (login, texts) in (0..).zip(notifications) {
        let place = reports.try_reserve(Lane::Urgent, 1, 0).unwrap();
        place.send(report(login, texts));
    }
    drop((queue, reports));
    assert!(log.join_until(Instant::now() + Duration::from_secs(60)));
    fs::read_to_string(folder.path().join(FILE_NAME)).unwrap()
}

/// The columns of a line, by the documented rule.
fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        let (taken, stands_for) = match character {
            ',' => {
                columns.push(String::new());
                (1, None)
            }
            '\\' => match rest.as_bytes()[1] {
                b',' => (2, Some(',')),
                b'\\' => (2, Some('\\')),
                b'n' => (2, Some('\n')),
                b'r' => (2, Some('\r')),
                b'u' => {
                    let end = rest.find('}').unwrap();
                    let digits = rest.get(3..end).unwrap();
                    let number = u32::from_str_radix(digits, 16).unwrap();
                    (end + 1, char::from_u32(number))
                }
                other => panic!("\\{} in {line:?}", char::from(other)),
            },
            plain => (plain.len_utf8(), Some(plain)),
        };
        columns.last_mut().unwrap().extend(stands_for);
        rest = rest.get(taken..).unwrap();
    }
    columns
}

#[test]
fn ten_thousand_random_notifications_are_one_line_each_and_read_back_as_they_were() {
    let mut numbers = Numbers(7);
    let mut read = 0;
    for _ in 0..LOGS {
        let (game, world_id) = (numbers.text(), numbers.text());
        let notifications: Vec<Texts> = (0..NOTIFICATIONS)
            .map(|_| Texts {
                content: numbers.text(),
                screen: numbers.text(),
                token: numbers.text(),
            })
            .collect();
        let csv = written(&game, &world_id, &notifications);
        assert!(csv.ends_with('\n'));
        let lines: Vec<&str> = csv.split_terminator(LINE_ENDS).collect();
        assert_eq!(lines.len(), NOTIFICATIONS);
        for ((login, texts), line) in (0..).zip(&notifications).zip(lines) {
            let login: i64 = login;
            assert_eq!(
                columns(line),
                [
                    "0",
                    &login.to_string(),
                    &texts.content,
                    "3",
                    "1",
                    "0",
                    &game,
                    &world_id,
                    &texts.screen,
                    "-2",
                    "9223372036854775807",
                    "2",
                    &texts.token,
                ]
            );
            read += 1;
        }
    }
    assert_eq!(read, 10_000);
}
