//! Stand-ins for the bases of the two sample Dockerfiles of the platform's documentation, made by umoci: mambaorg/micromamba, which has an empty
//! environment, and sagemaker-distribution, which has one with an editor, its own start script and an extension.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use byoi::digest::Digest;

use super::byoi::files;
use super::{rattler, tools};

/// What the environment of the stand-in for sagemaker-distribution is asked for.
pub const DISTRIBUTION_SPECS: &[&str] =
    &["python 3.11.*", "pip", "supervisor", "nodejs 20.19.*", "sagemaker-code-editor 1.10.*", "t-lib 1.*", "t-activate"];

/// An OCI layout with one image, below the work folder: made once, until something changes of which it is made.
pub struct Base {
    directory: PathBuf,
}

impl Base {
    /// Like mambaorg/micromamba: a user of its own, an entrypoint that activates, an empty environment that anybody may write to.
    pub fn micromamba() -> Self {
        Self::made("micromamba", |base| {
            base.debian();
            base.micromamba_layer();
            base.configure(&MICROMAMBA);
        })
    }

    /// Like sagemaker-distribution: made on top of micromamba's image.
    pub fn distribution() -> Self {
        Self::made("distribution", |base| {
            base.debian();
            base.micromamba_layer();
            base.configure(&MICROMAMBA);
            base.environment_layer((1000, 100));
            base.distribution_layer(&["hello-second-1.0.0"]);
            base.configure(&DISTRIBUTION);
        })
    }

    /// What the first sample Dockerfile of the documentation makes: the editor in micromamba's environment, installed by root, a bare `USER 1000`
    /// and a command in shell form.
    pub fn micromamba_sample() -> Self {
        Self::made("micromamba-sample", |base| {
            base.debian();
            base.micromamba_layer();
            base.configure(&MICROMAMBA);
            base.environment_layer((0, 0));
            base.configure(&["--config.user", "1000", "--config.cmd", "/usr/local/bin/_dockerfile_shell.sh", "--config.cmd", SAMPLE_COMMAND]);
        })
    }

    /// What the second makes: an extension that root installs into sagemaker-distribution, and its entrypoint.
    pub fn distribution_sample() -> Self {
        Self::made("distribution-sample", |base| {
            base.debian();
            base.micromamba_layer();
            base.configure(&MICROMAMBA);
            base.environment_layer((1000, 100));
            base.distribution_layer(&["hello-second-1.0.0", "hello-studio-1.2.3"]);
            base.configure(&DISTRIBUTION);
            base.configure(&["--config.entrypoint", "entrypoint-code-editor"]);
        })
    }

    fn made(name: &str, make: impl FnOnce(&Base)) -> Self {
        // Tests of one binary ask for it at the same time.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock();
        let bases = tools::work().canonicalize().unwrap().join("bases");
        let base = Base { directory: bases.join(format!("{name}-{}", &ingredients().hex()[..16])) };
        if !base.directory.exists() {
            fs::create_dir_all(&bases).unwrap();
            let new = tempfile::Builder::new().prefix("new-").tempdir_in(&bases).unwrap();
            make(&Base { directory: new.path().to_owned() });
            fs::create_dir(&base.directory).unwrap();
            fs::rename(new.path().join("layout"), base.layout()).unwrap();
        }
        base
    }

    /// Pushes the image to a registry on this machine.
    pub fn push(&self, reference: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"]);
        tools::stdout(skopeo.arg(format!("oci:{}", self.image())).arg(format!("docker://{reference}")));
    }

    /// The layout's directory.
    pub fn layout(&self) -> PathBuf {
        self.directory.join("layout")
    }

    /// The layout and the image in it, as `DIRECTORY:TAG`.
    pub fn image(&self) -> String {
        format!("{}:base", self.layout().display())
    }

    fn debian(&self) {
        self.umoci(&["init", "--layout", self.layout().to_str().unwrap()]);
        self.umoci(&["new", "--image", &self.image()]);
        self.umoci(&["config", "--image", &self.image(), "--architecture", "amd64", "--os", "linux"]);
        self.umoci(&["raw", "add-layer", "--image", &self.image(), tools::rootfs().to_str().unwrap()]);
    }

