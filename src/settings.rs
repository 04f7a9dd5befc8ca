//! The editor's settings that the image brings: the description's, merged over the base's own. The entrypoint carries them into the volume.

use std::sync::Arc;

use jsonc_parser::ParseOptions;
use serde_json::{Map, Value};

use crate::contract::{GID, IMAGE_SERVER_DATA, UID};
use crate::description::Description;
use crate::error::{Error, Problem};
use crate::image_path::ImagePath;
use crate::json;
use crate::lock::Facts;
use crate::plan::{Component, Fixed};

/// The settings that win over the user's at every start.
pub const MACHINE_SETTINGS: &str = "/opt/amazon/sagemaker/sagemaker-code-editor-server-data/data/Machine/settings.json";
/// The settings that seed the user's.
pub const USER_SETTINGS: &str = "/opt/amazon/sagemaker/sagemaker-code-editor-server-data/data/User/settings.json";

/// The component of the settings, where the description has any.
///
/// # Errors
/// When a settings file of the base, with which they would be merged, is not one.
pub fn components(description: &Description, facts: &Facts) -> Result<Vec<Arc<dyn Component>>, Error> {
    let files = [(MACHINE_SETTINGS, &description.machine_settings), (USER_SETTINGS, &description.user_settings)];
    let files: Vec<_> = files.into_iter().filter(|(_, settings)| !settings.is_empty()).collect();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let mut component = Fixed::new("settings").directory(ImagePath::literal(IMAGE_SERVER_DATA), 0o755, (UID, GID));
    for (path, settings) in files {
        let path = ImagePath::literal(path);
        let text = merged(&path, settings, facts)?;
        component = component.text(path, text, 0o644, (UID, GID));
    }
    Ok(vec![Arc::new(component)])
}

/// The base's settings with the description's over them: whole values, as the editor layers its own settings files.
fn merged(path: &ImagePath, settings: &Map<String, Value>, facts: &Facts) -> Result<String, Error> {
    let mut all = match facts.texts.get(path) {
        Some(base) => read(&base.content).map_err(|why| unreadable(path, &why))?,
        None => Map::new(),
    };
    all.extend(settings.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(json::pretty(Value::Object(all)))
}

/// Settings as the editor reads them: JSON with comments and trailing commas.
fn read(text: &str) -> Result<Map<String, Value>, String> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_missing_commas: false,
        allow_loose_object_property_names: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    match jsonc_parser::parse_to_serde_value(text, &options) {
        Ok(Value::Object(settings)) => Ok(settings),
        // An empty file is no settings, to the editor too.
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err("it holds no object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn unreadable(path: &ImagePath, why: &str) -> Error {
    let message = format!("the base's {} cannot be merged with the description's settings: {why}", path.absolute());
    Error::input(
        Problem::new(message)
            .help("repair that file in the base, or take these settings out of the description: then the base's file stays as it is"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description;
    use crate::layer::Node;
    use crate::lock::Text;

    struct NoInputs;

    impl crate::inputs::Inputs for NoInputs {
        fn open(&self, _: &crate::digest::Digest) -> Result<std::fs::File, Error> {
            unreachable!("settings need none")
        }
    }

    fn facts(machine: &str) -> Facts {
        let text = Text { mode: 0o600, owner: (0, 0), content: machine.to_owned() };
        Facts { texts: [(ImagePath::literal(MACHINE_SETTINGS), text)].into(), ..Facts::default() }
    }

    fn laid(more: &str, facts: &Facts) -> Result<Vec<(String, String)>, String> {
        let description = description::parse("byoi.toml", &format!("schema = 1\nbase = \"debian:12\"\n{more}")).unwrap();
        let components = components(&description, facts).map_err(|error| error.to_string())?;
        let entries = components.iter().flat_map(|component| component.lay(&NoInputs).unwrap());
        let texts = entries.filter_map(|(path, entry)| {
            assert_eq!((entry.uid, entry.gid, entry.mtime), (1000, 100, crate::plan::MTIME));
            let Node::File(content) = &entry.node else { return None };
            assert_eq!(entry.mode, 0o644);
            Some((path.absolute(), std::io::read_to_string(content.open().unwrap()).unwrap()))
        });
        Ok(texts.collect())
    }

    const MACHINE: &str = "[settings.machine]\n\"b.x\" = { z = 1, a = [2.5, true] }\n\"a.y\" = \"new\"\n";

    #[test]
    fn the_places_are_below_the_images_server_data() {
        for path in [MACHINE_SETTINGS, USER_SETTINGS] {
            assert!(ImagePath::literal(path).starts_with(&ImagePath::literal(IMAGE_SERVER_DATA)));
        }
    }

    #[test]
    fn without_settings_there_is_no_component() {
        assert_eq!(laid("", &facts("{}")), Ok(Vec::new()));
    }

    #[test]
    fn the_descriptions_settings_win_over_the_bases_which_may_have_comments() {
        let base = "// written by hand\n{\n  \"c.z\": null, /* \"d\": 1 */\n  \"a.y\": \"// old\",\n}\n";
        let expected = "{\n  \"a.y\": \"new\",\n  \"b.x\": {\n    \"a\": [\n      2.5,\n      true\n    ],\n    \"z\": 1\n  },\n  \"c.z\": null\n}\n";
        assert_eq!(laid(MACHINE, &facts(base)), Ok(vec![(MACHINE_SETTINGS.to_owned(), expected.to_owned())]));
        assert_eq!(laid(MACHINE, &facts("")).unwrap()[0].1, expected.replace(",\n  \"c.z\": null", ""));
    }

    #[test]
    fn each_file_is_laid_only_where_there_is_something_to_say() {
        let laid = laid("[settings.user]\n\"x.y\" = 1\n", &facts("not JSON")).unwrap();
        assert_eq!(laid, [(USER_SETTINGS.to_owned(), "{\n  \"x.y\": 1\n}\n".to_owned())]);
    }

    #[test]
    fn a_broken_file_of_the_base_is_an_error_that_names_it() {
        for base in ["{", "[1]", "{'a': 1}", "{\"a\": 1} {}"] {
            let error = laid(MACHINE, &facts(base)).unwrap_err();
            assert!(error.contains(MACHINE_SETTINGS), "{base}: {error}");
        }
    }
}
