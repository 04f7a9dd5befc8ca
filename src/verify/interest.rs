//! Which files rules read. The same for every image, so that what was read of a layer serves every image that has it.

use crate::base::Interest;
use crate::conda::existing;

/// Files whose content rules look at.
const CONTENT: &[&str] = &[
    // accounts
    "etc/passwd",
    "etc/group",
    "etc/arg_mamba_user",
    // what starts the editor where the start script hands over to supervisord
    "etc/supervisor/**",
    "etc/supervisord.conf",
    "etc/supervisord.d/*",
    // scripts that others source: they need no first line of their own
    "**/bin/*.sh",
    "**/activate.d/*.sh",
    "**/bin/activate",
    // the editor and its extensions, wherever they lie
    "**/share/sagemaker-code-editor/package.json",
    "**/share/sagemaker-code-editor/product.json",
    "**/extensions/*/package.json",
    "**/extensions/*/.vsixmanifest",
    "**/*.*-*.*.*/package.json",
    "**/*.*-*.*.*/.vsixmanifest",
    "**/extensions.json",
    "**/.obsolete",
    "**/data/Machine/settings.json",
    "**/data/User/settings.json",
    // conda environments
    existing::HISTORY_PATTERN,
];

/// Largest file whose content is kept.
const LARGEST: u64 = 4 << 20;
/// Largest shell script whose text is kept.
const LARGEST_SCRIPT: u64 = 64 << 10;
/// Most content that is kept of one image.
const TOTAL: u64 = 256 << 20;

/// What the rules need of the layers.
pub fn survey() -> Interest {
    Interest::Survey {
        content: CONTENT.iter().map(|pattern| (*pattern).to_owned()).collect(),
        packed: vec![existing::RECORD_PATTERN.to_owned()],
        largest: LARGEST,
        largest_packed: existing::LARGEST_RECORD,
        largest_script: LARGEST_SCRIPT,
        total: TOTAL,
    }
}
