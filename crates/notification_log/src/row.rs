//! One line of the notification log: writing it, and reading it back.
//!
//! The form of a line and how it is read are documented at the crate.

use std::{borrow::Cow, io::Write};

use model::Report;

/// The columns' names, in their order. The file has no header row.
pub const COLUMNS: [&str; 13] = [
    "status",
    "login_id",
    "content",
    "message_id",
    "campaign_id",
    "sending_id",
    "game",
    "world_id",
    "screen",
    "time",
    "time_to_live_ts_bigint",
    "platform",
    "receiver_id",
];

/// One row; its fields are the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// How it ended: Pushkin's numbers, see [`model::Outcome::status`].
    pub status: i32,
    /// Whom it was for.
    pub login_id: i64,
    /// The text that was sent; the title is not logged.
    pub content: Cow<'a, str>,
    /// The message it came from; 0 for a direct notification.
    pub message_id: i32,
    /// The campaign; 1 for everything that came in through Pushkin's doors.
    pub campaign_id: i64,
    /// The push request's id at the other doors; `0` at Pushkin's.
    pub sending_id: Cow<'a, str>,
    /// The configuration's `game`.
    pub game: Cow<'a, str>,
    /// The configuration's `world_id`.
    pub world_id: Cow<'a, str>,
    /// Deep link; may be empty.
    pub screen: Cow<'a, str>,
    /// When the notification was made, milliseconds since 1970.
    pub time: i64,
    /// When it was to expire, milliseconds since 1970.
    pub time_to_live_ts_bigint: i64,
    /// What kind of device.
    pub platform: i16,
    /// The device token it was sent to.
    pub receiver_id: Cow<'a, str>,
}

impl<'a> Row<'a> {
    /// The row that records `report`.
    #[must_use]
    pub fn of(report: &'a Report, game: &'a str, world_id: &'a str) -> Self {
        let notification = &report.notification;
        let content = &notification.content;
        Self {
            status: report.outcome.status(notification.platform.provider()),
            login_id: notification.login.0,
            content: Cow::Borrowed(&content.body),
            message_id: content.message.0,
            campaign_id: content.campaign_id,
            sending_id: Cow::Borrowed(&content.sending_id),
            game: Cow::Borrowed(game),
            world_id: Cow::Borrowed(world_id),
            screen: Cow::Borrowed(&content.screen),
            time: notification.created_at.0,
            time_to_live_ts_bigint: notification.expires_at.0,
            platform: notification.platform.0,
            receiver_id: Cow::Borrowed(notification.token.as_str()),
        }
    }

    /// Appends the row's line, with the line feed at its end.
    pub fn write_line(&self, lines: &mut Vec<u8>) {
        write!(lines, "{},{},", self.status, self.login_id).expect(TO_MEMORY);
        write_text(lines, &self.content);
        write!(lines, ",{},{},", self.message_id, self.campaign_id).expect(TO_MEMORY);
        for text in [&self.sending_id, &self.game, &self.world_id, &self.screen] {
            write_text(lines, text);
            lines.push(b',');
        }
        let (time, time_to_live) = (self.time, self.time_to_live_ts_bigint);
        write!(lines, "{time},{time_to_live},{},", self.platform).expect(TO_MEMORY);
        write_text(lines, &self.receiver_id);
        lines.push(b'\n');
    }
}

const TO_MEMORY: &str = "writing to memory cannot fail";

fn write_text(line: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        let escaped: &[u8] = match character {
            ',' => b"\\,",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\u{2028}' | '\u{2029}' => b"",
            control if control.is_control() => b"",
            _ => continue,
        };
        line.extend_from_slice(&bytes[plain_from..at]);
        if escaped.is_empty() {
            write!(line, "\\u{{{:x}}}", u32::from(character)).expect(TO_MEMORY);
        } else {
            line.extend_from_slice(escaped);
        }
        plain_from = at + character.len_utf8();
    }
    line.extend_from_slice(&bytes[plain_from..]);
}

/// Why a line is not a row. The line itself is not repeated: it holds a token and a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Columns are missing, or there are too many.
    #[error("expected {} columns, found {found}", COLUMNS.len())]
    Columns {
        /// How many there are.
        found: usize,
    },
    /// A backslash with something after it that the table does not have.
    #[error("column {} has a backslash that escapes nothing", column + 1)]
    Escape {
        /// The column, from 0.
        column: usize,
    },
    /// A number column holds something else, or a number that does not fit.
    #[error("column {} ({}) is not a number in its range", column + 1, COLUMNS[*column])]
    Number {
        /// The column, from 0.
        column: usize,
    },
}

/// Reads a line (without the line feed at its end) back into the row it was written from.
///
/// # Errors
/// When it has not 13 columns, or one that cannot have been written by [`Row::write_line`].
pub fn parse_line(line: &str) -> Result<Row<'static>, RowError> {
    let fields = unescaped_fields(line)?;
    let found = fields.len();
    let fields: [String; COLUMNS.len()] =
        fields.try_into().map_err(|_| RowError::Columns { found })?;
    let [
        status,
        login_id,
        content,
        message_id,
        campaign_id,
        sending_id,
        game,
        world_id,
        screen,
        time,
        time_to_live_ts_bigint,
        platform,
        receiver_id,
    ] = fields;
    Ok(Row {
        status: number(&status, 0)?,
        login_id: number(&login_id, 1)?,
        content: content.into(),
        message_id: number(&message_id, 3)?,
        campaign_id: number(&campaign_id, 4)?,
        sending_id: sending_id.into(),
        game: game.into(),
        world_id: world_id.into(),
        screen: screen.into(),
        time: number(&time, 9)?,
        time_to_live_ts_bigint: number(&time_to_live_ts_bigint, 10)?,
        platform: number(&platform, 11)?,
        receiver_id: receiver_id.into(),
    })
}

fn number<N: std::str::FromStr>(text: &str, column: usize) -> Result<N, RowError> {
    text.parse().map_err(|_| RowError::Number { column })
}

fn unescaped_fields(line: &str) -> Result<Vec<String>, RowError> {
    let mut fields = Vec::with_capacity(COLUMNS.len());
    let mut field = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ',' => fields.push(std::mem::take(&mut field)),
            '\\' => {
                let escaped = unescape(&mut characters);
                let column = fields.len();
                field.push(escaped.ok_or(RowError::Escape { column })?);
            }
            plain => field.push(plain),
        }
    }
    fields.push(field);
    Ok(fields)
}

/// The character that the text after a backslash stands for.
fn unescape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        same @ (',' | '\\') => Some(same),
        'n' => Some('\n'),
        'r' => Some('\r'),
        'u' => {
            let (digits, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
            let plain_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let number = u32::from_str_radix(digits, 16)
                .ok()
                .filter(|_| plain_hexadecimal)?;
            *rest = after.chars();
            char::from_u32(number)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
