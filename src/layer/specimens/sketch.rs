//! Trees in few words: parents come by themselves, everything is root's and from 1980.

use crate::image_path::ImagePath;
use crate::layer::{Content, Entry, Tree};

/// Time of all entries of a sketch.
pub(super) const TIME: i64 = 315_619_200;

/// A tree that is being made.
#[derive(Default)]
pub(super) struct Sketch(Tree);

impl Sketch {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn put(mut self, path: impl AsRef<[u8]>, entry: Entry) -> Self {
        let path = ImagePath::parse(path).expect("a path");
        for above in path.ancestors().filter(|above| !above.is_root()) {
            if self.0.get(&above).is_none() {
                self.0.insert(above, Entry::directory(0o755, 0, 0, TIME));
            }
        }
        self.0.insert(path, entry);
        self
    }

    pub(super) fn file(self, path: impl AsRef<[u8]>) -> Self {
        self.put(path, file())
    }

    pub(super) fn text(self, path: impl AsRef<[u8]>, text: impl Into<std::sync::Arc<[u8]>>) -> Self {
        self.put(path, Entry::file(Content::inline(text), 0o644, 0, 0, TIME))
    }

    pub(super) fn directory(self, path: impl AsRef<[u8]>) -> Self {
        self.put(path, directory())
    }

    pub(super) fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.put(path, Entry::symlink(target.as_ref(), 0, 0, TIME))
    }

    pub(super) fn hard_link(self, path: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        self.put(path, Entry::hard_link(ImagePath::parse(to).expect("a path")))
    }

    pub(super) fn tree(self) -> Tree {
        self.0
    }
}

/// A small file, to be changed.
pub(super) fn file() -> Entry {
    Entry::file(Content::inline(*b"content\n"), 0o644, 0, 0, TIME)
}

/// A directory, to be changed.
pub(super) fn directory() -> Entry {
    Entry::directory(0o755, 0, 0, TIME)
}
