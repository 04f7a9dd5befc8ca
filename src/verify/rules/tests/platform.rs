//! Platform, transport and size.

use std::collections::BTreeMap;

use super::Case;
use crate::digest::Digest;
use crate::manifest::{Compression, Descriptor, IndexEntry, media_type};
use crate::verify::Evidence;
use crate::verify::specimen::{Specimen, elf};

fn top(evidence: &mut Evidence) -> &mut Descriptor {
    evidence.manifest.layers.last_mut().unwrap()
}

pub(super) fn cases() -> Vec<Case> {
    let good = Specimen::good;
    let mut attestation = Descriptor::new(media_type::OCI_MANIFEST, Digest::of("a"), 1);
    attestation.annotations = BTreeMap::from([("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned())]);
    let attestation = IndexEntry { descriptor: attestation, platform: Some("unknown/unknown".to_owned()), is_image: false };
    vec![
        ("BYOI001", good().architecture("arm64")),
        ("BYOI002", good().file("opt/conda/bin/node", 0o755, elf(183))),
        ("BYOI003", good().adjusted(|evidence| evidence.manifest.config.media_type = media_type::DOCKER_CONFIG.to_owned())),
        ("BYOI004", good().in_index(vec![attestation])),
        ("BYOI005", good().adjusted(|evidence| top(evidence).media_type = media_type::OCI_LAYER.to_owned())),
        ("BYOI006", good().compression(Compression::Zstd)),
        ("BYOI010", good().layer().owned("opt/big", 0o644, (70_000, 0), "x").layer().whiteout("opt/big")),
        ("BYOI010", good().layer().owned("opt/big", 0o644, (0, 4_000_000), "x")),
        ("BYOI011", (0..127).fold(good(), |image, _| image.layer())),
        ("BYOI012", good().adjusted(|evidence| evidence.manifest.layers[0].size = 40 << 30)),
        ("BYOI013", good().adjusted(|evidence| evidence.manifest.layers[0].size = 11_000_000_000)),
    ]
}

#[test]
fn what_is_found_is_said_with_its_place() {
    let large = Specimen::good().layer().owned("opt/big", 0o644, (70_000, 0), "x").layer().whiteout("opt/big");
    let digest = large.made().manifest.layers[1].digest;
    assert_eq!(large.found("BYOI010"), [format!("layer 2 ({digest}): 1 entries have an id above 65535: /opt/big 70000:0")]);
    let arm = Specimen::good().architecture("arm64").file("opt/conda/bin/node", 0o755, elf(183));
    assert_eq!(arm.found("BYOI001"), ["architecture: the image is for linux/arm64"]);
    assert_eq!(arm.found("BYOI002"), ["/opt/conda/bin/node: the program is made for 64-bit ARM"]);
}

#[test]
fn an_index_of_soci_is_no_attestation() {
    let soci = Descriptor::new(media_type::OCI_MANIFEST, Digest::of("s"), 1);
    let soci = IndexEntry { descriptor: soci, platform: Some("linux/amd64".to_owned()), is_image: false };
    assert!(Specimen::good().in_index(vec![soci]).broken().is_empty());
}
