//! Commands of `noarch: python` packages: scripts that import a function and call it.

use rattler::install::{PythonInfo, python_entry_point_template};
use rattler_conda_types::package::EntryPoint;

/// The text of the command for `point` in the environment at `prefix`.
pub(super) fn script(point: &EntryPoint, prefix: &str, python: &PythonInfo) -> String {
    python_entry_point_template(prefix, false, point, python)
}
