//! The columns that diesel's own query language is used on; the batch's statements are written
//! out in `fold/`. `migrations/` has the whole tables.
diesel::table! {
    login (id) {
        id -> BigInt,
        language_id -> Nullable<SmallInt>,
    }
}

diesel::table! {
    device (id) {
        id -> Integer,
        login_id -> BigInt,
        platform_id -> SmallInt,
        device_token -> Text,
        device_token_new -> Nullable<Text>,
        application_version -> Nullable<Integer>,
        unregistered_ts -> Nullable<Timestamp>,
        app -> Nullable<BigInt>,
    }
}

diesel::table! {
    message (id) {
        id -> Integer,
        name -> Text,
        cooldown_ts -> Nullable<BigInt>,
        trigger_event_id -> Nullable<Integer>,
        screen -> Text,
        expiry_millis -> Nullable<BigInt>,
        priority -> Text,
    }
}

diesel::table! {
    message_localization (message_id, language_id) {
        message_id -> Integer,
        language_id -> SmallInt,
        message_title -> Text,
        message_text -> Text,
    }
}

diesel::table! {
    message_blacklist (login_id) {
        login_id -> BigInt,
    }
}

diesel::table! {
    user_message_last_time_sent (login_id, message_id) {
        login_id -> BigInt,
        message_id -> Integer,
        last_time_sent_ts_bigint -> BigInt,
        decided_by -> Nullable<Text>,
    }
}

diesel::table! {
    catalogue_version (id) {
        id -> SmallInt,
        version -> BigInt,
    }
}

diesel::table! {
    organisation (id) {
        id -> Integer,
        name -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    api_key (id) {
        id -> Integer,
        organisation_id -> Integer,
        key -> Text,
        algorithm -> Text,
        hash -> Text,
        note -> Nullable<Text>,
        created_at -> BigInt,
        disabled_at -> Nullable<BigInt>,
    }
}

diesel::joinable!(api_key -> organisation (organisation_id));
diesel::allow_tables_to_appear_in_same_query!(api_key, organisation);
