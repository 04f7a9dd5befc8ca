//! No circles inside a room: its files, and the folders in it, import from each other in one direction. Read out of the paths that begin with
//! `super::` and `crate::`; what a `mod.rs` passes on counts as that of the file that has it. What stands in a `mod.rs` itself is shared by all
//! files of its room, and does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::structure::{is_test, rust_files, source, without_tests};

/// A path from the crate down: of a module, or of something in one.
type Names = Vec<String>;

/// The modules of a crate, each with its code.
struct Modules(BTreeMap<Names, String>);

impl Modules {
    /// All files below `src`, but for those that are tests as a whole.
    fn of_source() -> Self {
        let mut files = Vec::new();
        rust_files(&source(), &mut files);
        let files = files.iter().filter(|file| !is_test(file));
        let named = files.map(|file| (module(file.strip_prefix(source()).unwrap()), without_tests(&fs::read_to_string(file).unwrap())));
        Modules(named.collect())
    }

    /// The module that has what stands at a path.
    fn owner(&self, path: &[String]) -> Names {
        let mut module = Names::new();
        for (place, name) in path.iter().enumerate() {
            let below = [&module[..], std::slice::from_ref(name)].concat();
            if self.0.contains_key(&below) {
                module = below;
            } else if let Some(onward) = self.imported(&module, name) {
                return self.owner(&[&onward[..], &path[place + 1..]].concat());
            } else {
                break;
            }
        }
        module
    }

    /// Where `name` comes from, if a module has it by a `use` of one of its own files.
    fn imported(&self, module: &[String], name: &str) -> Option<Names> {
        let code = self.0.get(module)?;
        let statements = code.split("use ").skip(1).map(|rest| rest.split(';').next().unwrap_or_default());
        let paths = statements.flat_map(|tree| {
            let mut paths = Vec::new();
            expand(tree, Names::new(), &mut paths);
            paths
        });
        let onward = paths.map(|path| [module, &path].concat());
        onward.into_iter().find(|path| path.last().is_some_and(|last| last == name) && self.0.contains_key(&path[..=module.len()]))
    }

    /// Who imports from whom inside each room.
    fn imports(&self) -> BTreeSet<(Names, String, String)> {
        let mut imports = BTreeSet::new();
        for (module, code) in &self.0 {
            for path in paths(module, code) {
                let owner = self.owner(&path);
                let shared = module.iter().zip(&owner).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to), true) = (module.get(shared), owner.get(shared), shared > 0) {
                    imports.insert((module[..shared].to_vec(), from.clone(), to.clone()));
                }
            }
        }
        imports
    }

    /// Imports from what imports the importer, itself or through others: one line each.
    fn circles(&self) -> Vec<String> {
        let imports = self.imports();
        let reaches = |room: &Names, from: &String, to: &String| {
            let (mut left, mut seen) = (vec![from], BTreeSet::new());
            while let Some(file) = left.pop() {
                if file == to {
                    return true;
                }
                if seen.insert(file) {
                    left.extend(imports.iter().filter(|(of, importer, _)| of == room && importer == file).map(|(_, _, imported)| imported));
                }
            }
            false
        };
        let circular = imports.iter().filter(|(room, from, to)| reaches(room, to, from));
        circular.map(|(room, from, to)| format!("{}: `{from}` imports `{to}`, which needs it", room.join("::"))).collect()
    }
}

/// The module of a file below `src`.
fn module(file: &Path) -> Names {
    let mut names: Names = file.with_extension("").iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    names.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
    names
}

/// All paths that begin with `super::` or `crate::`, as paths from the crate down.
fn paths(module: &[String], code: &str) -> Vec<Names> {
    let above = &module[..module.len().saturating_sub(1)];
    let mut paths = Vec::new();
    for (word, base) in [("super::", above), ("crate::", &[])] {
        for (place, _) in code.match_indices(word) {
            if !code[..place].ends_with(|c: char| c == ':' || c == '_' || c.is_alphanumeric()) {
                expand(&code[place + word.len()..], base.to_vec(), &mut paths);
            }
        }
    }
    paths
}

/// The paths of a `use` tree that begins the text, each after `base`; gives what follows the tree.
fn expand<'a>(text: &'a str, mut base: Names, paths: &mut Vec<Names>) -> &'a str {
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                // A new name for it (`as`) is skipped.
                inner = expand(inner, base.clone(), paths);
                inner = inner.find([',', '}']).map_or("", |end| &inner[end..]);
                match inner.strip_prefix(',').map(str::trim_start) {
                    Some(next) if !next.starts_with('}') => inner = next,
                    Some(next) => return &next[1..],
                    None => return inner.get(1..).unwrap_or_default(),
                }
            }
        }
        let end = rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        match name {
            "super" => drop(base.pop()),
            "" | "self" => {}
            name => base.push(name.to_owned()),
        }
        match after.strip_prefix("::") {
            Some(more) if !name.is_empty() => rest = more,
            _ => {
                paths.push(base);
                return after;
            }
        }
    }
}

#[test]
fn files_of_a_room_import_in_one_direction() {
    let circles = Modules::of_source().circles();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_circle_is_seen_through_braces_and_what_a_room_passes_on() {
    let names = |path: &str| -> Names { path.split("::").map(str::to_owned).collect() };
    let crate_of = |modules: &[(&str, &str)]| Modules(modules.iter().map(|(path, code)| (names(path), (*code).to_owned())).collect());
    let door = ("room", "mod a;\nmod b;\nmod c;\npub use b::{Boat, Bus};\nuse c::Car;\npub struct Shared;");
    let rest = ("room::c", "use super::Shared;\nuse crate::other::X;");
    let straight = crate_of(&[door, rest, ("room::a", "use super::{Shared, c::{self, Y}, Bus};"), ("room::b", "use super::Car;"), ("other", "")]);
    let imports: Vec<String> = straight.imports().iter().map(|(room, from, to)| format!("{} {from} {to}", room.join("::"))).collect();
    assert_eq!(imports, ["room a b", "room a c", "room b c"]);
    assert!(straight.circles().is_empty());
    let round = crate_of(&[door, ("room::a", "use super::Bus;"), ("room::b", "fn f() { super::c::g() }"), ("room::c", "use crate::room::a;")]);
    assert_eq!(round.circles().len(), 3, "{:?}", round.circles());
    let folder = crate_of(&[
        ("room", "mod a; mod sub;"),
        ("room::a", "use super::sub::x::Y;"),
        ("room::sub", "mod x;"),
        ("room::sub::x", "use super::super::a;"),
    ]);
    assert_eq!(folder.circles().len(), 2, "{:?}", folder.circles());
}
