//! The entrypoint: a script that, at every start, brings the space's volume up to date with the image and then becomes the editor's server;
//! and what of it the image's config says.
//!
//! The script is POSIX sh (`entrypoint.sh`); the volume's part is for the server's own node (`volume.js`). Both are pure functions of the
//! base's facts, the description's `[editor]` table, and the scripts of the conda environment.

mod read;
mod script;

use std::sync::Arc;

use crate::contract::{BASE_PATH, ENTRYPOINT, server_command};
use crate::description::Description;
use crate::error::{Error, Problem};
use crate::image_path::ImagePath;
use crate::lock::Facts;
use crate::plan::{Component, Fixed};

pub use read::{Read, read};
pub use script::Roots;

/// The program that brings the volume up to date, as the image has it.
const UPDATE_VOLUME: &str = "/usr/local/lib/byoi/volume.js";
/// Its text.
const UPDATE_VOLUME_TEXT: &str = include_str!("volume.js");
/// The platform's name for such a script, in the directory of ours.
const LINK: &str = "/usr/local/bin/entrypoint-code-editor";

/// The entrypoint of an image.
#[derive(Debug, Clone)]
pub struct Entrypoint {
    /// The base's own `entrypoint-code-editor`, which ours ends by starting.
    platform: Option<ImagePath>,
    /// The server's command line; empty where the base's own script knows it.
    command: Vec<String>,
    /// Where conda's environment lies: its editor is found there even where PATH does not lead to it.
    prefix: Option<ImagePath>,
    /// Scripts of the conda environment that are sourced at every start.
    scripts: Vec<String>,
}

impl Entrypoint {
    /// The entrypoint for this description on a base with these facts.
    ///
    /// # Errors
    /// When there is an `[editor]` table though the base's own script starts the server.
    pub fn new(description: &Description, facts: &Facts) -> Result<Self, Error> {
        let editor = description.editor.as_ref();
        let prefix = description.conda.as_ref().map(|conda| conda.prefix.clone());
        let Some(platform) = &facts.entrypoint else {
            let (base_path, arguments) = editor.map_or((BASE_PATH, &[][..]), |editor| (&editor.value.base_path, &editor.value.arguments));
            return Ok(Entrypoint { platform: None, command: server_command(base_path, arguments), prefix, scripts: Vec::new() });
        };
        if let Some(editor) = editor {
            let message = format!("the base's own {} starts the editor and decides its arguments", platform.absolute());
            let problem = Problem::new(message).at(&description.source, editor.span.clone()).label("has no effect");
            return Err(Error::input(problem.help("take the table out")));
        }
        Ok(Entrypoint { platform: Some(platform.clone()), command: Vec::new(), prefix, scripts: Vec::new() })
    }

    /// With scripts, as absolute paths, that are sourced at every start.
    pub fn sourcing(self, scripts: Vec<String>) -> Self {
        Entrypoint { scripts, ..self }
    }

    /// `Entrypoint` of the image's config.
    pub fn entrypoint(&self) -> Vec<String> {
        vec![ENTRYPOINT.to_owned()]
    }

    /// `Cmd` of the image's config: the server's whole command line, so that it can be read and checked without running the image.
    pub fn cmd(&self) -> Vec<String> {
        self.command.clone()
    }

    /// The text of the script.
    pub fn script(&self) -> String {
        self.script_in(&Roots::default())
    }

    /// The text of the script for other places than those of the contract: for tests that run it outside an image.
    pub fn script_in(&self, roots: &Roots) -> String {
        let values =
            script::Values { platform: self.platform.as_ref(), command: &self.command, prefix: self.prefix.as_ref(), scripts: &self.scripts };
        script::text(roots, &values)
    }

    /// The text of the program that brings the volume up to date.
    pub fn update_volume(&self) -> &'static str {
        UPDATE_VOLUME_TEXT
    }

    /// The component that lays the script, its helper, and, where that name is not the base's own script, a link from the platform's name for
    /// such a script.
    pub fn component(&self) -> Arc<dyn Component> {
        let component = Fixed::new("entrypoint").text(ImagePath::literal(ENTRYPOINT), self.script(), 0o755, (0, 0));
        let component = component.text(ImagePath::literal(UPDATE_VOLUME), UPDATE_VOLUME_TEXT, 0o644, (0, 0));
        Arc::new(match self.platform {
            Some(_) => component,
            None => component.link(ImagePath::literal(LINK), ENTRYPOINT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description;

    fn described(text: &str) -> Description {
        description::parse("byoi.toml", text).unwrap()
    }

    fn with_own_script() -> Facts {
        Facts { entrypoint: Some(ImagePath::literal("/opt/bin/entrypoint-code-editor")), ..Facts::default() }
    }

    #[test]
    fn the_server_command_is_cmd_and_in_the_script() {
        let description = described("schema = 1\nbase = \"scratch\"\n[editor]\narguments = [\"--locale=it's\"]\n");
        let entrypoint = Entrypoint::new(&description, &Facts::default()).unwrap();
        assert_eq!(entrypoint.entrypoint(), ["/usr/local/bin/byoi-entrypoint"]);
        assert_eq!(entrypoint.cmd(), server_command(BASE_PATH, &["--locale=it's".to_owned()]));
        assert!(entrypoint.script().contains(r"'--base-path' '/codeeditor/default'"));
        assert!(entrypoint.script().contains(r"'--locale=it'\''s'"));
    }

    #[test]
    fn a_base_with_its_own_script_keeps_its_name_and_arguments() {
        let entrypoint = Entrypoint::new(&described("schema = 1\nbase = \"scratch\"\n"), &with_own_script()).unwrap();
        assert!(entrypoint.cmd().is_empty());
        assert!(entrypoint.script().contains("platform_entrypoint='/opt/bin/entrypoint-code-editor'"));
        assert!(!entrypoint.component().claims().contains(&ImagePath::literal(LINK)));
    }

    #[test]
    fn an_editor_table_on_such_a_base_is_an_error_at_its_place() {
        let description = described("schema = 1\nbase = \"scratch\"\n[editor]\narguments = [\"--disable-telemetry\"]\n");
        let error = Entrypoint::new(&description, &with_own_script()).unwrap_err();
        let problem = &error.fault().problems()[0];
        assert!(problem.message.contains("/opt/bin/entrypoint-code-editor starts the editor"), "{}", problem.message);
        assert!(problem.place.is_some());
    }

    #[test]
    fn the_platforms_name_leads_to_our_script() {
        assert_eq!(LINK.rsplit('/').next().unwrap(), crate::contract::PLATFORM_ENTRYPOINT);
        let entrypoint = Entrypoint::new(&described("schema = 1\nbase = \"scratch\"\n"), &Facts::default()).unwrap();
        let claims: Vec<_> = entrypoint.component().claims().iter().map(ImagePath::absolute).collect();
        assert_eq!(claims, [ENTRYPOINT, UPDATE_VOLUME, LINK]);
    }
}
