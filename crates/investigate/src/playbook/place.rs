//! Where in a playbook file does a mistake stand?

/// Part of a playbook file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Top,
    Match,
    Retrieval,
    /// By its number, from 0.
    Question(usize),
    /// By its number, from 0.
    Test(usize),
}

/// What is wrong with which key.
#[derive(Debug)]
pub(super) struct Wrong {
    section: Section,
    /// Empty where a whole section is wrong.
    key: &'static str,
    /// Said after the key: what is wrong, and what to write instead.
    reason: String,
}

impl Wrong {
    pub(super) fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self { section: Section::Top, key, reason: reason.into() }
    }

    pub(super) fn within(self, section: Section) -> Self {
        Self { section, ..self }
    }

    /// The mistake with line and column in `text`, the file.
    pub(super) fn at(self, text: &str) -> String {
        let (line, column) = self.section.find(text, self.key);
        let section = match self.section {
            Section::Top => String::new(),
            Section::Match => "[match] ".to_owned(),
            Section::Retrieval => "[retrieval] ".to_owned(),
            Section::Question(index) => format!("[[question]] {} ", index + 1),
            Section::Test(index) => format!("[[test]] {} ", index + 1),
        };
        let key = if self.key.is_empty() { String::new() } else { format!("{} ", self.key) };
        format!("line {line}, column {column}: {section}{key}{}", self.reason)
    }
}

impl Section {
    /// Line and column, from 1, of `key` in this section; of the section's header if the key is not there.
    fn find(self, text: &str, key: &str) -> (usize, usize) {
        let (header, number) = match self {
            Self::Top => ("", 0),
            Self::Match => ("[match]", 0),
            Self::Retrieval => ("[retrieval]", 0),
            Self::Question(index) => ("[[question]]", index),
            Self::Test(index) => ("[[test]]", index),
        };
        let mut seen = 0;
        let mut inside = header.is_empty();
        let mut start = (1, 1);
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim_start();
            let column = line.len() - trimmed.len() + 1;
            let part =
                trimmed.starts_with(&format!("[{}.", header.trim_matches(['[', ']']))) && !header.is_empty();
            // A table within the section may itself be what the key names: [question.sentences].
            if part
                && inside
                && !key.is_empty()
                && trimmed.starts_with(&format!("[{}.{key}]", header.trim_matches(['[', ']'])))
            {
                return (index + 1, column);
            }
            if trimmed.starts_with('[') && !part && is_header(trimmed) {
                if inside && !header.is_empty() {
                    return start;
                }
                inside = false;
                if !header.is_empty() && trimmed.starts_with(header) {
                    inside = seen == number;
                    seen += 1;
                    start = (index + 1, column);
                }
            } else if inside
                && !key.is_empty()
                && trimmed.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
            {
                return (index + 1, column);
            }
        }
        start
    }
}

/// Whether a line that begins with a bracket is a header and not a part of an array.
fn is_header(line: &str) -> bool {
    let name = line.trim_start_matches('[').split(']').next().unwrap_or_default();
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_')
}

/// A mistake in the TOML itself, or a key that is unknown or missing, with line and column.
pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> String {
    let offset = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {}; see config/playbooks/README.md for the keys", error.message())
}
