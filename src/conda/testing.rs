//! Conda packages made for tests: what is in them, down to headers that no build tool would write, as `.conda` or `.tar.bz2`.

use std::io::{Cursor, Write};

use serde_json::{Value, json};
use tar::{EntryType, Header};
use url::Url;

use super::{PackageInfo, laid_size, placement};
use crate::digest::Digest;
use crate::lock::{CondaPackage, Python};

/// A time that members of a package have, and nothing else.
pub const TIME: u64 = 1_600_000_000;

/// A package to be made.
#[derive(Debug, Clone)]
pub struct Specimen {
    /// `index.json`.
    pub index: Value,
    /// Entries of `paths.json`.
    pub paths: Vec<Value>,
    /// Entry points of `link.json`.
    pub entry_points: Vec<String>,
    /// Whether the paths are told by `files` and `has_prefix`, as before 2017.
    pub is_old: bool,
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    name: Vec<u8>,
    kind: EntryType,
    mode: u32,
    mtime: u64,
    link: Vec<u8>,
    content: Vec<u8>,
}

impl Specimen {
    /// The package NAME-1.0-0 of `linux-64`, empty.
    pub fn new(name: &str) -> Self {
        let index = json!({
            "name": name, "version": "1.0", "build": "0", "build_number": 0, "depends": [], "subdir": "linux-64",
            "arch": "x86_64", "platform": "linux", "timestamp": 1_700_000_000_000_u64,
        });
        Specimen { index, paths: Vec::new(), entry_points: Vec::new(), is_old: false, members: Vec::new() }
    }

    /// The package as `noarch: python`.
    pub fn noarch_python(mut self) -> Self {
        self.index["noarch"] = json!("python");
        self.index["subdir"] = json!("noarch");
        self
    }

    /// With a package that it depends on.
    pub fn depends(mut self, on: &str) -> Self {
        self.index["depends"].as_array_mut().expect("a specimen has depends").push(json!(on));
        self
    }

    /// With a regular file.
    pub fn file(self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        let entry = json!({"_path": path, "path_type": "hardlink", "sha256": Digest::of(&content).hex(), "size_in_bytes": content.len()});
        self.member(path, EntryType::Regular, mode, "", content).entry(entry)
    }

    /// With a file that holds the placeholder of a prefix.
    pub fn patched(self, path: &str, mode: u32, placeholder: &str, binary: bool, content: impl Into<Vec<u8>>) -> Self {
        let mut all = self.file(path, mode, content);
        let entry = all.paths.last_mut().expect("it was just put there");
        entry["prefix_placeholder"] = json!(placeholder);
        entry["file_mode"] = json!(if binary { "binary" } else { "text" });
        all
    }

    /// With another name of a file; `content` is that of the file.
    pub fn hard_link(self, path: &str, to: &str, content: &[u8]) -> Self {
        let entry = json!({"_path": path, "path_type": "hardlink", "sha256": Digest::of(content).hex(), "size_in_bytes": content.len()});
        self.member(path, EntryType::Link, 0o644, to, Vec::new()).entry(entry)
    }

