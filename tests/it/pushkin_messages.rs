//! Events that trigger messages: which, in what words, for which devices, with what around them.

mod device_filter;

mod languages;

mod notifications;

mod parameters;

mod triggers;
