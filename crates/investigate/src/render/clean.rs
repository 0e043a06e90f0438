//! How does a value from a log stand in a line so that it cannot leave its place?

/// Runs of base64 this long are replaced by their length.
const MIN_BLOB_CHARS: usize = 48;
/// Most of a value that is looked at, in characters. A blob may be long before it is replaced.
pub(super) const MAX_CHARS: usize = 8 * 1024;
/// Repeats of a word or phrase, and of a character, from which they are counted instead of shown.
const MIN_REPEATS: usize = 4;
const MIN_RUN: usize = 12;
/// Longest phrase whose repeats are noticed, in words.
const MAX_PHRASE: usize = 24;

/// Headings of prompts and reports, and speakers: a value cannot put a colon after them.
const HEADINGS: [&str; 12] = [
    "events",
    "event",
    "question",
    "answer",
    "report",
    "verdict",
    "system",
    "user",
    "assistant",
    "human",
    "model",
    "instruction",
];

/// Makes a value safe to stand in quotes in a line, and bounds it.
///
/// Control, bidirectional and zero-width characters go, white space becomes one space, double quotes become
/// single ones, square brackets round ones (so no value can form a citation), chat delimiters and headings of
/// a prompt lose what makes them one, letters of another script inside a Latin word are named by their code,
/// long base64 becomes its length, and what is said over and over is said once and counted.
pub fn clean(value: &str, max_chars: usize) -> String {
    let mut text = String::new();
    // Bounded before anything else looks at it.
    for c in value.chars().take(MAX_CHARS) {
        match c {
            '"' | '“' | '”' | '„' | '«' | '»' | '＂' => text.push('\''),
            '[' | '［' | '【' => text.push('('),
            ']' | '］' | '】' => text.push(')'),
            c if c.is_whitespace() || c.is_control() => {
                if !text.ends_with(' ') && !text.is_empty() {
                    text.push(' ');
                }
            }
            c if is_invisible(c) => {}
            c => text.push(c),
        }
    }
    let text = fold_repeats(&fold_blobs(text.trim_end()));
    cut(&without_headings(&without_delimiters(&foreign_letters(&text))), max_chars)
}

/// Characters that have no shape: zero-width, bidirectional, private use, tags.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

fn fold_blobs(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let is_blob = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let run = rest.find(|c| !is_blob(c)).unwrap_or(rest.len());
        let (blob, after) = rest.split_at(run);
        // A path or a word can be long too; base64 mixes cases and digits.
        let mixed =
            blob.bytes().any(|c| c.is_ascii_lowercase()) && blob.bytes().any(|c| c.is_ascii_uppercase());
        if run >= MIN_BLOB_CHARS && mixed {
            folded.push_str(&format!("<base64, {run} characters>"));
        } else {
            folded.push_str(blob);
        }
        let other = after.find(is_blob).unwrap_or(after.len());
        folded.push_str(&after[..other]);
        rest = &after[other..];
    }
    folded
}

/// `no no no no no` becomes `no (5 times)`, and `AAAAAAAAAAAAAAAA` `A (16 times)`.
fn fold_repeats(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let repeats = |phrase: usize| {
            let whole =
                |n: usize| words.get(at + n * phrase..at + (n + 1) * phrase) == words.get(at..at + phrase);
            (1..).take_while(|n| at + (n + 1) * phrase <= words.len() && whole(*n)).count() + 1
        };
        let most = MAX_PHRASE.min((words.len() - at) / MIN_REPEATS);
        match (1..=most).map(|phrase| (phrase, repeats(phrase))).find(|(_, times)| *times >= MIN_REPEATS) {
            Some((phrase, times)) => {
                out.extend(words[at..at + phrase].iter().map(|word| fold_run(word)));
                out.push(format!("({times} times)"));
                at += phrase * times;
            }
            None => {
                out.push(fold_run(words[at]));
                at += 1;
            }
        }
    }
    out.join(" ")
}

fn fold_run(word: &str) -> String {
    if word.len() < MIN_RUN {
        return word.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        let mut times = 1;
        while chars.next_if_eq(&c).is_some() {
            times += 1;
        }
        if times >= MIN_RUN {
            out.push_str(&format!("{c}({times} times)"));
        } else {
            out.extend(std::iter::repeat_n(c, times));
        }
    }
    out
}

/// Letters of another script in a word that has Latin ones are there to deceive: `p<U+043E>wershell`.
fn foreign_letters(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let latin = word.chars().any(|c| c.is_ascii_alphabetic());
        for c in word.chars() {
            if latin && is_look_alike(c) {
                out.push_str(&format!("<U+{:04X}>", u32::from(c)));
            } else {
                out.push(c);
            }
        }
    }
    out
}

/// Letters of scripts that share shapes with Latin, and its copies.
fn is_look_alike(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{530}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}'
        | '\u{2460}'..='\u{24ff}' | '\u{ff01}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}')
}

/// Without what makes the delimiters of a chat; their words stay.
fn without_delimiters(text: &str) -> String {
    text.replace("<|", "< ").replace("|>", " >").replace("_of_turn", " of turn")
}

fn without_headings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (part, last) in text.split(':').map(|part| (part, part.rsplit(|c: char| !c.is_alphanumeric()).next()))
    {
        out.push_str(part);
        let heading =
            last.is_some_and(|word| HEADINGS.iter().any(|heading| heading.eq_ignore_ascii_case(word)));
        out.push(if heading { ' ' } else { ':' });
    }
    out.pop();
    out
}

pub(super) fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_cleaned() {
        let check = |value, expected: &str| assert_eq!(clean(value, 40), expected);
        check("a \"b\" [E1]", "a 'b' (E1)");
        check("a\r\nb\u{202e}c\u{0}d", "a bc d");
        check("", "");
        check("Answer: no", "Answer  no");
        check("see Question : x http://a:80/b", "see Question : x http://a:80/b");
        check("<|im_end|> [INST] <start_of_turn>", "< im_end > (INST) <start of turn>");
        check("no no no no no yes", "no (5 times) yes");
        check("a b a b a b a b a b", "a b (5 times)");
        check("id=AAAAAAAAAAAAAAAA", "id=A(16 times)");
        check("p\u{43e}wershell", "p<U+043E>wershell");
        check("\u{43d}\u{435}\u{442}", "\u{43d}\u{435}\u{442}");
        let blob = "aB3d".repeat(20);
        check(&format!("-enc {blob}"), "-enc <base64, 80 characters>");
        assert_eq!(clean(&"xy".repeat(50), 3), "xyx…");
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_quotes(value in ".{0,400}") {
            let text = clean(&value, 100);
            prop_assert!(!text.contains(['"', '[', ']', '\n', '\r', '\0']));
            prop_assert!(!text.contains("<|") && !text.contains("|>"));
            prop_assert!(text.chars().count() <= 101);
        }
    }
}
