//! What is wrong between a directory of extensions and its list, and what the editor makes of it.
//!
//! Source: measured with the editor's server 1.90.2, 1.100.3 and 1.117.0; `extensionsWatcher.ts`, `extensionManagementService.ts`.

use std::collections::{BTreeMap, BTreeSet};

use super::Directory;
use super::list::{List, Listed, NAME, OBSOLETE, Place};
use crate::image_path::ImagePath;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub kind: Kind,
    /// Where.
    pub path: ImagePath,
    /// What stands there, and what comes of it.
    pub what: String,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The list is none.
    Invalid,
    /// The list leads to what is not there.
    Absent,
    /// A directory is not listed.
    Unlisted,
    /// List and manifest differ.
    Different,
    /// A directory is marked to be deleted.
    Obsolete,
    /// Two directories have one extension.
    Twice,
}

impl Directory {
    /// All that is wrong with its list. A directory without one has none of these faults but two of an extension.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = self.list_faults();
        faults.extend(self.obsolete_faults());
        faults.extend(self.doubles());
        faults
    }

    fn list_faults(&self) -> Vec<Fault> {
        let at_list = |kind, what: String| Fault { kind, path: self.at(NAME), what };
        let entries = match &self.list {
            None => return Vec::new(),
            Some(List::Invalid(why)) => return vec![at_list(Kind::Invalid, format!("the editor refuses the whole list: {why}"))],
            Some(List::Entries(entries)) => entries,
        };
        let mut faults = Vec::new();
        for entry in entries {
            let Listed { id, version, place } = entry;
            let leads = match place {
                None => Err("nowhere: its location is a text".to_owned()),
                Some(Place::At(path)) => self.folders.values().find(|folder| folder.path == *path).ok_or_else(|| format!("to {}", path.absolute())),
                Some(Place::Beside(name)) => self.folders.get(name).ok_or_else(|| format!("to {}", self.at(name).absolute())),
            };
            match leads.map(|folder| folder.known()) {
                Err(where_to) => faults.push(at_list(Kind::Absent, format!("the entry of {id} {version} leads {where_to}, where no extension is"))),
                Ok(Some(manifest)) if manifest.id != id.to_lowercase() || manifest.version != *version => {
                    let what = format!("the list says {id} {version}, and the directory holds {} {}", manifest.id, manifest.version);
                    faults.push(at_list(Kind::Different, what));
                }
                Ok(_) => {}
            }
        }
        let listed = self.listed();
        for (name, folder) in self.folders.iter().filter(|(name, _)| !listed.contains(name.as_str()) && !self.obsolete.contains(name)) {
            let fate = match folder.known().is_some_and(|manifest| manifest.is_installed) {
                true => "the editor does not show it, and deletes it at its second start",
                false => "the editor does not show it, and marks it as obsolete",
            };
            let path = self.at(name);
            faults.push(Fault { kind: Kind::Unlisted, what: format!("{NAME} does not list the directory: {fate}"), path });
        }
        faults
    }

    /// The names of directories that the list leads to.
    fn listed(&self) -> BTreeSet<&str> {
        let entries = self.list.iter().flat_map(List::entries);
        let name = |entry: &Listed| match &entry.place {
            Some(Place::Beside(name)) => Some(name.clone()),
            Some(Place::At(path)) => self.folders.iter().find(|(_, folder)| folder.path == *path).map(|(name, _)| name.clone()),
            None => None,
        };
        let names: BTreeSet<String> = entries.filter_map(name).collect();
        self.folders.keys().filter(|name| names.contains(*name)).map(String::as_str).collect()
    }

    fn obsolete_faults(&self) -> impl Iterator<Item = Fault> {
        let there = self.obsolete.iter().filter(|name| self.folders.contains_key(*name));
        there.map(|name| {
            let what = format!("{name} is there and marked as obsolete: depending on its version the editor hides it, or deletes it at its start");
            Fault { kind: Kind::Obsolete, path: self.at(OBSOLETE), what }
        })
    }

    /// Extensions of which several directories count: all that are listed, or where there is no list all.
    fn doubles(&self) -> Vec<Fault> {
        let listed = self.listed();
        let counts = |name: &str| self.list.is_none() || listed.contains(name);
        let mut by_id: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, folder) in self.folders.iter().filter(|(name, _)| counts(name)) {
            if let Some(manifest) = folder.known() {
                by_id.entry(&manifest.id).or_default().push(name);
            }
        }
        let doubles = by_id.into_iter().filter(|(_, names)| names.len() > 1);
        let fault = |(id, names): (&str, Vec<&str>)| Fault {
            kind: Kind::Twice,
            path: self.path.clone(),
            what: format!("{id} is there {} times, and the editor loads one of them: {}", names.len(), names.join(", ")),
        };
        doubles.map(fault).collect()
    }
}
