//! 001–009: the platform: what the config says, and what the programs are really made for.

use crate::base::Program;
use crate::base::index::Node;
use crate::contract::{ARCHITECTURE, OS};
use crate::image_path::ImagePath;
use crate::verify::rule::{Check, Level, Rule};
use crate::verify::{Evidence, Files, Found, Lookup};

/// `e_machine` of x86-64. Source: System V ABI, "Machine".
const X86_64: u16 = 62;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "BYOI001",
        name: "platform",
        title: "The image is for linux/amd64",
        level: Level::Must,
        why: "The app never starts: Studio says only `InternalFailure`, and the log, if there is one, `exec format error`. Images built on a Mac with an ARM processor are the usual case",
        dockerfile: "build with `docker build --platform linux/amd64`",
        description: "cannot be broken: byoi takes only bases for linux/amd64",
        source: "SageMaker API, AppInstanceType (no Graviton type); aws-samples/sagemaker-studio-custom-image-samples#28 and #30",
        check: Check::Documents(platform),
    },
    Rule {
        id: "BYOI002",
        name: "machine-code",
        title: "The programs that start the editor are made for x86-64",
        level: Level::Must,
        why: "The config says amd64, but the kernel refuses the program with `exec format error`, and the app ends as `InternalFailure`",
        dockerfile: "take the programs from an image or package for linux/amd64; look for `COPY --from` of an image of another platform",
        description: "take files and bases for linux/amd64",
        source: "System V ABI, ELF header; aws-samples/sagemaker-studio-custom-image-samples#28",
        check: Check::Files(machine_code),
    },
];

fn platform(evidence: &Evidence) -> Vec<Found> {
    let found = &evidence.config;
    if (found.os.as_str(), found.architecture.as_str()) == (OS, ARCHITECTURE) {
        return Vec::new();
    }
    let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    vec![Found {
        subject: crate::verify::Subject::Config("architecture".to_owned()),
        what: format!("the image is for {}/{}", known(&found.os), known(&found.architecture)),
    }]
}

/// Programs that every start needs, whatever the command says.
const ALWAYS: &[&str] = &["/bin/sh", "/bin/bash"];

fn machine_code(_: &Evidence, files: &Files) -> Vec<Found> {
    let started = files.start.hops.iter().filter_map(|hop| match &hop.lookup {
        Lookup::Found(found) => Some(found.real.clone()),
        _ => None,
    });
    let always = ALWAYS.iter().filter_map(|path| files.index.resolve(&ImagePath::literal(path)));
    let mut paths: Vec<ImagePath> = started.chain(always).collect();
    paths.sort();
    paths.dedup();
    let machine = |path: &ImagePath| match &files.index.get(path)?.node {
        Node::File(file) => match file.program {
            Some(Program::Elf { machine, .. }) => Some(machine),
            _ => None,
        },
        _ => None,
    };
    let wrong = paths.iter().filter_map(|path| Some((path, machine(path)?))).filter(|(_, machine)| *machine != X86_64);
    wrong.map(|(path, machine)| Found::at_path(path, format!("the program is made for {}", machine_name(machine)))).collect()
}

fn machine_name(machine: u16) -> String {
    match machine {
        3 => "32-bit x86".to_owned(),
        40 => "32-bit ARM".to_owned(),
        183 => "64-bit ARM".to_owned(),
        243 => "RISC-V".to_owned(),
        other => format!("machine {other}"),
    }
}
