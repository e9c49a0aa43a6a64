//! `[Sender] enabled_senders`: which push services are served, in Pushkin's form.
//!
//! Each line is a class name, optionally followed by a JSON object of arguments, of which
//! `workers` counts: there it was a number of processes, here it is the most connections of the
//! pool. Onegin has Pushkin's two classes and takes no others: a sender written in Python cannot
//! run here, and to drop it silently would lose notifications.

use std::num::NonZeroUsize;

use serde::Deserialize;

/// Pushkin's class for APNs.
const APNS_CLASS: &str = "pushkin.sender.senders.ApnNotificationSender";
/// Pushkin's class for GCM, today FCM.
const FCM_CLASS: &str = "pushkin.sender.senders.GcmNotificationSender";

/// The pools to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnabledSenders {
    /// APNs, if enabled.
    pub apns: Option<PoolSize>,
    /// FCM, if enabled.
    pub fcm: Option<PoolSize>,
}

/// How large a pool may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolSize {
    /// `workers` of its line; `None` where the line does not say.
    pub workers: Option<NonZeroUsize>,
}

/// What is wrong with the list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnabledSendersError {
    /// No line at all.
    #[error("no sender is listed: name {APNS_CLASS} or {FCM_CLASS}, or leave the key out for both")]
    Empty,
    /// Arguments without a class.
    #[error("line {line}: no sender is named before the arguments")]
    NoClass {
        /// Line of the value, from 1.
        line: usize,
    },
    /// Some other class.
    #[error("line {line}: unknown sender {class}: known are {APNS_CLASS} and {FCM_CLASS}")]
    UnknownClass {
        /// Line of the value, from 1.
        line: usize,
        /// What stands there.
        class: String,
    },
    /// What follows the class name.
    #[error(
        "line {line}: the arguments of {class} are not a JSON object such as {{\"workers\": 50}}: {problem}"
    )]
    Arguments {
        /// Line of the value, from 1.
        line: usize,
        /// Whose they are.
        class: String,
        /// The JSON parser's words.
        problem: String,
    },
    /// Two senders for one platform.
    #[error("line {line}: {class} is listed twice")]
    Twice {
        /// Line of the value, from 1.
        line: usize,
        /// The class.
        class: String,
    },
}

#[derive(Deserialize, Default)]
struct Arguments {
    workers: Option<NonZeroUsize>,
}

/// Reads the list.
///
/// # Errors
/// The first line that names no sender of ours, or none properly.
pub(crate) fn parse(text: &str) -> Result<EnabledSenders, EnabledSendersError> {
    let mut senders = EnabledSenders::default();
    for (index, entry) in text.lines().enumerate() {
        let (line, entry) = (index + 1, entry.trim());
        if entry.is_empty() {
            continue;
        }
        let arguments_at = entry.find('{').unwrap_or(entry.len());
        let (class, arguments) = entry.split_at(arguments_at);
        let class = class.trim();
        if class.is_empty() {
            return Err(EnabledSendersError::NoClass { line });
        }
        let arguments: Arguments = match arguments {
            "" => Arguments::default(),
            json => serde_json::from_str(json).map_err(|error| EnabledSendersError::Arguments {
                line,
                class: class.to_owned(),
                problem: error.to_string(),
            })?,
        };
        let slot = match class {
            APNS_CLASS => &mut senders.apns,
            FCM_CLASS => &mut senders.fcm,
            _ => {
                return Err(EnabledSendersError::UnknownClass {
                    line,
                    class: class.to_owned(),
                });
            }
        };
        let workers = arguments.workers;
        if slot.replace(PoolSize { workers }).is_some() {
            return Err(EnabledSendersError::Twice {
                line,
                class: class.to_owned(),
            });
        }
    }
    if senders == EnabledSenders::default() {
        return Err(EnabledSendersError::Empty);
    }
    Ok(senders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushkins_own_list_enables_both() {
        let text = "pushkin.sender.senders.ApnNotificationSender {\"workers\": 50}\n\
                    pushkin.sender.senders.GcmNotificationSender";
        assert_eq!(
            parse(text),
            Ok(EnabledSenders {
                apns: Some(PoolSize {
                    workers: NonZeroUsize::new(50)
                }),
                fcm: Some(PoolSize { workers: None }),
            })
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused_and_names_its_line() {
        assert_eq!(parse(" \n"), Err(EnabledSendersError::Empty));
        assert_eq!(
            parse("\nmy.Sender {}"),
            Err(EnabledSendersError::UnknownClass {
                line: 2,
                class: "my.Sender".to_owned()
            })
        );
        assert_eq!(
            parse(&format!("{APNS_CLASS}\n{{\"workers\": 5}}")),
            Err(EnabledSendersError::NoClass { line: 2 })
        );
        let twice = format!("{FCM_CLASS}\n{FCM_CLASS}");
        assert_eq!(
            parse(&twice),
            Err(EnabledSendersError::Twice {
                line: 2,
                class: FCM_CLASS.to_owned()
            })
        );
        assert!(matches!(
            parse(&format!("{APNS_CLASS} {{workers: 1}}")),
            Err(EnabledSendersError::Arguments { line: 1, .. })
        ));
    }
}
