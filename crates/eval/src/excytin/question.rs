//! What does a question ask for? The field that its asking noun names.

use super::rows::Field;
use regex::Regex;
use std::sync::LazyLock;

/// A noun of the domain, the words it goes by, and the fields that hold it, likeliest first.
struct Noun {
    name: &'static str,
    words: &'static [&'static str],
    fields: &'static [Field],
}

const fn any(name: &'static str) -> Field {
    Field { of: "", name }
}

const NOUNS: [Noun; 12] = [
    Noun {
        name: "sid",
        words: &["sid", "security identifier"],
        fields: &[Field { of: "account", name: "Sid" }, any("Sid")],
    },
    Noun {
        name: "user_id",
        words: &[
            "aaduserid",
            "aad user id",
            "azure ad user id",
            "azure ad userid",
            "azure active directory user",
            "aad id",
            "azure ad id",
            "user id",
            "aad userid",
            "azure ad user",
            "object id",
        ],
        fields: &[any("AadUserId")],
    },
    Noun {
        name: "device_id",
        words: &["device id", "aaddeviceid", "aad device id", "deviceid"],
        fields: &[any("AadDeviceId")],
    },
    Noun { name: "process_id", words: &["process id", "processid", "pid"], fields: &[any("ProcessId")] },
    Noun {
        name: "command",
        words: &["command line", "command-line", "full command", "commandline", "command"],
        fields: &[any("CommandLine")],
    },
    Noun { name: "address", words: &["ip address", "ip"], fields: &[any("Address")] },
    Noun {
        name: "url",
        words: &["url", "domain", "link", "website"],
        fields: &[any("Url"), any("DomainName")],
    },
    Noun {
        name: "mail",
        words: &[
            "email address",
            "email",
            "e-mail",
            "mailbox",
            "primary address",
            "recipient",
            "sender",
            "smtp",
        ],
        fields: &[
            any("MailboxPrimaryAddress"),
            any("Recipient"),
            any("Sender"),
            any("P1Sender"),
            any("P2Sender"),
        ],
    },
    Noun {
        name: "host",
        words: &["hostname", "host name", "host", "machine", "device", "system", "computer", "server"],
        fields: &[any("HostName")],
    },
    Noun {
        name: "account",
        words: &["account", "username", "user", "userprincipalname", "upn"],
        fields: &[Field { of: "account", name: "Name" }],
    },
    Noun {
        name: "application",
        words: &["application", "app", "app id"],
        fields: &[Field { of: "cloud-application", name: "Name" }, any("AppId")],
    },
    Noun {
        name: "file",
        words: &[
            "file",
            "filename",
            "process",
            "executable",
            "program",
            "binary",
            "tool",
            "service",
            "malware",
            "script",
        ],
        fields: &[Field { of: "file", name: "Name" }],
    },
];
const FILE: &Noun = &NOUNS[NOUNS.len() - 1];

/// Words of every question and every alert.
const COMMON: [&str; 62] = [
    "the",
    "a",
    "an",
    "to",
    "of",
    "in",
    "and",
    "on",
    "or",
    "is",
    "was",
    "were",
    "be",
    "been",
    "that",
    "this",
    "it",
    "its",
    "with",
    "for",
    "by",
    "at",
    "as",
    "from",
    "which",
    "what",
    "can",
    "you",
    "identify",
    "any",
    "during",
    "there",
    "did",
    "have",
    "has",
    "had",
    "associated",
    "involved",
    "related",
    "incident",
    "alert",
    "alerts",
    "security",
    "activity",
    "suspicious",
    "detected",
    "observed",
    "recent",
    "possible",
    "potentially",
    "potential",
    "name",
    "please",
    "could",
    "would",
    "your",
    "we",
    "find",
    "provide",
    "after",
    "before",
    "used",
];

static ASKING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(what|which|who|whose|identify|provide|find|determine|tell|specify|name)\b").ok()
});
static WORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[a-z0-9][a-z0-9._@-]*[a-z0-9]|[a-z0-9]").ok());

/// Fields that may hold what `question` asks for, likeliest first.
pub(super) fn wanted(question: &str) -> &'static [Field] {
    asked(question).fields
}

/// What the question asks for, by name.
pub(super) fn noun(question: &str) -> &'static str {
    asked(question).name
}

/// The noun that comes first after the asking word of the last question; of two there the longer.
fn asked(question: &str) -> &'static Noun {
    let question = question.to_lowercase();
    let clause = sentences(&question).into_iter().rfind(|sentence| sentence.ends_with('?'));
    let clause = clause.unwrap_or(&question);
    let asking = ASKING.as_ref().and_then(|asking| asking.find(clause));
    let clause = asking.map_or(clause, |found| &clause[found.start()..]);
    NOUNS
        .iter()
        .filter_map(|noun| {
            let places =
                noun.words.iter().filter_map(|word| Some((place(word, clause)?, usize::MAX - word.len())));
            Some((places.min()?, noun))
        })
        .min_by_key(|(place, _)| *place)
        .map_or(FILE, |(_, noun)| noun)
}

/// Sentences end with a mark before a space, not within an address.
fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices(char::is_whitespace) {
        if text[..at].ends_with(['.', '?', '!']) {
            sentences.push(text[from..at].trim());
            from = at;
        }
    }
    sentences.push(text[from..].trim());
    sentences
}

/// Where `word` stands in `text` as a whole word, singular or plural.
fn place(word: &str, text: &str) -> Option<usize> {
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back();
        let rest = text[at + word.len()..].trim_start_matches("'s");
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !is_part(before) && !is_part(rest.chars().next())
    })
}

/// Words that may lead to a row, each once.
pub(super) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let Some(word) = WORD.as_ref() else { return Vec::new() };
    let mut words: Vec<String> = word
        .find_iter(&lower)
        .map(|found| found.as_str().to_owned())
        .filter(|word| !COMMON.contains(&word.as_str()))
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asking_noun_decides() {
        let check = |question, expected| assert_eq!(noun(question), expected, "{question}");
        check("A file was dropped. What is the SID of the account that ran it?", "sid");
        check("Which account ran the file on the host?", "account");
        check("What is the IP address of the device?", "address");
        check("Can you identify the hostname of the system?", "host");
        check("What are the names of the processes?", "file");
        check("Which mailbox's primary address was involved in this alert?", "mail");
        check("Can you provide the Azure AD UserID of the compromised account?", "user_id");
        check("Which account came from 10.0.0.7 to the host?", "account");
        check("Who did it?", "file");
    }

    #[test]
    fn words_are_names_and_no_filler() {
        assert_eq!(
            words("What did `samuelf` run on vnevado-win10e (72.5.72.208)?"),
            ["72.5.72.208", "run", "samuelf", "vnevado-win10e"]
        );
    }
}
