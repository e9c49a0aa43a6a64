//! Every state that a Pushkin database can be in, built up as Pushkin's own history did.

/// A database's past: what was done to it, and what it says of itself.
pub(crate) struct Past {
    /// What `--upgrade-db` calls it.
    pub(crate) name: &'static str,
    /// The rows of `alembic_version`.
    stamps: &'static [&'static str],
    steps: &'static [&'static str],
    /// Statements after the last step.
    end: &'static str,
}

const E2A4: &str = include_str!("../../pushkin/e2a42bcd4c02.sql");
const X866D: &str = include_str!("../../pushkin/866d344d7b5d.sql");
const X61E5: &str = include_str!("../../pushkin/61e52d26ebea.sql");
const X9EA5: &str = include_str!("../../pushkin/9ea5d4d49609.sql");
const X50DB: &str = include_str!("../../pushkin/50db531bbf54.sql");
const X70AD: &str = include_str!("../../pushkin/70ad8e4607cd.sql");
const X67B1: &str = include_str!("../../pushkin/67b14b57d9e4.sql");
const X8B61: &str = include_str!("../../pushkin/8b6104b8b8c0.sql");
const X34DD: &str = include_str!("../../pushkin/34dd0bf00472.sql");
const DB_CREATE: &str = include_str!("../../pushkin/db_create.sql");
const ROWS: &str = include_str!("../../pushkin/rows.sql");

/// All steps of the last revision; the merges did nothing.
const ALL: &[&str] = &[E2A4, X866D, X61E5, X9EA5, X50DB, X70AD, X67B1, X8B61, X34DD];

const fn at(revision: &'static [&'static str], steps: &'static [&'static str]) -> Past {
    Past {
        name: revision[0],
        stamps: revision,
        steps,
        end: "",
    }
}

/// Every revision; the forks with both branches done and not merged; and what `db_create.sql`
/// made, with a stamp and, as the script left it, without.
pub(crate) const PASTS: [Past; 16] = [
    at(&["e2a42bcd4c02"], &[E2A4]),
    at(&["866d344d7b5d"], &[E2A4, X866D]),
    at(&["61e52d26ebea"], &[E2A4, X866D, X61E5]),
    at(&["9ea5d4d49609"], &[E2A4, X866D, X9EA5]),
    Past {
        name: "61e52d26ebea + 9ea5d4d49609",
        stamps: &["9ea5d4d49609", "61e52d26ebea"],
        steps: &[E2A4, X866D, X61E5, X9EA5],
        end: "",
    },
    at(&["822b8de2c260"], &[E2A4, X866D, X61E5, X9EA5]),
    at(&["50db531bbf54"], &[E2A4, X866D, X61E5, X9EA5, X50DB]),
    at(&["70ad8e4607cd"], &[E2A4, X866D, X9EA5, X61E5, X70AD]),
    Past {
        name: "50db531bbf54 + 70ad8e4607cd",
        stamps: &["70ad8e4607cd", "50db531bbf54"],
        steps: &[E2A4, X866D, X61E5, X9EA5, X50DB, X70AD],
        end: "",
    },
    at(
        &["ba3a6442af2b"],
        &[E2A4, X866D, X61E5, X9EA5, X50DB, X70AD],
    ),
    at(
        &["67b14b57d9e4"],
        &[E2A4, X866D, X61E5, X9EA5, X50DB, X70AD, X67B1],
    ),
    at(
        &["8b6104b8b8c0"],
        &[E2A4, X866D, X61E5, X9EA5, X50DB, X70AD, X67B1, X8B61],
    ),
    at(&["34dd0bf00472"], ALL),
    Past {
        name: "34dd0bf00472",
        stamps: &["34dd0bf00472"],
        steps: ALL,
        end: DB_CREATE,
    },
    Past {
        name: "unstamped",
        stamps: &[],
        steps: ALL,
        end: DB_CREATE,
    },
    Past {
        name: "unstamped",
        stamps: &[],
        steps: ALL,
        end: "DROP TABLE alembic_version",
    },
];

impl Past {
    /// The statements that make it, with rows in every table.
    pub(crate) fn sql(&self) -> String {
        let mut sql = self.steps.join(";\n");
        for stamp in self.stamps {
            sql += &format!(";\nINSERT INTO alembic_version VALUES ('{stamp}')");
        }
        [&sql, ROWS, self.end].join(";\n")
    }

    /// Whether `db_create.sql` made it.
    #[allow(dead_code, reason = "not every test program asks")]
    pub(crate) fn is_created_by_script(&self) -> bool {
        self.end == DB_CREATE
    }
}
