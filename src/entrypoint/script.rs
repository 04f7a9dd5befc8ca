//! The text of the entrypoint script: `entrypoint.sh` with the image's own values in it.

use crate::contract::{HOME, IMAGE_SERVER_DATA, LAUNCHER, SERVER_DATA};
use crate::image_path::ImagePath;

const TEMPLATE: &str = include_str!("entrypoint.sh");

/// The places that the script works on.
#[derive(Debug, Clone)]
pub struct Roots {
    /// Server data of the image.
    pub image_data: String,
    /// Server data on the space's volume.
    pub volume_data: String,
    /// The user's home.
    pub home: String,
    /// The program that brings the volume up to date.
    pub update_volume: String,
}

impl Default for Roots {
    fn default() -> Self {
        Roots {
            image_data: IMAGE_SERVER_DATA.to_owned(),
            volume_data: SERVER_DATA.to_owned(),
            home: HOME.to_owned(),
            update_volume: super::UPDATE_VOLUME.to_owned(),
        }
    }
}

/// The script. `command` begins with the launcher's name.
pub(super) fn text(roots: &Roots, platform: Option<&ImagePath>, command: &[String]) -> String {
    let arguments: Vec<_> = command.iter().skip(1).map(|word| quoted(word)).collect();
    let values = [
        ("@IMAGE_DATA@", quoted(&roots.image_data)),
        ("@VOLUME_DATA@", quoted(&roots.volume_data)),
        ("@UPDATE_VOLUME@", quoted(&roots.update_volume)),
        ("@HOME@", quoted(&roots.home)),
        ("@PLATFORM_ENTRYPOINT@", quoted(&platform.map(ImagePath::absolute).unwrap_or_default())),
        ("@LAUNCHER@", LAUNCHER.to_owned()),
        ("@SERVER_ARGUMENTS@", arguments.join(" ")),
    ];
    values.iter().fold(TEMPLATE.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// `word` as one word of the shell's language, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_is_left_open() {
        let text = text(&Roots::default(), None, &crate::contract::server_command("/codeeditor/default", &[]));
        assert!(!text.lines().any(|line| line.contains('@') && !line.contains("\"$@\"")), "{text}");
    }
}
