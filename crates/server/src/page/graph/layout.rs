//! Where does each node go? Columns from left to right by who leads to whom, rows by whose child it is.
//!
//! Each end of a branch has a row of its own, and what leads to it stands in the row of its first branch: two nodes in one
//! row are one before the other and so in different columns. Nothing is drawn over anything, and the same graph always
//! comes out the same.

use super::shape::{Edge, Graph, Kind, Node, Tie};
use crate::page::parts::EntityLink;
use casemate_export::text::visible;
use std::collections::{BTreeMap, BTreeSet};

const BOX_WIDTH: f64 = 212.0;
const BOX_HEIGHT: f64 = 48.0;
const ROW: f64 = 62.0;
const TOP: f64 = 12.0;
const LEFT: f64 = 10.0;
/// Room between columns, and what a character of an edge's label takes more.
const GAP: f64 = 40.0;
const LABEL_CHARACTER: f64 = 6.3;
const MAX_LABEL: usize = 24;
/// Characters of the two lines of a node.
const NAME_CHARS: usize = 25;
const DETAIL_CHARS: usize = 31;
const USER_CHARS: usize = 12;
/// Characters of a title or a line of the list.
const WORDS_CHARS: usize = 240;
/// Labels shown in a node.
const MAX_LABELS: usize = 3;
/// Most lines of the list that says the same.
const MAX_LINES: usize = 160;

/// A graph laid out.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) nodes: Vec<Box>,
    pub(crate) edges: Vec<Arrow>,
    /// What is not drawn: `3 processes`.
    pub(crate) left_out: Vec<String>,
    /// The same as a nested list.
    pub(crate) lines: Vec<Line>,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Box {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) kind: &'static str,
    /// Who it ran as.
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) detail: String,
    pub(crate) title: String,
    pub(crate) href: Option<String>,
    /// Labels of its evidence; all, separated by spaces, for the script.
    pub(crate) labels: Vec<String>,
    pub(crate) all_labels: String,
    pub(crate) is_alert: bool,
    pub(crate) is_cited: bool,
    pub(crate) is_detection: bool,
    pub(crate) count: u64,
}

/// An edge.
#[derive(Debug)]
pub(crate) struct Arrow {
    pub(crate) class: &'static str,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) label: String,
    pub(crate) label_x: f64,
    pub(crate) label_y: f64,
    pub(crate) title: String,
}

/// A line of the nested list: print it, then open a list if it has children, and close as many as end here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) labels: Vec<String>,
    pub(crate) has_children: bool,
    pub(crate) closes: usize,
}

/// Lays out a graph, at most `most` nodes of it; nothing to draw without an edge.
pub(crate) fn lay_out(graph: Graph, most: usize) -> Option<Drawing> {
    if graph.edges.is_empty() {
        return None;
    }
    let lines = lines(&graph);
    let (graph, left_out) = choose(graph, most);
    let tree = Tree::of(&graph);
    let depth = depths(&graph);
    let columns = depth.iter().max().map_or(0, |depth| depth + 1);
    let mut x = vec![LEFT; columns];
    for column in 1..columns {
        let into = graph.edges.iter().filter(|edge| depth[edge.to] == column);
        let widest = into.map(|edge| label(edge).chars().count()).max().unwrap_or_default();
        x[column] = x[column - 1] + BOX_WIDTH + GAP + widest as f64 * LABEL_CHARACTER;
    }
    let rows = tree.rows(graph.nodes.len());
    let place = |node: usize| (x[depth[node]], TOP + rows[node] as f64 * ROW);
    let nodes: Vec<Box> =
        graph.nodes.iter().enumerate().map(|(index, node)| boxed(node, place(index))).collect();
    let edges = graph.edges.iter().map(|edge| arrow(edge, &graph, &place)).collect();
    let height = nodes.iter().map(|node| node.y + node.height).fold(0.0, f64::max) + TOP;
    let width = nodes.iter().map(|node| node.x + node.width).fold(0.0, f64::max) + LEFT;
    Some(Drawing { width, height, nodes, edges, left_out, lines })
}

