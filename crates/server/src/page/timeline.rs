//! How does an investigation look over time? One lane per host, one mark per piece of evidence, laid out here and
//! drawn by a template.

use crate::page::parts::shorten;
use crate::page::ticks::{Gap, Scale, Tick};
use jiff::Timestamp;

const WIDTH: f64 = 1160.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const ROW_HEIGHT: f64 = 24.0;
const LANE_PADDING: f64 = 10.0;
/// Rows a lane can have; marks that find no room share the last one.
const MAX_ROWS: usize = 10;
/// Width of a character of a mark's label.
const CHARACTER: f64 = 7.5;
const DOT: f64 = 6.0;
const LANE_NAME_CHARS: usize = 18;

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) time: Timestamp,
    /// Label of the evidence (`E3`), which is also the anchor of its row.
    pub(crate) label: String,
    pub(crate) text: String,
    pub(crate) lane: String,
    /// Whether the alert itself names it.
    pub(crate) is_alert: bool,
    /// Whether the story cites it.
    pub(crate) is_cited: bool,
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
    pub(crate) ticks: Vec<Tick>,
    pub(crate) gaps: Vec<Gap>,
}

/// One host.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: String,
    /// The name, cut to what fits.
    pub(crate) short: String,
    pub(crate) y: f64,
    pub(crate) height: f64,
    pub(crate) middle: f64,
    pub(crate) marks: Vec<Mark>,
}

/// One piece of evidence.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) label: String,
    pub(crate) text_x: f64,
    pub(crate) anchor: &'static str,
    pub(crate) title: String,
    pub(crate) is_alert: bool,
    pub(crate) is_cited: bool,
}

/// Lays out `items`; nothing to draw for none.
pub(crate) fn lay_out(mut items: Vec<Item>) -> Option<Timeline> {
    if items.is_empty() {
        return None;
    }
    items.sort_by_key(|item| item.time);
    let times: Vec<f64> = items.iter().map(|item| seconds(item.time)).collect();
    let scale = Scale::new(&times, LEFT, WIDTH - RIGHT);
    let mut names: Vec<&str> = Vec::new();
    for item in &items {
        if !names.contains(&item.lane.as_str()) {
            names.push(&item.lane);
        }
    }
    let mut y = TOP;
    let lanes: Vec<Lane> = names
        .into_iter()
        .map(|name| {
            let of_lane: Vec<&Item> = items.iter().filter(|item| item.lane == name).collect();
            let lane = lay_out_lane(name, &of_lane, &scale, y);
            y += lane.height;
            lane
        })
        .collect();
    let ticks = scale.ticks();
    Some(Timeline {
        width: WIDTH,
        height: y + 8.0,
        left: LEFT,
        right: WIDTH - RIGHT,
        top: TOP,
        lanes,
        ticks,
        gaps: scale.gaps,
    })
}

fn lay_out_lane(name: &str, items: &[&Item], scale: &Scale, y: f64) -> Lane {
    // Where each row is taken up to.
    let mut rows: Vec<f64> = Vec::new();
    let mut marks = Vec::new();
    for item in items {
        let x = scale.x(seconds(item.time));
        let label_width = item.label.chars().count() as f64 * CHARACTER;
        let fits_right = x + DOT + 4.0 + label_width <= WIDTH;
        let (from, to) = match fits_right {
            true => (x - DOT, x + DOT + label_width + 8.0),
            false => (x - DOT - label_width - 4.0, x + DOT + 4.0),
        };
        let row = match rows.iter().position(|taken| *taken <= from) {
            Some(row) => row,
            None if rows.len() < MAX_ROWS => {
                rows.push(0.0);
                rows.len() - 1
            }
            None => MAX_ROWS - 1,
        };
        rows[row] = to;
        marks.push(Mark {
            x,
            y: y + LANE_PADDING + ROW_HEIGHT * (row as f64 + 0.5),
            label: item.label.clone(),
            text_x: if fits_right { x + DOT + 4.0 } else { x - DOT - 4.0 },
            anchor: if fits_right { "start" } else { "end" },
            title: format!("{} {} {}", item.label, item.time, item.text),
            is_alert: item.is_alert,
            is_cited: item.is_cited,
        });
    }
    let height = ROW_HEIGHT * rows.len().max(1) as f64 + 2.0 * LANE_PADDING;
    Lane {
        name: name.to_owned(),
        short: shorten(name, LANE_NAME_CHARS),
        y,
        height,
        middle: y + height / 2.0,
        marks,
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_second() as f64 + f64::from(time.subsec_nanosecond()) / 1e9
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn item(second: i64, label: &str, lane: &str) -> Item {
        Item {
            time: Timestamp::from_second(second).unwrap(),
            label: label.to_owned(),
            text: "text".to_owned(),
            lane: lane.to_owned(),
            is_alert: false,
            is_cited: false,
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(lay_out(Vec::new()).is_none());
    }

    #[test]
    fn lanes_come_in_order_of_their_first_event() {
        let timeline = lay_out(vec![item(20, "E2", "b"), item(10, "E1", "a"), item(30, "E3", "b")]).unwrap();
        let lanes: Vec<(&str, usize)> =
            timeline.lanes.iter().map(|lane| (lane.name.as_str(), lane.marks.len())).collect();
        assert_eq!(lanes, [("a", 1), ("b", 2)]);
    }

    #[test]
    fn marks_at_one_time_do_not_cover_each_other() {
        let timeline = lay_out((0..5).map(|n| item(7, &format!("E{n}"), "a")).collect()).unwrap();
        let mut heights: Vec<f64> = timeline.lanes[0].marks.iter().map(|mark| mark.y).collect();
        heights.dedup();
        assert_eq!(heights.len(), 5);
        assert!(timeline.lanes[0].height > 5.0 * ROW_HEIGHT);
    }

    #[test]
    fn a_flood_stays_in_bounds() {
        let timeline = lay_out((0..500).map(|n| item(7, &format!("E{n}"), "a")).collect()).unwrap();
        assert!(timeline.height < 400.0);
        for mark in &timeline.lanes[0].marks {
            assert!(mark.x >= LEFT && mark.x <= WIDTH && mark.y < timeline.height);
        }
    }
}
