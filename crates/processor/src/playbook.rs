//! The catalogue of messages, made ready to be rendered.
//!
//! Templates are parsed once per change of the catalogue. A text without parameters becomes one
//! shared [`Content`] for all users, so its payload is built once for all of them.

use std::{collections::HashMap, sync::Arc};

use model::{Content, Event};
use parking_lot::Mutex;
use storage::{Catalogue, Message, Storage};

use crate::{MissingParameter, Template};

/// Every message that an event can trigger.
#[derive(Debug)]
pub(crate) struct Playbook {
    catalogue: Arc<Catalogue>,
    by_trigger: HashMap<i32, Vec<Play>>,
}

/// One message and its texts.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) message: Arc<Message>,
    /// By language, ascending.
    texts: Vec<(i16, Text)>,
}

#[derive(Debug)]
struct Text {
    title: Template,
    body: Template,
    /// Where neither title nor body has a parameter.
    shared: Option<Arc<Content>>,
}

impl Playbook {
    pub(crate) fn new(catalogue: Arc<Catalogue>) -> Self {
        let mut by_trigger: HashMap<i32, Vec<Play>> = HashMap::new();
        for message in catalogue.messages() {
            if let Some(event_id) = message.trigger_event_id {
                let plays = by_trigger.entry(event_id).or_default();
                plays.push(Play::new(Arc::clone(message)));
            }
        }
        Self {
            catalogue,
            by_trigger,
        }
    }

    /// The messages that `event_id` triggers, by ascending id.
    pub(crate) fn triggered_by(&self, event_id: i32) -> &[Play] {
        self.by_trigger.get(&event_id).map_or(&[], Vec::as_slice)
    }
}

impl Play {
    fn new(message: Arc<Message>) -> Self {
        let mut texts: Vec<(i16, Text)> = message
            .localizations
            .iter()
            .map(|localization| {
                let title = Template::parse(&localization.title);
                let body = Template::parse(&localization.text);
                let shared = title
                    .constant()
                    .zip(body.constant())
                    .map(|(title, body)| Arc::new(content(&message, title, body)));
                (
                    localization.language,
                    Text {
                        title,
                        body,
                        shared,
                    },
                )
            })
            .collect();
        texts.sort_by_key(|(language, _)| *language);
        Self { message, texts }
    }

    /// What the message says to a user of `language`; `None` where it has no text for them.
    pub(crate) fn localize(
        &self,
        language: i16,
        event: &Event,
    ) -> Option<Result<Arc<Content>, MissingParameter>> {
        let text = self.text(self.message.localization(language)?.language)?;
        if let Some(shared) = &text.shared {
            return Some(Ok(Arc::clone(shared)));
        }
        Some(self.render(text, event))
    }

    fn render(&self, text: &Text, event: &Event) -> Result<Arc<Content>, MissingParameter> {
        let title = text.title.render(event)?;
        let body = text.body.render(event)?;
        Ok(Arc::new(content(&self.message, &title, &body)))
    }

    fn text(&self, language: i16) -> Option<&Text> {
        let place = self
            .texts
            .binary_search_by_key(&language, |(language, _)| *language)
            .ok()?;
        Some(&self.texts[place].1)
    }
}

fn content(message: &Message, title: &str, body: &str) -> Content {
    Content::pushkin(
        message.id,
        title,
        body,
        message.screen.as_str(),
        message.priority,
    )
}

/// The playbook of the newest catalogue, shared by all processor threads.
pub(crate) struct Playbooks {
    storage: Storage,
    /// Replaced by whichever thread first sees a newer catalogue; locked once per batch.
    newest: Mutex<Arc<Playbook>>,
}

impl Playbooks {
    pub(crate) fn new(storage: Storage) -> Self {
        let newest = Arc::new(Playbook::new(storage.catalogue()));
        Self {
            storage,
            newest: Mutex::new(newest),
        }
    }

    pub(crate) fn newest(&self) -> Arc<Playbook> {
        let catalogue = self.storage.catalogue();
        let mut newest = self.newest.lock();
        if !Arc::ptr_eq(&newest.catalogue, &catalogue) {
            *newest = Arc::new(Playbook::new(catalogue));
        }
        Arc::clone(&newest)
    }
}