    fn umoci(&self, arguments: &[&str]) {
        tools::stdout(Command::new("umoci").args(arguments));
    }

    fn configure(&self, arguments: &[&str]) {
        self.umoci(&[&["config", "--image", &self.image()], arguments].concat());
    }

    /// Adds what lies in a directory as a layer: the paths and all below them owned by one account, the directories above them by root, as a docker
    /// build lists them. Directories that a layer does not list would come to life with docker's own mode.
    fn add(&self, tree: &Path, paths: &[&str], owner: (u32, u32)) {
        let tar = self.directory.join("layer.tar");
        let above: BTreeSet<&Path> =
            paths.iter().flat_map(|path| Path::new(path).ancestors().skip(1)).filter(|path| *path != Path::new("")).collect();
        let pack = |kind: &[&str], (user, group): (u32, u32)| {
            let mut command = Command::new("tar");
            command.args(kind).arg("--file").arg(&tar).args(["--sort=name", "--format=pax", "--pax-option=delete=atime,delete=ctime"]);
            command.args([format!("--owner=:{user}"), format!("--group=:{group}"), "--numeric-owner".to_owned()]).arg("--directory").arg(tree);
            command
        };
        tools::stdout(pack(&["--create", "--no-recursion"], (0, 0)).args(above));
        tools::stdout(pack(&["--append"], owner).args(paths));
        self.umoci(&["raw", "add-layer", "--image", &self.image(), tar.to_str().unwrap()]);
        fs::remove_file(tar).unwrap();
    }

    fn stage(&self, fixture: &str) -> PathBuf {
        let stage = self.directory.join(format!("stage-{fixture}"));
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
        tools::stdout(Command::new("cp").arg("-r").arg("--preserve=mode").arg(fixture).arg(&stage));
        stage
    }

    fn account_file(&self, stage: &Path, name: &str, line: &str) {
        // The root filesystem's own, with one line more.
        let mut tar = Command::new("tar");
        let text = tools::stdout(tar.arg("--extract").arg("--to-stdout").arg("--file").arg(tools::rootfs()).arg(format!("./etc/{name}")));
        fs::create_dir_all(stage.join("etc")).unwrap();
        fs::write(stage.join("etc").join(name), format!("{text}{line}\n")).unwrap();
    }

    fn micromamba_layer(&self) {
        let stage = self.stage("micromamba");
        self.account_file(&stage, "passwd", "mambauser:x:57439:57439::/home/mambauser:/bin/bash");
        self.account_file(&stage, "group", "mambauser:x:57439:");
        fs::write(stage.join("etc/arg_mamba_user"), "mambauser\n").unwrap();
        for (path, mode) in [("opt/conda", 0o777), ("opt/conda/conda-meta", 0o777), ("home", 0o777), ("home/mambauser", 0o777)] {
            directory(&stage.join(path), mode);
        }
        let files = ["etc/passwd", "etc/group", "etc/arg_mamba_user", "usr/bin/micromamba", "usr/local/bin/_entrypoint.sh"];
        let more = ["usr/local/bin/_activate_current_env.sh", "usr/local/bin/_dockerfile_shell.sh", "opt/conda", "home"];
        self.add(&stage, &[&files[..], &more].concat(), (0, 0));
    }

    fn environment_layer(&self, owner: (u32, u32)) {
        let stage = self.directory.join("environment");
        fs::create_dir_all(stage.join("opt")).unwrap();
        rattler::install(&stage.join("opt/conda"), "/opt/conda", &rattler::solve(&rattler::channel(), DISTRIBUTION_SPECS));
        self.add(&stage, &["opt/conda"], owner);
    }

