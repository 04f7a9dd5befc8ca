//! 100–108: conda environments: whole, where they stay, and found by those who use them.

use std::collections::BTreeMap;

use crate::base::Program;
use crate::base::index::{Entry, Node};
use crate::contract::HOME;
use crate::entrypoint;
use crate::image_path::ImagePath;
use crate::verify::environment::{Environment, Package};
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, Lookup, is_hidden};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI100",
        name: "conda-records",
        title: "Every record of a conda environment can be read",
        level: Level::Should,
        why: "`conda list` and every installation in the running space fail",
        dockerfile: "make the environment anew; files of conda-meta are written by installers alone",
        description: "of a base: take another one; what `[conda]` lays can be read",
        source: "conda, PrefixData; rattler, PrefixRecord",
        check: Check::Upper(records),
    },
    Rule {
        id: "BYOI101",
        name: "conda-files",
        title: "The files that packages of a conda environment list are there",
        level: Level::Should,
        why: "What needs them fails, and an update of the package may; `conda doctor` says the same. Bytecode is not counted",
        dockerfile: "do not delete files of packages by hand; leave packages out instead. Or the environment was copied in parts",
        description: "of a base: take another one; `[conda]` lays whole packages",
        source: "conda, conda-meta (paths_data); conda doctor, missing files",
        check: Check::Files(missing_files),
    },
    Rule {
        id: "BYOI102",
        name: "conda-interpreters",
        title: "The interpreters that scripts of a conda environment name are there",
        level: Level::Should,
        why: "The command fails with `bad interpreter` or, more puzzling, `No such file or directory`. The usual case is an environment that was moved: its \
              prefix stands in its scripts",
        dockerfile: "install at the prefix where the environment is to lie; `COPY --from` it to the same path only",
        description: "`prefix` is where it lies: byoi writes that into every script",
        source: "Linux, execve(2); conda, prefix replacement",
        check: Check::Files(interpreters),
    },
    Rule {
        id: "BYOI103",
        name: "conda-hidden",
        title: "No conda environment lies below /home/sagemaker-user",
        level: Level::Must,
        why: "The environment is there with `docker run`, and gone in Studio: the space's volume is mounted over it",
        dockerfile: "make it elsewhere: `micromamba create --prefix /opt/NAME`",
        description: "cannot be broken: such a `prefix` is refused",
        source: "AWS documentation, Custom image specifications (WorkingDirectory: the volume's mount point)",
        check: Check::Upper(hidden),
    },
    Rule {
        id: "BYOI104",
        name: "conda-activation",
        title: "The programs of a conda environment are on the PATH, or the start script activates it",
        level: Level::Should,
        why: "In terminals, and in the editor, `python` is another one or none at all",
        dockerfile: "`ENV PATH=/opt/conda/bin:$PATH`, or keep an entrypoint that activates the environment",
        description: "cannot be broken by `[conda]`, which extends PATH; for an environment of the base extend it in `[env]`",
        source: "conda, activation; mambaorg/micromamba, _entrypoint.sh",
        check: Check::Files(activation),
    },
    Rule {
        id: "BYOI105",
        name: "conda-python",
        title: "Modules of a conda environment lie where its Python looks for them",
        level: Level::Should,
        why: "`import` fails, though `conda list` shows the package: another minor version of Python came in after it",
        dockerfile: "let conda or micromamba change Python, which links the modules anew; do not lay one environment over another",
        description: "with `existing = \"update\"` byoi lays the base's modules again where the new Python looks",
        source: "conda, noarch: python packages; rattler, Transaction (python relink)",
        check: Check::Files(python),
    },
    Rule {
        id: "BYOI106",
        name: "conda-history",
        title: "A conda environment has a history",
        level: Level::Should,
        why: "conda takes the directory for no environment: `conda install --prefix` fails with DirectoryNotACondaEnvironmentError",
        dockerfile: "keep `conda-meta/history` when files are cleaned up",
        description: "cannot be broken by `[conda]`, which writes it",
        source: "conda, PrefixData.is_environment",
        check: Check::Files(history),
    },
    Rule {
        id: "BYOI107",
        name: "conda-cache",
        title: "No archives of packages lie in a conda environment",
        level: Level::Should,
        why: "The image is larger for nothing, and each space starts later",
        dockerfile: "`micromamba clean --all --yes` in the RUN that installs",
        description: "of a base: take another one; byoi keeps archives outside of the image",
        source: "conda, package cache",
        check: Check::Upper(cache),
    },
    Rule {
        id: "BYOI108",
        name: "conda-package-twice",
        title: "No package of a conda environment is recorded twice",
        level: Level::Should,
        why: "conda knows one of the records only, and nothing says that it is the one whose files are there: one environment was laid over another, and files of \
              both are mixed",
        dockerfile: "do not copy one environment over another",
        description: "of a base: take another one; byoi takes away the record of what it replaces",
        source: "conda, PrefixData: a record for each name",
        check: Check::Upper(twice),
    },
];

