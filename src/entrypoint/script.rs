//! The text of the entrypoint script: `entrypoint.sh` with the image's own values in it.

use crate::contract::{HOME, IMAGE_SERVER_DATA, LAUNCHER, SERVER_DATA};
use crate::image_path::ImagePath;

pub(super) const TEMPLATE: &str = include_str!("entrypoint.sh");

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

/// What differs from image to image.
#[derive(Default)]
pub(super) struct Values<'a> {
    /// The base's own script that starts the server.
    pub(super) platform: Option<&'a ImagePath>,
    /// The server's command; begins with the launcher's name.
    pub(super) command: &'a [String],
    /// Where conda's environment lies.
    pub(super) prefix: Option<&'a ImagePath>,
    /// Scripts that are sourced first.
    pub(super) scripts: &'a [String],
}

/// The script.
pub(super) fn text(roots: &Roots, of_image: &Values<'_>) -> String {
    let words = |words: &mut dyn Iterator<Item = &String>| words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let path = |path: Option<&ImagePath>| quoted(&path.map(ImagePath::absolute).unwrap_or_default());
    let values = [
        ("@IMAGE_DATA@", quoted(&roots.image_data)),
        ("@VOLUME_DATA@", quoted(&roots.volume_data)),
        ("@UPDATE_VOLUME@", quoted(&roots.update_volume)),
        ("@HOME@", quoted(&roots.home)),
        ("@PLATFORM_ENTRYPOINT@", path(of_image.platform)),
        ("@CONDA_PREFIX@", path(of_image.prefix)),
        ("@ACTIVATION_COUNT@", of_image.scripts.len().to_string()),
        ("@ACTIVATION_SCRIPTS@", words(&mut of_image.scripts.iter())),
        ("@LAUNCHER@", LAUNCHER.to_owned()),
        ("@SERVER_ARGUMENTS@", words(&mut of_image.command.iter().skip(1))),
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
        let command = crate::contract::server_command("/codeeditor/default", &[]);
        let text = text(&Roots::default(), &Values { command: &command, ..Values::default() });
        assert!(!text.split('@').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase())), "{text}");
    }
}