/// The nodes worth drawing: the alert's, cited ones, what leads to them, then the first to be named.
fn choose(graph: Graph, most: usize) -> (Graph, Vec<String>) {
    let count = graph.nodes.len();
    if count <= most {
        return (graph, Vec::new());
    }
    let mut rank: Vec<u8> = graph
        .nodes
        .iter()
        .map(|node| match node {
            Node { is_alert: true, .. } => 0,
            node if !node.rules.is_empty() => 1,
            Node { is_cited: true, .. } => 2,
            _ => 4,
        })
        .collect();
    // What leads to one of these is worth more than what does not; one pass for each generation.
    for _ in 0..8 {
        for edge in graph.edges.iter().filter(|edge| matches!(edge.tie, Tie::Started | Tie::Holds)) {
            if rank[edge.to] < 4 && rank[edge.from] > 3 {
                rank[edge.from] = 3;
            }
        }
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|index| (rank[*index], *index));
    let kept: BTreeSet<usize> = order.into_iter().take(most).collect();
    let mut dropped: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut new: BTreeMap<usize, usize> = BTreeMap::new();
    let mut nodes = Vec::with_capacity(most);
    for (index, node) in graph.nodes.into_iter().enumerate() {
        if kept.contains(&index) {
            new.insert(index, nodes.len());
            nodes.push(node);
        } else {
            *dropped.entry(node.kind).or_default() += 1;
        }
    }
    let edges = graph
        .edges
        .into_iter()
        .filter_map(|edge| Some(Edge { from: *new.get(&edge.from)?, to: *new.get(&edge.to)?, ..edge }));
    let edges = edges.collect();
    let say = |(kind, count): (Kind, usize)| {
        format!("{count} {}", if count == 1 { kind.name() } else { kind.plural() })
    };
    (Graph { nodes, edges }, dropped.into_iter().map(say).collect())
}

/// Who hangs on whom: each node on the first that leads to it.
struct Tree {
    roots: Vec<usize>,
    children: Vec<Vec<usize>>,
}

impl Tree {
    fn of(graph: &Graph) -> Self {
        let count = graph.nodes.len();
        let depth = depths(graph);
        let mut parent: Vec<Option<usize>> = vec![None; count];
        // What started a process counts before what merely touched it.
        let mut edges: Vec<&Edge> =
            graph.edges.iter().filter(|edge| depth[edge.from] < depth[edge.to]).collect();
        edges.sort_by_key(|edge| (edge.tie, edge.from, edge.to));
        for edge in edges {
            parent[edge.to].get_or_insert(edge.from);
        }
        let mut tree = Self { roots: Vec::new(), children: vec![Vec::new(); count] };
        for (index, parent) in parent.into_iter().enumerate() {
            match parent {
                Some(parent) => tree.children[parent].push(index),
                None => tree.roots.push(index),
            }
        }
        tree
    }

    /// The row of each node.
    fn rows(&self, count: usize) -> Vec<usize> {
        let mut rows = vec![0; count];
        let mut next = 0;
        // Depth first; a node's row is that of its first branch, known before the branch is walked.
        let mut stack: Vec<usize> = self.roots.iter().rev().copied().collect();
        while let Some(node) = stack.pop() {
            rows[node] = next;
            if self.children[node].is_empty() {
                next += 1;
            }
            stack.extend(self.children[node].iter().rev());
        }
        rows
    }
}

