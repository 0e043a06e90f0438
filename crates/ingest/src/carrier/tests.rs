//! Records as products write them, and whatever else may come.

use super::header::Header;
use super::*;
use jiff::Timestamp;
use proptest::prelude::*;

fn arrival() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

fn check(carrier: &Carrier, line: &str, start: usize, expected: &[(&str, &str)]) {
    let carried = carrier.read(line).unwrap_or_else(|| panic!("not read: {line}"));
    let expected: Fields = expected.iter().copied().collect();
    assert_eq!((carried.start, carried.native), (start, expected), "{line}");
}

fn refused(carrier: &Carrier, line: &str) {
    assert!(carrier.read(line).is_none(), "{line}");
}

fn pairs(assign: u8, separator: Option<u8>, strict: Option<usize>) -> Carrier {
    Carrier::KeyValue(KeyValue { assign, separator, strict })
}

fn pattern(whole: &str) -> Carrier {
    Carrier::Pattern(Box::new(Pattern { whole: vec![compile_pattern(whole).unwrap()], detail: None }))
}

#[test]
fn cef_values_have_spaces_escapes_and_labels() {
    check(
        &Carrier::Cef,
        r"CEF:0|Example|Fire\|Wall|1.0|100|Port scan|7|src=192.0.2.1 msg=a \= b \\ c\nd cs1=web cs1Label=Policy act=Deny",
        0,
        &[
            ("Policy", "web"),
            ("act", "Deny"),
            ("deviceEventClassId", "100"),
            ("deviceProduct", "Fire|Wall"),
            ("deviceVendor", "Example"),
            ("deviceVersion", "1.0"),
            ("msg", "a = b \\ c\nd"),
            ("name", "Port scan"),
            ("severity", "7"),
            ("src", "192.0.2.1"),
        ],
    );
    check(
        &Carrier::Cef,
        r#"host CEF: 1|V|P||C|N|Low|cs1Label=src src=192.0.2.1 cs1=x cn1Label="Request Id" url=http://a/?b=c"#,
        5,
        &[
            ("cn1Label", "Request Id"),
            ("cs1", "x"),
            ("cs1Label", "src"),
            ("deviceEventClassId", "C"),
            ("deviceProduct", "P"),
            ("deviceVendor", "V"),
            ("name", "N"),
            ("severity", "Low"),
            ("src", "192.0.2.1"),
            ("url", "http://a/?b=c"),
        ],
    );
    for line in ["CEF:", "CEF:0|a|b|c", "CEF:x|a|b|c|d|e|5|", "no such thing"] {
        refused(&Carrier::Cef, line);
    }
}

#[test]
fn leef_separators() {
    let header =
        [("deviceProduct", "P"), ("deviceVendor", "V"), ("deviceVersion", "1"), ("eventId", "login")];
    let expected = [&header[..], &[("src", "192.0.2.1"), ("usrName", "joe b")]].concat();
    for line in [
        "LEEF:1.0|V|P|1|login|src=192.0.2.1\tusrName=joe b",
        "LEEF:1.0|V|P|1|login|src=192.0.2.1#011usrName=joe b",
        "LEEF:1.0|V|P|1|login|src=192.0.2.1|usrName=joe b",
        "LEEF:1.0|V|P|1|login|src=192.0.2.1 usrName=joe b",
        "LEEF:2.0|V|P|1|login|^|src=192.0.2.1^usrName=joe b",
        "LEEF:2.0|V|P|1|login|0x5E|src=192.0.2.1^usrName=joe b",
        "LEEF:2.0|V|P|1|login|x5e|src=192.0.2.1^usrName=joe b",
        "LEEF:2.0|V|P|1|login||src=192.0.2.1\tusrName=joe b",
        "LEEF:2.0|V|P|1|login|src=192.0.2.1\tusrName=joe b",
    ] {
        check(&Carrier::Leef, line, 0, &expected);
    }
    refused(&Carrier::Leef, "LEEF:1.0|V|P");
    refused(&Carrier::Leef, "LEEF:1.0|||||");
}

