//! What does a baseline cost? `CASEMATE_EVENTS=1000000 cargo test -p casemate-investigate baseline_cost -- --ignored
//! --nocapture` fills a store with that many events of a month and prints it.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use super::tests::{at, learn_in};
use casemate_event::{Batch, Class, Event, EventId, field};
use casemate_store::Store;
use std::time::Instant;

const MONTH_SECONDS: u64 = 30 * 24 * 3600;

/// Event `n` of `all`, over the month before: process starts, logons and findings of 300 hosts.
fn event(n: u64, all: u64) -> Event {
    let mut random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut pick = |most: u64| {
        random ^= random >> 29;
        random = random.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random % most
    };
    let seconds = (n * MONTH_SECONDS / all) as i64 - MONTH_SECONDS as i64;
    let (host, user) = (format!("ws{}.plant.test", pick(300)), format!("PLANT\\user{}", pick(400)));
    let mut fields = vec![(field::DEVICE_HOSTNAME, host), (field::ACTOR_USER, user.clone())];
    let (class, template) = match pick(4) {
        0 => {
            let (from, to) = (format!("10.0.{}.{}", pick(4), pick(250)), format!("10.1.0.{}", pick(20)));
            fields.extend([(field::SRC_IP, from), (field::DST_IP, to)]);
            fields.push((field::FINDING_TITLE, format!("a signature whose number is {}", pick(60))));
            (Class::DetectionFinding, pick(60))
        }
        1 => {
            fields.extend([(field::SRC_IP, format!("10.0.0.{}", pick(250))), (field::USER, user)]);
            fields.extend([(field::STATUS, "Success".to_owned()), (field::LOGON_TYPE, "3".to_owned())]);
            (Class::Authentication, 100 + pick(5))
        }
        _ => {
            let program = format!(r"C:\Program Files\Vendor {}\program{}.exe", pick(40), pick(500));
            let parent = format!(r"C:\Windows\System32\parent{}.exe", pick(30));
            fields.extend([(field::PROCESS_PATH, program), (field::PARENT_PROCESS_PATH, parent)]);
            fields.push((field::ACTIVITY, "Launch".to_owned()));
            (Class::ProcessActivity, 200 + pick(3000))
        }
    };
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    at(seconds, class, template, &fields)
}

#[test]
#[ignore = "a measurement"]
fn baseline_cost() {
    let events: u64 = std::env::var("CASEMATE_EVENTS").map_or(1_000_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for from in (0..events).step_by(5000) {
        let batch = (from..events.min(from + 5000)).map(|n| event(n, events)).collect();
        store.append_unsynced(&Batch { events: batch, ..Batch::default() }).unwrap();
    }
    // Opened again, most events lie in segments, as they do at a site.
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let before = cpu_seconds();
    let (mut seconds, mut queries) = (Vec::new(), 0);
    for n in 0..30 {
        let subject = store.get(EventId(events - n * 101)).unwrap().unwrap();
        let started = Instant::now();
        let baseline = learn_in(&store, &[subject]);
        seconds.push(started.elapsed().as_secs_f64());
        queries = queries.max(baseline.queries);
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "{events} events: median {:.1} ms, most {:.1} ms, {:.1} ms of processor time, at most {queries} queries",
        seconds[15] * 1e3,
        seconds[29] * 1e3,
        (cpu_seconds() - before) / 30.0 * 1e3
    );
}

/// Processor time of this process so far, on all its threads.
fn cpu_seconds() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    let numbers = stat.rsplit_once(')').unwrap().1;
    let ticks = numbers.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}
