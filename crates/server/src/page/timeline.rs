//! How does an investigation look over time? One lane per host and source, one mark per line of evidence, small marks for
//! the events that a line stands for, detections and silences marked; laid out here and drawn by a template.
//!
//! The whole leaves long silences out. A part of it (`?from=…&to=…`) is drawn evenly, with links that go nearer, away and
//! sideways.

use crate::page::parts::{When, shorten, when};
use crate::page::ticks::{Gap, Scale, Tick, duration, place};
use crate::problem::{Problem, Result};
use jiff::Timestamp;
use serde::Deserialize;

const WIDTH: f64 = 1160.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 48.0;
const ROW_HEIGHT: f64 = 24.0;
const LANE_PADDING: f64 = 9.0;
/// Rows a lane can have; marks that find no room are counted at the last one.
const MAX_ROWS: usize = 4;
/// Width of a character of a mark's label.
const CHARACTER: f64 = 7.5;
const DOT: f64 = 6.0;
const LANE_NAME_CHARS: usize = 22;
/// Most lanes drawn; what happens in further ones is in the table.
const MAX_LANES: usize = 16;
/// Small marks nearer than this are one, with a count.
const BIN: f64 = 10.0;
/// The nearest that can be looked at, in seconds.
const NEAREST: f64 = 0.5;
/// Characters of a mark's text.
const TEXT_CHARS: usize = 160;

/// Something that happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Item {
    pub(crate) time: Timestamp,
    /// Label of the evidence (`E3`), which is also the anchor of its row.
    pub(crate) label: String,
    pub(crate) event: u64,
    pub(crate) text: String,
    pub(crate) host: String,
    /// Who wrote it down.
    pub(crate) source: String,
    /// Whether the alert itself names it.
    pub(crate) is_alert: bool,
    /// Whether the story cites it.
    pub(crate) is_cited: bool,
    /// Titles of the rules that match it.
    pub(crate) rules: Vec<String>,
    /// Times of further events that the line stands for.
    pub(crate) folded: Vec<Timestamp>,
    /// How many it stands for in all.
    pub(crate) count: u64,
    /// Minutes for which the host had logged nothing before.
    pub(crate) silent_minutes: Option<u32>,
}

/// Which part to look at, as the query string has it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Window {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

impl Window {
    /// From when until when, in seconds; nothing for the whole.
    pub(crate) fn parse(&self) -> Result<Option<(f64, f64)>> {
        let time = |name: &str, text: &str| {
            text.trim().parse::<Timestamp>().map(seconds).map_err(|_| {
                Problem::bad_request(format!(
                    "{name} is {text:?}, which is no time; write 2026-01-31T09:30:00Z"
                ))
            })
        };
        match (self.from.as_str(), self.to.as_str()) {
            ("", "") => Ok(None),
            (from, to) if from.is_empty() || to.is_empty() => {
                Err(Problem::bad_request("a part of the timeline needs both from= and to="))
            }
            (from, to) => {
                let (from, to) = (time("from", from)?, time("to", to)?);
                if to - from < NEAREST / 10.0 {
                    return Err(Problem::bad_request("to= has to be later than from="));
                }
                Ok(Some((from, to)))
            }
        }
    }
}

/// A timeline laid out.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) ticks: Vec<AxisTick>,
    pub(crate) gaps: Vec<Gap>,
    /// What is to be seen, in words.
    pub(crate) span: String,
    pub(crate) is_part: bool,
    /// Lines of evidence before, within and after what is drawn.
    pub(crate) before: usize,
    pub(crate) within: usize,
    pub(crate) after: usize,
    /// Lanes that are not drawn.
    pub(crate) more_lanes: usize,
    /// Query strings that show more, less, earlier and later.
    pub(crate) links: Vec<Link>,
    /// Places and times of the stretches drawn evenly, for the script: `x1 x2 from to` (milliseconds) each.
    pub(crate) stretches: String,
    pub(crate) rows: Vec<Row>,
}

/// A tick, and where its stretch can be looked at alone.
#[derive(Debug)]
pub(crate) struct AxisTick {
    pub(crate) x: f64,
    pub(crate) label: String,
    pub(crate) date: Option<String>,
    pub(crate) href: Option<String>,
}

/// Another view.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// What the script calls it.
    pub(crate) step: &'static str,
    pub(crate) name: &'static str,
    pub(crate) href: String,
}

