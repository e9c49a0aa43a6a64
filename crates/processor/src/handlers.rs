//! What an event means: its built-in effect, read and checked before anything is done.
//!
//! All that an event asks for must be valid, or none of it happens; so the effect is read from
//! the pairs first and applied later.

use std::collections::HashMap;

use model::{DeviceToken, Event, PairValue, Platform};
use storage::Login;

use crate::EventConfig;

/// What an event does besides triggering messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// A user has logged in on a device.
    LogIn(Login),
    /// A user turns exactly these messages off.
    TurnOff(Vec<i32>),
    /// One of the two, and it is in the database already.
    Applied,
}

/// An event that asks for something it does not say properly.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidEvent {
    #[error("the event has no timestamp")]
    NoTimestamp,
    #[error("the pair {0} is missing")]
    Missing(&'static str),
    #[error("the pair {0} is not a number in range")]
    NotANumber(&'static str),
    #[error("the pair {0} is not a text, or empty")]
    NotAText(&'static str),
    #[error("a pair of the turn-off event is not a message id")]
    NotAMessageId,
}

/// The event's effect.
pub(crate) fn effect(event: &Event, config: &EventConfig) -> Result<Effect, InvalidEvent> {
    if event.event_id == config.login_event_id {
        log_in(event).map(Effect::LogIn)
    } else if event.event_id == config.turn_off_notification_event_id {
        turn_off(event).map(Effect::TurnOff)
    } else {
        Ok(Effect::None)
    }
}

/// Pairs `platformId` (required), `languageId`, `deviceToken`, `applicationVersion`.
fn log_in(event: &Event) -> Result<Login, InvalidEvent> {
    if event.timestamp.is_none() {
        return Err(InvalidEvent::NoTimestamp);
    }
    let platform: i16 = number(event, "platformId")?.ok_or(InvalidEvent::Missing("platformId"))?;
    let token = match event.pair("deviceToken") {
        None => None,
        Some(PairValue::Text(token)) if token.is_empty() => None,
        Some(PairValue::Text(token)) => Some(DeviceToken::new(token.clone())),
        Some(_) => return Err(InvalidEvent::NotAText("deviceToken")),
    };
    Ok(Login {
        login: event.login,
        language: number(event, "languageId")?,
        platform: Platform(platform),
        token,
        application_version: number(event, "applicationVersion")?,
    })
}

/// Every pair's value is a message id; the keys mean nothing, but of equal ones the last counts.
/// No pairs turn everything on again.
fn turn_off(event: &Event) -> Result<Vec<i32>, InvalidEvent> {
    if event.timestamp.is_none() {
        return Err(InvalidEvent::NoTimestamp);
    }
    let last_of_each_key: HashMap<&str, &PairValue> = event
        .pairs
        .iter()
        .map(|(key, value)| (&**key, value))
        .collect();
    let mut ids = last_of_each_key
        .values()
        .map(|value| {
            let id = value.to_integer().ok_or(InvalidEvent::NotAMessageId)?;
            i32::try_from(id).map_err(|_| InvalidEvent::NotAMessageId)
        })
        .collect::<Result<Vec<i32>, InvalidEvent>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The device that a message event is meant for, if it names one: pairs `platform_id` and
/// `device_token`. Only one of the two is no filter.
pub(crate) fn device_filter(
    event: &Event,
) -> Result<Option<(Platform, DeviceToken)>, InvalidEvent> {
    let (Some(_), Some(token)) = (event.pair("platform_id"), event.pair("device_token")) else {
        return Ok(None);
    };
    let platform: i16 =
        number(event, "platform_id")?.ok_or(InvalidEvent::Missing("platform_id"))?;
    match token {
        PairValue::Text(token) if !token.is_empty() => {
            Ok(Some((Platform(platform), DeviceToken::new(token.clone()))))
        }
        _ => Err(InvalidEvent::NotAText("device_token")),
    }
}

/// A pair's number; `None` where there is no such pair.
fn number<N: TryFrom<i64>>(event: &Event, name: &'static str) -> Result<Option<N>, InvalidEvent> {
    let Some(value) = event.pair(name) else {
        return Ok(None);
    };
    let number = value.to_integer().ok_or(InvalidEvent::NotANumber(name))?;
    N::try_from(number)
        .map(Some)
        .map_err(|_| InvalidEvent::NotANumber(name))
}

#[cfg(test)]
mod tests {
    use model::{LoginId, UnixMs};

    use super::*;

    fn event(event_id: i32, pairs: &[(&str, PairValue)]) -> Event {
        Event {
            login: LoginId(7),
            event_id,
            timestamp: Some(UnixMs(1)),
            pairs: pairs
                .iter()
                .map(|(key, value)| ((*key).into(), value.clone()))
                .collect(),
        }
    }

    fn text(text: &str) -> PairValue {
        PairValue::Text(text.into())
    }

    fn login(pairs: &[(&str, PairValue)]) -> Result<Login, InvalidEvent> {
        match effect(&event(4001, pairs), &EventConfig::default())? {
            Effect::LogIn(login) => Ok(login),
            other => panic!("{other:?}"),
        }
    }

    fn blacklist(pairs: &[(&str, PairValue)]) -> Result<Vec<i32>, InvalidEvent> {
        match effect(&event(4006, pairs), &EventConfig::default())? {
            Effect::TurnOff(ids) => Ok(ids),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_login_needs_a_platform_and_a_time_and_nothing_else() {
        let login_of_7 = login(&[("platformId", text(" 2 "))]).unwrap();
        assert_eq!(login_of_7.platform, Platform::IPHONE);
        assert_eq!(login_of_7.token, None);
        assert_eq!(login_of_7.language, None);
        assert_eq!(login(&[]), Err(InvalidEvent::Missing("platformId")));
        assert_eq!(
            login(&[("platformId", text("asd"))]),
            Err(InvalidEvent::NotANumber("platformId"))
        );
        assert_eq!(
            login(&[("platformId", text(""))]),
            Err(InvalidEvent::NotANumber("platformId"))
        );
        let mut timeless = event(4001, &[("platformId", text("2"))]);
        timeless.timestamp = None;
        assert_eq!(
            effect(&timeless, &EventConfig::default()),
            Err(InvalidEvent::NoTimestamp)
        );
    }

    #[test]
    fn a_number_out_of_its_columns_range_is_invalid() {
        assert_eq!(
            login(&[("platformId", PairValue::Integer(40_000))]),
            Err(InvalidEvent::NotANumber("platformId"))
        );
        assert_eq!(
            login(&[("platformId", text("1")), ("languageId", text("en"))]),
            Err(InvalidEvent::NotANumber("languageId"))
        );
    }

    #[test]
    fn an_empty_device_token_is_none() {
        let login = login(&[("platformId", text("1")), ("deviceToken", text(""))]).unwrap();
        assert_eq!(login.token, None);
    }

    #[test]
    fn blacklisted_ids_are_read_from_texts_and_numbers_once_each() {
        assert_eq!(
            blacklist(&[
                ("a", text("3")),
                ("b", PairValue::Integer(1)),
                ("c", text("3"))
            ]),
            Ok(vec![1, 3])
        );
        assert_eq!(
            blacklist(&[
                ("a", text("x")),
                ("a", text("1")),
                ("b", PairValue::Float(3.7))
            ]),
            Ok(vec![1, 4])
        );
        assert_eq!(blacklist(&[]), Ok(vec![]));
        assert_eq!(
            blacklist(&[("a", text("x"))]),
            Err(InvalidEvent::NotAMessageId)
        );
    }

    #[test]
    fn a_device_token_is_a_text() {
        let number = PairValue::Integer(7);
        assert_eq!(
            login(&[("platformId", text("1")), ("deviceToken", number.clone())]),
            Err(InvalidEvent::NotAText("deviceToken"))
        );
        for token in [number, text("")] {
            let filter = [("platform_id", text("6")), ("device_token", token)];
            assert_eq!(
                device_filter(&event(1, &filter)),
                Err(InvalidEvent::NotAText("device_token"))
            );
        }
    }

    #[test]
    fn a_device_filter_needs_both_pairs() {
        let both = [("platform_id", text("6")), ("device_token", text("789"))];
        assert_eq!(
            device_filter(&event(1, &both)),
            Ok(Some((Platform::ANDROID_TABLET, DeviceToken::new("789"))))
        );
        assert_eq!(device_filter(&event(1, &both[..1])), Ok(None));
        assert_eq!(device_filter(&event(1, &both[1..])), Ok(None));
        let bad = [("platform_id", text("x")), ("device_token", text("789"))];
        assert_eq!(
            device_filter(&event(1, &bad)),
            Err(InvalidEvent::NotANumber("platform_id"))
        );
    }
}
