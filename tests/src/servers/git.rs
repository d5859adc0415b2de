//! A git repository over HTTPS: nginx before fcgiwrap before git's own backend. A clone needs the right user and password.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context, Result};

use super::nginx::{Nginx, checking};
use crate::site::Site;
use crate::tools;

/// A running git server with one repository, `/repository.git`.
pub struct Git {
    /// The nginx in front.
    pub nginx: Nginx,
    wrapper: Child,
}

impl Git {
    /// Serves one repository with one commit to whoever sends this `Authorization` value.
    ///
    /// # Errors
    /// Where git, nginx or fcgiwrap cannot be had or started.
    pub fn start(site: &Site, host: &str, authorization: &str) -> Result<Self> {
        let folder = site.folder().join("git");
        make_repository(&folder)?;
        let socket = folder.join("fcgi.sock");
        // FastCGI: the listening socket is the standard input.
        let listener = UnixListener::bind(&socket)?;
        let wrapper = Command::new(tools::program("fcgiwrap")?).stdin(OwnedFd::from(listener)).spawn().context("fcgiwrap")?;
        let backend = tools::program("git-http-backend")?;
        let serves = format!(
            "{}
    add_header WWW-Authenticate 'Basic realm=\"repositories\"' always;
    location / {{
      if ($verdict != injected) {{ return 401 \"$verdict\\n\"; }}
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME {};
      fastcgi_param GIT_PROJECT_ROOT {};
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param REMOTE_USER reader;
      fastcgi_pass unix:{};
    }}",
            checking(authorization),
            backend.display(),
            folder.display(),
            socket.display()
        );
        let nginx = Nginx::start(site, host, &serves)?;
        Ok(Self { nginx, wrapper })
    }
}

fn make_repository(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let work = folder.join("work");
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=A Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"];
        tools::run(Command::new("git").args(identity).args(arguments).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null"))
    };
    git(&["init", "--quiet", "work"])?;
    std::fs::write(work.join("hello.txt"), "hello from the repository\n")?;
    git(&["-C", "work", "add", "hello.txt"])?;
    git(&["-C", "work", "commit", "--quiet", "--message", "hello"])?;
    git(&["clone", "--quiet", "--bare", "work", "repository.git"])
}

impl Drop for Git {
    fn drop(&mut self) {
        let _ = self.wrapper.kill();
        let _ = self.wrapper.wait();
    }
}
