//! How commands speak to a running keygress: HTTP on its admin socket.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// Where the running keygress listens for commands.
#[derive(Debug, clap::Args)]
pub(super) struct Socket {
    /// The admin socket of the running keygress (`serve --admin-socket`).
    #[arg(
        long = "admin-socket",
        visible_alias = "socket",
        value_name = "PATH",
        env = "KEYGRESS_ADMIN_SOCKET",
        default_value = "/run/keygress/admin.sock"
    )]
    path: PathBuf,
}

impl Socket {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Asks once and returns status and answer.
    ///
    /// # Errors
    /// Where nobody answers, or not in JSON.
    pub(super) fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, Value)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(exchange(&self.path, method, path, body))
    }

    /// Asks once and returns the answer to a request that was granted.
    ///
    /// # Errors
    /// What the answer says is wrong, among others.
    pub(super) fn tell(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(method, path, body)?;
        if !status.is_success() {
            bail!("{}", answer.get("error").and_then(Value::as_str).unwrap_or(status.as_str()));
        }
        Ok(answer)
    }
}

async fn exchange(socket: &Path, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, Value)> {
    let missing = || format!("no keygress answers at `{}`: name its socket with `--admin-socket PATH`", socket.display());
    let stream = tokio::net::UnixStream::connect(socket).await.with_context(missing)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
    let request = Request::builder().method(method).uri(path).header(HOST, "admin").header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(body))?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
    };
    let (status, bytes) = tokio::select! {
        answered = answered => answered?,
        ended = connection => return Err(ended.err().map_or_else(|| anyhow!("it closed the connection"), Into::into)),
    };
    let answer = serde_json::from_slice(&bytes).with_context(|| format!("it answered {status}, and not in JSON"))?;
    Ok((status, answer))
}
