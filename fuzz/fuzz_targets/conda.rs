//! Any bytes as the info section of a conda package; and a package whose info and content are any tars, laid.
#![no_main]

use std::fs::File;
use std::io::Write;

use byoi::conda::testing::in_conda;
use byoi::conda::{Environment, LayerSpool, PackageComponent, PackageInfo, laid_size, owners, placement};
use byoi::digest::Digest;
use byoi::error::Error;
use byoi::image_path::ImagePath;
use byoi::inputs::Inputs;
use byoi::layer::Node;
use byoi::lock::{CondaPackage, Python};
use byoi::plan::Component;
use libfuzzer_sys::fuzz_target;

struct One(Vec<u8>);

impl Inputs for One {
    fn open(&self, _: &Digest) -> Result<File, Error> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&self.0).unwrap();
        Ok(file)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((split, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let (info, content) = bytes.split_at(usize::from(u16::from_le_bytes(*split)).min(bytes.len()));
    let Ok(Some(read)) = PackageInfo::from_info_tar(info) else { return };
    let python = Python { version: "3.12.11".to_owned(), site_packages: "lib/python3.12/site-packages".to_owned() };
    let Ok(placed) = placement(&read, Some(&python)) else { return };
    let name = read.index.name.as_normalized();
    let _ = owners(&[(name, &read), (name, &read)], Some(&python));
    let archive = in_conda(info, content);
    let package = CondaPackage {
        name: name.to_owned(),
        version: read.index.version.to_string(),
        build: read.index.build.to_string(),
        channel: "https://x/y".to_owned(),
        subdir: "noarch".to_owned(),
        url: "https://x/y/noarch/z-1-0.conda".parse().unwrap(),
        sha256: Digest::of(&archive),
        md5_only: false,
        size: archive.len() as u64,
        timestamp: None,
        noarch: read.noarch(),
        depends: None,
        constrains: None,
        laid_size: laid_size(&placed, None),
        clobbered: Vec::new(),
        link_scripts: read.link_scripts(),
    };
    let prefix = ImagePath::literal("opt/conda");
    let environment = Environment { prefix: prefix.clone(), owner: (1000, 100), python: Some(python), compiler: None };
    let Ok(laid) = PackageComponent::new(&package, &environment, &LayerSpool::new()).lay(&One(archive)) else { return };
    for (path, entry) in laid {
        assert!(path.starts_with(&prefix) && path != prefix);
        assert!(matches!(entry.mode, 0 | 0o644 | 0o755 | 0o777));
        if let Node::File(content) = entry.node {
            assert_eq!(std::io::copy(&mut content.open().unwrap(), &mut std::io::sink()).unwrap(), content.size());
        }
    }
});
