//! A queue's figures, for monitoring URLs and metrics.

use std::sync::Arc;

use model::{Lane, MetricName, QueueName};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use crate::gate::Gate;

/// A view of one queue's figures. It does not keep the queue open.
#[derive(Clone)]
pub struct Monitor(Arc<Gate>);

impl Monitor {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self(gate)
    }

    /// Which queue.
    #[must_use]
    pub fn name(&self) -> QueueName {
        self.0.name
    }

    /// Items inside.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.counts().items()
    }

    /// Items that ever went in.
    #[must_use]
    pub fn entered(&self) -> u64 {
        self.0.counts().entered
    }

    /// Items that ever came out.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0.counts().left
    }

    /// Items that were turned away.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.counts().refused
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Monitor({})", self.0.name)
    }
}

/// Exports the figures of all queues. A depth alone misses bursts, so what went in and out is
/// counted beside it.
#[derive(Debug)]
pub struct QueueCollector(pub Vec<Monitor>);

impl Collector for QueueCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let depth = ConstGauge::new(0_i64);
        let mut family = encoder.encode_descriptor(
            MetricName::QueueDepth.as_str(),
            MetricName::QueueDepth.help(),
            None,
            depth.metric_type(),
        )?;
        for monitor in &self.0 {
            let counts = monitor.0.counts();
            for lane in Lane::ALL {
                let items = i64::try_from(counts.items_in(lane)).unwrap_or(i64::MAX);
                let labels = [("queue", monitor.name().as_str()), ("lane", lane.as_str())];
                ConstGauge::new(items).encode(family.encode_family(&labels)?)?;
            }
        }
        self.encode_counts(&mut encoder, MetricName::QueueEntered, Monitor::entered)?;
        self.encode_counts(&mut encoder, MetricName::QueueLeft, Monitor::left)?;
        self.encode_counts(&mut encoder, MetricName::QueueRefused, Monitor::refused)
    }
}

impl QueueCollector {
    fn encode_counts(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: MetricName,
        read: impl Fn(&Monitor) -> u64,
    ) -> Result<(), std::fmt::Error> {
        let metric_type = ConstCounter::new(0_u64).metric_type();
        let mut family =
            encoder.encode_descriptor(name.as_str(), name.help(), None, metric_type)?;
        for monitor in &self.0 {
            let labels = [("queue", monitor.name().as_str())];
            ConstCounter::new(read(monitor)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
