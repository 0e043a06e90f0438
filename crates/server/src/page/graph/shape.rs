//! What is a graph made of?

use casemate_event::Entity;
use std::collections::BTreeSet;

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Address,
    User,
    Group,
    Host,
    Process,
    File,
    Registry,
    Service,
    Job,
    Script,
    Module,
    Operation,
    Device,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
            Self::Group => "group",
            Self::Host => "host",
            Self::Process => "process",
            Self::File => "file",
            Self::Registry => "registry",
            Self::Service => "service",
            Self::Job => "job",
            Self::Script => "script",
            Self::Module => "module",
            Self::Operation => "operation",
            Self::Device => "device",
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Address => "addresses",
            Self::User => "users",
            Self::Group => "groups",
            Self::Host => "hosts",
            Self::Process => "processes",
            Self::File => "files",
            Self::Registry => "registry keys",
            Self::Service => "services",
            Self::Job => "jobs",
            Self::Script => "scripts",
            Self::Module => "modules",
            Self::Operation => "operations",
            Self::Device => "devices",
        }
    }
}

/// How one node bears on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tie {
    /// Runs on, belongs to.
    Holds,
    /// Started.
    Started,
    /// Logged on, and it succeeded.
    LoggedOn,
    /// Tried to log on.
    Failed,
    /// Came from, or connected to.
    Connected,
    /// Did something to.
    Acted,
}

impl Tie {
    /// CSS class, and the class of the arrow.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Started => "started",
            Self::LoggedOn => "logged-on",
            Self::Failed => "failed",
            Self::Connected => "connected",
            Self::Acted => "acted",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// A second line: the command, the path.
    pub(crate) detail: String,
    pub(crate) host: String,
    /// Who it ran as.
    pub(crate) user: String,
    pub(crate) entity: Option<Entity>,
    /// Labels of evidence that names it, in order.
    pub(crate) labels: Vec<String>,
    pub(crate) is_alert: bool,
    pub(crate) is_cited: bool,
    pub(crate) rules: BTreeSet<String>,
    /// How many alike it stands for.
    pub(crate) count: u64,
    /// Ways in which events tell a process: unique ids and process ids.
    pub(crate) ids: Vec<(Option<String>, Option<u64>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) tie: Tie,
    pub(crate) label: String,
    pub(crate) count: u64,
}

/// Nodes in the order in which they were first named, and edges between them.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
}

impl Graph {
    /// Adds an edge, or counts it at the one that is there.
    pub(crate) fn tie(&mut self, from: usize, to: usize, tie: Tie, label: &str) {
        if from == to {
            return;
        }
        let same =
            |edge: &&mut Edge| (edge.from, edge.to, edge.tie) == (from, to, tie) && edge.label == label;
        match self.edges.iter_mut().find(same) {
            Some(edge) => edge.count += 1,
            None => self.edges.push(Edge { from, to, tie, label: label.to_owned(), count: 1 }),
        }
    }
}
