//! What is asked of a build.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use jiff::Timestamp;

use crate::base::Interest;
use crate::description::Description;
use crate::lock::Lock;
use crate::manifest::Family;

/// What is to be built.
pub struct BuildRequest<'a> {
    /// The description.
    pub description: &'a Description,
    /// The description's directory.
    pub directory: &'a Path,
    /// A lock that is current.
    pub lock: &'a Lock,
    /// More labels, which win over the description's.
    pub labels: BTreeMap<String, String>,
    /// The media types; the base's where none.
    pub family: Option<Family>,
    /// `SOURCE_DATE_EPOCH`: the time of the image and of our history items.
    pub epoch: Option<Timestamp>,
    /// Make every layer, trust none.
    pub rebuild: bool,
    /// Threads that compress.
    pub threads: NonZeroUsize,
    /// What is kept in the cache of the trees of layers that are made, for those who judge the image.
    pub survey: Option<Interest>,
}
