//! `[conda]` of a lock as text.

use toml_writer::{ToTomlKey as _, TomlKeyBuilder};

use super::{header, line, list, optional, text};
use crate::lock::{Conda, CondaPackage, CondaRequirement, Noarch, ReplacedPackage};

pub(super) fn write_conda(out: &mut String, conda: &Conda) {
    header(out, "[conda]");
    write_requirement(out, &conda.requirement);
    some(out, "activation-scripts", &conda.activation_scripts);
    some(out, "history", &conda.history);
    if let Some(python) = &conda.python {
        header(out, "[conda.python]");
        text(out, "version", &python.version);
        text(out, "site-packages", &python.site_packages);
    }
    if let Some(editor) = &conda.editor {
        header(out, "[conda.editor]");
        text(out, "version", &editor.version);
        text(out, "launcher", &editor.launcher.absolute());
        some(out, "builtin-extensions", &editor.builtin_extensions);
    }
    if !conda.variables.is_empty() {
        header(out, "[conda.variables]");
    }
    for (name, value) in &conda.variables {
        text(out, &TomlKeyBuilder::new(name).as_default().to_toml_key(), value);
    }
    let mut packages: Vec<_> = conda.packages.iter().collect();
    packages.sort_by_key(|package| &package.name);
    packages.into_iter().for_each(|package| write_package(out, package));
    let mut replaced: Vec<_> = conda.replaced.iter().collect();
    replaced.sort_by_key(|package| &package.name);
    replaced.into_iter().for_each(|package| write_replaced(out, package));
}

fn write_requirement(out: &mut String, requirement: &CondaRequirement) {
    list(out, "channels", requirement.channels.iter());
    some(out, "specs", &requirement.specs);
    optional(out, "pixi-lock", &requirement.pixi_lock);
    text(out, "prefix", &requirement.prefix.absolute());
    text(out, "existing", requirement.existing());
    optional(out, "cuda", &requirement.cuda);
}

fn write_package(out: &mut String, package: &CondaPackage) {
    header(out, "[[conda.package]]");
    text(out, "name", &package.name);
    text(out, "version", &package.version);
    text(out, "build", &package.build);
    text(out, "channel", &package.channel);
    text(out, "subdir", &package.subdir);
    text(out, "url", package.url.as_str());
    text(out, "sha256", &package.sha256.hex());
    if package.md5_only {
        line(out, "md5-only", true);
    }
    line(out, "size", package.size);
    if let Some(timestamp) = package.timestamp {
        line(out, "timestamp", timestamp);
    }
    if package.noarch == Noarch::Python {
        text(out, "noarch", "python");
    }
    if let Some(depends) = &package.depends {
        list(out, "depends", depends.iter());
    }
    if let Some(constrains) = &package.constrains {
        list(out, "constrains", constrains.iter());
    }
    line(out, "laid-size", package.laid_size);
    some(out, "clobbered", &package.clobbered);
    some(out, "link-scripts", &package.link_scripts);
}

fn write_replaced(out: &mut String, package: &ReplacedPackage) {
    header(out, "[[conda.replaced]]");
    text(out, "name", &package.name);
    text(out, "version", &package.version);
    text(out, "build", &package.build);
    list(out, "removes", package.removes.iter());
    some(out, "makes-way", &package.makes_way);
}

/// A list that is left out where it is empty.
fn some(out: &mut String, key: &str, items: &[String]) {
    if !items.is_empty() {
        list(out, key, items.iter());
    }
}
