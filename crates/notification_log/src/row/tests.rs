use std::sync::Arc;

use model::{
    AppId, Content, DeviceToken, ItemId, Lane, LoginId, MessageId, Notification, NotificationId,
    Outcome, Platform, Priority, Receipt, RequestId, UnixMs,
};
use proptest::{char, collection, prelude::*};

use super::*;

/// Every character at which some reader or other ends a line.
const LINE_ENDS: [char; 10] = [
    '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

fn line_of(row: &Row<'_>) -> String {
    let mut line = Vec::new();
    row.write_line(&mut line);
    let line = String::from_utf8(line).unwrap();
    line.strip_suffix('\n').unwrap().to_owned()
}

fn with_content(content: &str) -> Row<'_> {
    Row {
        status: 0,
        login_id: 1,
        content: content.into(),
        message_id: 1,
        campaign_id: 1,
        sending_id: "0".into(),
        game: "GameName".into(),
        world_id: "1".into(),
        screen: "scr1".into(),
        time: 1_795_293_388_117,
        time_to_live_ts_bigint: 1_795_314_988_117,
        platform: 1,
        receiver_id: "tokA".into(),
    }
}

struct Nobody;

impl model::FinishedRequests for Nobody {
    fn ended(&self, _request: RequestId, _notification: NotificationId) {}

    fn finished(&self, _request: RequestId) {}
}

#[test]
fn a_report_is_the_line_that_pushkin_wrote() {
    let item = ItemId {
        request: RequestId::generate(),
        index: 0,
    };
    let token = DeviceToken::new("tokA");
    let message = MessageId(1);
    let report = Report {
        notification: Notification {
            id: NotificationId::derive(item, message, &token),
            item,
            app: AppId::LEGACY,
            lane: Lane::Urgent,
            accepted_at: UnixMs(1_795_293_388_000),
            created_at: UnixMs(1_795_293_388_117),
            expires_at: UnixMs(1_795_314_988_117),
            login: LoginId(1),
            platform: Platform::ANDROID,
            token,
            content: Arc::new(Content::pushkin(
                message,
                "T",
                "Hello, world",
                "scr1",
                Priority::Normal,
            )),
            receipt: Receipt::open(item.request, Arc::new(Nobody)),
        },
        outcome: Outcome::Delivered,
        reason: "".into(),
        ended_at: UnixMs(1_795_293_388_200),
    };
    assert_eq!(
        line_of(&Row::of(&report, "GameName", "1")),
        r"0,1,Hello\, world,1,1,0,GameName,1,scr1,1795293388117,1795314988117,1,tokA"
    );
    let unregistered = Report {
        outcome: Outcome::Unregistered,
        ..report
    };
    assert_eq!(Row::of(&unregistered, "GameName", "1").status, 103);
}

#[test]
fn texts_are_escaped_by_the_documented_table() {
    for (text, written) in [
        ("a,b", r"a\,b"),
        (r"C:\n", r"C:\\n"),
        ("one\ntwo\r\n", r"one\ntwo\r\n"),
        (
            "\t\0\u{7f}\u{85}\u{2028}",
            r"\u{9}\u{0}\u{7f}\u{85}\u{2028}",
        ),
        ("\"quoted\" žuto 🎈", "\"quoted\" žuto 🎈"),
        ("", ""),
    ] {
        let line = line_of(&with_content(text));
        let expected =
            format!("0,1,{written},1,1,0,GameName,1,scr1,1795293388117,1795314988117,1,tokA");
        assert_eq!(line, expected);
        assert_eq!(parse_line(&line).unwrap(), with_content(text));
    }
}

#[test]
fn a_line_that_is_no_row_is_refused_by_what_is_wrong_with_it() {
    let good = line_of(&with_content("x"));
    assert_eq!(parse_line(""), Err(RowError::Columns { found: 1 }));
    let longer = format!("{good},more");
    assert_eq!(parse_line(&longer), Err(RowError::Columns { found: 14 }));
    let status = good.replacen('0', "zero", 1);
    assert_eq!(parse_line(&status), Err(RowError::Number { column: 0 }));
    for escape in [r"\", r"\t", r"\u", r"\u{}", r"\u{+9}", r"\u{d800}", r"\u{9"] {
        let line = good.replacen("tokA", escape, 1);
        assert_eq!(
            parse_line(&line),
            Err(RowError::Escape { column: 12 }),
            "{escape}"
        );
    }
    assert_eq!(
        RowError::Number { column: 9 }.to_string(),
        "column 10 (time) is not a number in its range"
    );
}

fn any_text() -> impl Strategy<Value = Cow<'static, str>> {
    let character = prop_oneof![
        char::any(),
        char::range('\0', '\u{a0}'),
        proptest::sample::select(&[',', '\\', '\n', '\r', 'n', 'r', 'u', '{', '}'][..]),
        proptest::sample::select(&LINE_ENDS[..]),
    ];
    collection::vec(character, 0..24).prop_map(|text| text.into_iter().collect::<String>().into())
}

prop_compose! {
    fn any_row()(
        (status, login_id, message_id, campaign_id, platform) in any::<(i32, i64, i32, i64, i16)>(),
        (time, time_to_live_ts_bigint) in any::<(i64, i64)>(),
        content in any_text(),
        sending_id in any_text(),
        game in any_text(),
        world_id in any_text(),
        screen in any_text(),
        receiver_id in any_text(),
    ) -> Row<'static> {
        Row {
            status, login_id, content, message_id, campaign_id, sending_id, game, world_id,
            screen, time, time_to_live_ts_bigint, platform, receiver_id,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_row_is_one_line_and_is_read_back_as_it_was(row in any_row()) {
        let line = line_of(&row);
        prop_assert!(!line.contains(LINE_ENDS));
        prop_assert_eq!(parse_line(&line), Ok(row));
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(line in any_text()) {
        let columns = vec![line; COLUMNS.len()].join(",");
        if let Ok(row) = parse_line(&columns) {
            prop_assert_eq!(parse_line(&line_of(&row)), Ok(row));
        }
    }
}
