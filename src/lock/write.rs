//! A lock as text: sorted, one input an entry, one directory a line, so that a review reads it and git merges it.

mod conda;

use std::fmt::{Display, Write as _};

use toml_writer::{ToTomlKey as _, ToTomlValue as _, TomlKeyBuilder, TomlStringBuilder};

use super::model::{Base, Directories, Extension, Facts, File, Lock, VERSION};

const HEADER: &str = "\
# Made by `byoi lock` from the description beside it; `byoi lock` brings it up to date, so do not edit it.
# It belongs in git: the image is a pure function of it and of the local files that the description names.
";

impl Lock {
    /// The lock's text. [`super::parse`] reads it back to the same value.
    pub fn to_toml(&self) -> String {
        let mut out = String::from(HEADER);
        line(&mut out, "version", VERSION);
        line(&mut out, "format", super::model::FORMAT);
        write_base(&mut out, &self.base);
        if let Some(conda) = &self.conda {
            conda::write_conda(&mut out, conda);
        }
        let mut extensions: Vec<_> = self.extensions.iter().collect();
        extensions.sort_by_key(|extension| &extension.id);
        for extension in extensions {
            write_extension(&mut out, extension);
        }
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|file| &file.requirement);
        for file in files {
            write_file(&mut out, file);
        }
        out
    }
}

fn write_base(out: &mut String, base: &Base) {
    header(out, "[base]");
    text(out, "requirement", &base.requirement);
    optional(out, "digest", &base.digest);
    optional(out, "index", &base.index);
    line(out, "timestamp", base.timestamp);
    write_facts(out, &base.facts);
    write_directories(out, &base.directories);
}

fn write_facts(out: &mut String, facts: &Facts) {
    header(out, "[base.facts]");
    optional(out, "editor", &facts.editor);
    optional(out, "launcher", &facts.launcher.as_ref().map(|path| path.absolute()));
    optional(out, "entrypoint", &facts.entrypoint.as_ref().map(|path| path.absolute()));
    optional(out, "glibc", &facts.glibc);
    line(out, "shell", facts.shell);
    line(out, "sudo", facts.sudo);
    if !facts.builtin_extensions.is_empty() {
        list(out, "builtin-extensions", facts.builtin_extensions.iter().map(String::as_str));
    }
    for (directory, extension) in &facts.extensions {
        header(out, "[[base.extension]]");
        text(out, "directory", directory);
        text(out, "id", &extension.id);
        text(out, "version", &extension.version);
    }
    for (path, found) in &facts.texts {
        header(out, "[[base.text]]");
        text(out, "path", &path.absolute());
        text(out, "mode", &format!("{:04o}", found.mode));
        text(out, "owner", &format!("{}:{}", found.owner.0, found.owner.1));
        line(out, "content", TomlStringBuilder::new(&found.content).as_ml_basic().to_toml_value());
    }
}

fn write_directories(out: &mut String, directories: &Directories) {
    header(out, "[base.directories]");
    let rules = directories.rules.iter().map(|(path, rule)| format!("{} {:04o} {}:{}", path.absolute(), rule.mode, rule.uid, rule.gid));
    list(out, "rules", rules);
    if !directories.links.is_empty() {
        header(out, "[base.directories.links]");
    }
    for (path, target) in &directories.links {
        let key = TomlKeyBuilder::new(&path.absolute()).as_basic().to_toml_key();
        text(out, &key, target);
    }
}

fn write_extension(out: &mut String, extension: &Extension) {
    header(out, "[[extension]]");
    text(out, "requirement", &extension.requirement);
    text(out, "id", &extension.id);
    text(out, "version", &extension.version);
    text(out, "url", extension.url.as_str());
    text(out, "sha256", &extension.sha256.hex());
    line(out, "size", extension.size);
    text(out, "engine", &extension.engine);
    optional(out, "platform", &extension.platform);
    line(out, "timestamp", extension.timestamp);
}

fn write_file(out: &mut String, file: &File) {
    header(out, "[[file]]");
    text(out, "requirement", file.requirement.as_str());
    text(out, "sha256", &file.sha256.hex());
    line(out, "size", file.size);
}

fn header(out: &mut String, header: &str) {
    out.push('\n');
    out.push_str(header);
    out.push('\n');
}

fn line(out: &mut String, key: &str, value: impl Display) {
    writeln!(out, "{key} = {value}").expect("a String takes all");
}

fn text(out: &mut String, key: &str, value: &str) {
    line(out, key, TomlStringBuilder::new(value).as_basic().to_toml_value());
}

fn optional(out: &mut String, key: &str, value: &Option<impl Display>) {
    if let Some(value) = value {
        text(out, key, &value.to_string());
    }
}

fn list<T: AsRef<str>>(out: &mut String, key: &str, items: impl Iterator<Item = T>) {
    writeln!(out, "{key} = [").expect("a String takes all");
    for item in items {
        writeln!(out, "  {},", TomlStringBuilder::new(item.as_ref()).as_basic().to_toml_value()).expect("a String takes all");
    }
    out.push_str("]\n");
}
