//! The notification log's lines. Input: fields; six texts, then seven numbers. The whole input is
//! also taken for a line.
//!
//! * Any row is one line for every reader of lines, and a reader that knows nothing but the
//!   documented rule gets the columns back; so does ours.
//! * A line that is read is a row that is written and read again as the same.

use notification_log::{COLUMNS, Row, parse_line};

use crate::fields::Fields;

/// Every character at which some reader or other ends a line.
const LINE_ENDS: [char; 10] = [
    '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// Checks one input.
#[allow(
    clippy::cast_possible_truncation,
    reason = "any number will do for the smaller columns"
)]
pub fn check(input: &[u8]) {
    let mut fields = Fields::of(input);
    let texts = std::array::from_fn(|_| fields.text());
    let [content, sending_id, game, world_id, screen, receiver_id] = texts;
    let row = Row {
        content,
        sending_id,
        game,
        world_id,
        screen,
        receiver_id,
        status: fields.number() as i32,
        login_id: fields.number(),
        message_id: fields.number() as i32,
        campaign_id: fields.number(),
        time: fields.number(),
        time_to_live_ts_bigint: fields.number(),
        platform: fields.number() as i16,
    };
    let line = written(&row);
    assert_eq!(columns(&line), row_columns(&row));
    assert_eq!(parse_line(&line).as_ref(), Ok(&row));

    let line = String::from_utf8_lossy(input);
    if let Ok(row) = parse_line(&line) {
        assert_eq!(parse_line(&written(&row)), Ok(row));
    }
}

fn written(row: &Row<'_>) -> String {
    let mut line = Vec::new();
    row.write_line(&mut line);
    let line = String::from_utf8(line).expect("texts stay texts");
    let line = line.strip_suffix('\n').expect("a line has an end");
    assert!(!line.contains(LINE_ENDS), "{line:?}");
    line.to_owned()
}

fn row_columns(row: &Row<'_>) -> Vec<String> {
    let columns: [&dyn ToString; COLUMNS.len()] = [
        &row.status,
        &row.login_id,
        &row.content,
        &row.message_id,
        &row.campaign_id,
        &row.sending_id,
        &row.game,
        &row.world_id,
        &row.screen,
        &row.time,
        &row.time_to_live_ts_bigint,
        &row.platform,
        &row.receiver_id,
    ];
    columns.map(ToString::to_string).to_vec()
}

/// The columns of a line, by the rule as it is documented.
fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let meant = match character {
            ',' => {
                columns.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('u') => {
                    let number = characters
                        .by_ref()
                        .skip(1)
                        .take_while(|digit| *digit != '}');
                    let number = u32::from_str_radix(&number.collect::<String>(), 16);
                    number
                        .ok()
                        .and_then(char::from_u32)
                        .expect("a character's number")
                }
                Some(same @ (',' | '\\')) => same,
                other => panic!("{other:?} after a backslash in {line:?}"),
            },
            plain => plain,
        };
        columns.last_mut().expect("there is one").push(meant);
    }
    columns
}