    fn distribution_layer(&self, extensions: &[&str]) {
        let stage = self.stage("distribution");
        self.account_file(&stage, "passwd", "sagemaker-user:x:1000:100::/home/sagemaker-user:/bin/bash");
        self.account_file(&stage, "group", "sagemaker-user:x:100:");
        fs::write(stage.join("etc/arg_mamba_user"), "sagemaker-user\n").unwrap();
        let files = ["etc/passwd", "etc/group", "etc/arg_mamba_user", "etc/supervisor", "usr/local/bin/entrypoint-code-editor"];
        self.add(&stage, &[&files[..], &["usr/local/bin/start-code-editor"]].concat(), (0, 0));

        let data = "opt/amazon/sagemaker/sagemaker-code-editor-server-data";
        for path in ["opt/amazon/sagemaker/sagemaker-code-editor-user-data", "home/sagemaker-user", "var/log/studio", data] {
            directory(&stage.join(path), 0o755);
        }
        directory(&stage.join("run/supervisord"), 0o777);
        directory(&stage.join("home"), 0o777);
        extensions.iter().for_each(|extension| install_extension(&stage.join(data), extension));
        for (file, settings) in [
            ("Machine", r#"{"python.terminal.activateEnvironment": false, "python.defaultInterpreterPath": "/opt/conda/bin/python"}"#),
            ("User", r#"{"extensions.autoUpdate": false}"#),
        ] {
            directory(&stage.join(data).join("data").join(file), 0o755);
            fs::write(stage.join(data).join("data").join(file).join("settings.json"), settings).unwrap();
        }
        self.add(&stage, &["opt/amazon", "home/sagemaker-user", "var/log/studio", "run/supervisord"], (1000, 100));
    }
}

/// A digest of all that decides what the bases are.
fn ingredients() -> Digest {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<PathBuf> = ["micromamba", "distribution"].iter().flat_map(|name| files(&fixtures.join(name))).collect();
    files.extend([rattler::channel().join(".form"), tools::vsix("hello-second-1.0.0"), tools::rootfs()]);
    let digests: Vec<String> = files.iter().map(|path| Digest::of(fs::read(path).unwrap()).hex()).collect();
    Digest::of(format!("{}{}", include_str!("conda_base.rs"), digests.concat()))
}

fn directory(path: &Path, mode: u32) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// By the real server, as sagemaker-distribution's Dockerfile does it.
fn install_extension(data: &Path, extension: &str) {
    let vsix = tools::vsix(extension);
    let mut install = tools::editor(&["--install-extension", vsix.to_str().unwrap(), "--extensions-dir"]);
    install.arg(data.join("extensions")).arg("--server-data-dir").arg(data);
    tools::stdout(install.env("HOME", data));
    // What the server keeps beside it is none of the image's.
    for entry in fs::read_dir(data).unwrap().map(Result::unwrap) {
        if entry.file_name() != "extensions" {
            tools::stdout(Command::new("rm").arg("-rf").arg(entry.path()));
        }
    }
}

/// The first sample's CMD as the image's config has it: one word for the shell that its base names.
const SAMPLE_COMMAND: &str = "eval \"$(micromamba shell hook --shell=bash)\"; micromamba activate base; sagemaker-code-editor --host 0.0.0.0 --port 8888 --without-connection-token --base-path \"/CodeEditor/default\"";

const MICROMAMBA: [&str; 20] = [
    "--config.user",
    "mambauser",
    "--config.workingdir",
    "/tmp",
    "--config.entrypoint",
    "/usr/local/bin/_entrypoint.sh",
    "--config.cmd",
    "/bin/bash",
    "--config.env",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "--config.env",
    "LANG=C.UTF-8",
    "--config.env",
    "MAMBA_ROOT_PREFIX=/opt/conda",
    "--config.env",
    "MAMBA_EXE=/bin/micromamba",
    "--config.env",
    "ENV_NAME=base",
    "--config.env",
    "MAMBA_USER=mambauser",
];

const DISTRIBUTION: [&str; 20] = [
    "--config.user",
    "sagemaker-user",
    "--config.workingdir",
    "/home/sagemaker-user",
    "--config.env",
    "MAMBA_USER=sagemaker-user",
    "--config.env",
    "USER=sagemaker-user",
    "--config.env",
    "STUDIO_LOGGING_DIR=/var/log/studio/",
    "--config.env",
    "EDITOR=nano",
    "--config.env",
    "SHELL=/bin/bash",
    "--config.env",
    "NB_USER=sagemaker-user",
    "--config.env",
    "PATH=/etc/sagemaker-inference-server:/opt/conda/bin:/opt/conda/condabin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/home/sagemaker-user/.local/bin",
    "--config.label",
    "org.amazon.sagemaker-distribution.image.version=4.4.1",
];
