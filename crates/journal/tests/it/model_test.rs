//! Whatever is appended, finished and reopened: the journal holds what a plain list would.

use journal::Journal;
use model::{Request, RequestId};
use proptest::prelude::*;

use crate::rig::{append_all, eventually, open, request};

#[derive(Clone, Debug)]
enum Step {
    /// So many requests of this length, at once.
    Append(usize, usize),
    /// Finishes a part of what is open, in 256ths, chosen by this seed.
    Finish(u8, u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..40, prop_oneof![3 => 0_usize..500, 1 => 10_000_usize..100_000])
            .prop_map(|(count, length)| Step::Append(count, length)),
        3 => (any::<u8>(), any::<u64>()).prop_map(|(part, seed)| Step::Finish(part, seed)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_journal_holds_what_a_list_would(steps in prop::collection::vec(step(), 1..15)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(follow(steps));
    }
}

async fn follow(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    let mut list: Vec<Request> = Vec::new();
    for step in steps.into_iter().chain([Step::Reopen]) {
        match step {
            Step::Append(count, length) => {
                let requests: Vec<_> = (0..count).map(|_| request(0, 0, length)).collect();
                append_all(&journal, &requests).await;
                list.extend(requests);
            }
            Step::Finish(part, seed) => {
                let mut random = fastrand::Rng::with_seed(seed);
                let finished = list.extract_if(.., |_| random.u8(..) < part);
                let mut ids: Vec<_> = finished.map(|request| request.id).collect();
                // Unknown and repeated ids change nothing.
                ids.push(RequestId::generate());
                ids.extend(ids.first().copied());
                journal.finished(&ids);
            }
            Step::Reopen => {
                drop(journal);
                let found;
                (journal, found) = open(folder.path());
                assert_eq!(found, list);
            }
        }
        eventually("marks are written", || journal.depth() == list.len()).await;
        assert_eq!(journal.bytes() == 0, list.is_empty());
        if let Some(request) = list.first() {
            assert_eq!(journal.read(request.id).unwrap().as_ref(), Some(request));
        }
    }
}
