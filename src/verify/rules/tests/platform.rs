//! Platform, transport and size.

use super::Case;
use crate::verify::specimen::{Specimen, elf};

pub(super) fn cases() -> Vec<Case> {
    let good = Specimen::good;
    vec![
        ("BYOI001", good().architecture("arm64")),
        ("BYOI002", good().file("opt/conda/bin/node", 0o755, elf(183))),
        ("BYOI010", good().layer().owned("opt/big", 0o644, (70_000, 0), "x").layer().whiteout("opt/big")),
    ]
}
