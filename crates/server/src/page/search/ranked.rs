//! Which events fit plain words best? A list by rank, page by page, that ends: everything fits a little. What is drawn over
//! time is this list and nothing else; the page says so, and leads to everything that holds any of the words.

use super::asked::{PAGE_SIZE, PageParams};
use super::overview::{BUCKETS, histogram};
use super::rows::{Known, Row};
use super::{Outcome, Ranked, TemplateRow};
use crate::api::events::{Found, find};
use crate::page::parts::shorten;
use crate::params::{Mode, SearchParams};
use crate::problem::Result;
use crate::state::App;
use casemate_pipeline::words_of;
use jiff::Timestamp;

/// Events that are put in order.
const BEST: usize = 200;
const TEMPLATE_CHARS: usize = 160;
/// Longest query of words that is linked.
const MAX_WORDS: usize = 1000;
/// Lengths of an interval, in seconds: the least that spans the list counts, else a number of the largest.
const WIDTHS: [i64; 13] = [1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000];

/// A search by plain words: the events that fit best, which are not in order of time.
pub(super) fn alike(app: &App, params: &PageParams, mode: Mode, columns: &[String]) -> Result<Outcome> {
    let last = params.up_to()?.unwrap_or_else(|| app.pipeline.store().last_id());
    let search = SearchParams {
        q: params.q.clone(),
        mode,
        filter: params.filter.clone(),
        after: params.after.clone(),
        before: params.before.clone(),
        entity: params.entity.clone(),
        limit: Some(BEST),
        // What arrives while pages are turned moves nothing on them.
        up_to: Some(last),
        ..SearchParams::default()
    };
    let found: Found = find(app, &search, casemate_store::Order::NewestFirst)?;
    let all = found.events.len();
    let from = params.ranks_before()?.min(all);
    let to = (from + PAGE_SIZE).min(all);
    let shown = &found.events[from..to];
    let known = Known::of(app.pipeline.store(), shown)?;
    let mut rows: Vec<Row> = shown.iter().map(|stored| known.row(stored, columns)).collect();
    for (row, by) in rows.iter_mut().zip(found.by.iter().skip(from)) {
        row.found_by = by.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    }
    let templates = found.templates.iter().filter(|_| from == 0).map(|template| TemplateRow {
        similarity: format!("{:.2}", template.similarity),
        text: shorten(&template.text, TEMPLATE_CHARS),
        count: template.count,
        href: params.href(&[("q", &format!("template:{}", template.id)), ("mode", "")]),
    });
    let linkable = params.is_linkable();
    let link = |after: &str, before: &str| {
        if linkable { params.href(&[("after", after), ("before", before)]) } else { String::new() }
    };
    let times: Vec<i64> = found.events.iter().map(|stored| stored.event.time.as_second()).collect();
    let (counts, width) = over_time(if from == 0 { &times } else { &[] });
    let next = params.href(&[("behind", &to.to_string()), ("upto", &last.to_string())]);
    Ok(Outcome {
        heading: heading(all, from, to),
        templates: templates.collect(),
        histogram: histogram(&counts, width, link),
        ranked: (all > 0).then(|| said(params, mode, all)),
        next: if to < all { next } else { String::new() },
        rows,
        ..Outcome::default()
    })
}

fn heading(all: usize, from: usize, to: usize) -> String {
    let best = format!("the {all} event{} that fit best", if all == 1 { "" } else { "s" });
    if from == 0 { best } else { format!("{} to {to} of {best}", from + 1) }
}

fn said(params: &PageParams, mode: Mode, all: usize) -> Ranked {
    let order = match mode {
        Mode::Semantic => "Those of the kinds of messages nearest in meaning, the nearest kind first",
        Mode::Text | Mode::Hybrid => "The best first, by words, names and meaning",
    };
    let end =
        if all < BEST { String::new() } else { format!("; what fits less than the best {BEST} is left out") };
    let query = any_of(&words_of(&params.q));
    let has_link = !query.is_empty() && query.len() <= MAX_WORDS;
    Ranked {
        said: format!("{order}{end}. The bars count these events alone."),
        all_href: if has_link { params.href(&[("q", &query), ("mode", "text")]) } else { String::new() },
    }
}

/// The query for what holds any of these words.
fn any_of(words: &[String]) -> String {
    let quoted = |word: &String| format!("\"{}\"", word.replace('\\', "\\\\"));
    words.iter().map(quoted).collect::<Vec<_>>().join(" OR ")
}

/// How many of these times (seconds since the epoch) fall into each interval, and how many seconds it has.
fn over_time(seconds: &[i64]) -> (Vec<(Timestamp, u64)>, i64) {
    let (Some(first), Some(last)) = (seconds.iter().min(), seconds.iter().max()) else {
        return (Vec::new(), 1);
    };
    let most = BUCKETS as i64;
    // Counted from the epoch, so that bars begin at whole minutes, hours and days.
    let count = |width: i64| last.div_euclid(width) - first.div_euclid(width) + 1;
    let month = WIDTHS[WIDTHS.len() - 1];
    let width = WIDTHS.into_iter().find(|width| count(*width) <= most).unwrap_or_else(|| {
        let months = (last - first) / month / (most - 1) + 1;
        months * month
    });
    let start = first.div_euclid(width);
    let mut counts: Vec<(Timestamp, u64)> = (0..count(width))
        .map(|place| (Timestamp::from_second((start + place) * width).unwrap_or(Timestamp::MIN), 0))
        .collect();
    for second in seconds {
        let place = usize::try_from(second.div_euclid(width) - start).unwrap_or(0);
        if let Some((_, count)) = counts.get_mut(place) {
            *count += 1;
        }
    }
    (counts, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_store::{Reading, read};

    #[track_caller]
    fn check(seconds: &[i64], bars: usize, width: i64) {
        let (counts, found) = over_time(seconds);
        assert_eq!((counts.len(), found), (bars, width), "{seconds:?}");
        assert_eq!(counts.iter().map(|(_, count)| *count).sum::<u64>(), seconds.len() as u64);
    }

    #[test]
    fn each_event_is_counted_once() {
        check(&[], 0, 1);
        check(&[7], 1, 1);
        check(&[0, 1, 39, 39], 40, 1);
        check(&[0, 40], 9, 5);
        check(&[59, 86_400], 25, 3600);
        let ends = [Timestamp::MIN.as_second(), Timestamp::MAX.as_second()];
        let (counts, width) = over_time(&ends);
        assert!(counts.len() <= BUCKETS && width % 2_592_000 == 0, "{} {width}", counts.len());
        assert_eq!((counts[0].1, counts[counts.len() - 1].1), (1, 1));
    }

    #[test]
    fn any_word_can_be_looked_for() {
        let query = any_of(&words_of("Who ran C:\\x \"y\" (OR) not?"));
        assert_eq!(query, r#""who" OR "ran" OR "c:\\x" OR "y" OR "or" OR "not""#);
        assert!(matches!(read(&query), Ok(Reading::Query)));
        assert_eq!(any_of(&[]), "");
    }

    #[test]
    fn pages_say_where_they_are() {
        assert_eq!(heading(1, 0, 1), "the 1 event that fit best");
        assert_eq!(heading(120, 50, 100), "51 to 100 of the 120 events that fit best");
    }
}