#[test]
fn pairs_are_quoted_escaped_and_separated() {
    check(
        &pairs(b'=', None, None),
        r#"gw date=2025-01-02 msg="say \"hi\" to a=b" user='ann b' empty="" n=1"#,
        3,
        &[("date", "2025-01-02"), ("msg", r#"say "hi" to a=b"#), ("n", "1"), ("user", "ann b")],
    );
    check(
        &pairs(b'=', Some(b'|'), None),
        r"a=x y|b=c\=d||e=1|e=2|",
        0,
        &[("a", "x y"), ("b", "c=d"), ("e", "1, 2")],
    );
    check(
        &pairs(b':', Some(b';'), None),
        r#"Jan  2 03:04:05 gw CheckPoint 1 - [action:"Accept"; origin:"192.0.2.1"; rule:"a; b"]"#,
        35,
        &[("action", "Accept"), ("origin", "192.0.2.1"), ("rule", "a; b")],
    );
    check(&pairs(b'=', None, None), r#"a="never closed b=2"#, 0, &[("a", "\"never"), ("b", "2")]);
    let strict = pairs(b'=', None, Some(3));
    check(&strict, "a=1 b=2 c=3", 0, &[("a", "1"), ("b", "2"), ("c", "3")]);
    refused(&strict, "a=1 b=2 c=3 and more");
    refused(&strict, "a=1 b=2");
}

#[test]
fn separated_values_may_be_quoted() {
    let columns = ["time", "", "text"].map(str::to_owned).to_vec();
    let separated = Carrier::Separated(Separated { delimiter: b',', columns });
    check(
        &separated,
        r#"<13>fw 10:00,x,"a, ""b""",4"#,
        7,
        &[("column_2", "x"), ("column_4", "4"), ("text", r#"a, "b""#), ("time", "10:00")],
    );
    check(&separated, r#"10:00,x,"open"#, 0, &[("column_2", "x"), ("text", "\"open"), ("time", "10:00")]);
    check(&separated, r#"<13>10:00,"x"y,"#, 4, &[("column_2", "\"x\"y"), ("time", "10:00")]);
    refused(&separated, "no delimiter");
}

#[test]
fn patterns_name_their_groups() {
    let detail = Detail {
        key: "id".to_owned(),
        text: "text".to_owned(),
        by_key: [
            ("1".to_owned(), vec![compile_pattern("from (?<src>[0-9.]+)").unwrap()]),
            ("*".to_owned(), vec![compile_pattern("by (?<user>.+)").unwrap()]),
        ]
        .into(),
    };
    let whole = vec![compile_pattern("%X-(?<id>[0-9]+): (?<text>.*)").unwrap()];
    let carrier = Carrier::Pattern(Box::new(Pattern { whole, detail: Some(detail) }));
    check(
        &carrier,
        "fw %X-1: from 192.0.2.1",
        3,
        &[("id", "1"), ("src", "192.0.2.1"), ("text", "from 192.0.2.1")],
    );
    check(&carrier, "%X-1: other", 0, &[("id", "1"), ("text", "other")]);
    check(&carrier, "%X-2: by ann", 0, &[("id", "2"), ("text", "by ann"), ("user", "ann")]);
    refused(&carrier, "%X-: nothing");
}

fn header_of(text: &str, time: &str, host: &str, program: &str, pid: &str) {
    let Header { time: found, host: h, program: p, pid: i, .. } =
        header::read(text, arrival()).unwrap_or_else(|| panic!("no header: {text}"));
    let found = found.map(|(time, _)| time.to_string()).unwrap_or_default();
    assert_eq!((found.as_str(), h, p, i), (time, host, program, pid), "{text}");
}

#[test]
fn headers_of_devices() {
    const TIME: &str = "2025-10-11T22:14:15Z";
    header_of("", "", "", "", "");
    header_of("<134>", "", "", "", "");
    header_of("<134>Oct 11 22:14:15 fw1 ", TIME, "fw1", "", "");
    header_of("<134>Oct 11 22:14:15 fw1 : ", TIME, "fw1", "", "");
    header_of("<134>:Oct 11 22:14:15 UTC: ", TIME, "", "", "");
    header_of("<134>Oct 11 22:14:15: ", TIME, "", "", "");
    header_of("Oct 11 2025 22:14:15 fw1 app[999]: ", TIME, "fw1", "app", "999");
    header_of("Oct 11 22:14:15 relay Oct 11 2025 22:14:15 fw1 : ", TIME, "fw1", "", "");
    header_of("<14>Oct 11 22:14:15 fw1 app -: ", TIME, "fw1", "app", "");
    header_of("<134>1 2025-10-11T22:14:15Z fw1 app 12 - - ", TIME, "fw1", "app", "12");
    header_of("<134>1 2025-10-11T22:14:15Z fw1 - - - [x@1 a=\"b\"] ", TIME, "fw1", "", "");
    header_of("<134>2025-10-11T22:14:15Z fw1 app 12 - [x@1 ", TIME, "fw1", "app", "12");
    for text in [
        "a word",
        "fw1 ",
        "<999>",
        "Oct 11 22:14:15 web1 sshd[7]: Failed password for invalid user ",
        "<13>Oct 11 22:14:15 web1 sshd: a b ",
        "<134>1 2025-10-11T22:14:15Z web1 app 12 - - said ",
    ] {
        assert_eq!(header::read(text, arrival()), None, "{text}");
    }
}

#[test]
fn times_in_many_notations() {
    for (text, expected) in [
        ("2025-10-11 22:14:15", "2025-10-11T22:14:15Z"),
        ("1760220855", "2025-10-11T22:14:15Z"),
        ("1760220855003000000", "2025-10-11T22:14:15.003Z"),
        ("11/Oct/2025:22:14:15 +0000", "2025-10-11T22:14:15Z"),
        ("Sat Oct 11 22:14:15.5 2025", "2025-10-11T22:14:15.5Z"),
        ("Oct 11 2025 22:14:15 GMT", "2025-10-11T22:14:15Z"),
        ("Oct 11 22:14:15.003", "2025-10-11T22:14:15.003Z"),
    ] {
        assert_eq!(times::read(text, arrival()).unwrap().0.to_string(), expected, "{text}");
    }
    for text in ["", "22:14:15", "7", "Oct", "Oct 11", "日本"] {
        assert_eq!(times::read(text, arrival()), None, "{text}");
    }
}

fn row(head: &str, line: &str, expected: &[(&str, &str)]) {
    let table = table::Table::opened_by(head.as_bytes()).unwrap_or_else(|| panic!("no header: {head}"));
    let expected: Fields = expected.iter().copied().collect();
    assert_eq!(table.read(line), Some(expected), "{line}");
}

#[test]
fn lines_of_names_open_tables() {
    row("a,b c,d_e\n1,x,\n", "1,\"x, y\",z", &[("a", "1"), ("b c", "x, y"), ("d_e", "z")]);
    row("a\tb\tc\n1\t2\t3\n", "1\t2\t3", &[("a", "1"), ("b", "2"), ("c", "3")]);
    row("a;b;c\r\n1;2,5;3\r\n", "1;2,5;3;", &[("a", "1"), ("b", "2,5"), ("c", "3")]);
    for head in [
        "a,b,c",
        "a,b\n1,2\n",
        "a,b,a\n1,2,3\n",
        "a,b,c\n1,2\n",
        "1,2,3\n4,5,6\n",
        "Hello, world, again\nand, so, on\n",
        "Jan  2 03:04:05 h p: a, b, c\nJan  2 03:04:05 h p: a, b, d\n",
        "",
    ] {
        assert!(table::Table::opened_by(head.as_bytes()).is_none(), "{head}");
    }
}

#[test]
fn directives_name_the_columns() {
    let mut open = None;
    for line in ["#Software: x", "#Date: 2025-10-11 00:00:00", "#Fields: time c-ip cs(User-Agent)"] {
        assert!(table::Table::directive(&mut open, line), "{line}");
    }
    assert!(!table::Table::directive(&mut open, "#Remark: kept as text"));
    let table = open.unwrap();
    let expected: Fields =
        [("c-ip", "192.0.2.1"), ("date", "2025-10-11"), ("time", "22:14:15")].into_iter().collect();
    assert_eq!(table.read("22:14:15 192.0.2.1 -"), Some(expected.clone()));
    assert_eq!(table.read("22:14:15  192.0.2.1 -"), Some(expected));
    assert_eq!(table.read("22:14:15 192.0.2.1"), None);
}

/// A carrier of every kind.
fn carriers() -> Vec<Carrier> {
    let columns = vec!["a".to_owned(), "b".to_owned()];
    vec![
        Carrier::Cef,
        Carrier::Leef,
        pairs(b'=', None, None),
        pairs(b'=', Some(b'|'), Some(2)),
        pairs(b':', Some(b';'), None),
        Carrier::Separated(Separated { delimiter: b',', columns }),
        pattern("(?<a>[a-z]+)=(?<b>.*)"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Nothing panics, and every value is from the line.
    #[test]
    fn any_line_is_read_or_refused(
        begin in "(<[0-9]{1,3}>)?(Oct 11 22:14:15 fw )?(CEF:0\\|a\\|b\\|c\\|d\\|e\\|5\\||LEEF:[12].0\\|a\\|b\\|c\\|d\\||a=|a,|a:\")?",
        rest in "[a-c =\\\\|,;:\"'\\[\\]^\\t\\n#0-9é日<>-]{0,60}|.{0,40}",
    ) {
        let line = format!("{begin}{rest}");
        let line = line.trim();
        for carrier in carriers() {
            if let Some(carried) = carrier.read(line) {
                prop_assert!(line.is_char_boundary(carried.start));
                let (before, text) = line.split_at(carried.start);
                let _ = header::read(before, arrival());
                for (name, value) in carried.native.iter() {
                    let known = |part: &str| part.chars().all(|c| c.is_whitespace() || c == ',' || text.contains(c));
                    prop_assert!(known(value), "{name}={value:?} of {text:?}");
                }
            }
        }
        let _ = header::read(line, arrival());
        let _ = times::read(line, arrival());
    }

    /// Rows of a table hold what was written.
    #[test]
    fn rows_are_read_back(values in prop::collection::vec("[a-z ,\"é]{0,8}", 3), delimiter in prop::sample::select(vec![',', ';', '\t', '|'])) {
        let head = format!("x{delimiter}y{delimiter}z\n1{delimiter}2{delimiter}3\n");
        let table = table::Table::opened_by(head.as_bytes()).unwrap();
        let written: Vec<String> = values.iter().map(|value| format!("\"{}\"", value.replace('"', "\"\""))).collect();
        let native = table.read(&written.join(&delimiter.to_string())).unwrap_or_default();
        for (name, value) in ["x", "y", "z"].into_iter().zip(&values) {
            prop_assert_eq!(native.get(name).unwrap_or_default(), value.trim());
        }
    }

    #[test]
    fn any_head_is_looked_at(head in any::<Vec<u8>>(), line in ".{0,40}") {
        let mut open = table::Table::opened_by(&head);
        table::Table::directive(&mut open, &line);
        if let Some(table) = open {
            table.read(&line);
        }
    }
}

/// Lines of a megabyte that make careless readers take time in the square of their length.
#[test]
fn hostile_lines_take_linear_time() {
    let lines = ["a=\"", "a=\"b ", "=", "a=", "\\", "|", "\"\",", "CEF:0|", "a=1|", "a:\"b;", "] \"", "[1 "]
        .map(|piece| piece.repeat((1 << 20) / piece.len()));
    let begun = std::time::Instant::now();
    for line in &lines {
        for begin in ["", "CEF:0|a|b|c|d|e|5|", "LEEF:2.0|a|b|c|d|^|", "a=1 "] {
            let line = format!("{begin}{line}");
            for carrier in carriers() {
                let _ = carrier.read(&line);
            }
            let _ = header::read(&line, arrival());
            let _ = table::Table::opened_by(line.as_bytes());
        }
    }
    // In the square it would be hours.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
