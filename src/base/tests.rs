//! Layouts and archives, good and bad.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::specimen::{Specimen, append, platform, tagged};
use super::{OpenedImage, Platforms, docker_archive, layout};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{MAX_CONFIG_SIZE, media_type};

fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

/// Opens a layout as a directory and as an archive, which must do the same.
fn open(specimen: &Specimen, tag: Option<&str>) -> Result<OpenedImage, String> {
    let directory = tempfile::tempdir().unwrap();
    specimen.write(&directory.path().join("layout"));
    let opened = layout::open_directory("x", &directory.path().join("layout"), tag, None).map_err(said);
    if tag.is_none() {
        let archive = directory.path().join("archive.tar");
        fs::write(&archive, specimen.tar()).unwrap();
        let from_archive = layout::open_archive("x", &archive, None);
        assert_eq!(from_archive.map(|image| image.digest).ok(), opened.as_ref().map(|image| image.digest).ok());
    }
    opened
}

fn said(error: Error) -> String {
    error.to_string()
}

fn refusal(specimen: &Specimen, tag: Option<&str>) -> String {
    open(specimen, tag).err().expect("an error")
}

#[test]
fn an_image_is_found_by_tag_or_because_it_is_alone() {
    let mut specimen = Specimen::new();
    let (one, two) = (specimen.image("amd64", &[b"1"]), specimen.image("amd64", &[b"2"]));
    specimen.top(std::slice::from_ref(&one));
    assert_eq!(open(&specimen, None).unwrap().digest, digest(&one));
    assert!(refusal(&specimen, Some("1")).contains("has no tag `1`; its tags: it has none"));
    specimen.top(&[tagged(one.clone(), "1"), tagged(two.clone(), "2"), tagged(two.clone(), "latest")]);
    assert_eq!(open(&specimen, Some("2")).unwrap().digest, digest(&two));
    assert!(refusal(&specimen, Some("3")).contains("its tags: 1, 2, latest"));
    assert!(refusal(&specimen, None).contains("the layout holds 2 images; name one of its tags: 1, 2, latest"));
    specimen.top(&[tagged(two.clone(), "2"), tagged(two.clone(), "latest")]);
    assert_eq!(open(&specimen, None).unwrap().digest, digest(&two));
    specimen.top(&[tagged(one, "1"), tagged(two, "1")]);
    assert!(refusal(&specimen, Some("1")).contains("2 images of the layout have the tag `1`"));
    specimen.top(&[]);
    assert!(refusal(&specimen, None).contains("the layout is empty"));
}

#[test]
fn of_an_index_the_entry_for_linux_amd64_is_taken() {
    let mut specimen = Specimen::new();
    let (good, newer, arm) = (specimen.image("amd64", &[b"1"]), specimen.image("amd64", &[b"3"]), specimen.image("arm64", &[b"2"]));
    let mut variant = platform(newer, "linux", "amd64");
    variant["platform"]["variant"] = json!("v3");
    let attestation = platform(specimen.image("amd64", &[b"attestation"]), "unknown", "unknown");
    let index = specimen.index(&[platform(arm.clone(), "linux", "arm64"), attestation, variant, platform(good.clone(), "linux", "amd64")]);
    specimen.top(std::slice::from_ref(&index));
    let opened = open(&specimen, None).unwrap();
    assert_eq!((opened.digest, opened.index), (digest(&good), Some(digest(&index))));
    let nested = specimen.index(std::slice::from_ref(&index));
    specimen.top(std::slice::from_ref(&nested));
    assert_eq!(open(&specimen, None).unwrap().index, Some(digest(&nested)));
}

#[test]
fn other_platforms_are_refused_and_named() {
    let mut specimen = Specimen::new();
    let arm = specimen.image("arm64", &[b"1"]);
    specimen.top(std::slice::from_ref(&arm));
    assert!(refusal(&specimen, None).contains("is not for linux/amd64, which is what SageMaker Studio runs; it is for linux/arm64"));
    let windows = platform(specimen.image("amd64", &[b"2"]), "windows", "amd64");
    let index = specimen.index(&[platform(arm.clone(), "linux", "arm64"), windows]);
    specimen.top(&[index]);
    assert!(refusal(&specimen, None).contains("it is for linux/arm64, windows/amd64"));
    let index = specimen.index(&[platform(arm.clone(), "unknown", "unknown")]);
    specimen.top(&[index]);
    assert!(refusal(&specimen, None).contains("it is for no platform at all"));
    // An index may be wrong about its entries: the config decides.
    let index = specimen.index(&[platform(arm, "linux", "amd64")]);
    specimen.top(&[index]);
    assert!(refusal(&specimen, None).contains("it is for linux/arm64"));
    let config = specimen.document(media_type::OCI_CONFIG, &json!({"rootfs": {"diff_ids": []}}));
    let manifest = specimen.manifest(&config, &[]);
    specimen.top(&[manifest]);
    assert!(refusal(&specimen, None).contains("it is for unknown"));
}

