//! Where are the checkout, its models and its sample incident? Looks, creates nothing.

use std::path::{Path, PathBuf};

/// The workspace this program was run from: cargo's, else the nearest directory above the current one that has
/// `models/catalog.toml`.
pub(crate) fn root() -> Option<PathBuf> {
    let from_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let current = std::env::current_dir().ok();
    [from_cargo, current].into_iter().flatten().find_map(|start| containing(&start))
}

/// The directory models go to: what was typed, else `CASEMATE_MODELS`, else `models/` of the workspace.
pub(crate) fn models_dir(typed: Option<&Path>) -> PathBuf {
    if let Some(typed) = typed {
        return absolute(typed);
    }
    match std::env::var_os("CASEMATE_MODELS") {
        Some(dir) if !dir.is_empty() => absolute(Path::new(&dir)),
        _ => absolute(&root().unwrap_or_default().join("models")),
    }
}

/// `path` seen from the root of the file system, without asking whether it exists.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn containing(start: &Path) -> Option<PathBuf> {
    let is_root = |dir: &&Path| dir.join("models/catalog.toml").is_file() && dir.join("Cargo.toml").is_file();
    start.ancestors().find(is_root).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn found_from_any_folder_below_and_not_from_above() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("checkout");
        fs_err::create_dir_all(root.join("models")).unwrap();
        fs_err::create_dir_all(root.join("crates/stage")).unwrap();
        fs_err::write(root.join("models/catalog.toml"), "").unwrap();
        fs_err::write(root.join("Cargo.toml"), "").unwrap();
        assert_eq!(containing(&root.join("crates/stage")), Some(root.clone()));
        assert_eq!(containing(&root), Some(root));
        assert_eq!(containing(dir.path()), None);
    }
}
