//! Whatever a model file says, loading it is a model or an error, and a model that loads can be used.
//!
//! Begin with sound files, since libFuzzer would take long to find one:
//! `CASEMATE_FUZZ_SEEDS=$PWD/fuzz/corpus/gguf cargo test --test hostile sound_files_load`, then
//! `cargo +nightly fuzz run gguf`, both in `crates/inference`.
#![no_main]

use std::io::Write;

use casemate_inference::{LoadOptions, Model, Role, Turn};
use libfuzzer_sys::fuzz_target;

/// Spaces, markers, bytes that are no piece, and characters of every length in UTF-8.
const TEXT: &str = "a  b\n\n\t<|im_end|></s><end_of_turn><0x0A>é日\u{1f600}\u{2581}\u{0}";

fuzz_target!(|data: &[u8]| {
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    if file.write_all(data).is_err() {
        return;
    }
    let options = LoadOptions { threads: Some(1), cache_bytes: Some(1 << 20), ..LoadOptions::default() };
    let Ok(model) = Model::load_with(file.path(), &options) else { return };
    let tokens = model.tokens_of_data(TEXT).unwrap_or_default();
    let _ = model.text_of(&tokens);
    let chat = model.render_chat(&[Turn::text(Role::User, TEXT)], true).unwrap_or_default();
    let Ok(mut session) = model.session(128) else { return };
    let _ = session.read(&tokens, &mut |_| {});
    let _ = session.read(&chat, &mut |_| {});
    let _ = session.logits();
});