/// How many lead to each node, at the longest; edges that lead back count nothing.
fn depths(graph: &Graph) -> Vec<usize> {
    let forward = forward(graph);
    let mut depth = vec![0; graph.nodes.len()];
    // As many rounds as the longest way has edges; without circles that is less than there are nodes.
    for _ in 0..graph.nodes.len() {
        let mut changed = false;
        for (from, to) in &forward {
            if depth[*to] < depth[*from] + 1 {
                depth[*to] = depth[*from] + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    depth
}

/// Edges without those that would close a circle, the most telling kept.
fn forward(graph: &Graph) -> Vec<(usize, usize)> {
    let mut edges: Vec<&Edge> = graph.edges.iter().collect();
    edges.sort_by_key(|edge| (edge.tie, edge.from, edge.to));
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    let mut kept = Vec::new();
    for edge in edges {
        if !reaches(&next, edge.to, edge.from) {
            next[edge.from].push(edge.to);
            kept.push((edge.from, edge.to));
        }
    }
    kept
}

fn reaches(next: &[Vec<usize>], from: usize, to: usize) -> bool {
    let mut seen = vec![false; next.len()];
    let mut stack = vec![from];
    while let Some(node) = stack.pop() {
        if node == to {
            return true;
        }
        if !std::mem::replace(&mut seen[node], true) {
            stack.extend(&next[node]);
        }
    }
    false
}

fn boxed(node: &Node, (x, y): (f64, f64)) -> Box {
    let name = if node.name.is_empty() { "unknown" } else { &node.name };
    let mut labels = node.labels.clone();
    labels.truncate(MAX_LABELS);
    Box {
        x,
        y,
        width: BOX_WIDTH,
        height: BOX_HEIGHT,
        kind: node.kind.name(),
        user: fit(&node.user, USER_CHARS),
        // Labels and a count share the first line.
        name: fit(name, NAME_CHARS - if node.count > 1 { 4 } else { 0 }),
        detail: fit(second_line(node), DETAIL_CHARS),
        title: words(node),
        href: node.entity.as_ref().map(|entity| EntityLink::from(entity).href),
        labels,
        all_labels: node.labels.join(" "),
        is_alert: node.is_alert,
        is_cited: node.is_cited,
        is_detection: !node.rules.is_empty(),
        count: node.count,
    }
}

/// What says most beside the name: the arguments of a command rather than the path of its program.
fn second_line(node: &Node) -> &str {
    let detail = node.detail.trim();
    if node.kind != Kind::Process {
        return detail;
    }
    let (program, rest) = match detail.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((program, rest)) => (program, rest),
        None => detail.split_once(' ').unwrap_or((detail, "")),
    };
    let names_it = program.to_lowercase().ends_with(&node.name.to_lowercase())
        || node
            .name
            .to_lowercase()
            .strip_suffix(".exe")
            .is_some_and(|name| program.to_lowercase().ends_with(name));
    match rest.trim() {
        rest if names_it && !rest.is_empty() => rest,
        _ => detail,
    }
}

/// A node in words.
fn words(node: &Node) -> String {
    let name = if node.name.is_empty() { "unknown" } else { &node.name };
    let mut text = format!("{} {name}", node.kind.name());
    if node.count > 1 {
        text.push_str(&format!(" (×{})", node.count));
    }
    if !node.host.is_empty() {
        text.push_str(&format!(" on {}", node.host));
    }
    if !node.user.is_empty() {
        text.push_str(&format!(" as {}", node.user));
    }
    if !node.detail.is_empty() && node.detail != node.name {
        text.push_str(&format!(": {}", node.detail));
    }
    let mut text = crate::page::parts::shorten(&text, WORDS_CHARS);
    node.rules.iter().for_each(|rule| text.push_str(&format!("; rule: {rule}")));
    text
}

fn label(edge: &Edge) -> String {
    let label = fit(&edge.label, MAX_LABEL);
    match edge.count {
        1 => label,
        count if label.is_empty() => format!("×{count}"),
        count => format!("{label} ×{count}"),
    }
}

fn arrow(edge: &Edge, graph: &Graph, place: &impl Fn(usize) -> (f64, f64)) -> Arrow {
    let (from, to) = (place(edge.from), place(edge.to));
    let (y1, y2) = (from.1 + BOX_HEIGHT / 2.0, to.1 + BOX_HEIGHT / 2.0);
    let leads_back = to.0 <= from.0;
    // One that leads back enters from the right.
    let (x1, x2, side) = match leads_back {
        false => (from.0 + BOX_WIDTH, to.0, 1.0),
        true => (from.0 + BOX_WIDTH, to.0 + BOX_WIDTH, -1.0),
    };
    let tip = x2 - 7.0 * side;
    let bend = if leads_back { x1.max(x2) + 34.0 } else { x1 + 22.0 };
    let path = if leads_back {
        format!("M{x1:.0} {y1:.0}C{bend:.0} {y1:.0} {bend:.0} {y2:.0} {tip:.0} {y2:.0}")
    } else {
        // Out, down in the room between the columns, and in.
        format!(
            "M{x1:.0} {y1:.0}C{bend:.0} {y1:.0} {:.0} {y2:.0} {bend:.0} {y2:.0}L{tip:.0} {y2:.0}",
            x1 + 2.0
        )
    };
    let head = format!("M{x2:.0} {y2:.0}l{:.0} -4v8z", -8.0 * side);
    let name = |index: usize| graph.nodes[index].name.as_str();
    let shown = label(edge);
    let title =
        format!("{} → {}{}{shown}", name(edge.from), name(edge.to), if shown.is_empty() { "" } else { ": " });
    Arrow {
        class: edge.tie.class(),
        path,
        head,
        label: shown,
        label_x: if leads_back { bend } else { tip - 5.0 },
        label_y: y2 - 5.0,
        title,
    }
}

/// The graph as a nested list: what leads to nothing else first, each thing once.
fn lines(graph: &Graph) -> Vec<Line> {
    let tree = Tree::of(graph);
    // Node, how it is tied to the one above, and how many lists end after it.
    let mut lines: Vec<Line> = Vec::new();
    let mut stack: Vec<(usize, Option<usize>, usize)> =
        tree.roots.iter().rev().map(|root| (*root, None, 0)).collect();
    while let Some((index, above, closes)) = stack.pop() {
        let node = &graph.nodes[index];
        let mut ties: Vec<String> = Vec::new();
        for edge in graph.edges.iter().filter(|edge| edge.to == index) {
            let shown = match (edge.tie, label(edge)) {
                (Tie::Started, label) if label.is_empty() => "started".to_owned(),
                (_, label) => label,
            };
            if Some(edge.from) == above {
                if !shown.is_empty() {
                    ties.insert(0, shown);
                }
            } else if !shown.is_empty() {
                let from = &graph.nodes[edge.from];
                ties.push(format!("{shown} by {} {}", from.kind.name(), from.name));
            }
        }
        let text = match ties.as_slice() {
            [] => words(node),
            ties => format!("{} – {}", ties.join(", "), words(node)),
        };
        let children = &tree.children[index];
        lines.push(Line {
            text,
            labels: node.labels.clone(),
            has_children: !children.is_empty(),
            closes: if children.is_empty() { closes } else { 0 },
        });
        for (place, child) in children.iter().rev().enumerate() {
            // The last child also ends the list it stands in.
            stack.push((*child, Some(index), if place == 0 { closes + 1 } else { 0 }));
        }
    }
    close_after(&mut lines);
    lines
}

/// Cuts a long list and closes what is open there.
fn close_after(lines: &mut Vec<Line>) {
    if lines.len() <= MAX_LINES {
        return;
    }
    lines.truncate(MAX_LINES);
    let Some(last) = lines.last_mut() else { return };
    last.has_children = false;
    last.closes = 0;
    let opened = lines.iter().filter(|line| line.has_children).count();
    let closed: usize = lines.iter().map(|line| line.closes).sum();
    if let Some(last) = lines.last_mut() {
        last.closes = opened - closed;
    }
}

/// The beginning of a text that fits a width in characters; wide ones count twice, and what hides is written out.
fn fit(text: &str, width: usize) -> String {
    let text = visible(text).replace(['\n', '\t'], " ");
    let wide = |character: char| if u32::from(character) < 0x1100 { 1 } else { 2 };
    if text.chars().map(wide).sum::<usize>() <= width {
        return text;
    }
    let mut taken = 1;
    let kept: String = text
        .chars()
        .take_while(|character| {
            taken += wide(*character);
            taken <= width
        })
        .collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn node(name: &str) -> Node {
        Node {
            kind: Kind::Process,
            name: name.to_owned(),
            detail: String::new(),
            host: "ws5".to_owned(),
            user: String::new(),
            entity: None,
            labels: vec!["E1".to_owned()],
            is_alert: false,
            is_cited: false,
            rules: BTreeSet::new(),
            count: 1,
            ids: Vec::new(),
        }
    }

    fn graph(count: usize, edges: &[(usize, usize)]) -> Graph {
        let mut graph =
            Graph { nodes: (0..count).map(|n| node(&format!("n{n}"))).collect(), edges: Vec::new() };
        edges.iter().for_each(|(from, to)| graph.tie(*from, *to, Tie::Started, ""));
        graph
    }

    #[track_caller]
    fn check_apart(drawing: &Drawing) {
        for (index, one) in drawing.nodes.iter().enumerate() {
            assert!(one.x >= 0.0 && one.x + one.width <= drawing.width);
            assert!(one.y >= 0.0 && one.y + one.height <= drawing.height);
            for other in &drawing.nodes[..index] {
                let apart = one.x >= other.x + other.width
                    || other.x >= one.x + one.width
                    || one.y >= other.y + other.height
                    || other.y >= one.y + one.height;
                assert!(apart, "{one:?} over {other:?}");
            }
        }
    }

    fn check_lines(lines: &[Line]) {
        let opened = lines.iter().filter(|line| line.has_children).count();
        assert_eq!(opened, lines.iter().map(|line| line.closes).sum::<usize>());
        let mut open = 0;
        for line in lines {
            open += usize::from(line.has_children);
            assert!(line.closes <= open);
            open -= line.closes;
        }
    }

    #[test]
    fn a_tree_reads_from_left_to_right() {
        let drawing = lay_out(graph(5, &[(0, 1), (1, 2), (1, 3), (0, 4)]), 40).unwrap();
        let rows: Vec<f64> = drawing.nodes.iter().map(|node| (node.y - TOP) / ROW).collect();
        assert_eq!(rows, [0.0, 0.0, 0.0, 1.0, 2.0]);
        assert!(drawing.nodes[0].x < drawing.nodes[1].x && drawing.nodes[1].x < drawing.nodes[2].x);
        let list: Vec<(&str, bool, usize)> = drawing
            .lines
            .iter()
            .map(|line| (line.text.split(" on ").next().unwrap(), line.has_children, line.closes))
            .collect();
        assert_eq!(
            list,
            [
                ("process n0", true, 0),
                ("started – process n1", true, 0),
                ("started – process n2", false, 0),
                ("started – process n3", false, 1),
                ("started – process n4", false, 1),
            ]
        );
    }

    #[test]
    fn a_circle_is_drawn() {
        let drawing = lay_out(graph(3, &[(0, 1), (1, 2), (2, 0)]), 40).unwrap();
        check_apart(&drawing);
        assert_eq!(drawing.edges.len(), 3);
    }

    #[test]
    fn what_is_too_much_is_counted_and_the_alert_stays() {
        let edges: Vec<(usize, usize)> = (1..100).map(|n| (n / 2, n)).collect();
        let mut many = graph(100, &edges);
        many.nodes[99].is_alert = true;
        let drawing = lay_out(many, 40).unwrap();
        assert_eq!(
            (drawing.nodes.len(), drawing.left_out.as_slice()),
            (40, &["60 processes".to_owned()][..])
        );
        for kept in ["n99", "n49", "n24", "n12", "n0"] {
            assert!(drawing.nodes.iter().any(|node| node.name == kept), "{kept}");
        }
        check_apart(&drawing);
        assert_eq!(drawing.lines.len(), 100);
        check_lines(&drawing.lines);
    }

    #[test]
    fn names_fit_their_boxes() {
        assert_eq!(fit("short", 10), "short");
        assert_eq!(fit("a name that is long", 10), "a name th…");
        assert_eq!(fit("漢字漢字漢字", 7), "漢字漢…");
        assert_eq!(fit("a\u{202e}b", 20), "a‹U+202E›b");
        let mut hostile = graph(2, &[(0, 1)]);
        hostile.nodes[1].name = "\u{202e}".repeat(4000);
        hostile.nodes[1].detail = "漢".repeat(4000);
        let drawing = lay_out(hostile, 40).unwrap();
        assert!(drawing.nodes.iter().all(|node| node.name.chars().count() <= NAME_CHARS));
        assert!(drawing.nodes.iter().all(|node| node.title.chars().count() <= WORDS_CHARS + 1));
    }

    #[test]
    fn arguments_say_more_than_the_path() {
        let mut one = node("rundll32.exe");
        for (detail, expected) in [
            (r#""C:\Windows\System32\rundll32.exe" comsvcs.dll MiniDump"#, "comsvcs.dll MiniDump"),
            ("rundll32 x.dll", "x.dll"),
            ("rundll32.exe", "rundll32.exe"),
            ("cmd /c rundll32.exe", "cmd /c rundll32.exe"),
            ("", ""),
        ] {
            one.detail = detail.to_owned();
            assert_eq!(second_line(&one), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_overlaps_and_it_always_comes_out_the_same(
            count in 2usize..60,
            edges in prop::collection::vec((0usize..60, 0usize..60), 1..120),
            most in 1usize..45,
        ) {
            let edges: Vec<(usize, usize)> = edges.into_iter().map(|(a, b)| (a % count, b % count)).collect();
            let Some(drawing) = lay_out(graph(count, &edges), most) else { return Ok(()) };
            check_apart(&drawing);
            check_lines(&drawing.lines);
            let again = lay_out(graph(count, &edges), most).unwrap();
            prop_assert_eq!(format!("{drawing:?}"), format!("{again:?}"));
            prop_assert_eq!(drawing.lines.len(), count);
        }
    }
}
