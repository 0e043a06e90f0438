#![allow(clippy::unwrap_used)]
use super::*;
use askama::filters::Escaper;
use proptest::prelude::*;

/// Rules with one pattern.
pub(super) fn rules(pattern: &str) -> Redaction {
    Redaction(vec![Rule::new(&WrittenRule { name: "one".into(), pattern: pattern.into() }).unwrap()])
}

const MAIL: &str = r"[\w.]+@[\w.]+";

#[track_caller]
fn check(pattern: &str, text: &str, expected: &str) {
    assert_eq!(rules(pattern).apply(text), expected);
}

#[track_caller]
fn check_html(pattern: &str, html: &str, expected: &str) {
    assert_eq!(rules(pattern).html(html), expected);
}

#[track_caller]
fn check_json(pattern: &str, json: &str, expected: &str) {
    assert_eq!(rules(pattern).json(json), expected);
}

#[test]
fn what_matches_is_masked() {
    check(MAIL, "from ann@plant.example to bob@x.y", "from █████ to █████");
    let password = r"(?i)password[=:] ?(?<secret>\S+)";
    check(password, "Password: hunter2 and password=x", "Password: █████ and password=█████");
    assert_eq!(Redaction::default().apply("as it is … %41 \\n"), "as it is … %41 \\n");
}

#[test]
fn addresses_are_masked_by_what_they_mean() {
    check(
        MAIL,
        "<a href=\"/entities/user/ann%40plant.example?x=1\">100%25 sure, /search?q=a%20b",
        "<a href=\"█████\">100%25 sure, /search?q=a%20b",
    );
    // Also where they are encoded twice, hold blanks as forms do, or were cut.
    check(MAIL, "/login?next=%2Fx%3Fq%3Dann%2540plant.example", MASK);
    check("ann lopez", "/search?q=ann+%6Copez", MASK);
    check(r"ann\.lopez\{", "/search?q=ann.lopez%7…", "█████");
}

