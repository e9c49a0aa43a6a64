//! Which notifications wait behind which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A broadcast must not delay a player: every queue has these two lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Events and direct notifications: somebody waits for them.
    Urgent,
    /// Broadcasts and very large POSTs: at most half of a queue, at least an eighth of the turns.
    Bulk,
}

impl Lane {
    /// Both lanes, urgent first.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Bulk];

    /// The lane's name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
