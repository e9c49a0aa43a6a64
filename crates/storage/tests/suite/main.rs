//! One behaviour on two databases: every claim below is tested on SQLite and on PostgreSQL.
//!
//! PostgreSQL takes part when `ONEGIN_TEST_POSTGRES_URL` names a database whose user may create
//! others; each test gets one of its own. Claims marked with a number are cases of Pushkin's own
//! test suite.

#![allow(
    clippy::unwrap_used,
    reason = "a test may; clippy sees tests only inside #[test]"
)]

// The name it has everywhere else in the workspace.
extern crate onegin_storage as storage;

mod database;

mod pushkin_database;

mod pushkin_cooldown;

mod store_messages;

mod devices;

mod equivalence;

mod cooldown;

mod messages;

mod statements;

mod outage;

mod upgrade;

mod adoption;

mod copy;

mod api_keys;

macro_rules! storage_suite {
    ($($module:ident: $($test:ident),* $(,)?;)*) => {
        mod sqlite {
            $($(
                #[test]
                fn $test() {
                    crate::$module::$test(&crate::database::Database::sqlite());
                }
            )*)*
        }

        mod postgres {
            $($(
                #[test]
                fn $test() {
                    if let Some(database) = crate::database::Database::postgres() {
                        crate::$module::$test(&database);
                    }
                }
            )*)*
        }
    };
}

storage_suite! {
    pushkin_database:
        every_login_with_a_new_token_adds_a_device,
        a_text_is_in_the_users_language_else_in_language_1_else_there_is_none,
        a_blacklist_is_one_row_and_reads_back,
        blacklists_read_back_one_by_one_and_in_pages,
        logins_and_devices_are_stored_as_they_are_given,
        a_device_is_found_by_its_current_token_and_passes_the_limits,
        all_logins_come_in_pages,
        logins_and_devices_can_be_deleted,
        an_unregistered_device_is_not_reached,
        a_replaced_token_takes_the_place_of_the_old_one,
        devices_over_the_limit_go_in_pushkins_order,
        only_the_latest_users_keep_a_device,
        a_replaced_token_leaves_the_device_to_its_latest_user,
        a_message_lives_as_long_as_it_says_after_its_event,
        a_login_sets_the_application_version,
        old_and_new_token_both_find_the_device,
        a_login_revives_the_device_by_either_token,
        a_messages_priority_is_that_of_its_notifications,
        a_token_is_reached_once_per_push_service,
        a_filter_names_the_one_device_whether_it_is_stored_or_not,
        events_map_to_the_messages_that_they_send;
    pushkin_cooldown:
        a_first_send_without_a_cooldown_is_let_through_and_recorded,
        a_first_send_with_a_cooldown_is_let_through_and_recorded,
        first_sends_to_two_users_are_let_through_and_recorded,
        one_second_later_only_what_has_cooled_down_is_sent_and_recorded_anew,
        a_pair_asked_for_twice_is_one_send_and_one_record;
    store_messages:
        a_second_language_leaves_the_messages_attributes,
        what_is_named_changes_and_what_is_not_named_stays,
        a_batch_of_messages_costs_what_one_costs,
        storing_the_same_again_changes_nothing,
        a_rehearsal_says_what_would_change_and_changes_nothing,
        messages_are_stored_in_their_order_and_a_name_may_come_twice,
        many_messages_are_stored_all_or_none,
        parallel_storings_follow_each_other;
    devices:
        a_missing_language_keeps_the_stored_one,
        apns_tokens_are_one_device_in_either_case,
        feedback_older_than_the_last_login_changes_nothing,
        feedback_twice_changes_nothing_more,
        tokens_that_no_database_can_keep_are_refused,
        devices_of_other_apps_are_not_seen,
        texts_of_all_kinds_survive,
        parallel_first_logins_make_one_user_with_all_devices,
        parallel_logins_leave_a_token_to_one_user,
        overlapping_batches_all_succeed,
        a_panicking_plan_leaves_nothing_behind;
    equivalence:
        one_fold_of_many_logins_equals_many_folds_of_one;
    cooldown:
        first_sends_are_let_through_and_stored,
        a_running_cooldown_blocks_and_a_finished_one_does_not,
        two_claims_of_a_pair_are_one_send,
        the_same_items_again_win_again_and_others_do_not,
        an_item_that_won_before_wins_again_behind_another,
        vanished_rows_drop_their_pair_only,
        of_64_parallel_claims_one_wins,
        two_instances_on_one_database_share_the_cooldown,
        unlimited_messages_record_their_latest_time,
        a_cooldown_beyond_the_end_of_time_blocks;
    messages:
        a_message_and_its_texts_read_back,
        storing_a_message_again_keeps_its_texts_and_a_text_keeps_the_message,
        ids_of_deleted_messages_do_not_come_back,
        a_text_needs_its_message,
        plain_sql_changes_come_into_force;
    statements:
        a_reading_batch_of_1000_costs_what_10_cost,
        a_writing_batch_of_1000_costs_what_10_cost,
        an_empty_batch_costs_nothing;
    outage:
        the_database_answers_a_ping,
        metrics_count_statements;
    api_keys:
        a_key_reads_back_and_cannot_be_added_twice,
        a_disabled_key_keeps_its_time_until_it_is_enabled,
        keys_are_listed_in_their_order_with_their_organisations,
        an_organisations_keys_go_with_it_and_its_id_does_not_come_back;
    upgrade:
        upgrading_twice_or_at_once_applies_each_migration_once,
        a_newer_schema_is_refused;
}
