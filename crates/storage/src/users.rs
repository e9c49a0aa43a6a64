//! A batch's users in memory: read once, changed in item order, written once. No SQL here.
//!
//! In come the rows of the batch's logins; the processor asks and changes; out go [`Changes`].
//! Whatever order several items of one user come in, the rows afterwards must be those that one
//! item at a time would have left. Rows are kept in the order of their ids and new ones behind
//! them, so "higher id" is "further back" for stored and for new devices alike.

mod changes;
mod device_rules;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use model::{DeviceToken, ItemId, LoginId, MessageId, Platform, Provider, UnixMs};

pub(crate) use changes::{Changes, InsertedDevice};

/// The longest device token that is stored, in bytes.
///
/// PostgreSQL cannot index a text much longer than this (a third of a page), and one such token
/// would fail its whole batch for ever. APNs and FCM tokens have 64 to about 200.
pub const MAX_TOKEN_BYTES: usize = 2048;

/// A login event: who is on which device now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub login: LoginId,
    /// The user's language; `None` keeps the stored one.
    pub language: Option<i16>,
    /// The device's platform.
    pub platform: Platform,
    /// The device's token; `None` or empty stores no device.
    pub token: Option<DeviceToken>,
    /// The game's version on the device.
    pub application_version: Option<i32>,
}

/// Why a change was not made. The batch goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Only a login makes a user.
    #[error("the user has never logged in")]
    UnknownLogin,
    /// The token cannot be stored: it holds a zero byte, or more than [`MAX_TOKEN_BYTES`].
    #[error("the device token has a zero byte or more than {MAX_TOKEN_BYTES} bytes")]
    UnusableToken,
    /// The batch's [`crate::Scope`] did not name this login or token, so its rows were not read.
    #[error("the batch did not announce this login or device token")]
    OutsideScope,
}

/// How many rows a login leaves standing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) devices_per_user: usize,
    pub(crate) users_per_device: usize,
}

/// A row of `login` with its blacklist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoginRow {
    pub(crate) id: i64,
    pub(crate) language: Option<i16>,
    pub(crate) blacklist: Vec<i32>,
}

/// A row of `device`. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRow {
    pub(crate) id: i64,
    pub(crate) login: i64,
    pub(crate) platform: i16,
    pub(crate) token: String,
    pub(crate) token_new: Option<String>,
    pub(crate) application_version: Option<i32>,
    pub(crate) unregistered_us: Option<i64>,
    pub(crate) last_login_us: i64,
}

impl DeviceRow {
    /// From what a reading fold needs: id, login, platform, current token.
    pub(crate) fn of_address((id, login, platform, token): (i64, i64, i16, String)) -> Self {
        Self {
            id,
            login,
            platform,
            token,
            token_new: None,
            application_version: None,
            unregistered_us: None,
            last_login_us: i64::MIN,
        }
    }

    /// From the columns in the order of the fields. A time of login that is no time is the oldest.
    #[expect(clippy::type_complexity, reason = "a row of the table, once")]
    pub(crate) fn of_columns(
        (
            id,
            login,
            platform,
            token,
            token_new,
            application_version,
            unregistered_us,
            last_login_us,
        ): (
            i64,
            i64,
            i16,
            String,
            Option<String>,
            Option<i32>,
            Option<i64>,
            Option<i64>,
        ),
    ) -> Self {
        Self {
            id,
            login,
            platform,
            token,
            token_new,
            application_version,
            unregistered_us,
            last_login_us: last_login_us.unwrap_or(i64::MIN),
        }
    }
}

/// An item that wants to send a message under a cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) login: LoginId,
    pub(crate) message: MessageId,
    pub(crate) item: ItemId,
}

/// Everything a batch needs to know about its users.
#[derive(Debug)]
pub struct Users {
    now: UnixMs,
    limits: Limits,
    /// Whether logins and blacklists may change: their rows are locked.
    writes: bool,
    /// Every login of the scope, also those that do not exist.
    logins: HashMap<LoginId, User>,
    devices: Vec<Device>,
    /// For each token of the scope the devices that have or had it, whosever they are.
    holders: HashMap<(Platform, Box<str>), Vec<usize>>,
    /// The time that the next login gets; each gets its own, so that later ones stay later.
    next_login_us: i64,
    claims: Vec<Claim>,
}

