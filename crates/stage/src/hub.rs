//! Gets a file from the Hugging Face hub, or says within seconds that the hub cannot be reached.
//!
//! `hf-hub` sets no timeout of its own, so two are added here: a connection attempt beforehand, and a watch over
//! the bytes that arrive. A hub found unreachable is not asked again in the same run.

use crate::progress::Progress;
use hf_hub::api::Progress as HubProgress;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Repo, RepoType};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest silence before a transfer counts as dead.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
const PROXY_VARIABLES: [&str; 6] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// Ends the reason for not asking a hub that was found unreachable earlier in the run.
pub(crate) const ASKED_BEFORE: &str = " (not asked again in this run)";

/// The hub, as far as it is known in this run.
pub(crate) struct Hub {
    endpoint: String,
    /// Why nothing more is asked of it.
    down: Option<String>,
    connected: bool,
}

/// A file of a repository.
pub(crate) struct Request<'a> {
    pub(crate) repo: &'a str,
    pub(crate) revision: &'a str,
    pub(crate) file: &'a str,
}

impl Hub {
    /// The hub at `HF_ENDPOINT`, else the public one.
    pub(crate) fn from_env() -> Self {
        let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        Self::at(endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()))
    }

    fn at(endpoint: String) -> Self {
        Self { endpoint, down: None, connected: false }
    }

    /// Downloads into `folder`, resuming what an earlier run left there, and returns where the bytes are.
    ///
    /// # Errors
    /// The reason, for the list of what was tried.
    pub(crate) fn download(
        &mut self,
        request: &Request<'_>,
        folder: &Path,
        progress: &Progress,
    ) -> Result<PathBuf, String> {
        self.ensure_reachable()?;
        let messages = self.spawn(request, folder)?;
        loop {
            match messages.recv_timeout(STALL_TIMEOUT) {
                Ok(Message::Position(bytes)) => progress.set(bytes),
                Ok(Message::Done(Ok(path))) => return Ok(path),
                Ok(Message::Done(Err(Failure { reason, of_hub }))) => {
                    if of_hub {
                        self.down = Some(reason.clone());
                    }
                    return Err(reason);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let reason = format!("no byte from {} in {} s", self.endpoint, STALL_TIMEOUT.as_secs());
                    self.down = Some(reason.clone());
                    return Err(reason);
                }
                Err(RecvTimeoutError::Disconnected) => return Err("hf-hub stopped without a result".into()),
            }
        }
    }

    fn ensure_reachable(&mut self) -> Result<(), String> {
        if let Some(reason) = &self.down {
            return Err(format!("{reason}{ASKED_BEFORE}"));
        }
        if !self.connected {
            let proxy =
                PROXY_VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
            let via = proxy.as_deref().unwrap_or(&self.endpoint);
            if let Err(reason) = connect(via) {
                self.down = Some(reason.clone());
                return Err(reason);
            }
            self.connected = true;
        }
        Ok(())
    }

    fn spawn(&self, request: &Request<'_>, folder: &Path) -> Result<mpsc::Receiver<Message>, String> {
        let api = ApiBuilder::from_env()
            .with_endpoint(self.endpoint.clone())
            .with_cache_dir(folder.to_owned())
            .with_progress(false)
            .build()
            .map_err(|error| error.to_string())?;
        let repo = Repo::with_revision(request.repo.to_owned(), RepoType::Model, request.revision.to_owned());
        let file = request.file.to_owned();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let watched = Watched { sender: sender.clone(), position: 0 };
            let result = api.repo(repo).download_with_progress(&file, watched);
            let _ = sender.send(Message::Done(result.map_err(Failure::from)));
        });
        Ok(receiver)
    }
}

enum Message {
    Position(u64),
    Done(Result<PathBuf, Failure>),
}

struct Failure {
    reason: String,
    /// Whether any other request to this hub would fare the same.
    of_hub: bool,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let reason = error.to_string();
        let answered = reason.contains("http status");
        Self { of_hub: matches!(error, ApiError::RequestError(_)) && !answered, reason }
    }
}

/// Reports `hf-hub`'s progress to the thread that watches it.
struct Watched {
    sender: Sender<Message>,
    position: u64,
}

impl HubProgress for Watched {
    fn init(&mut self, _size: usize, _filename: &str) {
        self.position = 0;
    }

    fn update(&mut self, bytes: usize) {
        self.position += bytes as u64;
        let _ = self.sender.send(Message::Position(self.position));
    }

    fn finish(&mut self) {}
}

/// Tries to open a connection to the host of `url` and closes it again.
fn connect(url: &str) -> Result<(), String> {
    let target = host_and_port(url).ok_or_else(|| format!("{url:?} is not a URL with a host"))?;
    let seconds = CONNECT_TIMEOUT.as_secs();
    let mut last = format!("{target} has no address");
    for address in resolve(&target)?.into_iter().take(2) {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) => last = format!("{target} ({address}) does not answer within {seconds} s: {error}"),
        }
    }
    Err(last)
}

/// Resolves on a thread of its own, because the system's resolver takes its time on a network that drops packets.
fn resolve(target: &str) -> Result<Vec<SocketAddr>, String> {
    let (sender, receiver) = mpsc::channel();
    let name = target.to_owned();
    thread::spawn(move || sender.send(name.to_socket_addrs().map(Iterator::collect)));
    match receiver.recv_timeout(CONNECT_TIMEOUT) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(format!("{target} cannot be resolved: {error}")),
        Err(_) => Err(format!("{target} cannot be resolved within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

fn host_and_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() {
        return None;
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        return Some(host.to_owned());
    }
    Some(format!("{host}:{}", if scheme == "https" { 443 } else { 80 }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    fn check(url: &str, expected: Option<&str>) {
        assert_eq!(host_and_port(url).as_deref(), expected, "{url}");
    }

    #[test]
    fn hosts_of_urls() {
        check("https://huggingface.co", Some("huggingface.co:443"));
        check("https://mirror.example/hub/", Some("mirror.example:443"));
        check("http://127.0.0.1:8080", Some("127.0.0.1:8080"));
        check("http://user:secret@proxy:3128/", Some("proxy:3128"));
        check("http://[::1]:9", Some("[::1]:9"));
        check("https://", None);
    }

    #[test]
    fn a_closed_port_is_said_at_once_and_remembered() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut hub = Hub::at(format!("http://127.0.0.1:{port}"));
        // A proxy in the environment of the test run would be asked instead.
        if PROXY_VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
            return;
        }
        let first = hub.ensure_reachable().unwrap_err();
        assert!(first.contains("does not answer") && first.contains(&port.to_string()), "{first}");
        assert!(hub.ensure_reachable().unwrap_err().contains("not asked again"));
    }
}
