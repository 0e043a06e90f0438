//! Which formats are there, and how is each called by browsers, files and people?

use casemate_event::Subject;

/// A format that investigations and cases are exported in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// The report as it is stored.
    Json,
    /// For tickets and terminals.
    Markdown,
    /// One page with its style inside.
    Html,
    /// Pages to print and to keep: PDF/A-2a, PDF/UA-1.
    Pdf,
    /// A STIX 2.1 bundle.
    Stix,
    /// A layer of the ATT&CK Navigator, format 4.5.
    Navigator,
    /// Detection Findings and an Incident Finding of OCSF 1.6.
    Ocsf,
    /// A CSV timeline that Timesketch takes.
    Timeline,
    /// An alert, or a case, as TheHive's API takes it.
    TheHive,
    /// An alert as DFIR-IRIS's API takes it.
    Iris,
}

impl Format {
    /// Every format, reports for people first.
    pub const ALL: [Self; 10] = [
        Self::Json,
        Self::Markdown,
        Self::Html,
        Self::Pdf,
        Self::Stix,
        Self::Navigator,
        Self::Ocsf,
        Self::Timeline,
        Self::TheHive,
        Self::Iris,
    ];

    /// What stands behind `report.` in addresses and file names; also its name on the command line.
    pub fn extension(self) -> &'static str {
        self.row().0
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Media type.
    pub fn media(self) -> &'static str {
        self.row().2
    }

    /// The format whose extension this is.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension() == extension)
    }

    /// What a file of it is called: `investigation-3.stix.json`, `case-2.md`.
    pub fn file_name(self, subject: Subject) -> String {
        let (kind, id) = match subject {
            Subject::Alert(id) => ("investigation", id.0),
            Subject::Case(id) => ("case", id.0),
        };
        format!("{kind}-{id}.{}", self.extension())
    }

    fn row(self) -> (&'static str, &'static str, &'static str) {
        const JSON: &str = "application/json";
        match self {
            Self::Json => ("json", "JSON", JSON),
            Self::Markdown => ("md", "Markdown", "text/markdown; charset=utf-8"),
            Self::Html => ("html", "HTML", "text/html; charset=utf-8"),
            Self::Pdf => ("pdf", "PDF", "application/pdf"),
            Self::Stix => ("stix.json", "STIX 2.1", "application/stix+json;version=2.1"),
            Self::Navigator => ("navigator.json", "ATT&CK Navigator", JSON),
            Self::Ocsf => ("ocsf.json", "OCSF", JSON),
            Self::Timeline => ("timeline.csv", "Timeline (CSV)", "text/csv; charset=utf-8; header=present"),
            Self::TheHive => ("thehive.json", "TheHive", JSON),
            Self::Iris => ("iris.json", "DFIR-IRIS", JSON),
        }
    }
}
