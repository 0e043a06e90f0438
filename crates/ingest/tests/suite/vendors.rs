//! Real records of products that mapping files describe, where they are present beside the workspace.

use super::{options, take_file, workspace};
use std::collections::BTreeMap;

#[test]
fn survey() {
    let Ok(list) = std::env::var("SURVEY") else { return };
    let options = casemate_ingest::Options {
        mappings: std::sync::Arc::new(
            casemate_ingest::Mappings::with_directory(&workspace().join("config/mappings")).unwrap(),
        ),
        ..options()
    };
    let verbose = std::env::var("VERBOSE").is_ok();
    for path in
        casemate_ingest::expand(&list.split(',').map(std::path::PathBuf::from).collect::<Vec<_>>()).unwrap()
    {
        let taken = take_file(&path, &options);
        let mut formats: BTreeMap<String, usize> = BTreeMap::new();
        for event in &taken.events {
            *formats.entry(event.format.to_string()).or_default() += 1;
        }
        println!(
            "{} {formats:?} headers {} q {}",
            path.display(),
            taken.summary.headers,
            taken.quarantined.len()
        );
        if verbose {
            for event in &taken.events {
                println!(
                    "  {} {} {:?} {} {:?} | {}",
                    event.format,
                    event.time,
                    event.time_quality,
                    event.class.uid(),
                    event.fields,
                    event.message
                );
                if std::env::var("NATIVE").is_ok() {
                    println!("     {:?}", event.native);
                }
            }
        }
    }
}