#[derive(Debug, Default)]
struct User {
    stored: bool,
    exists: bool,
    language: Option<i16>,
    language_changed: bool,
    blacklist: Vec<i32>,
    blacklist_changed: bool,
    /// Places in [`Users::devices`], ascending.
    devices: Vec<usize>,
}

#[derive(Debug)]
struct Device {
    /// `None` for one that this batch brings.
    id: Option<i64>,
    login: LoginId,
    platform: Platform,
    token: DeviceToken,
    token_new: Option<DeviceToken>,
    application_version: Option<i32>,
    unregistered_us: Option<i64>,
    last_login_us: i64,
    /// The current token as it was read, where it has changed since.
    replaced: Option<DeviceToken>,
    /// A login of this batch used it.
    seen: bool,
    /// Feedback of this batch ended it.
    ended: bool,
    deleted: bool,
}

impl Device {
    fn current_token(&self) -> &DeviceToken {
        self.token_new.as_ref().unwrap_or(&self.token)
    }

    fn is_active(&self) -> bool {
        !self.deleted && self.unregistered_us.is_none()
    }
}

/// What a fold starts from.
pub(crate) struct Start<'a> {
    pub(crate) now: UnixMs,
    /// The database's time; logins of this batch are put after it.
    pub(crate) login_time_us: i64,
    pub(crate) limits: Limits,
    pub(crate) writes: bool,
    pub(crate) logins: &'a [LoginId],
    pub(crate) tokens: &'a [(Platform, DeviceToken)],
}

impl Users {
    pub(crate) fn new(start: &Start<'_>, rows: Vec<LoginRow>, mut devices: Vec<DeviceRow>) -> Self {
        let mut logins: HashMap<LoginId, User> = start
            .logins
            .iter()
            .map(|&login| (login, User::default()))
            .collect();
        for row in rows {
            let mut blacklist = row.blacklist;
            blacklist.sort_unstable();
            let user = User {
                stored: true,
                exists: true,
                language: row.language,
                blacklist,
                ..User::default()
            };
            logins.insert(LoginId(row.id), user);
        }
        let holders = start
            .tokens
            .iter()
            .map(|(platform, token)| (token_key(*platform, token), Vec::new()));
        let latest = devices.iter().map(|row| row.last_login_us).max();
        let after_latest = latest.map_or(i64::MIN, |latest| latest.saturating_add(1));
        let mut users = Self {
            now: start.now,
            limits: start.limits,
            writes: start.writes,
            logins,
            devices: Vec::with_capacity(devices.len()),
            holders: holders.collect(),
            next_login_us: start.login_time_us.max(after_latest),
            claims: Vec::new(),
        };
        devices.sort_unstable_by_key(|row| row.id);
        for row in devices {
            users.add_device(Device {
                id: Some(row.id),
                login: LoginId(row.login),
                platform: Platform(row.platform),
                token: DeviceToken::new(row.token),
                token_new: row.token_new.map(DeviceToken::new),
                application_version: row.application_version,
                unregistered_us: row.unregistered_us,
                last_login_us: row.last_login_us,
                replaced: None,
                seen: false,
                ended: false,
                deleted: false,
            });
        }
        users
    }

    fn add_device(&mut self, device: Device) {
        let place = self.devices.len();
        if let Some(user) = self.logins.get_mut(&device.login) {
            user.devices.push(place);
        }
        let key = token_key(device.platform, device.current_token());
        if let Some(holders) = self.holders.get_mut(&key) {
            holders.push(place);
        }
        self.devices.push(device);
    }

    /// The time this fold began.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// Whether the user has ever logged in.
    #[must_use]
    pub fn knows(&self, login: LoginId) -> bool {
        self.logins.get(&login).is_some_and(|user| user.exists)
    }

