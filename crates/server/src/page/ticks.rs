//! Where on a time axis do numbers go? A scale that leaves out long silences, with ticks at round times.
//!
//! An intrusion is bursts of seconds with hours between: on an even scale every burst would be one dot. The
//! longest silences are therefore cut out, each shown as a labelled gap, and what is left is even.

use jiff::Timestamp;
use jiff::tz::Offset;

/// Silences cut out at most.
const MAX_GAPS: usize = 4;
/// A silence is cut out if it takes more of the whole than this.
const GAP_SHARE: f64 = 0.12;
const GAP_WIDTH: f64 = 46.0;
const MIN_SEGMENT_WIDTH: f64 = 120.0;
/// Room at both ends of a segment, so that nothing sits on its edge.
const PADDING: f64 = 18.0;
/// Room a tick's label needs.
const TICK_WIDTH: f64 = 88.0;

/// Steps between ticks, in seconds.
const STEPS: [f64; 29] = [
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
];

/// A stretch of time drawn evenly.
#[derive(Debug, Clone, PartialEq)]
struct Segment {
    start: f64,
    end: f64,
    x: f64,
    width: f64,
}

/// A silence that was cut out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gap {
    pub(crate) x: f64,
    pub(crate) width: f64,
    /// How long it was, in words.
    pub(crate) label: String,
}

/// A number on the axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) x: f64,
    pub(crate) label: String,
    /// The date, where it is the first tick of a segment.
    pub(crate) date: Option<String>,
    /// From when until when its segment is, in seconds, where it is the first tick.
    pub(crate) span: Option<(f64, f64)>,
}

/// Times (seconds since 1970) to horizontal places.
#[derive(Debug)]
pub(crate) struct Scale {
    segments: Vec<Segment>,
    pub(crate) gaps: Vec<Gap>,
}

impl Scale {
    /// A scale from `left` to `right` over `times`, in any order.
    pub(crate) fn new(times: &[f64], left: f64, right: f64) -> Self {
        let mut times: Vec<f64> = times.iter().copied().filter(|time| time.is_finite()).collect();
        times.sort_by(f64::total_cmp);
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
            return Self { segments: Vec::new(), gaps: Vec::new() };
        };
        let silences = silences(&times, last - first);
        let mut bounds = vec![first];
        bounds.extend(silences.iter().flat_map(|(from, to)| [*from, *to]));
        bounds.push(last);
        let spans: Vec<(f64, f64)> = bounds.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let active: f64 = spans.iter().map(|(from, to)| to - from).sum();
        let minimum = MIN_SEGMENT_WIDTH * spans.len() as f64 + GAP_WIDTH * silences.len() as f64;
        let to_share = (right - left - minimum).max(0.0);
        let mut scale = Self { segments: Vec::new(), gaps: Vec::new() };
        let mut x = left;
        for (index, (start, end)) in spans.iter().copied().enumerate() {
            let share = if active > 0.0 { (end - start) / active } else { 1.0 / spans.len() as f64 };
            let width = MIN_SEGMENT_WIDTH + to_share * share;
            scale.segments.push(Segment { start, end, x: place(x), width: place(width) });
            x += width;
            if let Some((from, to)) = silences.get(index) {
                scale.gaps.push(Gap { x: place(x), width: GAP_WIDTH, label: duration(to - from) });
                x += GAP_WIDTH;
            }
        }
        scale
    }

    /// An even scale from one time to another, nothing cut out.
    pub(crate) fn even(start: f64, end: f64, left: f64, right: f64) -> Self {
        Self { segments: vec![Segment { start, end, x: left, width: right - left }], gaps: Vec::new() }
    }

    /// The stretches that are drawn evenly: from and to which place, from and to which time.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = [f64; 4]> {
        self.segments.iter().map(|segment| {
            [segment.x + PADDING, segment.x + segment.width - PADDING, segment.start, segment.end]
        })
    }

    /// Where a time is.
    pub(crate) fn x(&self, time: f64) -> f64 {
        let segment =
            self.segments.iter().rev().find(|segment| segment.start <= time).or(self.segments.first());
        segment.map_or(0.0, |segment| segment.x(time))
    }

    /// Numbers for the axis.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        self.segments.iter().flat_map(Segment::ticks).collect()
    }
}

/// The longest stretches between neighbouring times, if they are long enough to cut out; in order.
fn silences(times: &[f64], span: f64) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> = times
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .filter(|(from, to)| to - from > span * GAP_SHARE)
        .collect();
    // Two or three dots need no cutting: even spacing says more.
    if times.len() < 4 && span < 86_400.0 {
        return Vec::new();
    }
    found.sort_by(|a, b| (b.1 - b.0).total_cmp(&(a.1 - a.0)));
    found.truncate(MAX_GAPS);
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

