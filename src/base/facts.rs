//! What is known of one layer beside its tree: how it is packed, how large it is, and which owners its headers name.

use serde::{Deserialize, Serialize};

use crate::archive::Packing;
use crate::contract::MAX_ID;
use crate::image_path::ImagePath;

/// Paths that are kept as examples.
const EXAMPLES: usize = 3;

/// What is known of one layer beside its tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// How it is packed, by its first bytes.
    pub packing: Packing,
    /// Bytes of its tar.
    pub unpacked: u64,
    /// Its entries, without deletions.
    pub entries: u64,
    /// Entries whose user or group id is above [`MAX_ID`], also those that a layer above replaces or deletes.
    pub large_ids: u64,
    /// The first of them: path, user, group.
    pub large_id_examples: Vec<(ImagePath, u32, u32)>,
}

impl Default for LayerFacts {
    fn default() -> Self {
        LayerFacts { packing: Packing::Plain, unpacked: 0, entries: 0, large_ids: 0, large_id_examples: Vec::new() }
    }
}

impl LayerFacts {
    /// Counts an entry.
    pub(super) fn count(&mut self, path: &ImagePath, uid: u32, gid: u32) {
        self.entries += 1;
        if uid > MAX_ID || gid > MAX_ID {
            self.large_ids += 1;
            if self.large_id_examples.len() < EXAMPLES {
                self.large_id_examples.push((path.clone(), uid, gid));
            }
        }
    }
}