    /// The user's language; `None` for an unknown user and for one without a language.
    #[must_use]
    pub fn language(&self, login: LoginId) -> Option<i16> {
        self.logins.get(&login)?.language
    }

    /// Whether the user has turned this message off.
    #[must_use]
    pub fn is_blacklisted(&self, login: LoginId, message: MessageId) -> bool {
        let user = self.logins.get(&login);
        user.is_some_and(|user| user.blacklist.binary_search(&message.0).is_ok())
    }

    /// Where the user can be reached: active devices by (platform, token), each token once per
    /// push service; of several platforms of one service the lowest stays.
    #[must_use]
    pub fn addresses(&self, login: LoginId) -> Vec<(Platform, &DeviceToken)> {
        let Some(user) = self.logins.get(&login) else {
            return Vec::new();
        };
        let active = user
            .devices
            .iter()
            .map(|&place| &self.devices[place])
            .filter(|device| device.is_active());
        let mut addresses: Vec<_> = active
            .map(|device| (device.platform, device.current_token()))
            // Pushkin stored empty tokens; nothing can be sent to them.
            .filter(|(_, token)| !token.as_str().is_empty())
            .collect();
        addresses.sort_unstable();
        let mut reached: Vec<(Platform, &DeviceToken)> = Vec::with_capacity(addresses.len());
        for (platform, token) in addresses {
            let is_repeated = reached.iter().any(|(other_platform, other_token)| {
                same_service(*other_platform, platform) && other_token.same_as(token, platform)
            });
            if !is_repeated {
                reached.push((platform, token));
            }
        }
        reached
    }

    /// Replaces what the user has turned off; an empty list turns everything on again.
    ///
    /// # Errors
    /// When the user has never logged in, or the scope does not allow writing to it.
    pub fn set_blacklist(&mut self, login: LoginId, mut messages: Vec<i32>) -> Result<(), Refused> {
        let user = self.writable(login)?;
        if !user.exists {
            return Err(Refused::UnknownLogin);
        }
        messages.sort_unstable();
        messages.dedup();
        user.blacklist = messages;
        user.blacklist_changed = true;
        Ok(())
    }

    /// Lets `item` compete for sending `message` to the user under the message's cooldown.
    /// Of several items of a batch the first one competes, unless a later one has won before
    /// and is being handled again.
    pub fn claim(&mut self, login: LoginId, message: MessageId, item: ItemId) {
        self.claims.push(Claim {
            login,
            message,
            item,
        });
    }

    pub(crate) fn claims(&self) -> &[Claim] {
        &self.claims
    }

    fn writable(&mut self, login: LoginId) -> Result<&mut User, Refused> {
        if !self.writes {
            return Err(Refused::OutsideScope);
        }
        self.logins.get_mut(&login).ok_or(Refused::OutsideScope)
    }
}

/// Whether one push service reaches both; an unknown platform stands for itself.
pub(crate) fn same_service(one: Platform, other: Platform) -> bool {
    match (one.provider(), other.provider()) {
        (None, None) => one == other,
        (one, other) => one == other,
    }
}

/// The platforms on which a push service's answer about a token counts.
pub(crate) fn platforms_of_service(platform: Platform) -> Vec<Platform> {
    match platform.provider() {
        Some(Provider::Fcm) => vec![Platform::ANDROID, Platform::ANDROID_TABLET],
        Some(Provider::Apns) => vec![Platform::IPHONE, Platform::IPAD],
        Some(Provider::WebPush) | None => vec![platform],
    }
}

/// Whether the databases can keep the token; see [`MAX_TOKEN_BYTES`].
pub(crate) fn is_usable(token: &DeviceToken) -> bool {
    (1..=MAX_TOKEN_BYTES).contains(&token.as_str().len()) && !token.as_str().contains('\0')
}

/// Equal for tokens that mean the same device.
fn token_key(platform: Platform, token: &DeviceToken) -> (Platform, Box<str>) {
    let text = match platform.provider() {
        Some(Provider::Apns) => token.as_str().to_ascii_lowercase().into(),
        Some(Provider::Fcm | Provider::WebPush) | None => token.as_str().into(),
    };
    (platform, text)
}
