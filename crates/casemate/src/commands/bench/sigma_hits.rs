//! The row `sigma_hits`: of the hits that two other engines both find, how many do we?
//!
//! The engines are pySigma's SQLite backend, which is what Zircolite runs, and the `rsigma` command; both read
//! records flattened by a script of its own from the same files, decoded by another program (`peer_sigma.py`). A
//! hit is a file, the number of a record in it, and a rule. Hits that both find and we do not are listed on stderr.
//!
//! Where the three differ over EVTX-ATTACK-SAMPLES and its like, it is for these reasons. pySigma's SQLite backend
//! knows no keywords; rsigma's `windash` varies only dashes, and its `endswith` takes no `?`. We alone know `User`
//! and `IntegrityLevel` of process creations in the Security log, and match rules that ask for an empty value
//! (`StartModule: ''`), which flattening drops.

use super::sigma::{inputs, timed, worker};
use super::{Better, Row};
use crate::failure::Outcome;
use anyhow::anyhow;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Hits listed of those that are missing.
const LISTED: usize = 50;

type Hits = BTreeSet<(String, u64, String)>;

/// A line of the peers' or of ours.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Hit {
        #[serde(default)]
        engine: String,
        file: String,
        record: Option<u64>,
        rule: String,
    },
    Summary {
        events: u64,
    },
}

/// Compares hits over `data`'s `evtx/` and `sigma/`; without `rsigma`, with those of pySigma alone.
pub(super) fn row(data: &Path, python: &Path, rsigma: Option<&Path>, scratch: &Path) -> Outcome<Row> {
    let [evtx, sigma] = inputs(data)?;
    let mut command = Command::new(python);
    command.args(["-c", include_str!("peer_sigma.py")]).args([&evtx, &sigma]).arg(scratch);
    command.arg(rsigma.unwrap_or(Path::new("-")));
    let (mut peers, events) = read(&timed(&mut command, "the Python given")?.1)?;
    let ours = read(&timed(&mut worker(&evtx, &sigma)?, "this program")?.1)?.0.remove("").unwrap_or_default();
    let pysigma = peers.remove("pysigma").unwrap_or_default();
    let of_rsigma = peers.remove("rsigma");
    let both: Hits = match &of_rsigma {
        Some(of_rsigma) => pysigma.intersection(of_rsigma).cloned().collect(),
        None => pysigma.clone(),
    };
    if both.is_empty() {
        return Err(anyhow!("the peers find nothing in {}", evtx.display()).into());
    }
    let missing: Vec<_> = both.difference(&ours).collect();
    for (file, record, rule) in missing.iter().take(LISTED) {
        tracing::warn!(file, record, rule, "both peers find what we do not");
    }
    let found = both.len() - missing.len();
    let share = found as f64 / both.len() as f64;
    let unit = "of the hits both peers find";
    let mut row = Row::new("sigma_hits", unit, Better::More, share, BTreeMap::new(), both.len());
    row.more = BTreeMap::from([
        ("both_peers", both.len() as f64),
        ("of_these_ours", found as f64),
        ("ours", ours.len() as f64),
        ("pysigma", pysigma.len() as f64),
        ("pysigma_not_ours", pysigma.difference(&ours).count() as f64),
        ("events", events as f64),
    ]);
    if let Some(of_rsigma) = of_rsigma {
        row.more.insert("rsigma", of_rsigma.len() as f64);
        row.more.insert("rsigma_not_ours", of_rsigma.difference(&ours).count() as f64);
    }
    Ok(row)
}

/// Hits by engine, and the events that the peers read.
fn read(lines: &[u8]) -> Outcome<(BTreeMap<String, Hits>, u64)> {
    let (mut hits, mut read): (BTreeMap<String, Hits>, u64) = Default::default();
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line)? {
            Line::Hit { engine, file, record: Some(record), rule } => {
                hits.entry(engine).or_default().insert((file, record, rule));
            }
            Line::Hit { .. } => {}
            Line::Summary { events } => read = events,
        }
    }
    Ok((hits, read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_sets() {
        let lines = br#"{"engine": "a", "file": "f", "record": 1, "rule": "r"}
{"engine": "a", "file": "f", "record": 1, "rule": "r"}
{"rule": "r", "title": "T", "file": "f", "record": 2, "time": "x"}
{"rule": "r", "title": "T", "file": "f", "record": null, "time": "x"}
{"events": 3, "rules": 1, "unusable": {}}
"#;
        let (hits, events) = read(lines).unwrap();
        assert_eq!(events, 3);
        assert_eq!(hits["a"].len(), 1);
        assert_eq!(hits[""], Hits::from([("f".to_owned(), 2, "r".to_owned())]));
        assert!(read(b"{").is_err());
    }
}
