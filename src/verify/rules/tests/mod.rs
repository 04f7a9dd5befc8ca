//! For each rule at least one image that breaks it and no other, made from the good one by the change that stands with it; one file a subject.

mod account;
mod command;
mod conda;
mod extensions;
mod places;
mod platform;
mod server;
mod upper;

use std::collections::BTreeSet;

use crate::verify::specimen::Specimen;

/// An image, and the rule that it breaks.
type Case = (&'static str, Specimen);

fn cases() -> Vec<Case> {
    let all = [platform::cases(), account::cases(), places::cases(), command::cases(), server::cases(), extensions::cases(), conda::cases()];
    all.into_iter().flatten().collect()
}

#[test]
fn the_good_image_breaks_no_rule() {
    assert_eq!(Specimen::good().broken(), Vec::<String>::new());
}

#[test]
fn each_rule_has_an_image_that_breaks_it_alone() {
    let cases = cases();
    let wrong = cases.iter().enumerate().filter(|(_, (id, specimen))| specimen.broken() != [*id]);
    let wrong: Vec<String> = wrong.map(|(number, (id, specimen))| format!("{number}, {id}: {}", specimen.shown())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let covered: BTreeSet<_> = cases.iter().map(|(id, _)| *id).collect();
    let all: BTreeSet<_> = super::all().iter().map(|rule| rule.id).collect();
    assert_eq!(covered, all);
}

#[test]
fn ids_are_unique_and_in_form() {
    let rules = super::all();
    let ids: BTreeSet<_> = rules.iter().map(|rule| rule.id).collect();
    let names: BTreeSet<_> = rules.iter().map(|rule| rule.name).collect();
    assert_eq!((ids.len(), names.len()), (rules.len(), rules.len()));
    for rule in rules {
        let number = rule.id.strip_prefix("BYOI").and_then(|number| number.parse::<u16>().ok());
        assert!(number.is_some() && rule.id.len() == 7, "{}", rule.id);
        for text in [rule.title, rule.why, rule.dockerfile, rule.description, rule.source] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{}: {text}", rule.id);
        }
    }
}
