//! How does a text read once its disguise is off?

use crate::decode;

/// Letters one by one from which they are taken for a spaced word.
const MIN_SPACED: usize = 6;

/// The readings of a text, each as words in lower case with one space between: as written; with digits for
/// letters; with spaced letters joined. The latter two only where there is such a thing.
pub(super) fn of(text: &str) -> Vec<String> {
    let mut readings = vec![words(text, |c| c)];
    if !text.is_ascii() {
        readings.push(words(text, fold));
    }
    let folded = readings.last().map_or("", String::as_str);
    let plain = is_leet(folded).then(|| folded.chars().map(leet).collect());
    readings.extend(plain);
    if has_spaced(text) {
        readings.extend(joined(text));
    }
    readings
}

/// Texts that this one encodes: percent encoding, base64 and hexadecimal runs.
pub(super) fn decoded(text: &str) -> Vec<String> {
    let mut inner: Vec<String> = decode::blobs(text);
    inner.extend(decode::percent(text));
    inner
}

/// Words with one space between them; everything that is no letter or digit parts words, what cannot be seen
/// does not.
fn words(text: &str, letter: impl Fn(char) -> char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !crate::render::is_invisible(*c)) {
        let c = letter(c);
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if matches!(c, '\'' | '’') {
            // don't, l'alerte
        } else if !out.ends_with(' ') && !out.is_empty() {
            out.push(' ');
        }
    }
    out
}

/// Letters that look like Latin ones, and accented letters without their accent.
fn fold(c: char) -> char {
    match c {
        'а' | 'А' | 'Α' | 'α' | 'à' | 'á' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'В' | 'Β' | 'ь' => 'b',
        'с' | 'С' | 'ϲ' | 'ç' => 'c',
        'ԁ' => 'd',
        'е' | 'Е' | 'Ε' | 'ё' | 'è' | 'é' | 'ê' | 'ë' | 'є' => 'e',
        'ɡ' => 'g',
        'һ' | 'Н' | 'Η' | 'н' => 'h',
        'і' | 'І' | 'ι' | 'Ι' | 'ì' | 'í' | 'î' | 'ï' | 'ı' => 'i',
        'ј' | 'Ј' => 'j',
        'к' | 'К' | 'κ' | 'Κ' => 'k',
        'ӏ' | 'Ӏ' => 'l',
        'м' | 'М' | 'Μ' => 'm',
        'п' | 'Ν' | 'η' | 'ñ' => 'n',
        'о' | 'О' | 'ο' | 'Ο' | 'ò' | 'ó' | 'ô' | 'ö' | 'õ' | 'ø' => 'o',
        'р' | 'Р' | 'ρ' | 'Ρ' => 'p',
        'г' | 'ř' => 'r',
        'ѕ' | 'Ѕ' | 'š' => 's',
        'т' | 'Т' | 'τ' | 'Τ' => 't',
        'υ' | 'ս' | 'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ν' | 'ѵ' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' | 'Х' | 'χ' | 'Χ' => 'x',
        'у' | 'У' | 'γ' | 'Υ' | 'ý' | 'ÿ' => 'y',
        'Ζ' | 'ž' => 'z',
        // Full-width letters and digits, and those of mathematics.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{1d400}'..='\u{1d6a3}' => {
            let place = (c as u32 - 0x1d400) % 52;
            char::from_u32(if place < 26 { 0x41 + place } else { 0x61 + place - 26 }).unwrap_or(c)
        }
        '\u{24b6}'..='\u{24cf}' => char::from_u32(c as u32 - 0x24b6 + 0x41).unwrap_or(c),
        '\u{24d0}'..='\u{24e9}' => char::from_u32(c as u32 - 0x24d0 + 0x61).unwrap_or(c),
        c => c,
    }
}

fn leet(c: char) -> char {
    match c {
        '0' => 'o',
        '1' => 'i',
        '3' => 'e',
        '4' => 'a',
        '5' => 's',
        '7' => 't',
        c => c,
    }
}

/// Whether several words hold a digit between letters, or begin or end with one beside letters.
fn is_leet(words: &str) -> bool {
    let mixed = |word: &&str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        digits > 0 && digits * 2 < word.len() && word.len() >= 4
    };
    words.split(' ').filter(mixed).take(2).count() == 2
}

/// Whether single characters stand in a row, each beside one separator: cheap, and true a little too often.
fn has_spaced(text: &str) -> bool {
    let (mut run, mut letters) = (0, 0);
    for c in text.chars().filter(|c| !crate::render::is_invisible(*c)) {
        if c.is_alphanumeric() {
            letters += 1;
            if letters == 1 {
                run += 1;
                if run >= MIN_SPACED {
                    return true;
                }
            } else {
                run = 0;
            }
        } else {
            letters = 0;
        }
    }
    false
}

/// The text with runs of single letters joined: `i g n o r e  p r e v i o u s`. Two or more separators in a
/// row end a word.
fn joined(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().filter(|c| !crate::render::is_invisible(*c)).map(fold).collect();
    let alone = |at: usize| {
        chars[at].is_alphanumeric()
            && (at == 0 || !chars[at - 1].is_alphanumeric())
            && chars.get(at + 1).is_none_or(|next| !next.is_alphanumeric())
    };
    let mut out = String::new();
    let (mut run, mut longest, mut separators) = (0, 0, 0);
    for (at, c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            separators += 1;
            continue;
        }
        let single = alone(at);
        let parted = separators > 1 || (separators == 1 && !(single && run > 0));
        if parted && !out.is_empty() {
            out.push(' ');
        }
        run = if single { run + 1 } else { 0 };
        longest = longest.max(run);
        separators = 0;
        out.extend(c.to_lowercase());
    }
    (longest >= MIN_SPACED).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_come_off() {
        let check = |text: &str, expected: &str| {
            assert!(of(text).iter().any(|reading| reading.contains(expected)), "{text}: {:?}", of(text));
        };
        check("Ignore-previous_instructions", "ignore previous instructions");
        check("I g n o r e  p r e v i o u s", "ignore previous");
        check("1gn0re prev10us", "ignore previous");
        check("Ignоrе prеviоus", "ignore previous");
        check("ig\u{200b}nore", "ignore");
        check("ｉｇｎｏｒｅ", "ignore");
        check("𝐢𝐠𝐧𝐨𝐫𝐞", "ignore");
        check("précédentes", "precedentes");
    }
}
