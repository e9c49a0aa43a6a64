//! Whether every stage still has its threads.
//!
//! Panics in a stage's work are caught and counted, and the stage goes on. A thread that ends all
//! the same takes its stage along without anybody noticing: queues grow, and nothing says why.

use std::fmt;

use queue::Pulse;

type Sign = Box<dyn Fn() -> bool + Send + Sync>;

/// Can be asked from any thread while the pipeline runs, and keeps nothing of it open. At the
/// stop the stages end by themselves, and the answer means nothing.
#[derive(Default)]
pub struct VitalSigns {
    stages: Vec<(&'static str, Sign)>,
}

impl VitalSigns {
    pub(super) fn add(&mut self, stage: &'static str, pulse: Pulse) {
        self.add_asked(stage, move || pulse.is_steady());
    }

    /// `sign` says whether the stage lives.
    pub(super) fn add_asked(
        &mut self,
        stage: &'static str,
        sign: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        self.stages.push((stage, Box::new(sign)));
    }

    /// A stage that has lost a thread.
    #[must_use]
    pub fn dead_stage(&self) -> Option<&'static str> {
        let mut stages = self.stages.iter();
        let (name, _) = stages.find(|(_, sign)| !sign())?;
        Some(name)
    }
}

impl fmt::Debug for VitalSigns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = self.stages.iter().map(|(name, sign)| (name, sign()));
        formatter.debug_map().entries(stages).finish()
    }
}
