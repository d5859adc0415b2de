use std::io::Write;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{Finding, Level};
use crate::audit::Sink;
use crate::cli::serve::untouched;
use crate::config::Settings;
use crate::confine::probe;
use crate::reload;
use crate::state::{Key, Place, private_folder};

/// Looks at user, files, policy, audit and clock.
pub(super) fn look(settings: Option<&Settings>) -> Vec<Finding> {
    let Some(settings) = settings else {
        let hint = "not looked at: name a policy as for `serve` (`--policy PATH`, or `--config FILE`)";
        return vec![user(), clock(), confine(), Finding::new("policy", Level::Warning, hint)];
    };
    vec![user(), clock(), same_uid(settings), policy(settings), audit(settings), ledger(settings), confine()]
}

fn user() -> Finding {
    let uid = rustix::process::geteuid().as_raw();
    if uid == 0 {
        return Finding::new("user", Level::Warning, "root: run keygress under a user of its own, which no workload has");
    }
    Finding::new("user", Level::Good, format!("uid {uid}"))
}

fn same_uid(settings: &Settings) -> Finding {
    if settings.unsafe_same_uid {
        return Finding::new("callers", Level::Bad, "those of its own user are let in (`--unsafe-same-uid`): they can end and imitate it");
    }
    Finding::new("callers", Level::Good, "those of its own user are refused")
}

/// What the policy is, and whether somebody else could change what is trusted.
fn policy(settings: &Settings) -> Finding {
    let files = match reload::read(&settings.policy) {
        Ok(files) => files,
        Err(error) => return Finding::new("policy", Level::Bad, error.to_string()),
    };
    let Ok((policy, _)) = reload::compile(&files) else {
        return Finding::new("policy", Level::Bad, "it does not load: `keygress check` says why");
    };
    if let Err(why) = untouched(settings, &policy) {
        return Finding::new("policy", Level::Bad, why);
    }
    let (rules, credentials) = (policy.rules().len(), policy.credentials().len());
    let what = format!("{rules} rules, {credentials} credentials; it, the binary and what it names are root's or ours alone to write");
    Finding::new("policy", Level::Good, what)
}

/// Whether a record reaches the disk where the audit is.
fn audit(settings: &Settings) -> Finding {
    let path = match &settings.audit {
        Sink::File(path) => path,
        Sink::Stdout | Sink::Memory(_) => {
            return Finding::new("audit", Level::Warning, "standard output: whoever reads it must keep it; `--audit FILE` is durable");
        }
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(b"{}\n").and_then(|()| file.sync_all()));
    match synced {
        Ok(()) => Finding::new("audit", Level::Good, format!("{}: written and synced to the disk", path.display())),
        Err(error) => Finding::new("audit", Level::Bad, format!("{}: {error}", path.display())),
    }
}

/// Whether `run --confine` works on this kernel: tried, with a command that does nothing.
fn confine() -> Finding {
    let tried = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string());
    match tried.and_then(|runtime| runtime.block_on(probe())) {
        Ok(missing) if missing.is_empty() => Finding::new("confine", Level::Good, "`run --confine` works here, for this user"),
        Ok(missing) => Finding::new("confine", Level::Warning, format!("`run --confine` is refused here: {}", missing.join("; "))),
        Err(why) => Finding::new("confine", Level::Warning, format!("`run --confine` is refused here: {why}")),
    }
}

/// Whether what is issued is revoked where the process is killed.
fn ledger(settings: &Settings) -> Finding {
    let Some(Place { folder, key, .. }) = &settings.state else {
        let what = "none: what a keygress that is killed had issued lives until it expires; `--state FOLDER --state-key FILE` keeps it";
        return Finding::new("ledger", Level::Warning, what);
    };
    match private_folder(folder).and_then(|()| Key::read(key)) {
        Ok(_) => Finding::new("ledger", Level::Good, format!("{}: ours alone, and its key can be read", folder.display())),
        Err(why) => Finding::new("ledger", Level::Bad, why),
    }
}

/// Whether the system says that its clock is kept right: lifetimes count by another clock, signatures and certificates by this one.
fn clock() -> Finding {
    // SAFETY: zero is a value of every field; with no mode set the call only reads.
    let (state, time) = unsafe {
        let mut time: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut time), time)
    };
    if state < 0 || time.status & libc::STA_UNSYNC != 0 {
        return Finding::new(
            "clock",
            Level::Warning,
            "not synchronised, as the kernel knows: signatures and certificates need the right time",
        );
    }
    Finding::new("clock", Level::Good, format!("synchronised, within {} ms", time.maxerror / 1000))
}

/// A runtime, the program by which it is known, and the variable that names what it trusts.
const RUNTIMES: [(&str, &str, &str); 8] = [
    ("curl", "curl", "SSL_CERT_FILE"),
    ("git", "git", "GIT_SSL_CAINFO"),
    ("Go", "go", "SSL_CERT_FILE"),
    ("Python requests", "python3", "REQUESTS_CA_BUNDLE"),
    ("pip", "pip3", "PIP_CERT"),
    ("Node", "node", "NODE_EXTRA_CA_CERTS"),
    ("AWS", "aws", "AWS_CA_BUNDLE"),
    ("Java", "java", "JAVA_TOOL_OPTIONS"),
];

/// Which runtimes of this machine would trust the certificate that `serve` has written, in an environment such as this one.
pub(super) fn certificates(settings: Option<&Settings>) -> Vec<Finding> {
    let Some(path) = settings.and_then(|settings| settings.ca_file.as_ref()) else {
        return vec![Finding::new("CA", Level::Warning, "not looked at: `serve` writes its certificate where `--ca-file` says")];
    };
    let Some(ca) = read(path).into_iter().next() else {
        let what = format!("{}: no certificate there yet; `serve` writes it at start", path.display());
        return vec![Finding::new("CA", Level::Warning, what)];
    };
    let is_system = rustls_native_certs::load_native_certs().certs.contains(&ca);
    let found = RUNTIMES.iter().filter(|(_, program, _)| is_installed(program));
    found.map(|(name, _, variable)| runtime(name, variable, path, &ca, is_system)).collect()
}

fn runtime(name: &str, variable: &str, path: &Path, ca: &CertificateDer<'_>, is_system: bool) -> Finding {
    // What reads a bundle of its own does not know the system's.
    let reads_system = matches!(variable, "SSL_CERT_FILE" | "GIT_SSL_CAINFO");
    match std::env::var_os(variable) {
        Some(bundle) if read(Path::new(&bundle)).contains(ca) => Finding::new(name, Level::Good, format!("trusts it, by {variable}")),
        None if is_system && reads_system => Finding::new(name, Level::Good, "trusts it, by the system's certificates"),
        Some(_) | None => {
            Finding::new(name, Level::Warning, format!("trusts it where {variable} names {}; here it does not", path.display()))
        }
    }
}

fn read(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).map(|certificates| certificates.flatten().collect()).unwrap_or_default()
}

fn is_installed(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder: PathBuf| folder.join(program)).any(|path| path.is_file())
}
