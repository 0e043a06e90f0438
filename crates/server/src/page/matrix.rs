//! Which part of an attack would this be? Techniques under the tactics they serve.

use casemate_investigate::attack::{Tactic, technique};
use casemate_investigate::report::Technique;

/// Support from which a technique is more than a possibility, in the logits of facts.
const FIRM: f64 = 0.5;

/// The techniques of an investigation.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    /// One column for each tactic, in the order in which an attack goes on; those of enterprises and, where something
    /// names them, of industrial control.
    pub(crate) columns: Vec<Column>,
    /// Tactics with a technique.
    pub(crate) named: usize,
    /// Techniques that only the kind of an event would allow for.
    pub(crate) possible: Vec<Cell>,
    /// Ids whose tactic is not known here.
    pub(crate) others: Vec<Cell>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) tactic: &'static str,
    pub(crate) cells: Vec<Cell>,
}

/// One technique.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Who names it.
    pub(crate) sources: String,
    /// Whether the alert itself claims it.
    pub(crate) is_claimed: bool,
}

/// Tactics that only attacks on industrial control have.
const INDUSTRIAL: [Tactic; 3] =
    [Tactic::Evasion, Tactic::InhibitResponseFunction, Tactic::ImpairProcessControl];

/// Sorts techniques under tactics; nothing if there are none.
pub(crate) fn lay_out(techniques: &[Technique]) -> Option<Matrix> {
    if techniques.is_empty() {
        return None;
    }
    let mut columns: Vec<(Tactic, Column)> = Tactic::ALL
        .iter()
        .map(|tactic| (*tactic, Column { tactic: tactic.name(), cells: Vec::new() }))
        .collect();
    let mut matrix = Matrix::default();
    let mut seen: Vec<&str> = Vec::new();
    for found in techniques {
        if seen.contains(&found.id.as_str()) {
            continue;
        }
        seen.push(&found.id);
        let all = techniques.iter().filter(|other| other.id == found.id);
        let sources: Vec<String> = all.map(|other| other.source.replace('_', " ")).collect();
        let known = technique(&found.id);
        let name = known.map_or_else(String::new, |known| match known.parent {
            Some(parent) => format!("{parent}: {}", known.name),
            None => known.name.to_owned(),
        });
        let is_claimed = sources.iter().any(|source| source == "alert");
        let cell = Cell { id: found.id.clone(), name, sources: sources.join(", "), is_claimed };
        // Reports of earlier versions hold no support.
        if !cell.is_claimed && found.support < FIRM && found.support > 0.0 {
            matrix.possible.push(cell);
            continue;
        }
        match known {
            None => matrix.others.push(cell),
            Some(known) => {
                for (_, column) in columns.iter_mut().filter(|(tactic, _)| known.tactics.contains(tactic)) {
                    column.cells.push(cell.clone());
                }
            }
        }
    }
    columns.retain(|(tactic, column)| !INDUSTRIAL.contains(tactic) || !column.cells.is_empty());
    matrix.columns = columns.into_iter().map(|(_, column)| column).collect();
    matrix.named = matrix.columns.iter().filter(|column| !column.cells.is_empty()).count();
    Some(matrix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn named(id: &str, source: &str, support: f64) -> Technique {
        Technique { id: id.to_owned(), source: source.to_owned(), support }
    }

    #[test]
    fn techniques_stand_under_their_tactics() {
        let matrix = lay_out(&[
            named("T1003.001", "alert", 1.2),
            named("T1003.001", "lsass_read", 0.9),
            named("T1078", "kind of event", 0.2),
            named("T9999", "alert", 1.0),
            named("T1059.001", "office_child", 0.0),
        ])
        .unwrap();
        let filled: Vec<(&str, &str)> = matrix
            .columns
            .iter()
            .flat_map(|column| column.cells.iter().map(|cell| (column.tactic, cell.name.as_str())))
            .collect();
        assert_eq!(
            filled,
            [
                ("Execution", "Command and Scripting Interpreter: PowerShell"),
                ("Credential Access", "OS Credential Dumping: LSASS Memory"),
            ]
        );
        assert_eq!((matrix.named, matrix.columns.len()), (2, 14));
        assert_eq!(
            matrix.columns.iter().flat_map(|column| &column.cells).last().unwrap().sources,
            "alert, lsass read"
        );
        assert_eq!((matrix.possible[0].id.as_str(), matrix.others[0].id.as_str()), ("T1078", "T9999"));
        assert!(lay_out(&[]).is_none());
    }
}