impl Segment {
    fn x(&self, time: f64) -> f64 {
        let length = self.end - self.start;
        let share = if length > 0.0 { ((time - self.start) / length).clamp(0.0, 1.0) } else { 0.5 };
        place(self.x + PADDING + share * (self.width - 2.0 * PADDING))
    }

    fn ticks(&self) -> Vec<Tick> {
        let length = self.end - self.start;
        let room = ((self.width - 2.0 * PADDING) / TICK_WIDTH).floor();
        let step = STEPS.iter().copied().find(|step| length / step <= room);
        let Some(step) = step.filter(|_| length > 0.0 && room >= 1.0) else {
            return self.only_start();
        };
        let mut ticks: Vec<Tick> = Vec::new();
        let mut time = (self.start / step).ceil() * step;
        while time <= self.end && ticks.len() < 32 {
            ticks.push(Tick { x: self.x(time), label: clock(time, step), date: None, span: None });
            time += step;
        }
        match ticks.first_mut() {
            Some(first) => {
                first.date = Some(date(self.start));
                first.span = Some((self.start, self.end));
            }
            None => return self.only_start(),
        }
        ticks
    }

    /// A stretch too short or too narrow for round times shows when it begins.
    fn only_start(&self) -> Vec<Tick> {
        let whole = self.start.fract() == 0.0;
        let label = clock(self.start, if whole { 1.0 } else { 0.001 });
        let (date, span) = (Some(date(self.start)), Some((self.start, self.end)));
        vec![Tick { x: self.x(self.start), label, date, span }]
    }
}

/// To half a pixel, which is written in few digits: finer is not seen, and weighs.
pub(crate) fn place(at: f64) -> f64 {
    (at * 2.0).round() / 2.0
}

fn timestamp(seconds: f64) -> Timestamp {
    // Rounded, since a step's multiples are not exact in binary.
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap_or_default()
}

fn clock(seconds: f64, step: f64) -> String {
    let pattern = match step {
        _ if step < 1.0 => "%H:%M:%S%.3f",
        _ if step < 60.0 => "%H:%M:%S",
        _ if step < 86_400.0 => "%H:%M",
        _ => "%m-%d",
    };
    Offset::UTC.to_datetime(timestamp(seconds)).strftime(pattern).to_string()
}

fn date(seconds: f64) -> String {
    Offset::UTC.to_datetime(timestamp(seconds)).strftime("%Y-%m-%d").to_string()
}

/// A length of time in its two largest units.
pub(crate) fn duration(seconds: f64) -> String {
    let total = seconds.max(0.0).round() as u64;
    let (days, hours, minutes, seconds) = (total / 86_400, total / 3600 % 24, total / 60 % 60, total % 60);
    let units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")];
    let from = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let parts = units[from..].iter().take(2).filter(|(count, _)| *count > 0 || total == 0);
    parts.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_duration(seconds: f64, expected: &str) {
        assert_eq!(duration(seconds), expected);
    }

    #[test]
    fn lengths_read_well() {
        check_duration(0.2, "0 s");
        check_duration(59.0, "59 s");
        check_duration(3600.0, "1 h");
        check_duration(3723.0, "1 h 2 min");
        check_duration(90_061.0, "1 d 1 h");
    }

    #[test]
    fn long_silences_are_cut_out() {
        let times = [0.0, 1.0, 2.0, 3.0, 36_000.0, 36_001.0, 36_002.0];
        let scale = Scale::new(&times, 0.0, 1000.0);
        assert_eq!(scale.gaps.len(), 1);
        assert_eq!(scale.gaps[0].label, "9 h 59 min");
        assert!(scale.x(3.0) - scale.x(0.0) > 200.0);
        assert!(scale.x(36_000.0) > scale.gaps[0].x);
        let labels: Vec<String> = scale.ticks().into_iter().map(|tick| tick.label).collect();
        assert!(labels.contains(&"00:00:01".to_owned()), "{labels:?}");
        assert!(labels.iter().any(|label| label.starts_with("10:00:00")), "{labels:?}");
    }

    #[test]
    fn one_time_is_in_the_middle() {
        let scale = Scale::new(&[1_600_000_000.0], 100.0, 500.0);
        assert!((scale.x(1_600_000_000.0) - 300.0).abs() < 1.0);
        assert_eq!(scale.ticks().len(), 1);
        assert_eq!(scale.ticks()[0].date.as_deref(), Some("2020-09-13"));
    }

    proptest! {
        #[test]
        fn places_keep_the_order_and_the_bounds(mut times in prop::collection::vec(0.0f64..4e9, 0..40)) {
            let scale = Scale::new(&times, 100.0, 1100.0);
            times.sort_by(f64::total_cmp);
            let places: Vec<f64> = times.iter().map(|time| scale.x(*time)).collect();
            prop_assert!(places.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(places.iter().all(|x| (100.0..=1100.0).contains(x)));
            prop_assert!(scale.ticks().iter().all(|tick| (100.0..=1100.0).contains(&tick.x)));
        }
    }
}