/// A row of the table that says the same.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) time: When,
    pub(crate) label: String,
    pub(crate) event: u64,
    pub(crate) host: String,
    pub(crate) source: String,
    pub(crate) text: String,
    pub(crate) notes: String,
}

/// One source of one host.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The host, where it is the first lane of it.
    pub(crate) host: Option<String>,
    /// Host and source in full.
    pub(crate) name: String,
    /// The source, cut to what fits.
    pub(crate) source: String,
    pub(crate) is_odd: bool,
    pub(crate) y: f64,
    pub(crate) height: f64,
    pub(crate) middle: f64,
    pub(crate) marks: Vec<Mark>,
    pub(crate) small: Vec<Small>,
    pub(crate) silences: Vec<Silence>,
}

/// One line of evidence.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) label: String,
    /// Further lines at the same place, which zooming in shows.
    pub(crate) more: usize,
    pub(crate) event: u64,
    pub(crate) text_x: f64,
    pub(crate) anchor: &'static str,
    pub(crate) title: String,
    pub(crate) is_alert: bool,
    pub(crate) is_cited: bool,
    pub(crate) is_detection: bool,
}

/// Events that lines stand for, one or several at nearly one place.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) height: f64,
    pub(crate) title: String,
}

/// A host that logged nothing.
#[derive(Debug)]
pub(crate) struct Silence {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) title: String,
}

/// Lays out `items`, or the part of them within `window`; nothing to draw for none.
pub(crate) fn lay_out(mut items: Vec<Item>, window: Option<(f64, f64)>) -> Option<Timeline> {
    if items.is_empty() {
        return None;
    }
    items.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.label.cmp(&b.label)));
    let all: Vec<f64> = items.iter().flat_map(times).collect();
    let (first, last) = bounds(&all);
    let (from, to) = window.unwrap_or((first, last));
    let scale = match window {
        Some(_) => Scale::even(from, to, LEFT, WIDTH - RIGHT),
        None => Scale::new(&all, LEFT, WIDTH - RIGHT),
    };
    let at = |item: &Item| seconds(item.time);
    let (before, after) = (
        items.iter().filter(|item| at(item) < from).count(),
        items.iter().filter(|item| at(item) > to).count(),
    );
    let mut hosts: Vec<(&str, Vec<&str>)> = Vec::new();
    for item in &items {
        let place = hosts.iter().position(|(host, _)| *host == item.host).unwrap_or_else(|| {
            hosts.push((&item.host, Vec::new()));
            hosts.len() - 1
        });
        let sources = &mut hosts[place].1;
        if !sources.contains(&item.source.as_str()) {
            sources.push(&item.source);
        }
    }
    let mut y = TOP;
    let mut lanes: Vec<Lane> = Vec::new();
    let mut more_lanes = 0;
    for (number, (host, sources)) in hosts.iter().enumerate() {
        for (place, source) in sources.iter().enumerate() {
            if lanes.len() == MAX_LANES {
                more_lanes += 1;
                continue;
            }
            let of_lane: Vec<&Item> =
                items.iter().filter(|item| item.host == *host && item.source == *source).collect();
            let mut lane = lay_out_lane((host, source), &of_lane, &scale, (from, to), y);
            lane.host = (place == 0).then(|| shorten(name_of(host), LANE_NAME_CHARS));
            lane.is_odd = number % 2 == 1;
            y += lane.height;
            lanes.push(lane);
        }
    }
    let stretches: Vec<String> = scale
        .stretches()
        .map(|[x1, x2, start, end]| format!("{x1:.0} {x2:.0} {:.0} {:.0}", start * 1000.0, end * 1000.0))
        .collect();
    let ticks = scale.ticks().into_iter().map(axis_tick).collect();
    Some(Timeline {
        width: WIDTH,
        // Room for how long a silence was.
        height: (y + 8.0).max(TOP + 84.0),
        left: LEFT,
        right: WIDTH - RIGHT,
        top: TOP,
        lanes,
        ticks,
        span: format!("{} to {}, {}", when(time(from)).shown, when(time(to)).shown, length(to - from)),
        is_part: window.is_some(),
        before,
        within: items.len() - before - after,
        after,
        more_lanes,
        links: links(window, (first, last), &items),
        stretches: stretches.join(";"),
        rows: items.iter().map(row).collect(),
        gaps: scale.gaps,
    })
}

fn name_of(host: &str) -> &str {
    if host.is_empty() { "no host" } else { host }
}

