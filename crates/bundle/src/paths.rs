//! Where may a bundle put files? Under a few directories, by plain relative names, one component at a time.
//!
//! A component is what is replaced as a whole: each entry under `models/`, each directory under `config/` that a
//! bundle may carry, and `evaluation`.

use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What under `config/` a bundle may carry. What a site says of itself (`config/site`) is the site's.
const CONFIG: [&str; 5] = ["heads", "mappings", "playbooks", "rules", "suite"];
const MAX_PATH: usize = 240;
const MAX_DEPTH: usize = 8;

/// The component that `path` belongs to; `None` where a bundle may put nothing.
pub(crate) fn component(path: &str) -> Option<&str> {
    let mut names = path.split('/');
    match (names.next()?, names.next()?, names.next()) {
        ("models", model, _) => path.get(.."models/".len() + model.len()),
        ("config", directory, Some(_)) if CONFIG.contains(&directory) => {
            path.get(.."config/".len() + directory.len())
        }
        ("evaluation", _, _) => Some("evaluation"),
        _ => None,
    }
}

/// Whether `name` can be a component at all.
fn is_component(name: &str) -> bool {
    match name.split_once('/') {
        None => name == "evaluation",
        Some(("models", model)) => is_plain(model),
        Some(("config", directory)) => CONFIG.contains(&directory),
        Some(_) => false,
    }
}

/// One name of a path: visible, and the same on every file system and in every shell.
fn is_plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+');
    !name.is_empty() && name.bytes().all(fits) && !name.starts_with(['.', '-'])
}

/// Fails unless every path is plain, lies in one of `components`, and can stand beside the others.
pub(crate) fn check<'a>(components: &BTreeSet<String>, paths: impl Iterator<Item = &'a str>) -> Result<()> {
    let wrong = |path: &str, reason| Error::Path { path: path.to_owned(), reason };
    if let Some(name) = components.iter().find(|name| !is_component(name)) {
        return Err(wrong(name, "no bundle may replace such a component"));
    }
    let mut folded: BTreeMap<String, &str> = BTreeMap::new();
    for path in paths {
        if path.len() > MAX_PATH || path.split('/').count() > MAX_DEPTH {
            return Err(wrong(path, "the path is too long"));
        }
        if !path.split('/').all(is_plain) {
            return Err(wrong(
                path,
                "a path has plain, visible names of ASCII letters, digits and ._-+ only",
            ));
        }
        if !component(path).is_some_and(|name| components.contains(name)) {
            return Err(wrong(path, "it lies in no component that the bundle says it replaces"));
        }
        if let Some(other) = folded.insert(path.to_ascii_lowercase(), path) {
            let reason =
                if other == path { "it is listed twice" } else { "another path differs by case only" };
            return Err(wrong(path, reason));
        }
    }
    check_nesting(&folded)
}

/// No file is also a directory, and no directory has two spellings.
fn check_nesting(folded: &BTreeMap<String, &str>) -> Result<()> {
    let mut directories: BTreeMap<&str, &str> = BTreeMap::new();
    for (lower, path) in folded {
        for (at, _) in lower.match_indices('/') {
            let reason = if folded.contains_key(&lower[..at]) {
                "a directory of it is a file too"
            } else if *directories.entry(&lower[..at]).or_insert(&path[..at]) != &path[..at] {
                "a directory of it is spelled in two ways"
            } else {
                continue;
            };
            return Err(Error::Path { path: (*path).to_owned(), reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 5] = ["models/m", "models/a.gguf", "config/rules", "config/heads", "evaluation"];

    fn check_all(paths: &[&str]) -> Result<()> {
        check(&ALL.map(str::to_owned).into(), paths.iter().copied())
    }

    fn refused(paths: &[&str], expected: &str) {
        let error = check_all(paths).unwrap_err().to_string();
        assert!(error.contains(expected), "{paths:?}: {error}");
    }

    #[test]
    fn plain_paths_of_named_components_are_let_in() {
        check_all(&[
            "models/m/w-1.gguf",
            "models/m/t/a.json",
            "models/a.gguf",
            "config/rules/linux/a_b+c.yml",
        ])
        .unwrap();
        check_all(&["evaluation/figures.json"]).unwrap();
        check_all(&[]).unwrap();
    }

    #[test]
    fn whatever_leads_elsewhere_is_refused() {
        for path in
            ["/etc/passwd", "../a", "config/rules/../../a", "config/rules//a", "config/rules/", "", "."]
        {
            refused(&[path], "plain");
        }
        for path in [
            "config/rules/.hidden",
            "config/rules/-rf",
            "config/rules/a\\b",
            "config/rules/ä",
            "config/rules/a\0b",
        ] {
            refused(&[path], "plain");
        }
        for path in [
            "config/site/site.toml",
            "config/rules",
            "models",
            "casemate",
            "config/playbooks/a.toml",
            "models/x/y",
        ] {
            refused(&[path], "no component");
        }
        refused(&[&format!("config/rules/{}", "a".repeat(300))], "too long");
        refused(&[&format!("config/rules/{}a", "a/".repeat(9))], "too long");
    }

    #[test]
    fn paths_that_cannot_stand_beside_each_other_are_refused() {
        refused(&["config/rules/a", "config/rules/a"], "twice");
        refused(&["config/rules/a", "config/rules/A"], "case only");
        refused(&["config/rules/a", "config/rules/a/b"], "file too");
        refused(&["config/rules/A", "config/rules/a/b"], "file too");
        refused(&["config/rules/A/b", "config/rules/a/c"], "two ways");
    }

    #[test]
    fn only_components_can_be_replaced() {
        for name in
            ["config/site", "models", "models/a/b", "config", "", "models/..", "evaluation/x", "store"]
        {
            assert!(check(&[name.to_owned()].into(), std::iter::empty()).is_err(), "{name:?}");
        }
    }
}
