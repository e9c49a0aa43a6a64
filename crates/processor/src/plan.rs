//! What a batch sends: its items applied in order to its users, in memory.
//!
//! Nothing here has an effect outside, so the database may ask for the plan again. The order
//! matters: an event's own effect comes before its messages (a message triggered by the login
//! event reaches the device that just logged in), the blacklist before the cooldown (a message
//! that is turned off must not start one), and devices before the cooldown (no device, no claim).

use std::sync::Arc;

use model::{
    Content, DeviceToken, DirectNotification, Event, ItemId, LoginId, MessageId, Notification,
    Platform, Priority, Request, UnixMs,
};
use storage::Users;
use tracing::{debug, warn};

use crate::{
    EndReason, Ended,
    handlers::Effect,
    playbook::Play,
    scope::{Task, Work},
};

/// What is to be sent once the cooldowns are decided.
#[derive(Debug, Default)]
pub(crate) struct Plan<'b> {
    pub(crate) drafts: Vec<Draft<'b>>,
    pub(crate) ended: Vec<Ended>,
}

/// One message or text for all devices of one user.
#[derive(Debug)]
pub(crate) struct Draft<'b> {
    pub(crate) item: ItemId,
    pub(crate) request: &'b Request,
    pub(crate) login: LoginId,
    pub(crate) content: Arc<Content>,
    pub(crate) addresses: Vec<(Platform, DeviceToken)>,
    pub(crate) expires_at: UnixMs,
    pub(crate) recording: Recording,
}

/// How the sending of a message is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    /// Not at all: direct notifications.
    None,
    /// After the batch, at leisure: messages without a cooldown.
    Afterwards,
    /// Before it is sent, and only sent if the claim is won: messages with a cooldown.
    Claimed,
}

/// Applies `work` in order.
pub(crate) fn plan<'b>(work: &[Work<'b>], users: &mut Users) -> Plan<'b> {
    let mut plan = Plan::default();
    for step in work {
        match &step.task {
            Task::Direct(direct) => plan.add_direct(step, direct, users),
            Task::Event {
                event,
                effect,
                filter,
                plays,
            } => {
                if !apply(step, effect, event, users) {
                    plan.end(
                        step,
                        event.login,
                        MessageId::DIRECT,
                        EndReason::InvalidEvent,
                    );
                    continue;
                }
                if plays.is_empty() {
                    plan.end(step, event.login, MessageId::DIRECT, EndReason::Recorded);
                }
                for play in *plays {
                    match draft(step, play, event, filter.as_ref(), users) {
                        Ok(draft) => plan.drafts.push(draft),
                        Err(reason) => plan.end(step, event.login, play.message.id, reason),
                    }
                }
            }
        }
    }
    plan
}

/// The event's own effect; false, with a word in the log, where storage cannot take it.
fn apply(step: &Work<'_>, effect: &Effect, event: &Event, users: &mut Users) -> bool {
    let applied = match effect {
        Effect::None | Effect::Applied => Ok(()),
        Effect::LogIn(login) => users.log_in(login),
        Effect::TurnOff(ids) => users.set_blacklist(event.login, ids.clone()),
    };
    if let Err(error) = &applied {
        warn!(item = %step.item, login.id = %event.login, %error, "an event cannot be applied, dropping it");
    }
    applied.is_ok()
}

/// The checks of one message for one user, in the order that the module's text gives.
fn draft<'b>(
    step: &Work<'b>,
    play: &Play,
    event: &Event,
    filter: Option<&(Platform, DeviceToken)>,
    users: &mut Users,
) -> Result<Draft<'b>, EndReason> {
    let message = &play.message;
    if users.is_blacklisted(event.login, message.id) {
        return Err(EndReason::Blacklisted);
    }
    let language = users.language(event.login).ok_or(EndReason::UnknownUser)?;
    let content = play
        .localize(language, event)
        .ok_or(EndReason::NoText)?
        .map_err(|error| {
            warn!(item = %step.item, message = message.name, %error, "a message cannot be filled in, dropping it");
            EndReason::MissingParameter
        })?;
    let addresses = match filter {
        Some(address) => vec![address.clone()],
        None => owned(users.addresses(event.login)),
    };
    if addresses.is_empty() {
        return Err(EndReason::NoDevice);
    }
    let recording = if message.cooldown_ms.is_some_and(|interval| interval > 0) {
        users.claim(event.login, message.id, step.item);
        Recording::Claimed
    } else {
        Recording::Afterwards
    };
    Ok(Draft {
        item: step.item,
        request: step.request,
        login: event.login,
        content,
        addresses,
        expires_at: Notification::expiry(
            message.expiry_millis,
            event.timestamp,
            step.request.accepted_at,
        ),
        recording,
    })
}

fn owned(addresses: Vec<(Platform, &DeviceToken)>) -> Vec<(Platform, DeviceToken)> {
    addresses
        .into_iter()
        .map(|(platform, token)| (platform, token.clone()))
        .collect()
}

impl<'b> Plan<'b> {
    fn add_direct(&mut self, step: &Work<'b>, direct: &DirectNotification, users: &Users) {
        let addresses = owned(users.addresses(direct.login));
        if addresses.is_empty() {
            return self.end(step, direct.login, MessageId::DIRECT, EndReason::NoDevice);
        }
        let content = self.same_content(direct).unwrap_or_else(|| {
            Arc::new(Content::pushkin(
                MessageId::DIRECT,
                direct.title.clone(),
                direct.content.clone(),
                direct.screen.clone(),
                Priority::Normal,
            ))
        });
        self.drafts.push(Draft {
            item: step.item,
            request: step.request,
            login: direct.login,
            content,
            addresses,
            expires_at: Notification::expiry(None, None, step.request.accepted_at),
            recording: Recording::None,
        });
    }

    /// The previous draft's content, if it says the same: one text for many users is the usual
    /// direct notification, and sharing it builds its payload once.
    fn same_content(&self, direct: &DirectNotification) -> Option<Arc<Content>> {
        let content = &self.drafts.last()?.content;
        let same = content.message == MessageId::DIRECT
            && content.title == direct.title
            && content.body == direct.content
            && content.screen == direct.screen;
        same.then(|| Arc::clone(content))
    }

    fn end(&mut self, step: &Work<'_>, login: LoginId, message: MessageId, reason: EndReason) {
        debug!(item = %step.item, login.id = %login, message.id = %message, reason = reason.as_str(), "no notification");
        self.ended.push(Ended {
            item: step.item,
            login,
            message,
            reason,
        });
    }
}
