//! What an image's copy of the entrypoint script says: for those who judge the image without running it.

use super::script::TEMPLATE;
use crate::contract::LAUNCHER;
use crate::image_path::ImagePath;

/// The values in a script that [`super::Entrypoint`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The base's own script that it hands over to.
    pub platform: Option<ImagePath>,
    /// Where conda's environment lies.
    pub conda_prefix: Option<ImagePath>,
    /// The server's command; begins with the launcher's name.
    pub command: Vec<String>,
    /// Whether it sources scripts that activate conda's environment.
    pub activates: bool,
}

/// Reads the script; none where it is another one.
pub fn read(text: &str) -> Option<Read> {
    let head = TEMPLATE.lines().take(2);
    if !text.lines().take(2).eq(head) {
        return None;
    }
    let assigned = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(unquoted);
    let path = |name: &str| {
        let words = assigned(name)?;
        words.first().filter(|path| !path.is_empty()).and_then(|path| ImagePath::parse(path).ok())
    };
    let arguments = text.lines().find_map(|line| line.trim().strip_prefix("start_server ")).filter(|line| *line != "\"$@\"");
    let arguments = arguments.map(|line| unquoted(line.trim_end_matches("\"$@\"").trim_end())).unwrap_or_default();
    let command = std::iter::once(LAUNCHER.to_owned()).chain(arguments).collect();
    let activates = text.lines().any(|line| line.starts_with("activate ") && !line.starts_with("activate 0 "));
    Some(Read { activates, platform: path("platform_entrypoint"), conda_prefix: path("conda_prefix"), command })
}

/// The words of a line in which each is quoted as the script's are.
fn unquoted(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_inside, mut is_open) = (Vec::new(), String::new(), false, false);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\'' => {
                is_inside = !is_inside;
                is_open = true;
            }
            c if is_inside => word.push(c),
            '\\' => word.extend(characters.next()),
            ' ' if is_open => {
                words.push(std::mem::take(&mut word));
                is_open = false;
            }
            c => word.push(c),
        }
    }
    if is_open {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::server_command;
    use crate::entrypoint::Entrypoint;
    use crate::lock::Facts;

    fn written(description: &str, facts: &Facts) -> Read {
        let description = crate::description::parse("byoi.toml", &format!("schema = 1\nbase = \"scratch\"\n{description}")).unwrap();
        read(&Entrypoint::new(&description, facts).unwrap().script()).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let arguments = ["--locale=it's", "a b"].map(str::to_owned);
        let conda = "[conda]\nchannels = [\"c\"]\npackages = [\"x\"]\nprefix = \"/opt/env\"\n";
        let own = written(&format!("[editor]\narguments = [\"--locale=it's\", \"a b\"]\n{conda}"), &Facts::default());
        assert_eq!(own.command, server_command("/codeeditor/default", &arguments));
        assert_eq!((own.platform, own.conda_prefix), (None, Some(ImagePath::literal("/opt/env"))));
        let platform = ImagePath::literal("/usr/bin/entrypoint-code-editor");
        let own = written("", &Facts { entrypoint: Some(platform.clone()), ..Facts::default() });
        assert_eq!((own.platform, own.command.len(), own.activates), (Some(platform), 1, false));
        let description = crate::description::parse("byoi.toml", "schema = 1\nbase = \"scratch\"\n").unwrap();
        let sourcing = Entrypoint::new(&description, &Facts::default()).unwrap().sourcing(vec!["/opt/conda/x.sh".to_owned()]);
        assert!(read(&sourcing.script()).unwrap().activates);
    }

    #[test]
    fn another_script_is_not_read() {
        assert_eq!(read("#!/bin/sh\nexec sh\n"), None);
    }
}
