//! The senders, wired: for each push service its queue, its sender behind it, and what the
//! processor and the monitoring URLs see of them.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use model::{Clock, Feedback, Notification, QueueName, Report};
use processor::Route;
use queue::{Limits, Monitor, Producer, WhenFull, bounded};
use sender::{MessengerConfig, PoolSettings, Replaceable, SenderThread, apns, fcm};
use servlet::Depth;

use super::{Change, depth};
use crate::{Credentials, config::Config, enabled_senders::PoolSize};

/// A push service's way: how the processor reaches it, and what monitoring sees.
pub(super) struct Way {
    pub(super) route: Route,
    pub(super) depth: Option<Depth>,
    pub(super) monitor: Option<Monitor>,
}

/// What all senders are wired with.
pub(super) struct Wiring<'c> {
    pub(super) config: &'c Config,
    pub(super) clock: Clock,
    pub(super) reports: Producer<Report>,
    pub(super) feedback: Producer<Feedback>,
    pub(super) metrics: sender::Metrics,
    /// See [`super::Hooks`].
    pub(super) sender_settings: Option<Change<PoolSettings>>,
    /// See [`super::Hooks`].
    pub(super) apns_options: Option<Change<apns::Options>>,
    /// Whether what does not fit into a sender queue, or waits at the stop, is in a journal.
    pub(super) is_journaled: bool,
    /// The senders started so far.
    pub(super) senders: Vec<SenderThread>,
}

impl Wiring<'_> {
    /// The way to APNs, and the credential at its end.
    pub(super) fn apns(
        &mut self,
        enabled: Option<PoolSize>,
        credentials: Option<apns::Credentials>,
        ca_pem: Option<Vec<u8>>,
    ) -> anyhow::Result<(Way, Option<Replaceable<apns::Apns>>)> {
        let messenger = &self.config.messenger;
        let change = self.apns_options.as_ref();
        let provider = apns_provider(messenger, credentials, ca_pem, change)?;
        let sender = &self.config.sender;
        let settings = enabled.map(|size| {
            self.settings(
                size.workers.unwrap_or(sender.apn_num_processes),
                messenger.apns_batch_size,
                sender.apn_sender_interval_sec,
            )
        });
        let provider = provider.map(Replaceable::new);
        let way = self.way(QueueName::ApnSender, settings, provider.clone())?;
        Ok((way, provider))
    }

    /// The way to FCM, and the credential at its end.
    pub(super) fn fcm(
        &mut self,
        enabled: Option<PoolSize>,
        credentials: Option<fcm::Credentials>,
        ca_pem: Option<Vec<u8>>,
    ) -> anyhow::Result<(Way, Option<Replaceable<fcm::Fcm>>)> {
        let messenger = &self.config.messenger;
        let provider = fcm_provider(messenger, credentials, ca_pem)?;
        let sender = &self.config.sender;
        let settings = enabled.map(|size| {
            self.settings(
                size.workers.unwrap_or(sender.gcm_num_processes),
                messenger.gcm_batch_size,
                sender.gcm_sender_interval_sec,
            )
        });
        let provider = provider.map(Replaceable::new);
        let way = self.way(QueueName::GcmSender, settings, provider.clone())?;
        Ok((way, provider))
    }

    fn settings(
        &self,
        connections_at_most: NonZeroUsize,
        batch_size: NonZeroUsize,
        interval_sec: f64,
    ) -> PoolSettings {
        let mut settings = PoolSettings {
            connections_at_most,
            batch_size,
            interval: Duration::try_from_secs_f64(interval_sec).unwrap_or_default(),
            request_timeout: Duration::from_secs(self.config.messenger.request_timeout_sec.get()),
            tries: self.config.messenger.connection_error_retries,
            leaves_what_waits: self.is_journaled,
            ..PoolSettings::default()
        };
        if let Some(change) = &self.sender_settings {
            change(&mut settings);
        }
        settings
    }

    /// Of a queue that parks what does not fit, one app may hold half: another app that joins
    /// it finds room, and `sender_queue_limit` stays the bound for all.
    fn queue_limit(&self) -> usize {
        let limit = self.config.sender.sender_queue_limit.get();
        match self.config.sender.when_full {
            WhenFull::Block if self.is_journaled => (limit / 2).max(1),
            WhenFull::Block | WhenFull::Drop => limit,
        }
    }

    /// Not enabled: no queue at all. Enabled without a credential: a monitoring URL that says 0.
    fn way<P: sender::Provider>(
        &mut self,
        name: QueueName,
        settings: Option<PoolSettings>,
        provider: Option<Replaceable<P>>,
    ) -> anyhow::Result<Way> {
        let Some(settings) = settings else {
            return Ok(Way {
                route: Route::NotEnabled,
                depth: None,
                monitor: None,
            });
        };
        let Some(provider) = provider else {
            return Ok(Way {
                route: Route::NotConfigured,
                depth: Some(Arc::new(|| 0)),
                monitor: None,
            });
        };
        let limits = Limits::items(self.queue_limit());
        let (producer, consumer) = bounded::<Notification>(name, limits);
        let sender = sender::start(
            provider,
            consumer,
            self.reports.clone(),
            self.feedback.clone(),
            settings,
            self.clock.clone(),
            &self.metrics,
        )
        .with_context(|| format!("cannot start the sender behind the {name}"))?;
        self.senders.push(sender);
        Ok(Way {
            depth: Some(depth(producer.monitor())),
            monitor: Some(producer.monitor()),
            route: Route::Queue(producer),
        })
    }
}

