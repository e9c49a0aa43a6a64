//! Room for as many open files as the configuration can need: each client connection is one.
//!
//! Without it a daemon that clients fill with connections could open neither its log after
//! midnight nor a connection to a push service.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Files besides those that the configuration counts: logs, journal, runtimes, standard streams.
const OTHERS: usize = 128;

/// Files of one database connection: SQLite's database, its log, its index; a socket.
const PER_DATABASE_CONNECTION: usize = 4;

/// Raises the soft limit of open files to the hard one. Where that is too little for
/// `max_connections`, lowers this and gives back a warning.
pub(super) fn make_room(config: &mut Config) -> Option<String> {
    let limit = raise();
    let others = others(config);
    let wanted = config.server.max_connections;
    let possible = possible(wanted, others, limit);
    config.server.max_connections = possible;
    (possible < wanted).then(|| {
        format!(
            "[ServerSpecific] max_connections = {wanted} and {others} files besides are more than \
             the limit of open files, {}: it is {possible} now; raise the limit (ulimit -Hn, \
             LimitNOFILE in a systemd unit) or lower max_connections",
            limit.unwrap_or(u64::MAX)
        )
    })
}

/// The limit from now on; `None` is none.
fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        // Some systems allow less than they say; what there was is still there.
        Err(_) => current,
    }
}

/// Files that are open beside client connections at most.
fn others(config: &Config) -> usize {
    let threads = config.request_processor.request_processor_num_threads.get();
    let database = config.database.db_pool_size.get().max(threads + 2);
    let counts = [
        database as usize * PER_DATABASE_CONNECTION,
        config.sender.apn_num_processes.get(),
        config.sender.gcm_num_processes.get(),
    ];
    OTHERS + counts.iter().sum::<usize>()
}

/// As many of the wanted connections as the limit has room for beside the `others`. Where it has
/// none, half of it.
fn possible(wanted: NonZeroUsize, others: usize, limit: Option<u64>) -> NonZeroUsize {
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return wanted;
    };
    let room = limit.saturating_sub(others).max(limit / 2);
    NonZeroUsize::new(room).map_or(NonZeroUsize::MIN, |room| wanted.min(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_all_else() {
        let possible = |wanted, others, limit| {
            possible(NonZeroUsize::new(wanted).unwrap(), others, limit).get()
        };
        assert_eq!(possible(20_000, 200, None), 20_000);
        assert_eq!(possible(20_000, 200, Some(u64::MAX)), 20_000);
        assert_eq!(possible(20_000, 200, Some(20_200)), 20_000);
        assert_eq!(possible(20_000, 200, Some(20_199)), 19_999);
        assert_eq!(possible(20_000, 200, Some(256)), 128);
        assert_eq!(possible(20_000, 200, Some(0)), 1);
    }
}
