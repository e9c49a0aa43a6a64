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
use queue::{Limits, Monitor, Producer, bounded};
use sender::{PoolSettings, SenderThread, apns, fcm};
use servlet::Depth;

use super::depth;
use crate::{config::Config, enabled_senders::PoolSize};

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
    /// The senders started so far.
    pub(super) senders: Vec<SenderThread>,
}

impl Wiring<'_> {
    /// The way to APNs.
    pub(super) fn apns(
        &mut self,
        enabled: Option<PoolSize>,
        credentials: Option<apns::Credentials>,
        ca_pem: Option<Vec<u8>>,
    ) -> anyhow::Result<Way> {
        let messenger = &self.config.messenger;
        let provider = credentials
            .map(|credentials| {
                apns::Apns::new(apns::Options {
                    credentials,
                    topic: messenger.apns_topic.clone(),
                    sandbox: messenger.apns_sandbox,
                    endpoint: messenger.apns_endpoint.clone(),
                    ca_pem,
                })
            })
            .transpose()
            .context("cannot set APNs up, see apns_… in section [Messenger]")?;
        let sender = &self.config.sender;
        let settings = enabled.map(|size| {
            self.settings(
                size.workers.unwrap_or(sender.apn_num_processes),
                messenger.apns_batch_size,
                sender.apn_sender_interval_sec,
            )
        });
        self.way(QueueName::ApnSender, settings, provider)
    }

    /// The way to FCM.
    pub(super) fn fcm(
        &mut self,
        enabled: Option<PoolSize>,
        credentials: Option<fcm::Credentials>,
        ca_pem: Option<Vec<u8>>,
    ) -> anyhow::Result<Way> {
        let messenger = &self.config.messenger;
        let provider = credentials
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
            .context("cannot set FCM up, see fcm_… in section [Messenger]")?;
        let sender = &self.config.sender;
        let settings = enabled.map(|size| {
            self.settings(
                size.workers.unwrap_or(sender.gcm_num_processes),
                messenger.gcm_batch_size,
                sender.gcm_sender_interval_sec,
            )
        });
        self.way(QueueName::GcmSender, settings, provider)
    }

    fn settings(
        &self,
        connections_at_most: NonZeroUsize,
        batch_size: NonZeroUsize,
        interval_sec: f64,
    ) -> PoolSettings {
        PoolSettings {
            connections_at_most,
            batch_size,
            interval: Duration::try_from_secs_f64(interval_sec).unwrap_or_default(),
            request_timeout: Duration::from_secs(self.config.messenger.request_timeout_sec.get()),
            tries: self.config.messenger.connection_error_retries,
            ..PoolSettings::default()
        }
    }

    /// Not enabled: no queue at all. Enabled without a credential: a monitoring URL that says 0.
    fn way<P: sender::Provider>(
        &mut self,
        name: QueueName,
        settings: Option<PoolSettings>,
        provider: Option<P>,
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
        let limits = Limits::items(self.config.sender.sender_queue_limit.get());
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
