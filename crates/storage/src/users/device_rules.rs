//! Pushkin's rules for devices: what a login, a dead token and a replaced token change.
//!
//! The same effects as Pushkin's SQL functions `process_user_login` and
//! `keep_max_users_per_device`, its `update_canonicals` and its `update_unregistered_devices`,
//! except that a missing language keeps the stored one and an empty token stores no device.

use std::cmp::Reverse;

use model::{DeviceToken, LoginId, Platform, UnixMs};

use super::{Device, Login, Refused, Users, is_usable, platforms_of_service, token_key};

impl Users {
    /// A user is on a device: stores both, and lets go of what is over the limits.
    ///
    /// # Errors
    /// When the token cannot be stored, or the scope did not name the login and the token;
    /// nothing is changed then.
    pub fn log_in(&mut self, login: &Login) -> Result<(), Refused> {
        let token = login
            .token
            .as_ref()
            .filter(|token| !token.as_str().is_empty());
        if let Some(token) = token {
            self.check_token(login.platform, token)?;
        }
        let user = self.writable(login.login)?;
        user.exists = true;
        if let Some(language) = login.language
            && user.language != Some(language)
        {
            user.language = Some(language);
            user.language_changed = true;
        }
        if let Some(token) = token {
            self.see_device(login, token);
        }
        self.evict_beyond_device_limit(login.login);
        if let Some(token) = token {
            self.keep_latest_holders(login.platform, token);
        }
        Ok(())
    }

    /// The push service says that the user's token is dead, since `since` where it knows. The row
    /// stays and gets nothing until the next login. Returns whether a device ended.
    pub(crate) fn unregister(
        &mut self,
        login: LoginId,
        token: &DeviceToken,
        since: Option<UnixMs>,
    ) -> bool {
        let now_us = self.now.0.saturating_mul(1000);
        let mut has_ended = false;
        for place in self.places_of(login) {
            let device = &mut self.devices[place];
            let is_back =
                since.is_some_and(|since| device.last_login_us > since.0.saturating_mul(1000));
            if device.is_active()
                && !is_back
                && device.current_token().same_as(token, device.platform)
            {
                device.unregistered_us = Some(now_us);
                device.ended = true;
                has_ended = true;
            }
        }
        has_ended
    }

    /// The push service knows the user's device under another token. Returns whether one was found.
    pub(crate) fn replace_token(
        &mut self,
        login: LoginId,
        platform: Platform,
        old: &DeviceToken,
        new: &DeviceToken,
    ) -> Result<bool, Refused> {
        let platforms = platforms_of_service(platform);
        for &platform in &platforms {
            self.check_token(platform, new)?;
        }
        self.writable(login)?;
        let mut is_found = false;
        for place in self.places_of(login) {
            let device = &mut self.devices[place];
            if device.deleted || !device.current_token().same_as(old, device.platform) {
                continue;
            }
            let before = device.token_new.replace(new.clone());
            let before = before.unwrap_or_else(|| device.token.clone());
            device.replaced.get_or_insert(before);
            is_found = true;
            let key = token_key(device.platform, new);
            if let Some(holders) = self.holders.get_mut(&key)
                && !holders.contains(&place)
            {
                holders.push(place);
            }
        }
        for &platform in &platforms {
            self.keep_latest_holders(platform, new);
        }
        Ok(is_found)
    }

    fn check_token(&self, platform: Platform, token: &DeviceToken) -> Result<(), Refused> {
        if !is_usable(token) {
            return Err(Refused::UnusableToken);
        }
        if !self.holders.contains_key(&token_key(platform, token)) {
            return Err(Refused::OutsideScope);
        }
        Ok(())
    }

    fn places_of(&self, login: LoginId) -> Vec<usize> {
        let user = self.logins.get(&login);
        user.map_or_else(Vec::new, |user| user.devices.clone())
    }

    /// Marks the device as used now, by its old or its current token; else adds it.
    fn see_device(&mut self, login: &Login, token: &DeviceToken) {
        let last_login_us = self.next_login_us;
        self.next_login_us = last_login_us.saturating_add(1);
        let mut is_known = false;
        for place in self.places_of(login.login) {
            let device = &mut self.devices[place];
            let has_token = |own: &DeviceToken| own.same_as(token, login.platform);
            if device.deleted
                || device.platform != login.platform
                || !(has_token(&device.token) || device.token_new.as_ref().is_some_and(has_token))
            {
                continue;
            }
            device.application_version = login.application_version;
            device.unregistered_us = None;
            device.ended = false;
            device.last_login_us = last_login_us;
            device.seen = true;
            is_known = true;
        }
        if !is_known {
            self.add_device(Device {
                id: None,
                login: login.login,
                platform: login.platform,
                token: token.clone(),
                token_new: None,
                application_version: login.application_version,
                unregistered_us: None,
                last_login_us,
                replaced: None,
                seen: true,
                ended: false,
                deleted: false,
            });
        }
    }

    /// Keeps the user's best devices: active before unregistered, lately unregistered before long
    /// unregistered, new rows before old ones. Logging in again does not protect an old row.
    fn evict_beyond_device_limit(&mut self, login: LoginId) {
        let mut ranked = self.places_of(login);
        ranked.retain(|&place| !self.devices[place].deleted);
        ranked.sort_by_key(|&place| {
            let unregistered = self.devices[place].unregistered_us;
            (
                unregistered.is_some(),
                Reverse(unregistered),
                Reverse(place),
            )
        });
        for &place in ranked.iter().skip(self.limits.devices_per_user) {
            self.devices[place].deleted = true;
        }
    }

    /// Keeps a token's latest users on this platform. Other platforms are other devices.
    fn keep_latest_holders(&mut self, platform: Platform, token: &DeviceToken) {
        let holders = self.holders.get(&token_key(platform, token));
        let mut ranked = holders.cloned().unwrap_or_default();
        ranked.retain(|&place| {
            let device = &self.devices[place];
            device.is_active() && device.current_token().same_as(token, platform)
        });
        ranked.sort_by_key(|&place| (Reverse(self.devices[place].last_login_us), Reverse(place)));
        for &place in ranked.iter().skip(self.limits.users_per_device) {
            self.devices[place].deleted = true;
        }
    }
}
