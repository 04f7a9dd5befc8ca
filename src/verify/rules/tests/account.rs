//! Account and home.

use super::Case;
use crate::verify::specimen::Specimen;

pub(super) fn cases() -> Vec<Case> {
    let good = Specimen::good;
    vec![("BYOI020", good().set("User", "root")), ("BYOI024", good().set("WorkingDir", "/tmp"))]
}
