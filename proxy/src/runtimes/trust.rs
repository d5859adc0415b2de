use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::java;

/// Variables of runtimes that replace their roots by a file.
const ROOTS: &[&str] = &[
    "SSL_CERT_FILE",                      // OpenSSL, curl, httpx, Go, Ruby, uv
    "REQUESTS_CA_BUNDLE",                 // Python requests, and what is built on it
    "CURL_CA_BUNDLE",                     // curl
    "AWS_CA_BUNDLE",                      // AWS command line and SDKs
    "GIT_SSL_CAINFO",                     // git
    "PIP_CERT",                           // pip
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",   // gRPC
    "CARGO_HTTP_CAINFO",                  // cargo
    "BUNDLE_SSL_CA_CERT",                 // Ruby bundler
    "HTTPLIB2_CA_CERTS",                  // Python httplib2
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", // gcloud
    "NIX_SSL_CERT_FILE",                  // Nix
];

/// Variables of runtimes that add a file to their own roots.
const EXTRA_ROOTS: &[&str] = &["NODE_EXTRA_CA_CERTS", "DENO_CERT", "KEYGRESS_CA"];

/// The files in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The CA of keygress alone, for runtimes that add it to their own roots.
    pub ca: PathBuf,
    /// The system's roots, the extra ones and the CA, for runtimes that replace their roots.
    pub all: PathBuf,
    /// The same as a trust store of Java.
    pub java: PathBuf,
}

impl Files {
    /// Their names in this folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { ca: folder.join("ca.pem"), all: folder.join("bundle.pem"), java: folder.join("trust.jks") }
    }

    /// Writes them, each at once, so that nobody reads half of one. `extra` are PEM files that are trusted beside the system's roots. Whether
    /// the system has any roots.
    ///
    /// # Errors
    /// Where an extra file cannot be read or the folder cannot be written.
    pub fn write(&self, ca_pem: &str, extra: &[PathBuf]) -> io::Result<bool> {
        let system = system_roots();
        let mut all = vec![ca_pem.to_owned(), system.clone()];
        for file in extra {
            all.push(read(file)?);
        }
        let all = all.join("\n");
        let certificates = pem::parse_many(&all).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let certificates: Vec<_> = certificates.into_iter().filter(|one| one.tag() == "CERTIFICATE").map(pem::Pem::into_contents).collect();
        write_whole(&self.java, &java::trust_store(&certificates))?;
        write_whole(&self.all, all.as_bytes())?;
        write_whole(&self.ca, ca_pem.as_bytes())?;
        Ok(!system.is_empty())
    }

    /// Each variable, and the file that it is to name.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let roots = ROOTS.iter().map(|name| (*name, self.all.as_path()));
        roots.chain(EXTRA_ROOTS.iter().map(|name| (*name, self.ca.as_path())))
    }
}

/// Replaces a file at once: nobody reads half of it.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}

fn read(file: &Path) -> io::Result<String> {
    fs::read_to_string(file).map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", file.display())))
}

fn system_roots() -> String {
    let roots = rustls_native_certs::load_native_certs().certs;
    let blocks: Vec<_> = roots.iter().map(|root| pem::Pem::new("CERTIFICATE", root.to_vec())).collect();
    let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_many_config(&blocks, line_feeds)
}
