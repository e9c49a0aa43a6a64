//! The guard against mass pruning: a wrong environment or topic makes APNs call *every* token
//! bad, and believing that would unregister every device of the game.
//!
//! A suspect answer is believed only while such answers are a small share of the last
//! thousand. Below [`ENOUGH`] answers nothing is believed: a device that should have been
//! pruned is met again by the next notification.

use std::collections::VecDeque;

/// Answers that are remembered.
const REMEMBERED: usize = 1000;
/// Answers needed before a share means anything.
const ENOUGH: usize = 50;
/// Suspect answers in a hundred that are still plausible.
const PLAUSIBLE_PERCENT: usize = 20;

/// What to do about a suspect token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    /// Such answers are rare: the token is bad.
    Believed,
    /// Not enough answers yet to tell.
    TooEarly,
    /// Too many such answers. `first` on the change to this state, for the log.
    Doubted {
        /// Whether the answer before this one was still believed.
        first: bool,
    },
}

/// Remembers the last answers of one app.
#[derive(Debug, Default)]
pub(crate) struct PruneGuard {
    suspect: VecDeque<bool>,
    suspects: usize,
    doubting: bool,
}

impl PruneGuard {
    /// An answer that does not doubt the token.
    pub(crate) fn unsuspicious(&mut self) {
        self.remember(false);
    }

    /// An answer that does.
    pub(crate) fn suspicious(&mut self) -> Belief {
        self.remember(true);
        if self.suspect.len() < ENOUGH {
            return Belief::TooEarly;
        }
        let doubted = self.suspects * 100 > self.suspect.len() * PLAUSIBLE_PERCENT;
        let first = doubted && !self.doubting;
        self.doubting = doubted;
        if doubted {
            Belief::Doubted { first }
        } else {
            Belief::Believed
        }
    }

    fn remember(&mut self, suspect: bool) {
        if self.suspect.len() == REMEMBERED && self.suspect.pop_front() == Some(true) {
            self.suspects -= 1;
        }
        self.suspect.push_back(suspect);
        self.suspects += usize::from(suspect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_bad_token_is_believed() {
        let mut guard = PruneGuard::default();
        assert_eq!(guard.suspicious(), Belief::TooEarly);
        for _ in 0..100 {
            guard.unsuspicious();
        }
        assert_eq!(guard.suspicious(), Belief::Believed);
    }

    #[test]
    fn a_wrong_environment_prunes_nothing_and_is_told_once() {
        let mut guard = PruneGuard::default();
        let beliefs: Vec<_> = (0..200).map(|_| guard.suspicious()).collect();
        assert!(!beliefs.contains(&Belief::Believed));
        let told = beliefs
            .iter()
            .filter(|belief| **belief == Belief::Doubted { first: true });
        assert_eq!(told.count(), 1);
    }

    #[test]
    fn belief_returns_when_the_bad_answers_are_forgotten() {
        let mut guard = PruneGuard::default();
        for _ in 0..300 {
            guard.suspicious();
        }
        for _ in 0..REMEMBERED {
            guard.unsuspicious();
        }
        assert_eq!(guard.suspicious(), Belief::Believed);
    }
}
