//! How is a stream of events masked as it comes? Event by event, each by what its data is.

use super::Redaction;
use std::sync::Arc;

/// Longest event that is masked; a longer one is left out, and the stream says so.
const MAX_BYTES: usize = 16 << 20;
const LEFT_OUT: &str = ": an event was too long to be masked\n\n";

/// Masks what passes through it.
pub(super) struct Masking {
    rules: Arc<Redaction>,
    /// The beginning of an event whose end has not come yet.
    begun: Vec<u8>,
}

impl Masking {
    pub(super) fn new(rules: Arc<Redaction>) -> Self {
        Self { rules, begun: Vec::new() }
    }

    /// The events that end in `chunk`, masked. What comes after them is kept for the next.
    pub(super) fn pass(&mut self, chunk: &[u8]) -> String {
        self.begun.extend_from_slice(chunk);
        let ends = self.begun.windows(2).rposition(|two| two == b"\n\n");
        let Some(end) = ends.map(|at| at + 2) else {
            if self.begun.len() <= MAX_BYTES {
                return String::new();
            }
            self.begun = Vec::new();
            return LEFT_OUT.to_owned();
        };
        let rest = self.begun.split_off(end);
        let whole = std::mem::replace(&mut self.begun, rest);
        let text = String::from_utf8_lossy(&whole);
        text.split_inclusive("\n\n").map(|event| masked(&self.rules, event)).collect()
    }
}

/// One event with its data masked.
fn masked(rules: &Redaction, event: &str) -> String {
    let mut written = String::with_capacity(event.len());
    let mut data: Vec<&str> = Vec::new();
    for line in event.lines() {
        if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
            continue;
        }
        write_data(rules, &mut data, &mut written);
        written.push_str(&rules.apply(line));
        written.push('\n');
    }
    write_data(rules, &mut data, &mut written);
    written
}

fn write_data(rules: &Redaction, data: &mut Vec<&str>, written: &mut String) {
    if data.is_empty() {
        return;
    }
    let whole = std::mem::take(data).join("\n");
    let masked = match whole.trim_start().chars().next() {
        Some('{' | '[' | '"') => rules.json(&whole),
        Some('<') => rules.html(&whole),
        _ => rules.apply(&whole),
    };
    for line in masked.split('\n') {
        written.push_str("data: ");
        written.push_str(line);
        written.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rules;
    use super::*;

    #[test]
    fn each_event_is_masked_by_what_it_is_when_it_is_whole() {
        let mut masking = Masking::new(Arc::new(rules("O'Neil")));
        assert_eq!(masking.pass(b"event: a\nid: 7\ndata: {\"x\":\"O\\u0027"), "");
        let html = "Neil\"}\n\ndata: <td>\ndata: O&#39;<b>Neil</b>\n\n: keep\n\ndata: by O'Ne";
        assert_eq!(
            masking.pass(html.as_bytes()),
            "event: a\nid: 7\ndata: {\"x\":\"█████\"}\n\ndata: <td>\ndata: █████<b>█████</b>\n\n: keep\n\n"
        );
        assert_eq!(masking.pass(b"il\n\n"), "data: by █████\n\n");
    }

    #[test]
    fn what_never_ends_is_left_out() {
        let mut masking = Masking::new(Arc::new(rules("x")));
        assert_eq!(masking.pass(&vec![b'x'; MAX_BYTES + 1]), LEFT_OUT);
        assert_eq!(masking.pass(b"data: y\n\n"), "data: y\n\n");
    }
}
