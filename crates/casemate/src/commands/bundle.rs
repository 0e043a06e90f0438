//! `casemate bundle`: what a medium brings is verified, judged, activated, and taken back.
//!
//! Each step stands in the audit record, also while a server runs, which goes on with what it has until it is started
//! again.

use super::eval::gate::{Judgement, judge_release};
use super::{note, show};
use crate::cli::{BundleApplyArgs, BundleArgs, BundleCommand, Global};
use crate::failure::{Failure, Outcome};
use crate::output::Bar;
use crate::{machine, setup};
use casemate_bundle::{Bundles, Check, Policy, Release, Report, State};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn run(global: &Global, args: &BundleArgs) -> Outcome {
    let started = Instant::now();
    let bundles = setup::bundles(global);
    match &args.what {
        BundleCommand::Trust { root } => {
            let pinned = bundles.trust(root).map_err(Failure::input)?;
            let subject = format!("root {} {}", pinned.version, pinned.sha256);
            note(global, "root trusted", &subject, json!(pinned))?;
            let lines = [
                format!("root {} is trusted; its SHA-256 is {}", pinned.version, pinned.sha256),
                "compare that with what the publisher says by another way".to_owned(),
            ];
            show(global, started, &json!({ "trusted": pinned }), lines)
        }
        BundleCommand::Verify { volumes } => {
            let report =
                bundles.verify(volumes, &check(Policy::Enforce), &mut bar()).map_err(Failure::input)?;
            show(global, started, &json!({ "bundle": report }), described(&report))
        }
        BundleCommand::Apply(args) => apply(global, started, &bundles, args),
        BundleCommand::List => {
            let releases = bundles.list()?;
            let rows: Vec<Value> = releases
                .iter()
                .map(|(release, state)| json!({ "release": release, "state": state }))
                .collect();
            let lines = releases.iter().map(|(release, state)| line_of(release, *state));
            show(global, started, &json!({ "releases": rows, "trusted": bundles.trusted().ok() }), lines)
        }
        BundleCommand::Rollback => {
            let release = bundles.rollback().map_err(Failure::input)?;
            note(global, "bundle rolled back", &format!("release {}", release.number), json!(release))?;
            let line =
                format!("release {} is active; a running server uses it from its next start", release.number);
            show(global, started, &json!({ "active": release }), [line])
        }
        BundleCommand::Discard => {
            bundles.discard()?;
            show(global, started, &json!({ "discarded": true }), ["what was staged is gone".to_owned()])
        }
    }
}

fn check(policy: Policy) -> Check {
    Check { now: Timestamp::now(), policy, program: env!("CARGO_PKG_VERSION").to_owned() }
}

fn apply(global: &Global, started: Instant, bundles: &Bundles, args: &BundleApplyArgs) -> Outcome {
    let by = machine::operator();
    let reason = args.reason.clone().unwrap_or_default();
    let policy = match args.override_expiry {
        true => Policy::Override { by, reason: reason.clone() },
        false => Policy::Enforce,
    };
    let staged = bundles.stage(&args.volumes, &check(policy), &mut bar());
    let staged = match staged {
        Ok(staged) => staged,
        Err(error) => {
            if error.is_refusal() {
                let volumes = args.volumes.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
                note(global, "bundle refused", &volumes.join(" "), json!({ "why": error.to_string() }))?;
            }
            return Err(Failure::input(error));
        }
    };
    let report = staged.report;
    let Some(release) = staged.release else {
        let bytes: u64 = report.missing.iter().map(|part| part.bytes).sum();
        let line = format!(
            "{} of {} parts ({bytes} bytes) are on other media: apply those too",
            report.missing.len(),
            report.parts
        );
        return show(global, started, &json!({ "bundle": report, "activated": false }), [line]);
    };
    let candidate = Global { release: Some(release.dir.clone()), ..global.clone() };
    let judgement = judge_release(global, &candidate, &args.model)?;
    let refused = judgement.reasons();
    let forced = !refused.is_empty() && args.force;
    let now = json!({
        "bundle": report, "release": release.number, "gate": judgement, "forced": forced, "reason": reason,
    });
    let subject = format!("bundle {} {} {}", report.name, report.version, report.sha256);
    if !refused.is_empty() && !forced {
        note(global, "bundle refused by the gate", &subject, now.clone())?;
        let line = format!(
            "staged as release {} and not activated: {}. `--force --reason` activates it all the same, `casemate bundle \
             discard` removes it",
            release.number,
            refused.join("; ")
        );
        show(global, started, &json!({ "applied": now, "activated": false }), [line])?;
        return Ok(ExitCode::from(1));
    }
    bundles.activate(release.number)?;
    note(global, "bundle applied", &subject, now.clone())?;
    let mut lines = described(&report);
    lines.push(judgement.described());
    lines.push(format!("release {} is active; a running server uses it from its next start", release.number));
    show(global, started, &json!({ "applied": now, "activated": true }), lines)
}

impl Judgement {
    /// Why the release may not be activated.
    fn reasons(&self) -> Vec<String> {
        match self {
            Self::Compared(decision) if !decision.allowed => decision.reasons.clone(),
            _ => Vec::new(),
        }
    }

    fn described(&self) -> String {
        match self {
            Self::Compared(decision) if decision.allowed => {
                format!(
                    "the gate lets it pass: {} cases, no figure worse than what was active",
                    decision.cases
                )
            }
            Self::Compared(_) => "the gate refuses it, and was overruled".to_owned(),
            Self::Alone { cases } => {
                format!("{cases} cases run with it; nothing was active to compare it with")
            }
            Self::Nothing { why } => format!("not judged: {why}"),
        }
    }
}

fn described(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "bundle {} {} (SHA-256 {}), {} bytes, good until {}",
        report.name, report.version, report.sha256, report.bytes, report.expires
    )];
    for (role, signers) in &report.signers {
        let signers: Vec<String> = signers.iter().map(ToString::to_string).collect();
        lines.push(format!("  {role} signed by {}", signers.join(", ")));
    }
    for change in &report.components {
        let instead =
            change.replaces.map_or_else(String::new, |version| format!(", in place of version {version}"));
        lines
            .push(format!("  {}: {} files, {} bytes{instead}", change.component, change.files, change.bytes));
    }
    if !report.missing.is_empty() {
        lines.push(format!("  {} of {} parts are not on these media", report.missing.len(), report.parts));
    }
    lines
}

fn line_of(release: &Release, state: State) -> String {
    let parts: Vec<String> = release
        .components
        .iter()
        .map(|(name, component)| format!("{name} of {} {}", component.bundle, component.version))
        .collect();
    let state = json!(state).as_str().unwrap_or_default().to_owned();
    format!("{:>6}  {state:<8} {:.0}  {}", release.number, release.staged, parts.join(", "))
}

fn bar() -> impl FnMut(casemate_bundle::Progress) {
    let bar = Bar::counting("bundle", 0);
    move |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        if progress.done >= progress.total {
            bar.finish_and_clear();
        }
    }
}

/// Files of the active release that are not what was signed.
pub(crate) fn damaged(global: &Global) -> Outcome<Vec<String>> {
    let bundles = setup::bundles(global);
    if bundles.active()?.is_none() {
        return Ok(Vec::new());
    }
    let found = bundles.rehash(&mut bar())?;
    let said = |path: &str, what: &Value| {
        format!(
            "{path} of the active release is not what was signed ({what}): apply its bundle again, or roll back"
        )
    };
    Ok(found.iter().map(|damaged| said(&damaged.path, &json!(damaged.what))).collect())
}
