//! `casemate plan`: what can this machine hold, measured on it, and what would more need?

mod forecast;
mod measure;

use crate::cli::{Global, ModelArgs, PlanArgs};
use crate::failure::Outcome;
use crate::machine::Cpu;
use crate::output;
use crate::setup;
use casemate_event::Alert;
use casemate_pipeline::Pipeline;
use forecast::{Forecast, cores_needed, forecast};
use measure::{Measured, Repeats};
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Readers tried beside the one asked for, where their files are there.
const SMALLER: [&str; 2] = ["small", "tiny"];
/// Share of a further core that a model's pass makes use of: assumed, and said so.
const EFFICIENCY: f64 = 0.8;

#[derive(Debug, Serialize)]
struct Plan {
    machine: Machine,
    measured: OnWhat,
    /// Seconds of an alert, with the model asked for.
    alert: Figures,
    repeats: Repeats,
    forecast: Forecast,
    smaller: Vec<Smaller>,
    /// Cores for so many alerts at 80 %, if 0.8 of each further core is made use of; none if no number is enough.
    cores_needed: Option<u64>,
    disk: Option<Disk>,
    advice: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
}

#[derive(Debug, Serialize)]
struct OnWhat {
    /// `site` or `sample`.
    alerts_of: &'static str,
    alerts: usize,
    model: String,
}

#[derive(Debug, Serialize)]
struct Figures {
    mean_seconds: f64,
    #[serde(flatten)]
    measured: Measured,
}

#[derive(Debug, Serialize)]
struct Smaller {
    model: String,
    mean_seconds: f64,
    most_alerts_per_day: u64,
}

/// What the events of this site take.
#[derive(Debug, Serialize)]
struct Disk {
    events_per_day: f64,
    bytes_per_event: f64,
    bytes_per_day: f64,
}

