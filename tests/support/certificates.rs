//! A certificate authority of one test, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An authority and a certificate that it signed.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// A certificate for `names`, each `DNS:…` or `IP:…`.
    pub fn for_names(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let names = format!("subjectAltName={}", names.join(","));
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let authority = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority"];
        let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=server"];
        let leaf = ["-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"];
        openssl(directory.path(), &[&new[..], &authority].concat());
        openssl(directory.path(), &[&new[..], &signed, &leaf].concat());
        Certificates { directory }
    }

    /// The authority, for who is to trust it.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("server.pem")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }
}

fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(directory).output().expect("openssl is installed: hack/setup does it");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}