/// Environments that are there in the running space.
fn lasting(files: &Files) -> impl Iterator<Item = &Environment> {
    files.environments.iter().filter(|environment| !environment.is_hidden())
}

fn records(_: &Evidence, files: &Files) -> Vec<Found> {
    let unreadable = lasting(files).flat_map(|environment| &environment.unreadable);
    unreadable.map(|(path, why)| Found::at_path(path, format!("the record cannot be read: {why}"))).collect()
}

fn missing_files(_: &Evidence, files: &Files) -> Vec<Found> {
    let incomplete = |environment: &Environment| {
        let packages: Vec<&Package> = environment.packages.iter().map(|(_, package)| package).filter(|package| !package.missing.is_empty()).collect();
        let count: usize = packages.iter().map(|package| package.missing.len()).sum();
        let worst = packages.iter().max_by_key(|package| package.missing.len())?;
        let Package { name, version, paths, missing, .. } = worst;
        let example = missing.first().map(String::as_str).unwrap_or_default();
        let of_worst = format!("{name} {version} lacks {} of its {paths}, such as {example}", missing.len());
        let what = format!("{count} files of {} packages are not there: {of_worst}", packages.len());
        Some(Found::at_path(&environment.prefix, what))
    };
    lasting(files).filter_map(incomplete).collect()
}

fn interpreters(_: &Evidence, files: &Files) -> Vec<Found> {
    lasting(files).flat_map(|environment| lost_interpreters(environment, files)).collect()
}

/// For each interpreter that is not there, what begins with it.
fn lost_interpreters(environment: &Environment, files: &Files) -> Vec<Found> {
    let programs = environment.programs();
    let mut lost: BTreeMap<String, Vec<&ImagePath>> = BTreeMap::new();
    for (path, entry) in files.index.below(&programs).filter(|(path, _)| path.parent().as_ref() == Some(&programs)) {
        let Some(interpreter) = interpreter(entry) else { continue };
        let is_there = ImagePath::parse(&interpreter).is_ok_and(|place| !is_hidden(&place) && files.index.find(&place).is_some());
        if interpreter.starts_with('/') && !is_there {
            lost.entry(interpreter).or_default().push(path);
        }
    }
    let found = |(interpreter, scripts): (String, Vec<&ImagePath>)| {
        let more = if scripts.len() > 1 { format!(", and {} more scripts there do", scripts.len() - 1) } else { String::new() };
        let where_it_is = if interpreter.starts_with(HOME) { "the volume hides it" } else { "it is not there" };
        Found::at_path(scripts[0], format!("it begins with `#!{interpreter}`{more}; {where_it_is}"))
    };
    lost.into_iter().map(found).collect()
}

fn interpreter(entry: &Entry) -> Option<String> {
    let Node::File(file) = &entry.node else { return None };
    let Some(Program::Script(line)) = &file.program else { return None };
    let word = line.split(|byte| byte.is_ascii_whitespace()).next()?;
    std::str::from_utf8(word).ok().map(str::to_owned)
}

fn hidden(_: &Evidence, files: &Files) -> Vec<Found> {
    let hidden = files.environments.iter().filter(|environment| environment.is_hidden());
    hidden.map(|environment| Found::at_path(&environment.prefix, "the environment lies where the volume hides it")).collect()
}

