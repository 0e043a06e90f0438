//! `casemate serve`: API, page and receivers until Ctrl-C or SIGTERM.

use crate::cli::{Global, ReceiveArgs, ServeArgs};
use crate::failure::{Failure, Outcome};
use crate::seal::Seal;
use crate::service::Manager;
use crate::setup::{self, Desk};
use crate::{door, machine, models};
use anyhow::anyhow;
use casemate_audit::Entry;
use casemate_bundle::Bundles;
use casemate_event::Disposition;
use casemate_investigate::{Investigation, Investigator};
use casemate_pipeline::Pipeline;
use casemate_receive::{Clients, Intake, Receivers, TlsFiles};
use casemate_server::{About, Closed, Config, Listener, Release};
use casemate_store::Limits;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub(crate) fn run(global: &Global, args: &ServeArgs, seal: &Seal, mut manager: Manager) -> Outcome {
    let tls = door::tls(global, &args.door, &args.receive)?;
    let listener = match manager.take_listener() {
        Some(listener) => Listener::adopt(listener, tls),
        None => Listener::bind(&args.listen, tls),
    };
    let listener = listener.map_err(Failure::input)?;
    let access = door::guarded(global, &args.door)?;
    if access.is_some() {
        listener.let_everybody_knock().map_err(Failure::input)?;
    }
    let redaction = door::redaction(global)?;
    let receivers = receivers(&args.receive)?;
    let limits = Limits { retention: args.keep.retention(), ..Limits::default() };
    let backup_dir = args.keep.backup_dir.clone();
    let (desk, held) = setup::desk_or_held(global, &args.model, limits)?;
    let Desk { pipeline, investigator, models } = desk;
    if let Some(why) = &held {
        tracing::error!(
            why,
            "nothing is investigated until that is put right and this is started again; intake and search go on"
        );
    }
    let intake = Arc::new(Intake::new(Arc::clone(&pipeline)));
    let began = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "models": models,
        "provenance": investigator.provenance(),
        "listening": listener.url(),
        "authentication": access.is_some(),
        "sealed_by": seal.by(),
    });
    let about = About {
        sealed_by: seal.by().into_iter().map(str::to_owned).collect(),
        not_sealed: seal.missing.clone(),
        judges: judges(global, &investigator, &pipeline),
        data_dir: Some(global.data_dir.clone()),
        retention: args.keep.retention(),
        releases: Some(Arc::new({
            let bundles = setup::bundles(global);
            move || releases(&bundles)
        })),
    };
    let by = machine::operator();
    pipeline.store().record(&Entry::new(&by, "start", "server", began))?;
    let config = Config {
        models,
        intake: Some(Arc::clone(&intake)),
        backup_dir,
        access,
        held,
        judge: Some(Arc::new(judge)),
        redaction,
        backlog: !args.only_when_asked,
        about,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (stop, stopping) = watch::channel(false);
        let signalled = stop_signal()?;
        announce(&listener, &receivers, seal);
        let manager = Arc::new(manager);
        manager.say("READY=1");
        let alive = manager
            .beat()
            .map(|beat| tokio::spawn(show_life(Arc::clone(&manager), beat, Arc::clone(&pipeline))));
        let receiving = tokio::spawn(receivers.run(intake, stopping));
        let shutdown = async move {
            signalled.await;
            manager.say("STOPPING=1");
            stop.send_replace(true);
        };
        let store = Arc::clone(pipeline.store());
        casemate_server::serve_with(config, listener, pipeline, investigator, shutdown).await?;
        receiving.await??;
        store.record(&Entry::new(&by, "stop", "server", Value::Null))?;
        if let Some(alive) = alive {
            alive.abort();
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What the gate says of a playbook over alerts that people closed: as they were judged, and as they would be.
fn judge(closed: &[Closed]) -> Value {
    let judged = |report: fn(&Closed) -> &Investigation| -> Vec<_> {
        let as_closed = |attack| if attack { Disposition::Malicious } else { Disposition::Benign };
        let cases = closed.iter();
        cases.map(|one| casemate_eval::closed::judged(one.case, as_closed(one.attack), report(one))).collect()
    };
    json!(casemate_eval::gate::compare(&judged(|one| &one.then), &judged(|one| &one.now), 1))
}

/// What judges beside the model: the head, what reads for it, and what finds similar events.
fn judges(global: &Global, investigator: &Investigator, pipeline: &Pipeline) -> Vec<Value> {
    let beside = investigator.beside_model().into_iter();
    let mut judges: Vec<Value> =
        beside.map(|(role, name, sha256)| json!({ "role": role, "name": name, "sha256": sha256 })).collect();
    if pipeline.has_embedder() {
        let note = "finds what resembles; `casemate doctor` compares its file with the catalogue";
        let name = models::embedder_dir(&global.model_dirs());
        let name = name.ok().and_then(|dir| Some(dir.file_name()?.to_string_lossy().into_owned()));
        judges.push(json!({ "role": "embedder", "name": name, "sha256": "", "note": note }));
    }
    judges
}

/// What bundles brought, the newest first.
fn releases(bundles: &Bundles) -> Result<Vec<Release>, String> {
    let listed = bundles.list().map_err(|error| error.to_string())?;
    let mut releases: Vec<Release> = listed
        .into_iter()
        .map(|(release, state)| Release {
            number: release.number,
            state: json!(state).as_str().unwrap_or_default().to_owned(),
            staged: release.staged,
            parts: release
                .components
                .iter()
                .map(|(name, part)| format!("{name} of {} {}", part.bundle, part.version))
                .collect(),
            overrides: release.overrides.len(),
        })
        .collect();
    releases.sort_by_key(|release| std::cmp::Reverse(release.number));
    Ok(releases)
}

/// Tells the service manager that we live, as long as the store answers.
async fn show_life(manager: Arc<Manager>, beat: Duration, pipeline: Arc<Pipeline>) {
    let mut beats = tokio::time::interval(beat);
    loop {
        beats.tick().await;
        let pipeline = Arc::clone(&pipeline);
        let answers = tokio::task::spawn_blocking(move || pipeline.store().counts().is_ok());
        if answers.await.is_ok_and(|answers| answers) {
            manager.say("WATCHDOG=1");
        }
    }
}

fn receivers(args: &ReceiveArgs) -> Outcome<Receivers> {
    let mut addresses = args.syslog_udp.iter().chain(&args.syslog_tcp).chain(&args.syslog_tls);
    if let Some(address) = addresses.find(|address| !address.ip().is_loopback() && !args.syslog_from_network)
    {
        return Err(Failure::input(anyhow!(
            "syslog on {address} can be reached from the network and is not authenticated; add \
             --syslog-from-network if that is meant, or listen on 127.0.0.1"
        )));
    }
    let tls = args.tls_cert.clone().zip(args.tls_key.clone()).map(|(certificate, key)| TlsFiles {
        certificate,
        key,
        clients: args.tls_client_ca.clone().map_or(Clients::None, Clients::Required),
    });
    let config = casemate_receive::Config {
        syslog_udp: args.syslog_udp.clone(),
        syslog_tcp: args.syslog_tcp.clone(),
        syslog_tls: args.syslog_tls.clone(),
        tls,
        watch: args.watch.clone(),
    };
    Receivers::bind(config).map_err(Failure::input)
}

fn announce(listener: &Listener, receivers: &Receivers, seal: &Seal) {
    let by = seal.by();
    let sealed = if by.is_empty() { "NOT SEALED: it could connect".to_owned() } else { by.join("; ") };
    eprintln!("casemate: {sealed}");
    for (scheme, address) in receivers.addresses() {
        eprintln!("casemate: receiving {scheme}://{address}");
    }
    eprintln!("casemate: serving on {} (Ctrl-C stops)", listener.url());
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use casemate_event::{AlertId, CaseId};

    fn report(id: u64, verdict: &str, probability: f64) -> Investigation {
        serde_json::from_value(json!({
            "id": id,
            "alert": {
                "id": id, "title": "t", "severity": "high", "origin": { "rule": "r" },
                "first_time": "2026-01-01T00:00:00Z", "last_time": "2026-01-01T00:00:00Z", "event_count": 1,
            },
            "verdict": verdict, "confidence": 0.9, "probability": probability, "convergence": 1.0, "summary": "",
            "method": "model_and_facts", "evidence": [], "cited": [], "facts": [], "answers": [],
            "contributions": [], "timeline": [], "entities": [], "techniques": [], "missing": [], "next_steps": [],
            "narrative": [], "narrative_replaced": 0, "playbook": { "name": "p", "version": 1, "sha256": "" },
            "model": null, "prompt_tokens": 0, "generated_tokens": 0, "seconds": {},
        }))
        .unwrap()
    }

    fn closed(id: u64, attack: bool, then: (&str, f64), now: (&str, f64)) -> Closed {
        let of = |(verdict, probability)| report(id, verdict, probability);
        Closed { alert: AlertId(id), case: CaseId(id), attack, then: of(then), now: of(now) }
    }

    #[test]
    fn the_gate_refuses_a_playbook_that_misses_what_was_seen() {
        let (attack, harmless) = (("malicious", 0.95), ("benign", 0.05));
        let same = judge(&[closed(1, true, attack, attack), closed(2, false, harmless, harmless)]);
        assert_eq!((&same["allowed"], &same["cases"]), (&json!(true), &json!(2)), "{same}");
        let worse = judge(&[closed(1, true, attack, harmless), closed(2, false, harmless, harmless)]);
        assert_eq!(worse["allowed"], false);
        assert!(worse["reasons"].to_string().contains("alert 1"), "{worse}");
    }
}