    /// With a symbolic link.
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.member(path, EntryType::Symlink, 0o777, target, Vec::new()).entry(json!({"_path": path, "path_type": "softlink"}))
    }

    /// With a directory.
    pub fn directory(self, path: &str) -> Self {
        self.member(path, EntryType::Directory, 0o700, "", Vec::new()).entry(json!({"_path": path, "path_type": "directory"}))
    }

    /// With a command.
    pub fn entry_point(mut self, point: &str) -> Self {
        self.entry_points.push(point.to_owned());
        self
    }

    /// With an entry of `paths.json`.
    pub fn entry(mut self, entry: Value) -> Self {
        self.paths.push(entry);
        self
    }

    /// With a member of the archive that `paths.json` says nothing of.
    pub fn member(mut self, name: impl AsRef<[u8]>, kind: EntryType, mode: u32, link: impl AsRef<[u8]>, content: impl Into<Vec<u8>>) -> Self {
        let (name, link) = (name.as_ref().to_vec(), link.as_ref().to_vec());
        self.members.push(Member { name, kind, mode, mtime: TIME, link, content: content.into() });
        self
    }

    /// With another time of the last member.
    pub fn mtime(mut self, mtime: u64) -> Self {
        self.members.last_mut().expect("there is a member").mtime = mtime;
        self
    }

    /// `NAME-VERSION-BUILD`.
    pub fn record_name(&self) -> String {
        let part = |name: &str| self.index[name].as_str().unwrap_or_default().to_owned();
        format!("{}-{}-{}", part("name"), part("version"), part("build"))
    }

    /// The archive as `.conda`.
    pub fn to_conda(&self) -> Vec<u8> {
        in_conda(&self.info_tar(), &self.content_tar())
    }

    /// The archive as `.tar.bz2`.
    pub fn to_tar_bz2(&self) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(&tar_of(&[self.members.clone(), self.info()].concat())).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    }

    /// The unpacked tar of the info section.
    pub fn info_tar(&self) -> Vec<u8> {
        tar_of(&self.info())
    }

    /// The unpacked tar of the content.
    pub fn content_tar(&self) -> Vec<u8> {
        tar_of(&self.members)
    }

    /// The entry of a lock for the archive `bytes` of this package with this extension (`conda`, `tar.bz2`), laid without clobbering.
    ///
    /// # Panics
    /// When the package cannot be laid for this Python.
    pub fn locked(&self, bytes: &[u8], extension: &str, python: Option<&Python>) -> CondaPackage {
        let mut file = tempfile::tempfile().expect("there is room for temporary files");
        file.write_all(bytes).expect("there is room for temporary files");
        let name = format!("{}.{extension}", self.record_name());
        let info = PackageInfo::of_archive(&file, &name).expect("a specimen can be read");
        let text = |name: &str| self.index[name].as_str().unwrap_or_default().to_owned();
        CondaPackage {
            name: text("name"),
            version: text("version"),
            build: text("build"),
            channel: "https://conda.example/main".to_owned(),
            subdir: text("subdir"),
            url: Url::parse(&format!("https://conda.example/main/{}/{name}", text("subdir"))).expect("it is one"),
            sha256: Digest::of(bytes),
            md5_only: false,
            size: bytes.len() as u64,
            timestamp: None,
            noarch: info.noarch(),
            depends: None,
            constrains: None,
            laid_size: laid_size(&placement(&info, python).expect("a specimen can be placed"), None),
            clobbered: Vec::new(),
            link_scripts: info.link_scripts(),
        }
    }

    fn info(&self) -> Vec<Member> {
        let json = |value: &Value| value.to_string().into_bytes();
        let mut texts = vec![("index.json", json(&self.index)), ("about.json", b"{}".to_vec())];
        if self.is_old {
            let lines = |line: &dyn Fn(&Value) -> Option<String>| self.paths.iter().filter_map(line).collect::<Vec<_>>().join("\n").into_bytes();
            let text = |entry: &Value, name: &str| entry[name].as_str().map(str::to_owned);
            texts.push(("files", lines(&|entry| text(entry, "_path"))));
            let has_prefix =
                |entry: &Value| Some(format!("{} {} {}", text(entry, "prefix_placeholder")?, text(entry, "file_mode")?, text(entry, "_path")?));
            texts.push(("has_prefix", lines(&has_prefix)));
        } else {
            texts.push(("paths.json", json(&json!({"paths_version": 1, "paths": self.paths}))));
        }
        if self.index["noarch"] == "python" {
            let link = json!({"noarch": {"type": "python", "entry_points": self.entry_points}, "package_metadata_version": 1});
            texts.push(("link.json", json(&link)));
        }
        let member = |(name, content): (&str, Vec<u8>)| Member {
            name: format!("info/{name}").into_bytes(),
            kind: EntryType::Regular,
            mode: 0o644,
            mtime: TIME,
            link: Vec::new(),
            content,
        };
        texts.into_iter().map(member).collect()
    }
}

/// A `.conda` with these tars as its info section and its content.
pub fn in_conda(info: &[u8], content: &[u8]) -> Vec<u8> {
    let mut outer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let packed = |tar: &[u8]| zstd::encode_all(tar, 1).expect("memory takes all");
    for (name, bytes) in
        [("metadata.json", br#"{"conda_pkg_format_version": 2}"#.to_vec()), ("pkg-x.tar.zst", packed(content)), ("info-x.tar.zst", packed(info))]
    {
        outer.start_file(name, stored).expect("memory takes all");
        outer.write_all(&bytes).expect("memory takes all");
    }
    outer.finish().expect("memory takes all").into_inner()
}

/// A tar with names as they are, be they no paths.
fn tar_of(members: &[Member]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut append = |kind: EntryType, name: &[u8], link: &[u8], mode: u32, mtime: u64, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(1234);
        header.set_gid(1234);
        header.set_mtime(mtime);
        header.set_size(content.len() as u64);
        let fields = header.as_old_mut();
        let (name, link) = (&name[..name.len().min(100)], &link[..link.len().min(100)]);
        fields.name[..name.len()].copy_from_slice(name);
        fields.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        builder.append(&header, content).expect("memory takes all");
    };
    for Member { name, kind, mode, mtime, link, content } in members {
        for (long, kind) in [(name, EntryType::GNULongName), (link, EntryType::GNULongLink)] {
            if long.len() > 100 {
                append(kind, b"././@LongLink", b"", 0o644, 0, &[long, &b"\0"[..]].concat());
            }
        }
        append(*kind, name, link, *mode, *mtime, content);
    }
    builder.into_inner().expect("memory takes all")
}