pub(crate) fn run(global: &Global, args: &PlanArgs) -> Outcome {
    let started = Instant::now();
    let within = Duration::from_secs(u64::from(args.measure_seconds));
    let mut bench = measure::open(global, &args.model, args.sample)?;
    let pipeline = Arc::clone(&bench.desk.pipeline);
    // What loading took is not measured; the smaller readers get a quarter of the time.
    let measured = measure::measure(&mut bench.desk.investigator, &bench.alerts, within.mul_f64(0.75))?;
    let smaller = if args.model.model == "default" {
        smaller(global, args, &pipeline, &bench.alerts, within.mul_f64(0.125))?
    } else {
        Vec::new()
    };
    let repeats = if bench.is_sample { Repeats::default() } else { measure::repeats(&bench.desk.pipeline)? };
    let disk = if bench.is_sample { None } else { disk(&pipeline)? };
    let forecast = forecast(args.alerts_per_day, &with_repeats(&measured, &repeats));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let fresh = 1.0 - repeats.reused;
    let rest = measured.without_model();
    let model = (measured.mean() - rest).max(0.0) * fresh;
    let mut plan = Plan {
        machine: Machine { cpu: Cpu::detect().describe(), cores },
        measured: OnWhat {
            alerts_of: if bench.is_sample { "sample" } else { "site" },
            alerts: measured.seconds.len(),
            model: bench
                .desk
                .models
                .first()
                .and_then(|model| model["name"].as_str())
                .unwrap_or("none")
                .to_owned(),
        },
        cores_needed: cores_needed(args.alerts_per_day, cores, model, rest, EFFICIENCY),
        alert: Figures { mean_seconds: measured.mean(), measured },
        repeats,
        forecast,
        smaller,
        disk,
        advice: Vec::new(),
    };
    plan.advice = advice(&plan);
    if global.json {
        output::json(&plan, started)?;
    } else {
        print(&plan)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The times measured, each as often as the others, and for the share of alerts whose verdict is used again what is done
/// without a model.
fn with_repeats(measured: &Measured, repeats: &Repeats) -> Vec<f64> {
    const AT_LEAST: usize = 100;
    const MOST_REUSED: f64 = 0.99;
    let rounds = AT_LEAST.div_ceil(measured.seconds.len().max(1));
    let fresh = measured.seconds.repeat(rounds);
    let share = repeats.reused.clamp(0.0, MOST_REUSED);
    let reused = (fresh.len() as f64 * share / (1.0 - share)).round() as usize;
    fresh.into_iter().chain(std::iter::repeat_n(measured.without_model(), reused)).collect()
}

fn smaller(
    global: &Global,
    args: &PlanArgs,
    pipeline: &Arc<Pipeline>,
    alerts: &[Alert],
    within: Duration,
) -> Outcome<Vec<Smaller>> {
    let mut found = Vec::new();
    for name in SMALLER {
        let args = ModelArgs { model: name.to_owned(), ..args.model.clone() };
        let mut desk = match setup::desk_over(global, &args, Arc::clone(pipeline)) {
            Ok(desk) => desk,
            Err(failure) => {
                tracing::warn!("not measured: {failure}");
                continue;
            }
        };
        let measured = measure::measure(&mut desk.investigator, alerts, within)?;
        let most = forecast(1, &measured.seconds).most_alerts_per_day;
        found.push(Smaller {
            model: name.to_owned(),
            mean_seconds: measured.mean(),
            most_alerts_per_day: most,
        });
    }
    Ok(found)
}

fn disk(pipeline: &Arc<Pipeline>) -> Outcome<Option<Disk>> {
    let counts = pipeline.store().counts()?;
    let (Some(first), Some(last)) = (counts.first_time, counts.last_time) else { return Ok(None) };
    let days = last.duration_since(first).as_secs_f64() / forecast::DAY;
    // Of less than an hour of logs no day can be told.
    if days < 1.0 / 24.0 || counts.events == 0 {
        return Ok(None);
    }
    let (events, bytes) = (counts.events as f64, counts.bytes_on_disk as f64);
    Ok(Some(Disk {
        events_per_day: events / days,
        bytes_per_event: bytes / events,
        bytes_per_day: bytes / days,
    }))
}

fn advice(plan: &Plan) -> Vec<String> {
    let mut advice = Vec::new();
    let Forecast { alerts_per_day, utilisation, most_alerts_per_day, .. } = &plan.forecast;
    if *utilisation <= forecast::FULL {
        advice.push(format!(
            "This machine holds {alerts_per_day} alerts a day; at 80 % it would hold {most_alerts_per_day}."
        ));
    } else {
        advice.push(format!(
            "This machine holds {most_alerts_per_day} alerts a day at 80 %, not {alerts_per_day}: what is least urgent waits longest, \
             and above 100 % the backlog grows."
        ));
        advice.push(match plan.cores_needed {
            Some(cores) => format!(
                "{cores} cores like these would hold them, if {:.0} % of each further core is made use of.",
                EFFICIENCY * 100.0
            ),
            None => {
                "More cores alone would not hold them: looking up evidence takes longer than there is time."
                    .to_owned()
            }
        });
        for Smaller { model, most_alerts_per_day: most, .. } in &plan.smaller {
            let verdict =
                if *most >= u64::from(*alerts_per_day) { "would hold them" } else { "would not hold them" };
            advice.push(format!(
                "--model {model} holds {most} a day and {verdict}; `casemate eval` says what that costs."
            ));
        }
        advice.push(
            "--budget-seconds bounds what one alert may take; past it the report is made of rules and facts."
                .to_owned(),
        );
        advice.push("A GPU would change nothing: this version computes on processors.".to_owned());
    }
    if plan.measured.alerts_of == "sample" {
        advice.push("Measured on the sample incident; with alerts of the site in --data-dir, on those, with what repeats there.".to_owned());
    }
    if plan.measured.alerts < 5 {
        advice.push(format!(
            "Measured on {} alert{}: --measure-seconds makes it more.",
            plan.measured.alerts,
            if plan.measured.alerts == 1 { "" } else { "s" }
        ));
    }
    advice
}

fn print(plan: &Plan) -> std::io::Result<()> {
    let Plan { machine, measured, alert, repeats, forecast, smaller, disk, advice, .. } = plan;
    output::line(&format!("machine      {}", machine.cpu))?;
    output::line(&format!(
        "measured     {} alerts of the {}, model {}",
        measured.alerts, measured.alerts_of, measured.model
    ))?;
    let stages: Vec<String> =
        alert.measured.stages.iter().map(|(stage, seconds)| format!("{stage} {seconds:.2}")).collect();
    output::line(&format!("an alert     {:.2} s ({})", alert.mean_seconds, stages.join(", ")))?;
    if repeats.investigations > 0 {
        output::line(&format!(
            "repeats      {:.0} % of {} investigations used again; {:.1} matches folded into an alert",
            repeats.reused * 100.0,
            repeats.investigations,
            repeats.matches_per_alert
        ))?;
    }
    output::line(&format!(
        "utilisation  {:.0} % at {} alerts a day",
        forecast.utilisation * 100.0,
        forecast.alerts_per_day
    ))?;
    output::line(&format!("at 80 %      {} alerts a day", forecast.most_alerts_per_day))?;
    let wait =
        |seconds: Option<f64>| seconds.map_or_else(|| "without end".to_owned(), |s| format!("{s:.0} s"));
    output::line(&format!(
        "waiting      {} on average; in a burst (a tenth of the day's alerts in 15 min) 95 of 100 within {}",
        wait(forecast.mean_wait_seconds),
        wait(forecast.burst_p95_wait_seconds)
    ))?;
    for Smaller { model, mean_seconds, most_alerts_per_day } in smaller {
        output::line(&format!(
            "with {model:<7} {mean_seconds:.2} s an alert, {most_alerts_per_day} a day at 80 %"
        ))?;
    }
    if let Some(Disk { events_per_day, bytes_per_event, bytes_per_day }) = disk {
        output::line(&format!(
            "disk         {:.1} MB a day ({events_per_day:.0} events of {bytes_per_event:.0} bytes)",
            bytes_per_day / 1e6
        ))?;
    }
    advice.iter().try_for_each(|text| output::line(&format!("- {text}")))
}