fn axis_tick(tick: Tick) -> AxisTick {
    let alone = tick.span.filter(|(start, end)| end - start > NEAREST);
    // A little more than the stretch, so that nothing sits on its edge.
    let href = alone.map(|(start, end)| query(start - (end - start) * 0.02, end + (end - start) * 0.02));
    AxisTick { x: tick.x, label: tick.label, date: tick.date, href }
}

fn row(item: &Item) -> Row {
    let mut notes: Vec<String> = Vec::new();
    if item.is_alert {
        notes.push("event of the alert".to_owned());
    }
    if item.is_cited {
        notes.push("cited".to_owned());
    }
    notes.extend(item.rules.iter().map(|rule| format!("rule: {rule}")));
    notes
        .extend(item.silent_minutes.map(|minutes| {
            format!("after {} without logs of the host", duration(f64::from(minutes) * 60.0))
        }));
    if item.count > 1 {
        notes.push(format!("{} alike", item.count));
    }
    Row {
        time: when(item.time),
        label: item.label.clone(),
        event: item.event,
        host: item.host.clone(),
        source: item.source.clone(),
        text: shorten(&item.text, TEXT_CHARS),
        notes: notes.join("; "),
    }
}

fn lay_out_lane(
    (host, source): (&str, &str),
    items: &[&Item],
    scale: &Scale,
    (from, to): (f64, f64),
    y: f64,
) -> Lane {
    let within = |time: f64| (from..=to).contains(&time);
    // Where each row is taken up to.
    let mut rows: Vec<f64> = Vec::new();
    let mut marks: Vec<Mark> = Vec::new();
    // The last mark of each row.
    let mut last: Vec<usize> = Vec::new();
    for item in items.iter().filter(|item| within(seconds(item.time))) {
        let x = scale.x(seconds(item.time));
        let label_width = (item.label.chars().count() + 3) as f64 * CHARACTER;
        let fits_right = x + DOT + 4.0 + label_width <= WIDTH;
        let (start, end) = match fits_right {
            true => (x - DOT, x + DOT + label_width),
            false => (x - DOT - label_width - 4.0, x + DOT + 4.0),
        };
        let row = match rows.iter().position(|taken| *taken <= start) {
            Some(row) => row,
            None if rows.len() < MAX_ROWS => {
                rows.push(0.0);
                last.push(0);
                rows.len() - 1
            }
            None => {
                if let Some(mark) = last.last().and_then(|place| marks.get_mut(*place)) {
                    mark.more += 1;
                    mark.title.push_str(&format!("\n{}", title(item)));
                    mark.is_alert |= item.is_alert;
                    mark.is_cited |= item.is_cited;
                    mark.is_detection |= !item.rules.is_empty();
                }
                continue;
            }
        };
        rows[row] = end;
        last[row] = marks.len();
        marks.push(Mark {
            x,
            y: y + LANE_PADDING + ROW_HEIGHT * (row as f64 + 0.5),
            label: item.label.clone(),
            more: 0,
            event: item.event,
            text_x: if fits_right { x + DOT + 4.0 } else { x - DOT - 4.0 },
            anchor: if fits_right { "start" } else { "end" },
            title: title(item),
            is_alert: item.is_alert,
            is_cited: item.is_cited,
            is_detection: !item.rules.is_empty(),
        });
    }
    let height = ROW_HEIGHT * rows.len().max(1) as f64 + 2.0 * LANE_PADDING;
    let silences = items.iter().filter_map(|item| silence(item, scale, (from, to))).collect();
    Lane {
        host: None,
        name: format!("{} {source}", name_of(host)),
        source: shorten(source, LANE_NAME_CHARS + 2),
        is_odd: false,
        y,
        height,
        middle: y + height / 2.0,
        small: small(items, scale, within, y + height),
        marks,
        silences,
    }
}

fn title(item: &Item) -> String {
    let mut title = format!("{} {} {}", item.label, item.time, shorten(&item.text, TEXT_CHARS));
    if item.count > 1 {
        title.push_str(&format!(" (×{})", item.count));
    }
    item.rules.iter().for_each(|rule| title.push_str(&format!("\nrule: {rule}")));
    title
}

