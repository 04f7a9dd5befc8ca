//! Packages as they are laid and recorded, made for the purpose.

mod bytecode;
mod environments;
mod hostile;
mod laying;
mod records;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

use super::testing::Specimen;
use super::{Environment, LayerSpool, PackageComponent, RecordComponent};
use crate::digest::Digest;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::inputs::Inputs;
use crate::layer::{Entry, Node};
use crate::lock::{CondaPackage, Python};
use crate::plan::{Component, Laid};

const OWNER: (u32, u32) = (1000, 100);

fn prefix() -> ImagePath {
    ImagePath::literal("opt/conda")
}

fn python() -> Python {
    Python { version: "3.12.11".to_owned(), site_packages: "lib/python3.12/site-packages".to_owned() }
}

/// Archives by their digest.
#[derive(Default)]
struct Archives(BTreeMap<Digest, Vec<u8>>);

impl Inputs for Archives {
    fn open(&self, digest: &Digest) -> Result<File, Error> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.0[digest]).unwrap();
        Ok(file)
    }
}

fn archives(bytes: &[u8]) -> Archives {
    Archives(BTreeMap::from([(Digest::of(bytes), bytes.to_vec())]))
}

fn environment() -> Environment {
    Environment { prefix: prefix(), owner: OWNER, python: Some(python()), compiler: None }
}

fn component(locked: &CondaPackage) -> PackageComponent {
    PackageComponent::new(locked, &environment(), &LayerSpool::new())
}

/// What a package's archive comes to.
fn lay(locked: &CondaPackage, bytes: &[u8]) -> Result<Vec<Laid>, String> {
    component(locked).lay(&archives(bytes)).map_err(|error| whole(&error))
}

/// Both forms of a package, laid: they come to the same.
fn laid(specimen: &Specimen) -> Result<Vec<Laid>, String> {
    let of = |bytes: Vec<u8>, extension: &str| lay(&specimen.locked(&bytes, extension, Some(&python())), &bytes);
    let (conda, tar) = (of(specimen.to_conda(), "conda"), of(specimen.to_tar_bz2(), "tar.bz2"));
    let lines = |laid: &Result<Vec<Laid>, String>| laid.as_ref().map(|laid| lines(laid)).map_err(Clone::clone);
    assert_eq!(lines(&conda), lines(&tar));
    conda
}

/// The record of a package, laid after it, as JSON.
fn record(locked: &CondaPackage, bytes: &[u8]) -> String {
    let (package, archives) = (component(locked), archives(bytes));
    let record = RecordComponent::new(&package);
    let alone = text(&record.lay(&archives).unwrap()[0].1);
    package.lay(&archives).unwrap();
    assert_eq!(alone, text(&record.lay(&archives).unwrap()[0].1), "a record is the same whether or not the package was laid before");
    alone
}

fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error.fault());
    while let Some(why) = cause {
        text = format!("{text}: {why}");
        cause = why.source();
    }
    text
}

fn text(entry: &Entry) -> String {
    String::from_utf8_lossy(&bytes(entry)).into_owned()
}

fn bytes(entry: &Entry) -> Vec<u8> {
    let Node::File(content) = &entry.node else { panic!("{entry:?} is no file") };
    let mut bytes = Vec::new();
    content.open().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, content.size());
    bytes
}

/// One line an entry: path below the prefix, mode, owner, time, and what it is.
fn lines(laid: &[Laid]) -> Vec<String> {
    let line = |(path, entry): &Laid| {
        let path = path.strip_prefix(&prefix()).unwrap();
        let what = match &entry.node {
            Node::Directory => "directory".to_owned(),
            Node::File(_) => text(entry),
            Node::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
            Node::HardLink(to) => return format!("{path} = {to}"),
            Node::Whiteout => panic!("a package takes nothing away"),
        };
        assert_eq!((entry.uid, entry.gid), OWNER);
        format!("{path} {:o} {} {what}", entry.mode, entry.mtime)
    };
    laid.iter().map(line).collect()
}

/// What is shared by a layer's components.
fn shared(components: &[Arc<dyn Component>], archives: &Archives) -> Vec<Vec<Laid>> {
    components.iter().map(|component| component.lay(archives).unwrap()).collect()
}
