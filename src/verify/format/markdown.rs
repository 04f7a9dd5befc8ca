//! All rules as a document, `docs/rules.md`.

use std::fmt::Write as _;

use crate::verify::rules;
use crate::verify::{Check, Level, Rule};

/// What the ids of a subject have in common.
const SUBJECTS: &[(u16, &str)] = &[
    (1, "Platform, transport and size"),
    (20, "Account and home"),
    (40, "Reserved places and variables"),
    (60, "The start command"),
    (80, "Extensions"),
    (100, "Conda environments"),
];

/// The document.
pub fn rules() -> String {
    let mut out = String::from("# The rules of `byoi verify`\n\n");
    out.push_str(
        "Made from the rules themselves: `BYOI_UPDATE=1 cargo test` writes it anew. How to use them: [verify.md](verify.md).\n\n\
         An image that breaks a **must** does not work in SageMaker Studio's Code Editor, or not at all times; one that breaks a **should**\n\
         works, but not as its makers will want.\n",
    );
    let mut subjects = SUBJECTS.iter().peekable();
    for rule in rules::all() {
        let number = rule.id.trim_start_matches("BYOI").parse().unwrap_or(0);
        let mut heading = None;
        while let Some((_, name)) = subjects.next_if(|(begin, _)| *begin <= number) {
            heading = Some(name);
        }
        if let Some(name) = heading {
            // A String takes all.
            let _ = write!(out, "\n## {name}\n");
        }
        write_rule(&mut out, rule);
    }
    out
}

fn write_rule(out: &mut String, rule: &Rule) {
    let level = if rule.level == Level::Must { "must" } else { "should" };
    let Rule { id, name, title, why, dockerfile, description, source, .. } = rule;
    let _ = write!(
        out,
        "\n### {id} {name}\n\n{title}. ({level})\n\n- **Why**: {why}.\n- **In a Dockerfile**: {dockerfile}.\n- **In byoi.toml**: {description}.\n- **Source**: {source}.\n- **In a build**: {}.\n",
        asked(rule)
    );
}

/// When `byoi build` asks a rule.
fn asked(rule: &Rule) -> &'static str {
    match rule.check {
        Check::Documents(_) => "asked always",
        Check::Upper(_) => "asked of the layers that are made, and of those below where all above them are in the cache",
        Check::Files(_) => "asked where all layers are in the cache",
    }
}
