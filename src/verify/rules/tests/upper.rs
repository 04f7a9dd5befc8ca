//! What is found in the uppermost layers alone is what is found of the whole image, whatever lies below.

use std::collections::BTreeSet;

use serde_json::json;

use super::cases;
use crate::verify::report::{Report, judge};
use crate::verify::rule::{Check, Rule};
use crate::verify::specimen::Specimen;

/// Images of many kinds for the layers below. None is a part of the layers above them.
fn below() -> Vec<Specimen> {
    let closed = Specimen::good().directory("opt", 0o700, (0, 0)).directory("tmp", 0o700, (0, 0));
    let foreign = Specimen::empty().link("opt", "srv").link("usr/local/bin", "/opt/bin").file("srv/bin/node", 0o755, "#!/bin/false\n");
    let full = Specimen::good()
        .file("usr/local/bin/sagemaker-code-editor", 0o755, "#!/bin/sh\nexec sleep 1\n")
        .file("opt/amazon/sagemaker/sagemaker-code-editor-server-data/extensions/.obsolete", 0o644, json!({"acme.hello-1.2.3": true}).to_string())
        .file("home/sagemaker-user/product.json", 0o644, "{}")
        .file("opt/conda/conda-meta/python-3.9.0-0.json", 0o644, "{}");
    let marked = |image: Specimen, number: usize| image.file("srv/mark", 0o644, number.to_string());
    [Specimen::empty(), Specimen::good(), closed, foreign, full].into_iter().enumerate().map(|(number, image)| marked(image, number)).collect()
}

fn is_upper(rule: &Rule) -> bool {
    matches!(rule.check, Check::Upper(_))
}

fn judged_in_part(upper: &Specimen, below: &Specimen) -> Report {
    let evidence = upper.clone().over(below).known_evidence(upper.layer_count());
    assert!(evidence.files.as_ref().is_some_and(|files| !files.is_whole && files.layers.len() == upper.layer_count()));
    judge(&evidence, &BTreeSet::new())
}

/// Rule and place of each finding. How many things are found at one place may grow with the layers below.
fn found(report: &Report) -> BTreeSet<(&'static str, String)> {
    report.findings.iter().map(|finding| (finding.rule.id, finding.subject.to_string())).collect()
}

#[test]
fn what_breaks_a_rule_of_upper_layers_is_found_there() {
    let base = &below()[0];
    let silent = cases().into_iter().filter(|(id, upper)| {
        is_upper(super::super::find(id).unwrap()) && !judged_in_part(upper, base).findings.iter().any(|finding| finding.rule.id == *id)
    });
    assert_eq!(silent.map(|(id, _)| id).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn whatever_lies_below_findings_in_upper_layers_stand() {
    let mut seen = BTreeSet::new();
    for base in below() {
        for (id, upper) in cases().into_iter().chain([("none", Specimen::good())]) {
            let part = found(&judged_in_part(&upper, &base));
            let whole = found(&upper.clone().over(&base).judged());
            assert!(part.is_subset(&whole), "{id}: {part:?} is no part of {whole:?}");
            seen.extend(part.into_iter().map(|(id, _)| id));
        }
    }
    let upper: BTreeSet<_> = super::super::all().into_iter().filter(|rule| is_upper(rule)).map(|rule| rule.id).collect();
    assert!(upper.is_subset(&seen), "{:?}", upper.difference(&seen));
}

#[test]
fn a_good_image_breaks_no_rule_in_part_and_leaves_the_others_unasked() {
    for base in below() {
        let report = judged_in_part(&Specimen::good(), &base);
        assert!(report.findings.is_empty(), "{:?}", found(&report));
        let unasked = super::super::all().into_iter().filter(|rule| matches!(rule.check, Check::Files(_))).count();
        assert_eq!((report.unasked, report.asked + report.unasked), (unasked, super::super::all().len()));
    }
}

#[test]
fn where_all_layers_are_known_every_rule_is_asked() {
    let image = Specimen::good().over(&below()[1]);
    let evidence = image.known_evidence(image.layer_count());
    assert_eq!(judge(&evidence, &BTreeSet::new()).unasked, 0);
    assert!(image.known_evidence(0).files.is_none());
}
