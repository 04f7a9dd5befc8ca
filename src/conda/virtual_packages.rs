//! What packages may ask of the machine they run on (`__glibc`, `__cuda`, …), as the image answers it: from the base's facts and the
//! description, never from the machine that locks.

use rattler_conda_types::GenericVirtualPackage;
use rattler_conda_types::package::BuildString;

use crate::lock::Facts;

/// The kernel that packages may count on, which no image says: what rattler takes for other machines (`rattler_virtual_packages`, "cross").
const KERNEL: &str = "4.18";
/// The architecture's name in `__archspec`: the one that all machines of the platform are.
const ARCHITECTURE: &str = "x86_64";

/// The virtual packages of an image on a base with these facts. A version that makes no sense gives none.
pub fn of_image(facts: &Facts, cuda: Option<&str>) -> Vec<GenericVirtualPackage> {
    let always = [("__unix", "0", "0"), ("__linux", KERNEL, "0"), ("__archspec", "1", ARCHITECTURE)];
    let glibc = facts.glibc.as_deref().map(|version| ("__glibc", version, "0"));
    let cuda = cuda.map(|version| ("__cuda", version, "0"));
    always.into_iter().chain(glibc).chain(cuda).filter_map(package).collect()
}

fn package((name, version, build): (&str, &str, &str)) -> Option<GenericVirtualPackage> {
    let build_string: BuildString = build.parse().ok()?;
    Some(GenericVirtualPackage { name: name.parse().ok()?, version: version.parse().ok()?, build_string })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(facts: &Facts, cuda: Option<&str>) -> Vec<String> {
        of_image(facts, cuda).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_image_alone_decides() {
        let debian = Facts { glibc: Some("2.36".to_owned()), ..Facts::default() };
        assert_eq!(names(&debian, None), ["__unix=0=0", "__linux=4.18=0", "__archspec=1=x86_64", "__glibc=2.36=0"]);
        assert_eq!(names(&debian, Some("12.4")).last().unwrap(), "__cuda=12.4=0");
        assert_eq!(names(&Facts::default(), None).len(), 3);
    }
}
