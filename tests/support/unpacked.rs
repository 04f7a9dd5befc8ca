//! An image of the judge's tests as a directory, unpacked by umoci.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use byoi::verify::specimen::Specimen;
use tempfile::TempDir;

use super::readers::tool;

/// The unpacked files; they vanish with it.
pub struct Unpacked(TempDir);

impl Unpacked {
    /// The files of an image, for any user to read whom they let.
    pub fn of(image: &Specimen) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        image.made().write_layout(Path::new(&path("image")));
        // umoci wants a name.
        tool("skopeo", &["copy", "--quiet", "--insecure-policy", &format!("oci:{}", path("image")), &format!("oci:{}:image", path("named"))]);
        tool("umoci", &["unpack", "--image", &format!("{}:image", path("named")), &path("bundle")]);
        fs::set_permissions(path("bundle"), fs::Permissions::from_mode(0o755)).unwrap();
        Unpacked(directory)
    }

    /// Where a path of the image is, absolute or relative to its root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join("bundle/rootfs").join(path.trim_start_matches('/'))
    }

    /// A path beside the image's files.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
