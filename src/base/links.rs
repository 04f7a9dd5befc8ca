//! Following symbolic links inside an image.

use crate::image_path::ImagePath;

/// Links followed in one path before it counts as a circle; Linux's own limit.
const MAX_LINKS: usize = 40;

/// `path` with every link followed, its last component too, as the kernel would in a container; none for links that lead in a circle.
/// `target` gives the target of the link at a path, if one stands there.
pub(super) fn follow<'a>(path: &'a ImagePath, target: impl Fn(&ImagePath) -> Option<&'a [u8]>) -> Option<ImagePath> {
    let mut left: Vec<&[u8]> = path.components().rev().collect();
    let mut here = ImagePath::root();
    let mut followed = 0;
    while let Some(name) = left.pop() {
        match name {
            b"" | b"." => continue,
            b".." => {
                here = here.parent().unwrap_or_default();
                continue;
            }
            name => here = here.join(name).ok()?,
        }
        let Some(target) = target(&here) else { continue };
        followed += 1;
        if followed > MAX_LINKS {
            return None;
        }
        here = if target.starts_with(b"/") { ImagePath::root() } else { here.parent().unwrap_or_default() };
        left.extend(target.split(|byte| *byte == b'/').rev());
    }
    Some(here)
}
