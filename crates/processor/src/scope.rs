//! What a batch is about, found before the database is asked.

use model::{
    DeviceToken, DirectNotification, Event, Item, ItemId, MessageId, Platform, Request, RequestId,
};
use storage::Scope;
use tracing::warn;

use crate::{
    EndReason, Ended, EventConfig,
    handlers::{self, Effect, InvalidEvent},
    order::Order,
    playbook::{Play, Playbook},
};

/// A batch, checked and read: every item is either work or has ended.
#[derive(Debug)]
pub(crate) struct Prepared<'b> {
    pub(crate) work: Vec<Work<'b>>,
    pub(crate) ended: Vec<Ended>,
    pub(crate) scope: Scope,
}

/// One item to be handled.
#[derive(Debug)]
pub(crate) struct Work<'b> {
    pub(crate) item: ItemId,
    pub(crate) request: &'b Request,
    pub(crate) task: Task<'b>,
}

/// What is to be done for it.
#[derive(Debug)]
pub(crate) enum Task<'b> {
    /// Apply the effect, then send the messages.
    Event {
        event: &'b Event,
        effect: Effect,
        filter: Option<(Platform, DeviceToken)>,
        plays: &'b [Play],
    },
    /// Send the text.
    Direct(&'b DirectNotification),
}

impl Work<'_> {
    /// Whether the item changes its user, beside what it sends.
    fn has_effect(&self) -> bool {
        match &self.task {
            Task::Event { effect, .. } => match effect {
                Effect::LogIn(_) | Effect::TurnOff(_) => true,
                Effect::None | Effect::Applied => false,
            },
            Task::Direct(_) => false,
        }
    }
}

impl Prepared<'_> {
    /// The requests whose events change their users, in their order, each once.
    pub(crate) fn requests_with_effects(&self) -> Vec<RequestId> {
        if !self.scope.writes {
            return Vec::new();
        }
        let with_effects = self.work.iter().filter(|work| work.has_effect());
        let mut requests: Vec<RequestId> = with_effects.map(|work| work.request.id).collect();
        requests.dedup();
        requests
    }
}

/// Reads the batch. Items that nothing follows from do not reach the database.
pub(crate) fn prepare<'b>(
    orders: &[Order<'b>],
    playbook: &'b Playbook,
    config: &EventConfig,
) -> Prepared<'b> {
    let mut prepared = Prepared {
        work: Vec::with_capacity(orders.iter().map(|order| order.request.items.len()).sum()),
        ended: Vec::new(),
        scope: Scope::default(),
    };
    for order in orders {
        let request = order.request;
        let items = request.items.iter().enumerate();
        for (index, item) in items.filter(|(index, _)| order.has_item(*index)) {
            prepared.add(order, request.item_id(index), item, playbook, config);
        }
    }
    prepared.scope.logins.sort_unstable();
    prepared.scope.logins.dedup();
    prepared
}

impl<'b> Prepared<'b> {
    fn add(
        &mut self,
        order: &Order<'b>,
        item: ItemId,
        content: &'b Item,
        playbook: &'b Playbook,
        config: &EventConfig,
    ) {
        let task = match content {
            Item::Notification(direct) => {
                self.scope.logins.push(direct.login);
                Task::Direct(direct)
            }
            Item::Event(event) => match event_task(order, event, playbook, config) {
                Ok(Some(task)) => {
                    self.widen_scope(event, &task);
                    task
                }
                Ok(None) => return self.end(item, event, EndReason::NoHandler),
                Err(error) => {
                    warn!(%item, event.id = event.event_id, %error, "an event is invalid, dropping it");
                    return self.end(item, event, EndReason::InvalidEvent);
                }
            },
        };
        self.work.push(Work {
            item,
            request: order.request,
            task,
        });
    }

    fn widen_scope(&mut self, event: &Event, task: &Task<'_>) {
        self.scope.logins.push(event.login);
        if let Task::Event { effect, .. } = task {
            match effect {
                Effect::None | Effect::Applied => {}
                Effect::LogIn(login) => {
                    self.scope.writes = true;
                    if let Some(token) = &login.token {
                        self.scope.tokens.push((login.platform, token.clone()));
                    }
                }
                Effect::TurnOff(_) => self.scope.writes = true,
            }
        }
    }

    fn end(&mut self, item: ItemId, event: &Event, reason: EndReason) {
        self.ended.push(Ended {
            item,
            login: event.login,
            message: MessageId::DIRECT,
            reason,
        });
    }
}

/// What an event asks for; `None` where nobody handles it.
fn event_task<'b>(
    order: &Order<'b>,
    event: &'b Event,
    playbook: &'b Playbook,
    config: &EventConfig,
) -> Result<Option<Task<'b>>, InvalidEvent> {
    let mut effect = handlers::effect(event, config)?;
    if effect != Effect::None && !order.applies_effects() {
        effect = Effect::Applied;
    }
    let plays = playbook.triggered_by(event.event_id);
    if plays.is_empty() && effect == Effect::None {
        return Ok(None);
    }
    let filter = if plays.is_empty() {
        None
    } else {
        handlers::device_filter(event)?
    };
    Ok(Some(Task::Event {
        event,
        effect,
        filter,
        plays,
    }))
}