#[test]
fn documents_that_do_not_fit_together_are_refused() {
    let image = |specimen: &mut Specimen| {
        let image = specimen.image("amd64", &[b"1"]);
        specimen.top(std::slice::from_ref(&image));
        image
    };
    let mut specimen = Specimen::new();
    let manifest = image(&mut specimen);
    specimen.bytes(&manifest).push(b' ');
    assert!(refusal(&specimen, None).contains("has other bytes than its digest says"));

    let mut specimen = Specimen::new();
    let config = specimen.document(media_type::OCI_CONFIG, &json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": []}}));
    let layer = specimen.blob(media_type::OCI_LAYER, *b"1");
    let manifest = specimen.manifest(&config, &[layer]);
    specimen.top(&[manifest]);
    assert!(refusal(&specimen, None).contains("has 0 diff ids, its manifest 1 layers"));
    specimen.bytes(&config)[0] = b'[';
    assert!(refusal(&specimen, None).contains("has other bytes than its digest says"));

    let mut specimen = Specimen::new();
    let config = specimen.blob(media_type::OCI_CONFIG, vec![b' '; MAX_CONFIG_SIZE as usize + 1]);
    let manifest = specimen.manifest(&config, &[]);
    specimen.top(std::slice::from_ref(&manifest));
    assert!(refusal(&specimen, None).contains("is larger than"));
    specimen.files.retain(|path, _| !path.starts_with("blobs/"));
    assert!(refusal(&specimen, None).contains("it has no file"));
    specimen.files.insert("index.json".to_owned(), b"{".to_vec());
    assert!(refusal(&specimen, None).contains("its index.json is not JSON"));
    specimen.top(&[json!({"digest": "sha512:00"})]);
    assert!(refusal(&specimen, None).contains("`sha512:00`, which is no sha256 digest"));
    specimen.files.clear();
    assert!(refusal(&specimen, None).contains("there is no file"));
}

#[test]
fn indexes_that_name_each_other_come_to_an_end() {
    let mut specimen = Specimen::new();
    let mut index = specimen.image("amd64", &[b"1"]);
    for _ in 0..9 {
        index = specimen.index(&[index]);
    }
    specimen.top(&[index]);
    assert!(refusal(&specimen, None).contains("nested too deep"));
}

#[tokio::test]
async fn layers_with_other_bytes_or_sizes_are_refused_where_they_end() {
    for (change, fault) in [
        ((|layer| layer.truncate(99)) as fn(&mut Vec<u8>), "99 bytes came, 100 were promised"),
        (|layer| layer[50] = b'x', "the bytes have the digest"),
        (|layer| layer.push(b'x'), "more than the 100 bytes came"),
    ] {
        let mut specimen = Specimen::new();
        let layer = [b'1'; 100];
        let image = specimen.image("amd64", &[&layer]);
        specimen.top(&[image]);
        change(specimen.files.get_mut(&format!("blobs/sha256/{}", Digest::of(layer).hex())).unwrap());
        let directory = tempfile::tempdir().unwrap();
        specimen.write(directory.path());
        let archive = directory.path().join("archive.tar");
        fs::write(&archive, specimen.tar()).unwrap();
        for image in [layout::open_directory("x", directory.path(), None, None), layout::open_archive("x", &archive, None)] {
            let image = image.unwrap();
            let mut reader = image.blobs.open(&image.manifest.layers[0]).await.unwrap();
            let error = reader.read_to_end(&mut Vec::new()).await.unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
    }
}

#[test]
fn a_base_that_changed_under_its_lock_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut specimen = Specimen::new();
    let (one, two) = (specimen.image("amd64", &[b"1"]), specimen.image("amd64", &[b"2"]));
    specimen.top(std::slice::from_ref(&one));
    specimen.write(directory.path());
    let open = |pinned: &Value| layout::open_directory("x", directory.path(), None, Some(digest(pinned))).map(|_| ()).map_err(said);
    assert_eq!(open(&one), Ok(()));
    assert!(open(&two).unwrap_err().contains(&format!("now has the digest {}, but the lock says {}", digest(&one), digest(&two))));
}

#[test]
fn archives_that_are_none_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("archive.tar");
    let refusal = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        layout::open_archive("x", &file, None).map(|_| ()).map_err(said).unwrap_err()
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&Specimen::new().tar()).unwrap();
    assert!(refusal(&gzip.finish().unwrap()).contains("is a compressed archive"));
    assert!(refusal(&zstd::encode_all(Specimen::new().tar().as_slice(), 1).unwrap()).contains("is a compressed archive"));
    assert!(refusal(b"\xfd7zXZ\0 and more").contains("is a compressed archive"));
    assert!(refusal(&[b'x'; 2000]).contains("its tar cannot be read"));
    assert!(refusal(b"").contains("has no member `index.json`"));
    let error = layout::open_archive("x", Path::new("/nowhere/a.tar"), None).map(|_| ()).map_err(said).unwrap_err();
    assert!(error.contains("there is no file /nowhere/a.tar"));
}

