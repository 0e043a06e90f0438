//! The Sigma specification, version 2.1, point by point: each with what must match and what must not.
//!
//! Correlations are in `correlating`, filters and placeholders in `matching`, what is refused in `loading`.

use crate::support::sysmon;
use casemate_detect::Rules;

/// Loads one rule of the given detection, which must be usable.
fn rule(detection: &str) -> Rules {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "title: T\nlogsource: {{product: windows, category: process_creation}}\ndetection:\n{detection}\n"
    );
    fs_err::write(dir.path().join("rule.yml"), &text).unwrap();
    let (rules, problems) = Rules::load(&[dir.path().to_path_buf()]).unwrap();
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    rules
}

/// Whether `rules` match a process with these fields.
fn matches(rules: &Rules, fields: &[(&str, &str)]) -> bool {
    !rules.matches(&sysmon(1, fields)).is_empty()
}

/// An item of a selection over the field `F`: values that match it, and values that do not. `-` is not there.
fn check(item: &str, yes: &[&str], no: &[&str]) {
    let rules = rule(&format!("  selection:\n    {item}\n  condition: selection"));
    for (values, expected) in [(yes, true), (no, false)] {
        for value in values {
            let found = matches(&rules, &[("F", value), ("G", "Same")]);
            assert_eq!(found, expected, "{item}: {value:?}");
        }
    }
    assert!(!yes.is_empty() && !no.is_empty(), "{item}");
}

#[test]
fn values() {
    check("F: abc", &["abc", "ABC"], &["abcd", "xabc", "", "-"]);
    check("F: [abc, def]", &["abc", "Def"], &["abcdef"]);
    check("F: 7", &["7"], &["70", "x7", "-"]);
    check("F: '7'", &["7"], &["70"]);
    check("F: true", &["true", "True"], &["false", "-"]);
    check("F: 'a*c'", &["ac", "abc", "a\nc"], &["acd", "xac"]);
    check("F: 'a?c'", &["abc", "a\nc"], &["ac", "abbc"]);
    check("F: '*'", &["anything"], &["-"]);
    // A backslash is itself, and makes one of `*`, `?` and of itself plain.
    check(r"F: 'a\b'", &[r"a\b"], &["ab", r"a\\b"]);
    check(r"F: 'a\*b'", &["a*b"], &["axb", r"a\*b"]);
    check(r"F: 'a\?b'", &["a?b"], &["axb"]);
    check(r"F: 'a\\*b'", &[r"a\b", r"a\xxb"], &["a*b", r"a\*"]);
    check(r"F: '\\\\host\share'", &[r"\\host\share"], &[r"\host\share"]);
    check(r"F|contains: ' > \\\\*\\* 2>&1'", &[r"x > \\h\s 2>&1 y"], &[r"x \\h\s 2>&1"]);
    check("F: 'a<*>b|{c}'", &["a<>b|{c}", "a<x>b|{c}"], &["ab|{c}"]);
    check("F: null", &["-", ""], &["x"]);
    check("F: ''", &["", "-"], &["x"]);
    check("F: '-'", &["-", ""], &["x", "--"]);
    check("F: [null, abc]", &["-", "abc"], &["x"]);
    check("F: [abc, '', '-']", &["abc", "-"], &["x"]);
}

