//! What the fuzz targets reach of this module's inside; compiled for them only.

use super::shown::Shown;
use crate::config::Loaded;

pub(crate) fn shown(loaded: &Loaded) -> String {
    Shown::of(loaded).to_string()
}