/// What would keep the push services from being set up; connects to nothing.
pub(crate) fn refused_settings(
    messenger: &MessengerConfig,
    credentials: Credentials,
) -> Vec<anyhow::Error> {
    let apns = apns_provider(messenger, credentials.apns, credentials.apns_ca, None);
    let fcm = fcm_provider(messenger, credentials.fcm, credentials.fcm_ca);
    apns.err().into_iter().chain(fcm.err()).collect()
}

pub(super) fn apns_provider(
    messenger: &MessengerConfig,
    credentials: Option<apns::Credentials>,
    ca_pem: Option<Vec<u8>>,
    change: Option<&Change<apns::Options>>,
) -> anyhow::Result<Option<apns::Apns>> {
    credentials
        .map(|credentials| {
            let mut options = apns::Options {
                credentials,
                topic: messenger.apns_topic.clone(),
                sandbox: messenger.apns_sandbox,
                endpoint: messenger.apns_endpoint.clone(),
                ca_pem,
                token_life_at_least: apns::TOKEN_LIFE_AT_LEAST,
            };
            if let Some(change) = change {
                change(&mut options);
            }
            apns::Apns::new(options)
        })
        .transpose()
        .context("cannot set APNs up, see apns_… in section [Messenger]")
}

pub(super) fn fcm_provider(
    messenger: &MessengerConfig,
    credentials: Option<fcm::Credentials>,
    ca_pem: Option<Vec<u8>>,
) -> anyhow::Result<Option<fcm::Fcm>> {
    credentials
        .map(|credentials| {
            fcm::Fcm::new(fcm::Options {
                credentials,
                endpoint: messenger.fcm_endpoint.clone(),
                ca_pem,
                dry_run: messenger.dry_run,
                base_deeplink_url: messenger.base_deeplink_url.clone(),
                rate_limit_per_sec: NonZeroU32::new(messenger.fcm_rate_limit_per_sec),
            })
        })
        .transpose()
        .context("cannot set FCM up, see fcm_… in section [Messenger]")
}

#[cfg(test)]
mod tests {
    use simulator::{Options, Simulator};

    use super::*;

    #[test]
    fn apns_sandbox_is_another_host_of_apples_and_an_endpoint_wins_over_both() {
        crate::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(Options::default()).unwrap();
        let files = simulator.write_files(folder.path()).unwrap();
        let key = simulator.apns_key();
        let pem = std::fs::read(files.apns_key).unwrap();
        let shown = |apns_sandbox, apns_endpoint: Option<&str>| {
            let messenger = MessengerConfig {
                apns_topic: Some(key.topic.clone()),
                apns_sandbox,
                apns_endpoint: apns_endpoint.map(str::to_owned),
                ..MessengerConfig::default()
            };
            let credentials = apns::Credentials::from_p8(&pem, &key.key_id, &key.team_id);
            let provider = apns_provider(&messenger, credentials.ok(), None, None).unwrap();
            format!("{:?}", provider.unwrap())
        };
        for (sandbox, endpoint, host) in [
            (false, None, "endpoint: api.push.apple.com,"),
            (true, None, "endpoint: api.sandbox.push.apple.com,"),
            (
                true,
                Some("https://127.0.0.1:2197"),
                "endpoint: 127.0.0.1:2197,",
            ),
        ] {
            let shown = shown(sandbox, endpoint);
            assert!(shown.contains(host), "{host} is not in {shown}");
        }
    }
}
