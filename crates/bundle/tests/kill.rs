//! Staging is killed at random moments and repeated: it resumes, and ends with the release it would have made.
//!
//! `CASEMATE_KILLS=200` for the long run. The process that is killed is this test binary, told by the environment to
//! stage; it says how far it is, and dies after a random number of such lines.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use casemate_bundle::Bundles;
use common::*;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const STATE: &str = "CASEMATE_TEST_STATE";
const VOLUMES: &str = "CASEMATE_TEST_VOLUMES";
const ALL: [&str; 2] = ["models/m", "config/rules"];

/// The child: stages what it is told to. A test of its own, so that the parent can name it.
#[test]
fn child() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let volumes: Vec<PathBuf> = std::env::split_paths(&std::env::var_os(VOLUMES).unwrap()).collect();
    let bundles = Bundles::open(state.as_ref());
    let staged = bundles.stage(&volumes, &check_at(NOW), &mut |step| println!("step {}", step.done)).unwrap();
    println!("missing {}", staged.report.missing.len());
    if let Some(release) = staged.release {
        println!("activating");
        bundles.activate(release.number).unwrap();
        println!("activated {}", release.number);
    }
}

#[test]
fn staging_survives_kills_at_random_moments() {
    let kills: usize =
        std::env::var("CASEMATE_KILLS").map_or(20, |text| text.parse().unwrap_or_else(|_| panic!("{text}")));
    let publisher = Publisher::new();
    let mut random = Random(11);
    let site = Site::trusting(&publisher);
    let before = files(&mut random, &ALL, 2, 4000);
    assert!(site.apply(&[publisher.bundle(1, &ALL, &before, 1024).volume()]).unwrap());

    let (mut killed, mut version, mut resumed, mut activated) = (0, 2, 0, 1);
    let mut active = before;
    while killed < kills {
        let mut content = files(&mut random, &ALL, 3, 20_000);
        content.insert("models/m/big.gguf".into(), random.bytes(3 << 20));
        let bundle = publisher.bundle(version, &ALL, &content, 64 << 10);
        let [first, second] = bundle.two_volumes(bundle.parts.len() / 2);
        let paths = site.volumes(&[first, second]);
        for turn in 0.. {
            assert!(turn < 100, "it never ends");
            // Sometimes one volume, sometimes both; the last turns of a round run to their end.
            let volumes =
                if turn < 4 && random.below(2) == 0 { &paths[random.below(2)..][..1] } else { &paths[..] };
            let after = if turn < 6 { random.below(60) } else { usize::MAX };
            let lines = stage_and_kill(&site, volumes, after);
            killed += usize::from(lines.len() > after);
            resumed += usize::from(turn > 0);
            let (number, tree) = site.active();
            if number != activated {
                assert_eq!(tree, content, "version {version}");
                activated = number;
                active = content;
                break;
            }
            assert_eq!((number, &tree), (activated, &active), "version {version}, turn {turn}");
        }
        version += 1;
    }
    println!("{killed} kills over {} bundles, {resumed} runs resumed", version - 2);
    assert!(resumed > 0 && activated > 1);
}

/// What the child said before it ended, or was killed after `after` lines.
fn stage_and_kill(site: &Site, volumes: &[PathBuf], after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(STATE, site.state())
        .env(VOLUMES, std::env::join_paths(volumes).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if !["step ", "missing ", "activat"].iter().any(|start| line.contains(start)) {
            continue;
        }
        lines.push(line);
        if lines.len() > after {
            child.kill().unwrap();
            break;
        }
    }
    let status = child.wait().unwrap();
    assert!(lines.len() > after || status.success(), "{lines:?}");
    lines
}
