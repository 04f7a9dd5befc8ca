//! Bytecode of `noarch: python` packages, made by a Python of the environment's minor version that is found on this machine. conda compiles it when
//! it installs; an image is laid without running anything of its own.
//!
//! The `.pyc` files hold the hash of their source and are never checked against it, so they depend on no time. The sources of a package are compiled
//! in the order of their paths by one process without site, user directory and environment, whose hashes are not random; so the bytes follow
//! from the sources, their paths and the interpreter's version, which is in the key.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::package_error::PackageError;
use crate::error::Error;
use crate::image_path::ImagePath;
use crate::layer::Content;
use crate::lock::Python;

const SCRIPT: &str = include_str!("compile.py");
/// Says where the interpreter itself is (the program that was started may be a wrapper that looks for it), its version, and its magic number.
const PROBE: &str = "import sys, importlib.util as u; print(sys.implementation.name, sys.executable, '.'.join(map(str, sys.version_info[:3])), \
                     u.MAGIC_NUMBER.hex(), sep='\\n')";
/// Largest source that is compiled, and largest bytecode that is taken, in bytes.
const SIZE_MAX: u64 = 64 << 20;

/// A Python that compiles for an environment.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    /// `3.12.11`.
    version: String,
    /// `cpython-312`, the tag in the names of what it makes.
    tag: String,
    /// What its bytecode begins with, in hexadecimal digits.
    magic: String,
}

impl Compiler {
    /// Finds the program `python3.12`, for an environment with a Python 3.12, in PATH.
    ///
    /// # Errors
    /// When there is none, or it is no CPython of that version.
    pub fn find(python: &Python) -> Result<Self, Error> {
        let mut parts = python.version.split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let program = format!("python{major}.{minor}");
        let failed = |reason: String| PackageError::NoCompiler { program: program.clone(), reason };
        let output = Command::new(&program).args(["-s", "-S", "-c", PROBE]).stdin(Stdio::null()).output();
        let output = output.map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let [name, executable, version, magic] = *text.lines().collect::<Vec<_>>() else {
            return Err(failed(format!("it does not run: {}", String::from_utf8_lossy(&output.stderr).trim())).into());
        };
        if name != "cpython" || !version.starts_with(&format!("{major}.{minor}.")) {
            return Err(failed(format!("it is {name} {version}")).into());
        }
        let (version, magic) = (version.to_owned(), magic.to_owned());
        Ok(Compiler { program: executable.into(), version, magic, tag: format!("cpython-{major}{minor}") })
    }

    /// What decides the bytes of what it makes.
    pub(super) fn key(&self) -> Value {
        json!([self.version, self.magic])
    }

    /// Where the bytecode of the module at `path` lies; none for what is no module.
    pub(super) fn target(&self, path: &ImagePath) -> Option<ImagePath> {
        let module = path.name().strip_suffix(b".py")?;
        let name = [b"__pycache__/", module, b".", self.tag.as_bytes(), b".pyc"].concat();
        path.parent()?.join(name).ok()
    }

    /// Starts the interpreter.
    pub(super) fn start(&self) -> Result<Compiling, PackageError> {
        let mut command = Command::new(&self.program);
        command.args(["-s", "-S", "-B", "-X", "utf8", "-c", SCRIPT]).env_clear().env("PYTHONHASHSEED", "0").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let program = self.program.display().to_string();
        let failed = |error: io::Error| PackageError::Compile { program: program.clone(), reason: error.to_string() };
        let mut child = command.spawn().map_err(failed)?;
        let (Some(sources), Some(compiled)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Compiling { program, child, sources, compiled })
    }
}

/// An interpreter that compiles one module after another. It ends when this is dropped.
pub(super) struct Compiling {
    program: String,
    child: Child,
    sources: ChildStdin,
    compiled: ChildStdout,
}

impl Compiling {
    /// The bytecode of the module that lies at `path` in the image; none where it cannot be compiled, as when it is written for another Python.
    pub(super) fn compile(&mut self, path: &ImagePath, source: &Content) -> Result<Option<Vec<u8>>, PackageError> {
        if source.size() > SIZE_MAX {
            return Ok(None);
        }
        let compiled = self.exchange(path.absolute().as_bytes(), source);
        compiled.map_err(|error| PackageError::Compile { program: self.program.clone(), reason: error.to_string() })
    }

    fn exchange(&mut self, path: &[u8], source: &Content) -> io::Result<Option<Vec<u8>>> {
        self.sources.write_all(&(path.len() as u64).to_le_bytes())?;
        self.sources.write_all(path)?;
        self.sources.write_all(&source.size().to_le_bytes())?;
        io::copy(&mut source.open()?, &mut self.sources)?;
        self.sources.flush()?;
        let mut length = [0; 8];
        self.compiled.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > SIZE_MAX {
            return Err(io::Error::other("it gives more than bytecode comes to"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.compiled.read_exact(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        // Nothing waits for it any more; that it is gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
