//! All rules, one file a subject. Each file has its rules as data, `RULES`, and the functions that they name.

mod account;
mod command;
mod conda;
mod extension_list;
mod extensions;
mod home;
mod places;
mod platform;
mod server;
#[cfg(test)]
mod tests;
mod transport;

use super::rule::Rule;

/// The rules of each subject.
const SUBJECTS: &[&[Rule]] = &[
    platform::RULES,
    transport::RULES,
    account::RULES,
    home::RULES,
    places::RULES,
    command::RULES,
    server::RULES,
    extensions::RULES,
    extension_list::RULES,
    conda::RULES,
];

/// All rules by id.
pub fn all() -> Vec<&'static Rule> {
    let mut rules: Vec<&Rule> = SUBJECTS.iter().copied().flatten().collect();
    rules.sort_by_key(|rule| rule.id);
    rules
}

/// The rule with this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    all().into_iter().find(|rule| rule.id == id)
}