#[test]
fn json_within_a_text_is_masked_by_what_it_means() {
    check("josé", r#"<13>app: {"user":"jos\u00e9","x":1}"#, r#"<13>app: {"user":"█████","x":1}"#);
    check(r#"a"b"#, r#"{"x":"{\"y\":\"a\\\"b\"}"}"#, r#"{"x":"{\"y\":\"█████\"}"}"#);
    check("josé", r"jos\u00…", "█████\\u00…");
}

#[test]
fn pages_are_masked_by_what_they_say() {
    check_html("O'Neil", "<td class=\"x\">O&#39;Neil</td>", "<td class=\"x\">█████</td>");
    check_html("a<b&\"c", "<p>a&lt;b&amp;&quot;c</p>", "<p>█████</p>");
    check_html("lopez", "<p>x lo<mark>pe</mark>z<wbr>x</p>", "<p>x █████<mark>█████</mark>█████<wbr>x</p>");
    check_html(r"\blopez\b", "<a><span>user</span>lopez</a>", "<a><span>user</span>█████</a>");
    check_html("lopez", "<td>lo</td><td>pez</td>", "<td>lo</td><td>pez</td>");
    check_html(
        "O'Neil",
        "<a title='by O&#x27;Neil' href=\"/e/O%27Neil?a=1&amp;b=2\">x</a>",
        "<a title='by █████' href=\"█████\">x</a>",
    );
    check_html("lopez", "<p>who is lop… Save&hellip;", "<p>who is █████… Save&hellip;");
    check_html(MAIL, "<a>Save&hellip;</a> <b>and ann…</b>", "<a>Save&hellip;</a> <b>and █████…</b>");
    check_html("a\u{202E}b", "<p>a‹U+202E›b", "<p>█████");
    check_html(
        "josé",
        "<pre>{&quot;user&quot;:&quot;jos\\u00e9&quot;}</pre>",
        "<pre>{&quot;user&quot;:&quot;█████&quot;}</pre>",
    );
}

#[test]
fn json_is_masked_by_what_it_says() {
    check_json("josé", r#"{"a":"jos\u00e9","josé":[1]}"#, r#"{"a":"█████","█████":[1]}"#);
    check_json("a\"b", r#"{"x":"say a\"b"}"#, r#"{"x":"say █████"}"#);
    check_json("4711", r#"{"badge":4711,"n":[47110.5,4.7]}"#, "{\"badge\":\"█████\",\"n\":[\"█████\",4.7]}");
    check_json(
        r#""password":\s*"(?<secret>[^"]+)"#,
        r#"{"password": "hunter2"}"#,
        r#"{"password": "█████"}"#,
    );
    check_json("^lopez$", "{\"a\":\"lopez\"}\n{\"a\":\"lopez x\"}", "{\"a\":\"█████\"}\n{\"a\":\"lopez x\"}");
    check_json("josé", r#"{"raw":"{\"u\":\"jos\\u00e9\"}"}"#, r#"{"raw":"{\"u\":\"█████\"}"}"#);
    check_json("lopez", r#"{"message":"user lop…"}"#, r#"{"message":"user █████…"}"#);
    check_json(MAIL, r#"{"href":"/e/ann%40x.y"}"#, r#"{"href":"█████"}"#);
    check_json("lopez", r#"{"raw_hex":"6c6f70657aff"}"#, r#"{"raw_hex":"█████"}"#);
    let nested = r#"{"text":"{\"raw_hex\":\"6c6f\",\"n\":4711}"}"#;
    check_json("4711", nested, r#"{"text":"{\"raw_hex\":\"█████\",\"n\":█████}"}"#);
    check_json("lopez", "lopez {\"a\":\"lopez\"", "█████ {\"a\":\"█████\"");
}

#[test]
fn answers_are_told_by_their_type() {
    for (media_type, kind) in [
        ("text/html; charset=utf-8", Kind::Page),
        ("application/json", Kind::Json),
        ("application/problem+json", Kind::Json),
        ("application/x-ndjson", Kind::Json),
        ("text/event-stream", Kind::Events),
        ("text/plain; version=0.0.4", Kind::Text),
        ("", Kind::Text),
    ] {
        assert_eq!(Kind::of(media_type), kind, "{media_type}");
    }
}

#[test]
fn rules_that_are_none_are_refused_by_name() {
    for (rules, said) in [
        ("[[rule]]\nname = \"broken\"\npattern = '('", "broken"),
        ("[[rule]]\nname = \"x\"\npattern = 'a'\nwhen = 1", "when"),
        ("[[rule]]\nname = \"huge\"\npattern = '(a{1000}){1000}'", "huge"),
    ] {
        let error = Redaction::parse(rules).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

/// The sign of a cut in a template would pass for one of a log.
#[test]
fn templates_write_ellipses_as_references() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for file in fs_err::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(!text.contains(cut::CUT), "{}: write &hellip; in place of {}", path.display(), cut::CUT);
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    crate::page::escape::Visible.write_escaped_str(&mut escaped, text).unwrap();
    escaped
}

/// A secret full of what formats escape. Its core is found nowhere else.
fn secret() -> impl Strategy<Value = String> {
    let odd = r#"(&|<|>|"|'|\\|/|é|😀|;|#|%|u00e9|amp;|\u{202E}|\u{200B}|\t| ){0,3}"#;
    (odd, "[Q-Z]{2}", odd, "[Q-Z]{2}", odd).prop_map(|(a, b, c, d, e)| format!("k{a}{b}{c}{d}{e}k"))
}

fn core(secret: &str) -> Vec<char> {
    secret.chars().filter(|c| ('Q'..='Z').contains(c)).collect()
}

proptest! {
    #[test]
    fn no_page_lets_a_secret_out(secret in secret(), at in 0..20usize, before in "[a-p&<'\" ]{0,4}") {
        let rules = rules(&regex::escape(&secret));
        let cut = secret.char_indices().map(|(place, _)| place).nth(at).unwrap_or(0);
        let (first, rest) = secret.split_at(cut);
        for html in [
            format!("<td>{}</td>", escaped(&format!("{before}{secret}"))),
            format!("<td>{}<mark>{}</mark></td>", escaped(&format!("{before}{first}")), escaped(rest)),
            format!("<a title=\"{}\">x</a>", escaped(&secret)),
            format!("<a href=\"/x?q={}\">x</a>", crate::page::parts::url_encode(&secret)),
            format!("<pre>{}</pre>", escaped(&serde_json::to_string(&secret).unwrap())),
            format!("<pre>{}</pre>", escaped(&format!("{before}{first}…"))),
            format!("<pre>{}</pre>", escaped(&format!("…{rest}"))),
        ] {
            let masked = rules.html(&html);
            prop_assert!(!masked.contains(|c| core(&secret).contains(&c) && c != 'U'), "{} {}", html, masked);
        }
    }

    #[test]
    fn no_json_lets_a_secret_out(secret in secret(), at in 0..20usize, number in 100_000..999_999u32) {
        let all = rules(&format!("{}|{number}", regex::escape(&secret)));
        let first: String = secret.chars().take(at).collect();
        let value = serde_json::json!({
            secret.clone(): number,
            "raw": serde_json::json!({ "x": [secret] }).to_string(),
            "more": [{ "cut": format!("{first}…"), "n": number }, format!("/x?q={}", crate::page::parts::url_encode(&secret))],
        });
        let masked = all.json(&value.to_string()).into_owned();
        prop_assert!(!masked.contains(|c| core(&secret).contains(&c)), "{}", masked);
        prop_assert!(!masked.contains(&number.to_string()));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok(), "{}", masked);
    }

    #[test]
    fn any_text_is_masked(text in any::<String>(), pattern in "[a-z<&]{1,2}") {
        let rules = rules(&pattern);
        for masked in [rules.html(&text), rules.json(&text), rules.apply(&text)] {
            prop_assert!(masked.len() <= text.len() * 15 + 1);
        }
        prop_assert!(!rules.apply(&text).contains(&pattern));
    }
}