fn activation(evidence: &Evidence, files: &Files) -> Vec<Found> {
    let starts = files.start.hops.iter().flat_map(|hop| &hop.path).chain(files.start.server().into_iter().flat_map(|server| &server.path));
    let paths = evidence.config.path();
    let on_path: Vec<ImagePath> =
        paths.iter().chain(starts).filter_map(|path| ImagePath::parse(path).ok()).filter_map(|path| files.index.resolve(&path)).collect();
    let is_found = |environment: &&Environment| on_path.contains(&environment.programs()) || files.index.get(&environment.programs()).is_none();
    if activates(files) {
        return Vec::new();
    }
    let lost = lasting(files).filter(|environment| !environment.is_named()).filter(|environment| !is_found(environment));
    let found = |environment: &Environment| {
        let programs = environment.programs().absolute();
        Found::at_path(
            &environment.prefix,
            format!("{programs} is not on the PATH, and no script on the way to the server activates the environment"),
        )
    };
    lost.map(found).collect()
}

/// Whether a script on the way to the server activates an environment.
fn activates(files: &Files) -> bool {
    let scripts = files.start.hops.iter().filter_map(|hop| match &hop.lookup {
        Lookup::Found(found) => files.index.content(&found.real),
        _ => None,
    });
    let says_so = |text: &str| text.lines().any(|line| line.contains("activate") && !line.trim_start().starts_with('#'));
    let mut texts = scripts.map(String::from_utf8_lossy);
    texts.any(|text| entrypoint::read(&text).map_or_else(|| says_so(&text), |own| own.activates))
}

fn python(_: &Evidence, files: &Files) -> Vec<Found> {
    lasting(files).filter_map(lost_modules).collect()
}

fn lost_modules(environment: &Environment) -> Option<Found> {
    let python = environment.package("python");
    let own = python.map(|python| {
        let minor = python.version.split('.').take(2).collect::<Vec<_>>().join(".");
        python.site_packages.clone().unwrap_or_else(|| format!("lib/python{minor}/site-packages"))
    });
    let has_others = |package: &&Package| package.name != "python" && package.site_packages.is_some() && package.site_packages != own;
    let lost: Vec<&Package> = environment.packages.iter().map(|(_, package)| package).filter(has_others).collect();
    let Package { name, version, site_packages, .. } = lost.first()?;
    let place = site_packages.as_deref().unwrap_or_default();
    let looks = match (python, own) {
        (Some(python), Some(own)) => format!("Python {} looks in {own}", python.version),
        _ => "the environment has no Python".to_owned(),
    };
    let count = match lost.len() {
        1 => format!("the modules of {name} {version} lie in {place}"),
        count => format!("the modules of {count} packages lie elsewhere, such as {name} {version} in {place}"),
    };
    Some(Found::at_path(&environment.prefix, format!("{count}, and {looks}")))
}

fn history(_: &Evidence, files: &Files) -> Vec<Found> {
    let without = lasting(files).filter(|environment| !environment.has_history);
    without.map(|environment| Found::at_path(&environment.prefix, "there are records of packages, and no conda-meta/history")).collect()
}

fn cache(_: &Evidence, files: &Files) -> Vec<Found> {
    let full = lasting(files).filter(|environment| environment.archives.0 > 0);
    let found = |environment: &Environment| {
        let (count, size) = environment.archives;
        Found::at_path(&environment.prefix, format!("{count} archives of packages lie in pkgs, {} MB", size.div_ceil(1_000_000)))
    };
    full.map(found).collect()
}

fn twice(_: &Evidence, files: &Files) -> Vec<Found> {
    let doubles = lasting(files).flat_map(Environment::doubles);
    let found = |(name, paths): (&str, Vec<&ImagePath>)| {
        let records: Vec<_> = paths.iter().map(|path| String::from_utf8_lossy(path.name()).into_owned()).collect();
        Found::at_path(paths[0], format!("{name} has {} records: {}", paths.len(), records.join(", ")))
    };
    doubles.map(found).collect()
}