/// Small marks at the bottom of a lane, those at nearly one place counted together.
fn small(items: &[&Item], scale: &Scale, within: impl Fn(f64) -> bool, bottom: f64) -> Vec<Small> {
    let mut places: Vec<(f64, &str)> = items
        .iter()
        .flat_map(|item| item.folded.iter().map(|time| (seconds(*time), item.label.as_str())))
        .filter(|(time, _)| within(*time))
        .map(|(time, label)| (scale.x(time), label))
        .collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    let mut bins: Vec<(f64, Vec<&str>)> = Vec::new();
    for (x, label) in places {
        match bins.last_mut().filter(|(at, _)| x - at < BIN) {
            Some((_, labels)) => labels.push(label),
            None => bins.push((x, vec![label])),
        }
    }
    let mark = |(x, mut labels): (f64, Vec<&str>)| {
        let count = labels.len();
        labels.dedup();
        let height = 4.0 + (count as f64).log2().min(4.0) * 2.0;
        let events = if count == 1 { "event" } else { "events" };
        let title = format!("{count} {events} alike {}", labels.join(", "));
        Small { x, y: place(bottom - height - 1.0), height: place(height), title }
    };
    bins.into_iter().map(mark).collect()
}

fn silence(item: &Item, scale: &Scale, (from, to): (f64, f64)) -> Option<Silence> {
    let minutes = f64::from(item.silent_minutes?);
    let end = seconds(item.time);
    let start = end - minutes * 60.0;
    if end < from || start > to {
        return None;
    }
    let (x, until) = (scale.x(start.max(from)), scale.x(end.min(to)));
    let title =
        format!("{} logged nothing for {} before {}", item.host, duration(minutes * 60.0), item.label);
    // One that began before the first event is drawn up to the edge.
    let x = if start < from { LEFT } else { x };
    Some(Silence { x, width: (until - x).max(5.0), title })
}

/// Views one step away.
fn links(window: Option<(f64, f64)>, (first, last): (f64, f64), items: &[Item]) -> Vec<Link> {
    let (from, to) = window.unwrap_or((first, last));
    let length = (to - from).max(NEAREST);
    let mut links = Vec::new();
    let mut add =
        |step: &'static str, name: &'static str, href: String| links.push(Link { step, name, href });
    if length > NEAREST {
        // Nearer to what is in the middle of the evidence that is seen.
        let mut seen: Vec<f64> = items.iter().map(|item| seconds(item.time)).collect();
        seen.retain(|time| (from..=to).contains(time));
        let centre = seen.get(seen.len() / 2).copied().unwrap_or((from + to) / 2.0);
        let quarter = (length / 4.0).max(NEAREST / 2.0);
        let centre = centre.clamp(from + quarter.min(length / 2.0), to - quarter.min(length / 2.0));
        add("in", "Zoom in", query(centre - quarter, centre + quarter));
    }
    if window.is_some() {
        let (out_from, out_to) = (from - length / 2.0, to + length / 2.0);
        let is_all = out_from <= first && out_to >= last;
        add("out", "Zoom out", if is_all { "?#timeline".to_owned() } else { query(out_from, out_to) });
        if from > first {
            add("earlier", "Earlier", query(from - length / 2.0, to - length / 2.0));
        }
        if to < last {
            add("later", "Later", query(from + length / 2.0, to + length / 2.0));
        }
        add("all", "Whole time", "?#timeline".to_owned());
    }
    links
}

/// The address of a part.
fn query(from: f64, to: f64) -> String {
    format!("?from={}&to={}#timeline", time(from), time(to))
}

fn times(item: &Item) -> impl Iterator<Item = f64> + '_ {
    std::iter::once(item.time).chain(item.folded.iter().copied()).map(seconds)
}

fn bounds(times: &[f64]) -> (f64, f64) {
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    let last = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (first, last)
}

fn seconds(time: Timestamp) -> f64 {
    time.as_second() as f64 + f64::from(time.subsec_nanosecond()) / 1e9
}

/// To the millisecond: finer than anybody zooms.
fn time(seconds: f64) -> Timestamp {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap_or_default()
}

