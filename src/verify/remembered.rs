//! Judges an image with what is known of it already, as a build does: no layer is read for it. What was found is kept in the store by the image's digest,
//! so that a build that changes nothing says it again without looking at the trees of its layers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::evidence::{Evidence, Subject as Judged};
use super::finding::Subject;
use super::interest;
use super::report::{Finding, Report, judge};
use super::rules;
use crate::base;
use crate::digest::Digest;
use crate::error::Error;
use crate::json;
use crate::store::Store;

/// Kind of the store's records.
const RECORD: &str = "judged";
/// Counts up when rules come to find something else in the same image.
const FORM: u32 = 1;

/// What was found in an image.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// How many of its uppermost layers were known then.
    known: usize,
    asked: usize,
    unasked: usize,
    findings: Vec<(String, Subject, String)>,
}

/// Asks the rules that can be asked without reading a layer: all of them where the store knows all layers, else those for which the documents, or the
/// uppermost layers, are enough. What the rules with these ids find is allowed.
///
/// # Errors
/// A store that cannot be written.
pub async fn judge_known(image: &Judged, allowed: &BTreeSet<String>, store: &Store) -> Result<Report, Error> {
    let key = key(&image.digest);
    let count = || base::count_known(&image.layers, &interest::survey(), store);
    let remembered: Option<Remembered> = store.record(RECORD, &key);
    // More layers may be known by now.
    let current = remembered.filter(|remembered| remembered.known == image.layers.len() || remembered.known >= count());
    if let Some(report) = current.and_then(|remembered| remembered.report(image, allowed)) {
        return Ok(report);
    }
    let evidence = Evidence::known(image, store).await;
    let report = judge(&evidence, allowed);
    let known = evidence.files.map_or(0, |files| files.layers.len());
    store.put_record(RECORD, &key, &Remembered::of(&report, known))?;
    Ok(report)
}

/// Other rules find other things.
fn key(image: &Digest) -> Digest {
    let rules: Vec<_> = rules::all().iter().map(|rule| (rule.id, rule.title)).collect();
    Digest::of(json::canonical(&json!({"image": image, "form": FORM, "program": env!("CARGO_PKG_VERSION"), "rules": rules})))
}

impl Remembered {
    fn of(report: &Report, known: usize) -> Self {
        let findings = report.findings.iter().map(|finding| (finding.rule.id.to_owned(), finding.subject.clone(), finding.what.clone()));
        Remembered { known, asked: report.asked, unasked: report.unasked, findings: findings.collect() }
    }

    /// None where it names a rule that is not there any more.
    fn report(self, image: &Judged, allowed: &BTreeSet<String>) -> Option<Report> {
        let finding = |(id, subject, what): (String, Subject, String)| {
            Some(Finding { rule: rules::find(&id)?, subject, what, is_allowed: allowed.contains(&id) })
        };
        let findings = self.findings.into_iter().map(finding).collect::<Option<_>>()?;
        Some(Report { image: image.name.clone(), digest: image.digest, findings, asked: self.asked, unasked: self.unasked })
    }
}