#[test]
fn modifiers_of_text() {
    check("F|contains: bc", &["abcd", "BC"], &["ab", "cb", "-"]);
    check("F|contains: [bc, xy]", &["abcd", "wxyz"], &["ab"]);
    check("F|contains: '-'", &["a-b", "-"], &["ab"]);
    check("F|startswith: ab", &["abc", "ABC"], &["xab", "-"]);
    check("F|endswith: '\\cmd.exe'", &["C:\\CMD.exe"], &["cmd.exe", "C:\\cmd.exe x"]);
    check("F|contains|all: [ab, cd]", &["xabxcdx", "cdab"], &["ab", "cd"]);
    check("F|contains|all: ['a*b', cd]", &["cd axb", "a\nbcd"], &["ab", "cd"]);
    check("F|cased: Abc", &["Abc"], &["abc", "ABC"]);
    check("F|contains|cased: Bc", &["aBcd"], &["abcd"]);
    check("F|contains|cased: 'B*d'", &["aBcd"], &["abcd"]);
    check("F|exists: true", &["x"], &["-", ""]);
    check("F|exists: false", &["-"], &["x"]);
    check("F|neq: abc", &["x"], &["abc", "ABC", "-"]);
    check("F|neq: 7", &["8"], &["7"]);
    check(
        "F|windash|contains: ' -enc '",
        &["x -enc y", "x /enc y", "x \u{2014}enc y"],
        &["x enc y", "x -encode"],
    );
    check("F|windash|contains: ' /c '", &["x -c y", "x \u{2013}c y", "x \u{2015}c y"], &["x c y"]);
    check("F|windash|contains|all: [' -a', ' -b']", &["x /a -b", "x /b /a"], &["x -a"]);
    check("F|fieldref: G", &["Same", "same"], &["other"]);
    check("F|fieldref|startswith: G", &["Same and more"], &["not the Same", "other"]);
    check("F|fieldref|endswith: G", &["not the Same"], &["Same and more"]);
    check("F|fieldref|contains: G", &["not the Same and more"], &["other"]);
    check("F|fieldref|neq: G", &["other"], &["Same"]);
}

#[test]
fn patterns() {
    check("F|re: '^a.c$'", &["abc"], &["ABC", "abcd", "a\nc"]);
    check("F|re: 'b[0-9]{2}'", &["xb12y"], &["b1", "B12"]);
    check("F|re|i: '^a.c$'", &["ABC"], &["ABCD"]);
    check("F|re|m: '^second$'", &["first\nsecond"], &["first second"]);
    check("F|re|s: 'a.c'", &["a\nc"], &["ac"]);
    check("F|re|i|m|s: '^A.C$'", &["x\na\nc"], &["x a\nc"]);
    check("F|re: ['^a', 'z$']", &["ab", "yz"], &["ba"]);
    check("F|re|all: ['a', 'z']", &["za"], &["a"]);
}

#[test]
fn encodings() {
    // `whoami` and `cmd` by hand: echo -n … | iconv | base64.
    check("F|base64: whoami", &["d2hvYW1p"], &["whoami"]);
    check("F|base64|contains: whoami", &["xx d2hvYW1p yy"], &["whoami"]);
    let offsets = ["d2hvYW1p", "YXdob2FtaQ==", "YWF3aG9hbWk="];
    check("F|base64offset|contains: whoami", &offsets, &["whoami", "dwhovyw1p"]);
    check("F|wide|base64offset|contains: cmd", &["YwBtAGQA"], &["Y21k", "cmd"]);
    check("F|utf16le|base64|contains: cmd", &["YwBtAGQA"], &["AGMAbQBk"]);
    check("F|utf16be|base64|contains: cmd", &["AGMAbQBk"], &["YwBtAGQA"]);
    check("F|utf16|base64|contains: cmd", &["//5jAG0AZAA="], &["YwBtAGQA"]);
    check("F|wide|contains: cmd", &["xc\0m\0d\0"], &["cmd", "\0c\0m\0d"]);
    check("F|utf16be|contains: cmd", &["\0c\0m\0d"], &["cmd"]);
    check("F|utf16: cmd", &["\u{ff}\u{fe}c\0m\0d\0"], &["c\0m\0d\0"]);
}

#[test]
fn numbers_networks_and_times() {
    check("F|gt: 5", &["6", "5.5"], &["5", "4", "x", "-"]);
    check("F|gte: 5", &["5", "6"], &["4"]);
    check("F|lt: 5", &["4", "-1"], &["5", "x"]);
    check("F|lte: 5", &["5", "4"], &["6"]);
    check("F|cidr: 10.0.0.0/8", &["10.1.2.3"], &["11.1.2.3", "10", "-"]);
    check("F|cidr: ['fe80::/10', 192.168.0.0/16]", &["fe80::1", "192.168.7.7"], &["fd00::1", "192.169.0.1"]);
    let at = "2026-11-05T23:07:59Z";
    let parts = [("minute", 7), ("hour", 23), ("day", 5), ("week", 45), ("month", 11), ("year", 2026)];
    for (part, right) in parts {
        let other = "2031-02-03T04:05:06Z";
        check(
            &format!("F|{part}: {right}"),
            &[at, "2026-11-05 23:07:59.123", "1793920079", "2026-11-06T00:07:59+01:00"],
            &[other, "x", "-"],
        );
    }
}

