//! What happened when, for a spreadsheet or Timesketch? Columns as Timesketch wants them: `message`, `datetime`,
//! `timestamp` (microseconds) and `timestamp_desc`, then ours.
//!
//! A row is a line of evidence; events that it stands for follow in rows of their own. A cell that a spreadsheet would
//! take for a formula begins with an apostrophe.

use crate::dossier::Dossier;
use crate::text::line;
use casemate_event::{Event, EventId, Subject, field};
use casemate_investigate::Investigation;
use casemate_investigate::report::Evidence;
use jiff::Timestamp;

const COLUMNS: [&str; 22] = [
    "message",
    "datetime",
    "timestamp",
    "timestamp_desc",
    "tag",
    "investigation",
    "verdict",
    "label",
    "why",
    "relation",
    "count",
    "event_id",
    "data_type",
    "hostname",
    "username",
    "src_ip",
    "dst_ip",
    "dst_port",
    "process",
    "command_line",
    "file_path",
    "domain",
];

pub(crate) fn csv(dossier: &Dossier) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (case, item) in dossier.evidence() {
        let event = dossier.events.get(&item.event);
        writer.write_record(row(case, item, (item.event, event), item.time))?;
        for id in &item.folded {
            if let Some(event) = dossier.events.get(id) {
                writer.write_record(row(case, item, (*id, Some(event)), event.time))?;
            }
        }
    }
    if let Some(closing) = &dossier.closing {
        let said = format!("closed as {} by {}: {}", closing.verdict, closing.by, closing.reason);
        let mut cells = vec![String::new(); COLUMNS.len()];
        cells[0] = cell(&said);
        put_time(&mut cells, closing.at, "Decision");
        if let Subject::Alert(id) = dossier.subject {
            cells[5] = id.to_string();
        }
        writer.write_record(cells)?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

fn row(
    case: &Investigation,
    item: &Evidence,
    (id, event): (EventId, Option<&Event>),
    time: Timestamp,
) -> Vec<String> {
    let named = |names: &[&str]| {
        let found = event.and_then(|event| names.iter().find_map(|name| event.field(name)));
        cell(found.unwrap_or_default())
    };
    let message = event.map_or(item.line.as_str(), |event| event.message.as_str());
    let relation = item.relation.name();
    let mut cells = vec![
        cell(if message.trim().is_empty() { &item.line } else { message }),
        String::new(),
        String::new(),
        String::new(),
        format!("casemate,{}", case.verdict),
        case.id.to_string(),
        case.verdict.to_string(),
        cell(&item.label),
        cell(&item.why),
        relation.to_owned(),
        item.count.to_string(),
        id.to_string(),
        event.map(|event| format!("casemate:{}", event.format.name())).unwrap_or_default(),
        if item.host.is_empty() { named(&[field::DEVICE_HOSTNAME]) } else { cell(&item.host) },
        named(&[field::ACTOR_USER, field::USER]),
        named(&[field::SRC_IP]),
        named(&[field::DST_IP]),
        named(&[field::DST_PORT]),
        named(&[field::PROCESS_PATH, field::ACTOR_PROCESS_PATH, field::PROCESS_NAME]),
        named(&[field::PROCESS_CMD_LINE, field::SCRIPT]),
        named(&[field::FILE_PATH, field::MODULE_PATH]),
        named(&[field::QUERY_HOSTNAME, field::DST_HOSTNAME]),
    ];
    put_time(&mut cells, time, "Event Logged");
    cells
}

fn put_time(cells: &mut [String], time: Timestamp, what: &str) {
    cells[1] = time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
    cells[2] = time.as_microsecond().to_string();
    what.clone_into(&mut cells[3]);
}

/// One line, nothing hidden, and no formula.
fn cell(text: &str) -> String {
    let shown = line(text);
    // A spreadsheet also takes these for a minus and an equals sign, and skips blanks before them.
    let starts = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠', '−'];
    if shown.trim_start().starts_with(starts) { format!("'{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{dossier, hostile};
    use proptest::prelude::*;

    #[test]
    fn cells_are_no_formulas() {
        let check = |text: &str, expected: &str| assert_eq!(cell(text), expected);
        check("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1");
        check("  @SUM(1)", "'@SUM(1)");
        check("\t-1", "'-1");
        check("a=b", "a=b");
        check("a\r\nb", "a‹U+000D› b");
    }

    fn rows(bytes: &[u8]) -> Vec<csv::StringRecord> {
        let mut reader = csv::Reader::from_reader(bytes);
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        reader.records().map(Result::unwrap).collect()
    }

    #[test]
    fn every_line_of_evidence_has_a_row_with_its_time() {
        let dossier = dossier();
        let rows = rows(&csv(&dossier).unwrap());
        let lines: usize = dossier.investigations.iter().map(|case| case.evidence.len()).sum();
        assert!(rows.len() >= lines);
        for row in &rows {
            let time: Timestamp = row[1].parse().unwrap();
            assert_eq!(time.as_microsecond().to_string(), row[2]);
            assert!(!row[0].is_empty());
        }
    }

    fn csv_rows() -> usize {
        rows(&csv(&dossier()).unwrap()).len()
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_formula_or_another_row(text in hostile()) {
            let dossier = dossier().masked(&|_| text.clone());
            let rows = rows(&csv(&dossier).unwrap());
            prop_assert_eq!(rows.len(), csv_rows());
            for cell in rows.iter().flatten() {
                prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
            }
        }
    }
}
