//! All rules, one file a subject. Each file has its rules as data, `RULES`, and the functions that they name.

mod account;
mod conda;
mod extension_list;
mod extensions;
mod layers;
mod platform;
#[cfg(test)]
mod tests;

use super::rule::Rule;

/// All rules by id.
pub fn all() -> Vec<&'static Rule> {
    let mut rules: Vec<&Rule> =
        [platform::RULES, layers::RULES, account::RULES, extensions::RULES, extension_list::RULES, conda::RULES].into_iter().flatten().collect();
    rules.sort_by_key(|rule| rule.id);
    rules
}

/// The rule with this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    all().into_iter().find(|rule| rule.id == id)
}