#[test]
fn headers_that_would_fill_the_memory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("archive.tar");
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(2 << 20);
        header.set_path("long").unwrap();
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, vec![b'a'; 2 << 20].as_slice()).unwrap();
        append(&mut tar, "index.json", b"{}");
        fs::write(&file, tar.into_inner().unwrap()).unwrap();
        let error = layout::open_archive("x", &file, None).map(|_| ()).map_err(said).unwrap_err();
        assert!(error.contains("the headers of a member are too large"), "{error}");
    }
}

/// A tar as docker before version 25 saved it: `layers` are the members' names with their bytes, or with the member to which they link.
fn docker_archive(layers: &[(&str, Result<&[u8], &str>)], diff_ids: &[Digest]) -> Vec<u8> {
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).to_string();
    let names: Vec<_> = layers.iter().map(|(name, _)| name).collect();
    let manifest = json!([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": names}]).to_string();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, layer) in layers {
        match layer {
            Ok(bytes) => append(&mut tar, name, bytes),
            Err(target) => {
                let mut header = tar::Header::new_ustar();
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, name, target).unwrap();
            }
        }
    }
    append(&mut tar, "c.json", config.as_bytes());
    append(&mut tar, "manifest.json", manifest.as_bytes());
    tar.into_inner().unwrap()
}

#[tokio::test]
async fn a_docker_archive_gets_a_manifest_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("archive.tar");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"two").unwrap();
    let gzip = gzip.finish().unwrap();
    let layers = [("a/layer.tar", Ok(&b"one"[..])), ("b/layer.tar", Err("../a/layer.tar")), ("c/layer.tar", Ok(gzip.as_slice()))];
    fs::write(&file, docker_archive(&layers, &[Digest::of("one"), Digest::of("one"), Digest::of("two")])).unwrap();
    let image = docker_archive::open("x", &file, None).unwrap();
    assert_eq!(Digest::of(&image.manifest_bytes), image.digest);
    let types: Vec<_> = image.manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
    assert_eq!(types, [media_type::DOCKER_LAYER, media_type::DOCKER_LAYER, media_type::DOCKER_LAYER_GZIP]);
    for (layer, expected) in image.manifest.layers.iter().zip([&b"one"[..], b"one", &gzip]) {
        let mut bytes = Vec::new();
        image.blobs.open(layer).await.unwrap().read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, expected);
    }
    assert_eq!(docker_archive::open("x", &file, Some(image.digest)).unwrap().digest, image.digest);
    assert!(docker_archive::open("x", &file, Some(Digest::of("other"))).is_err());
}

#[tokio::test]
async fn docker_archives_that_do_not_fit_together_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("archive.tar");
    let open = |bytes: Vec<u8>| {
        fs::write(&file, bytes).unwrap();
        docker_archive::open("x", &file, None).map_err(said)
    };
    let refusal = |bytes: Vec<u8>| open(bytes).err().expect("an error");
    let one = Digest::of("one");
    assert!(refusal(docker_archive(&[("a", Ok(b"one"))], &[])).contains("has 0 diff ids, its manifest 1 layers"));
    assert!(refusal(docker_archive(&[("a", Err("a"))], &[one])).contains("has no member `a`"));
    assert!(refusal(docker_archive(&[("a", Err("../../etc/passwd"))], &[one])).contains("has no member `etc/passwd`"));
    let zstd = zstd::encode_all(&b"one"[..], 1).unwrap();
    assert!(refusal(docker_archive(&[("a", Ok(&zstd))], &[one])).contains("compressed with zstd"));
    assert!(refusal(Specimen::new().tar()).contains("has no member `manifest.json`"));

    let image = open(docker_archive(&[("a", Ok(b"two"))], &[one])).unwrap();
    let mut reader = image.blobs.open(&image.manifest.layers[0]).await.unwrap();
    assert!(reader.read_to_end(&mut Vec::new()).await.unwrap_err().to_string().contains("the bytes have the digest"));
}

#[test]
fn for_a_judgement_any_platform_is_opened() {
    let mut specimen = Specimen::new();
    let (arm, other) = (specimen.image("arm64", &[b"1"]), specimen.image("s390x", &[b"2"]));
    let index = specimen.index(&[platform(arm.clone(), "linux", "arm64"), platform(other, "linux", "s390x")]);
    specimen.top(std::slice::from_ref(&index));
    assert!(refusal(&specimen, None).contains("is not for linux/amd64"));
    let directory = tempfile::tempdir().unwrap();
    specimen.write(directory.path());
    let image = layout::open_directory_for(Platforms::Any, "x", directory.path(), None, None).unwrap();
    assert_eq!((image.digest, image.index), (digest(&arm), Some(digest(&index))));
    let listed: Vec<_> = image.index_entries.iter().map(|entry| entry.platform.as_deref()).collect();
    assert_eq!(listed, [Some("linux/arm64"), Some("linux/s390x")]);
}
