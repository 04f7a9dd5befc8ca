//! The version of the base's C library, where it is glibc: from the package database of Debian and its kin, from the library's own banner, or
//! from the name of its file.

use crate::base::Index;
use crate::base::index::Node;
use crate::image_path::ImagePath;

const STATUS: &str = "var/lib/dpkg/status";
/// Images without a package manager made of Debian packages (distroless) have one file a package.
const STATUS_PARTS: &[&str] = &["var/lib/dpkg/status.d/libc6", "var/lib/dpkg/status.d/libc6t64"];
/// Where the library of the base itself lies; conda's compilers bring copies of another version in directories of theirs.
const DIRECTORIES: &[&str] = &["usr/lib64", "lib64", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib", "lib"];
const LIBRARY: &str = "libc.so.6";

/// Files whose content is looked at.
pub(super) fn contents() -> impl Iterator<Item = String> {
    let libraries = DIRECTORIES.iter().map(|directory| format!("{directory}/{LIBRARY}"));
    libraries.chain([STATUS].iter().chain(STATUS_PARTS).map(|path| (*path).to_owned()))
}

/// Files whose names are looked at.
pub(super) fn names() -> impl Iterator<Item = String> {
    DIRECTORIES.iter().map(|directory| format!("{directory}/libc-2.*.so"))
}

/// `2.36`, for example.
pub(super) fn version(index: &Index) -> Option<String> {
    of_packages(index).or_else(|| of_library(index)).or_else(|| of_names(index))
}

fn text(index: &Index, path: &str) -> Option<String> {
    let content = index.content(&ImagePath::parse(path).ok()?)?;
    Some(String::from_utf8_lossy(content).into_owned())
}

fn of_packages(index: &Index) -> Option<String> {
    let mut texts = [STATUS].iter().chain(STATUS_PARTS).filter_map(|path| text(index, path));
    texts.find_map(|text| text.split("\n\n").find_map(of_package))
}

/// The version in one paragraph of dpkg's status, if it is an installed libc6.
fn of_package(paragraph: &str) -> Option<String> {
    let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let installed = field("Status:").is_none_or(|status| status.ends_with(" installed"));
    if !installed || !matches!(field("Package:")?, "libc6" | "libc6t64") {
        return None;
    }
    let version = field("Version:")?;
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    leading_number(version)
}

/// Every glibc says `GNU C Library (…) stable release version 2.36.` of itself.
fn of_library(index: &Index) -> Option<String> {
    const BANNER: &[u8] = b"GNU C Library (";
    const VERSION: &[u8] = b" release version ";
    DIRECTORIES.iter().find_map(|directory| {
        let bytes = index.content(&ImagePath::parse(format!("{directory}/{LIBRARY}")).ok()?)?;
        let banner = &bytes[position(bytes, BANNER)?..];
        let banner = &banner[..banner.len().min(300)];
        let version = &banner[position(banner, VERSION)? + VERSION.len()..];
        leading_number(&String::from_utf8_lossy(version))
    })
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Up to glibc 2.33 the files had the version in their names.
fn of_names(index: &Index) -> Option<String> {
    DIRECTORIES.iter().find_map(|directory| {
        let directory = ImagePath::parse(directory).ok()?;
        let files = index.below(&directory).filter(|(path, entry)| matches!(entry.node, Node::File(_)) && path.parent().as_ref() == Some(&directory));
        files.into_iter().find_map(|(path, _)| {
            let version = std::str::from_utf8(path.name()).ok()?.strip_prefix("libc-")?.strip_suffix(".so")?;
            leading_number(version)
        })
    })
}

/// Digits with a dot between them, at the text's beginning: `2.36` of `2.36-9+deb12u10`.
fn leading_number(text: &str) -> Option<String> {
    let (major, rest) = text.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let numbers = !major.is_empty() && major.bytes().all(|c| c.is_ascii_digit()) && !minor.is_empty();
    numbers.then(|| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_cut_to_what_glibc_counts() {
        for (text, number) in
            [("2.36-9+deb12u10", Some("2.36")), ("2.31.so", Some("2.31")), ("2.39-0ubuntu8.4", Some("2.39")), ("x", None), ("2", None)]
        {
            assert_eq!(leading_number(text).as_deref(), number, "{text}");
        }
    }

    #[test]
    fn only_an_installed_libc_counts() {
        let paragraph = |package: &str, status: &str| format!("Package: {package}\nStatus: {status}\nArchitecture: amd64\nVersion: 1:2.36-9\n");
        assert_eq!(of_package(&paragraph("libc6", "install ok installed")).as_deref(), Some("2.36"));
        assert_eq!(of_package(&paragraph("libc6", "deinstall ok config-files")), None);
        assert_eq!(of_package(&paragraph("libc6-dev", "install ok installed")), None);
    }
}