/// A condition over `a`, `b` and `_c` (each true where the command line has the letter): lines that match, and
/// lines that do not.
fn condition(condition: &str, yes: &[&str], no: &[&str]) {
    let mut detection = String::new();
    for name in ["a_x", "b_x", "_c"] {
        let letter = name.trim_matches(['_', 'x']);
        detection.push_str(&format!("  {name}:\n    CommandLine|contains: '{letter}'\n"));
    }
    let rules = rule(&format!("{detection}  condition: {condition}"));
    for (lines, expected) in [(yes, true), (no, false)] {
        for line in lines {
            let fields = [("CommandLine", *line)];
            assert_eq!(matches(&rules, &fields), expected, "{condition}: {line:?}");
        }
    }
}

#[test]
fn conditions() {
    condition("a_x", &["a", "ab"], &["b", "."]);
    condition("a_x and b_x", &["ab"], &["a", "b"]);
    condition("a_x or b_x", &["a", "b"], &["c"]);
    condition("a_x and not b_x", &["a", "ac"], &["ab", "b", "."]);
    condition("not a_x", &["b", "."], &["a"]);
    // `not` binds before `and`, and that before `or`.
    condition("a_x or b_x and _c", &["a", "bc"], &["b", "c"]);
    condition("(a_x or b_x) and _c", &["ac", "bc"], &["a", "c"]);
    condition("not (a_x or b_x)", &["c", "."], &["a", "b"]);
    condition("not a_x and b_x", &["b"], &["ab", "."]);
    // Names that begin with an underscore are not among `them`.
    condition("1 of them", &["a", "b"], &["c", "."]);
    condition("all of them", &["ab"], &["a", "b", "c"]);
    condition("1 of *_x", &["a", "b"], &["c"]);
    condition("all of *_x", &["ab", "abc"], &["a", "c"]);
    condition("1 of a_* and not 1 of b_*", &["a"], &["ab", "b"]);
    condition("a_x and 1 of b*", &["ab"], &["a"]);
    condition("any of them", &["a"], &["c"]);
    condition("[a_x and b_x, _c]", &["ab", "c"], &["a", "b"]);
}

/// A whole detection: command lines that match, and lines that do not; `Image` is `x.exe`.
fn detection(text: &str, yes: &[&str], no: &[&str]) {
    let rules = rule(text);
    for (lines, expected) in [(yes, true), (no, false)] {
        for line in lines {
            let fields = [("CommandLine", *line), ("Image", "x.exe")];
            assert_eq!(matches(&rules, &fields), expected, "{text}: {line:?}");
        }
    }
}

#[test]
fn lists_maps_and_keywords() {
    let end = "\n  condition: s";
    detection(&format!("  s:\n    CommandLine: a\n    Image: x.exe{end}"), &["a"], &["b"]);
    detection(
        &format!("  s:\n    CommandLine: a\n    Image: y.exe\n  t:\n    Image: x.exe{end}"),
        &[],
        &["a"],
    );
    detection(
        &format!("  s:\n    - CommandLine: a\n    - CommandLine: b\n      Image: y.exe{end}"),
        &["a"],
        &["b", "c"],
    );
    detection(&format!("  s:\n    - one\n    - 'two*three'{end}"), &["is one", "twothree"], &["two"]);
    detection(&format!("  s:\n    '|all':\n      - one\n      - X.EXE{end}"), &["one"], &["two"]);
    detection(&format!("  s: one{end}"), &["is one"], &["two"]);
    detection(
        &format!("  s:\n    CommandLine|contains|all:\n      - 'a>b'\n      - '*<c*'{end}"),
        &["a>b <c"],
        &["a>b"],
    );
}
