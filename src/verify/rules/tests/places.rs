//! Reserved places and variables.

use super::Case;
use crate::verify::specimen::Specimen;

pub(super) fn cases() -> Vec<Case> {
    let good = Specimen::good;
    vec![
        ("BYOI040", good().file("opt/ml/model/weights", 0o644, "")),
        ("BYOI040", good().file("opt/.sagemakerinternal/x", 0o644, "")),
        ("BYOI041", good().file("var/log/studio/old.log", 0o644, "")),
        ("BYOI042", good().without("tmp")),
        ("BYOI042", good().directory("tmp", 0o755, (0, 0))),
        ("BYOI050", good().env("AWS_REGION", "eu-west-1")),
        ("BYOI050", good().env("SAGEMAKER_APP_TYPE", "JupyterLab")),
    ]
}

#[test]
fn empty_directories_and_other_variables_are_no_fault() {
    let image = Specimen::good().directory("opt/ml", 0o755, (0, 0)).directory("var/log/studio", 0o755, (1000, 100));
    assert!(image.env("SAGEMAKER_LOGGING_DIR", "/var/log/sagemaker/").broken().is_empty());
}