fn length(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1} s") } else { duration(seconds) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn item(second: i64, label: &str, host: &str) -> Item {
        Item {
            time: Timestamp::from_second(second).unwrap(),
            label: label.to_owned(),
            text: "text".to_owned(),
            host: host.to_owned(),
            count: 1,
            ..Item::default()
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(lay_out(Vec::new(), None).is_none());
    }

    #[test]
    fn lanes_are_hosts_in_order_of_their_first_event_and_sources_within() {
        let mut other = item(15, "E4", "a");
        other.source = "Sysmon".to_owned();
        let items = vec![item(20, "E2", "b"), item(10, "E1", "a"), item(30, "E3", "b"), other];
        let timeline = lay_out(items, None).unwrap();
        let lanes: Vec<(Option<&str>, &str, usize)> = timeline
            .lanes
            .iter()
            .map(|lane| (lane.host.as_deref(), lane.source.as_str(), lane.marks.len()))
            .collect();
        assert_eq!(lanes, [(Some("a"), "", 1), (None, "Sysmon", 1), (Some("b"), "", 2)]);
    }

    #[test]
    fn marks_at_one_time_do_not_cover_each_other_and_a_flood_is_counted() {
        let timeline = lay_out((0..500).map(|n| item(7, &format!("E{n}"), "a")).collect(), None).unwrap();
        let marks = &timeline.lanes[0].marks;
        let mut heights: Vec<f64> = marks.iter().map(|mark| mark.y).collect();
        heights.dedup();
        assert_eq!((heights.len(), marks.len()), (MAX_ROWS, MAX_ROWS));
        assert_eq!(marks.iter().map(|mark| mark.more).sum::<usize>(), 500 - MAX_ROWS);
        assert!(timeline.height < 300.0 && timeline.rows.len() == 500);
    }

    #[test]
    fn many_hosts_are_bounded_and_said() {
        let timeline = lay_out((0..40).map(|n| item(n, "E1", &format!("h{n}"))).collect(), None).unwrap();
        assert_eq!((timeline.lanes.len(), timeline.more_lanes), (MAX_LANES, 40 - MAX_LANES));
    }

    #[test]
    fn a_part_shows_what_is_in_it_and_counts_the_rest() {
        let items: Vec<Item> = (0..10).map(|n| item(n * 60, &format!("E{n}"), "a")).collect();
        let timeline = lay_out(items, Some((110.0, 250.0))).unwrap();
        assert_eq!((timeline.before, timeline.within, timeline.after), (2, 3, 5));
        let steps: Vec<&str> = timeline.links.iter().map(|link| link.step).collect();
        assert_eq!(steps, ["in", "out", "earlier", "later", "all"]);
        assert!(timeline.links[0].href.starts_with("?from=1970-01-01T00:02:"), "{:?}", timeline.links);
        let far = lay_out(vec![item(0, "E1", "a")], Some((1e9, 1e9 + 5.0))).unwrap();
        assert_eq!((far.before, far.within), (1, 0));
    }

    #[test]
    fn silences_and_alike_events_are_drawn() {
        let mut one = item(36_000, "E1", "a");
        one.silent_minutes = Some(60);
        one.folded = vec![one.time; 9];
        let timeline = lay_out(vec![item(0, "E0", "a"), one], None).unwrap();
        let lane = &timeline.lanes[0];
        assert_eq!(lane.silences[0].title, "a logged nothing for 1 h before E1");
        assert_eq!(lane.small[0].title, "9 events alike E1");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let parse = |from: &str, to: &str| Window { from: from.to_owned(), to: to.to_owned() }.parse();
        assert_eq!(parse("", "").unwrap(), None);
        assert_eq!(parse("1970-01-01T00:00:01Z", "1970-01-01T00:00:03Z").unwrap(), Some((1.0, 3.0)));
        for (from, to) in
            [("x", "y"), ("1970-01-01T00:00:01Z", ""), ("1970-01-01T00:00:03Z", "1970-01-01T00:00:01Z")]
        {
            assert!(parse(from, to).is_err(), "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn everything_stays_inside(
            starts in prop::collection::vec((0i64..4_000_000_000, 0usize..5, 0u32..5000), 1..40),
            window in prop::option::of((0.0f64..4e9, 1.0f64..1e9)),
        ) {
            let items: Vec<Item> = starts
                .iter()
                .enumerate()
                .map(|(n, (second, host, silent))| {
                    let mut one = item(*second, &format!("E{n}"), &format!("h{host}"));
                    one.silent_minutes = Some(*silent).filter(|minutes| *minutes > 900);
                    one
                })
                .collect();
            let window = window.map(|(from, length)| (from, from + length));
            let timeline = lay_out(items, window).unwrap();
            for lane in &timeline.lanes {
                for mark in &lane.marks {
                    prop_assert!(mark.x >= LEFT && mark.x <= WIDTH);
                    prop_assert!(mark.y > lane.y && mark.y < lane.y + lane.height);
                }
                for silence in &lane.silences {
                    prop_assert!(silence.x >= LEFT && silence.x + silence.width <= WIDTH + 5.0);
                }
            }
            prop_assert_eq!(timeline.before + timeline.within + timeline.after, timeline.rows.len());
        }
    }
}
