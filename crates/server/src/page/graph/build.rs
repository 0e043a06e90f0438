//! Which nodes and edges do the events behind the evidence make?

use super::shape::{Graph, Kind, Node, Tie};
use crate::page::exhibits::Exhibits;
use crate::page::parts::shorten;
use casemate_event::{Class, Entity, EntityKind, Event, Stored, field};
use casemate_investigate::{Investigation, Relation};
use std::collections::{BTreeMap, BTreeSet};

/// Most nodes made; what comes after is only looked at for those.
const MAX_MADE: usize = 160;
/// Characters kept of a command or a name.
const DETAIL_CHARS: usize = 300;

/// What the line of an event says of the nodes it names.
struct Mark<'a> {
    label: Option<&'a str>,
    is_alert: bool,
    is_cited: bool,
    rules: &'a [String],
}

pub(super) fn build(case: &Investigation, exhibits: &Exhibits) -> Graph {
    let cited: BTreeSet<&String> = case
        .narrative
        .iter()
        .flat_map(|sentence| &sentence.citations)
        .chain(case.facts.iter().flat_map(|fact| &fact.evidence))
        .collect();
    let mut builder = Builder::default();
    // Parents first: what they started hangs on them.
    for start in exhibits.ancestors.iter().rev() {
        builder.add(start, &Mark { label: None, is_alert: false, is_cited: false, rules: &[] });
    }
    for item in &case.evidence {
        // What merely resembles it happened elsewhere.
        if item.relation == Relation::Similar && !cited.contains(&item.label) {
            continue;
        }
        let ids = std::iter::once(&item.event).chain(&item.folded);
        for (place, stored) in ids.filter_map(|id| exhibits.events.get(id)).enumerate() {
            let rules = exhibits.rules.get(&item.event).filter(|_| place == 0).map_or(&[][..], Vec::as_slice);
            builder.add(
                stored,
                &Mark {
                    label: Some(&item.label),
                    is_alert: item.relation == Relation::Alert,
                    is_cited: cited.contains(&item.label),
                    rules,
                },
            );
        }
    }
    builder.finish()
}

#[derive(Default)]
struct Builder {
    graph: Graph,
    /// Every node but processes, by kind and name.
    known: BTreeMap<(Kind, String), usize>,
    /// Processes by host, to find them by their ids.
    processes: BTreeMap<String, Vec<usize>>,
}

/// How a process is told in one role.
struct Told {
    uid: Option<String>,
    pid: Option<u64>,
    name: String,
    detail: String,
}

impl Builder {
    fn add(&mut self, stored: &Stored, mark: &Mark<'_>) {
        if self.graph.nodes.len() >= MAX_MADE {
            return;
        }
        let event = &stored.event;
        let host = first(event, &[field::DEVICE_HOSTNAME, field::DEVICE_IP])
            .map(|host| Entity::new(EntityKind::Host, host).value)
            .unwrap_or_default();
        match event.class {
            Class::ProcessActivity if is_launch(event) => self.launch(event, &host, mark),
            Class::Authentication => self.logon(event, &host, mark),
            Class::NetworkActivity | Class::HttpActivity | Class::DnsActivity | Class::DetectionFinding => {
                self.connection(event, &host, mark);
            }
            Class::AccountChange => self.account(event, &host, mark),
            Class::ApiActivity => self.operation(event, mark),
            _ => self.action(event, &host, mark),
        }
    }

    /// A process started another.
    fn launch(&mut self, event: &Event, host: &str, mark: &Mark<'_>) {
        let Some(child) =
            told(event, [field::PROCESS_UID, field::PROCESS_PID, field::PROCESS_CMD_LINE], PROCESS)
        else {
            return;
        };
        let parent = told(
            event,
            [field::PARENT_PROCESS_UID, field::PARENT_PROCESS_PID, field::PARENT_PROCESS_CMD_LINE],
            PARENT,
        );
        let user = first(event, &[field::ACTOR_USER, field::USER]).unwrap_or_default();
        let parent = parent.map(|parent| self.process(host, &parent, None));
        let node = self.process(host, &child, parent);
        self.note(node, mark);
        let known = &mut self.graph.nodes[node];
        if known.user.is_empty() {
            known.user = user.to_owned();
        }
        if let Some(parent) = parent
            && !self.graph.edges.iter().any(|edge| edge.to == node && edge.tie == Tie::Started)
        {
            self.graph.tie(parent, node, Tie::Started, "");
        }
    }

    /// Somebody logged on, or tried.
    fn logon(&mut self, event: &Event, host: &str, mark: &Mark<'_>) {
        let Some(name) = first(event, &[field::USER, field::ACTOR_USER]) else { return };
        let user = self.entity(Kind::User, EntityKind::User, name, mark);
        if host.is_empty() {
            return;
        }
        let to = self.entity(Kind::Host, EntityKind::Host, host, mark);
        let kind = logon_type(event.field(field::LOGON_TYPE));
        let activity = event.field(field::ACTIVITY).unwrap_or("logon").to_lowercase();
        let failed = event.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case("failure"));
        let label = match (failed, kind) {
            (true, "") => format!("{activity} failed"),
            (true, kind) => format!("{kind} {activity} failed"),
            (false, "") => activity,
            (false, kind) => format!("{kind} {activity}"),
        };
        self.graph.tie(user, to, if failed { Tie::Failed } else { Tie::LoggedOn }, &label);
        if let Some(source) = first(event, &[field::SRC_IP, field::SRC_HOSTNAME]).filter(|ip| !is_here(ip)) {
            let from = self.entity(Kind::Address, EntityKind::Ip, source, mark);
            self.graph.tie(from, user, Tie::Connected, "from");
        }
    }

    /// Something was connected to, asked for or reported on the wire.
    fn connection(&mut self, event: &Event, host: &str, mark: &Mark<'_>) {
        let asked = (event.class == Class::DnsActivity).then(|| event.field(field::QUERY_HOSTNAME)).flatten();
        let address = first(event, &[field::DST_IP, field::DST_HOSTNAME, field::QUERY_HOSTNAME]);
        let (Some(target), port) = (asked.or(address), event.field(field::DST_PORT)) else {
            return self.action(event, host, mark);
        };
        let name = match port.filter(|_| asked.is_none()) {
            Some(port) => format!("{target}:{port}"),
            None => target.to_owned(),
        };
        let kind =
            if target.parse::<std::net::IpAddr>().is_ok() { EntityKind::Ip } else { EntityKind::Domain };
        let to = self.other(Kind::Address, &name, mark);
        self.graph.nodes[to].entity.get_or_insert_with(|| Entity::new(kind, target));
        if let Some(detail) = first(event, &[field::URL, field::FINDING_TITLE, field::DST_HOSTNAME])
            && self.graph.nodes[to].detail.is_empty()
        {
            self.graph.nodes[to].detail = shorten(detail, DETAIL_CHARS);
        }
        let label = match event.class {
            Class::DnsActivity => "asks for",
            Class::HttpActivity => "requests",
            Class::DetectionFinding => "reported",
            _ => event.field(field::PROTOCOL).unwrap_or("connects"),
        };
        let label = shorten(label, 18);
        let from = match self.actor(event, host) {
            Some(actor) => {
                self.note(actor, mark);
                Some(actor)
            }
            // A sensor's own name is not who connects.
            None => match first(event, &[field::SRC_IP, field::SRC_HOSTNAME]) {
                Some(source) => Some(self.entity(Kind::Address, EntityKind::Ip, source, mark)),
                None if host.is_empty() => None,
                None => Some(self.entity(Kind::Host, EntityKind::Host, host, mark)),
            },
        };
        if let Some(from) = from {
            self.graph.tie(from, to, Tie::Connected, &label);
        }
    }

    fn account(&mut self, event: &Event, host: &str, mark: &Mark<'_>) {
        // Windows names the group where it names accounts, and the member by its SID where it knows no more.
        let native = |name: &str| event.native.get_ignore_case(name).filter(|value| *value != "-");
        let to = match (event.field(field::USER), native("TargetUserName").or_else(|| native("GroupName"))) {
            (Some(user), _) => self.entity(Kind::User, EntityKind::User, user, mark),
            (None, Some(group)) => {
                let node = self.other(Kind::Group, group, mark);
                let member = native("MemberName").or_else(|| native("MemberSid"));
                self.graph.nodes[node].detail = shorten(member.unwrap_or_default(), DETAIL_CHARS);
                node
            }
            (None, None) => return self.action(event, host, mark),
        };
        let what = shorten(&event.field(field::ACTIVITY).unwrap_or("changes").to_lowercase(), 18);
        match event.field(field::ACTOR_USER) {
            Some(actor) => {
                let from = self.entity(Kind::User, EntityKind::User, actor, mark);
                self.graph.tie(from, to, Tie::Acted, &what);
            }
            None if !host.is_empty() => {
                let from = self.entity(Kind::Host, EntityKind::Host, host, mark);
                self.graph.tie(from, to, Tie::Acted, &what);
            }
            None => {}
        }
    }

    fn operation(&mut self, event: &Event, mark: &Mark<'_>) {
        let Some(name) = event.field(field::API_OPERATION) else { return };
        let to = self.other(Kind::Operation, name, mark);
        self.graph.nodes[to].detail = event.field(field::API_SERVICE).unwrap_or_default().to_owned();
        let failed = event.field(field::STATUS).is_some_and(|status| status.eq_ignore_ascii_case("failure"));
        let (tie, label) = if failed { (Tie::Failed, "refused") } else { (Tie::Acted, "calls") };
        if let Some(user) = first(event, &[field::ACTOR_USER, field::USER]) {
            let from = self.entity(Kind::User, EntityKind::User, user, mark);
            self.graph.tie(from, to, tie, label);
            if let Some(source) = event.field(field::SRC_IP) {
                let source = self.entity(Kind::Address, EntityKind::Ip, source, mark);
                self.graph.tie(source, from, Tie::Connected, "from");
            }
        }
    }

    /// A process did something to something.
    fn action(&mut self, event: &Event, host: &str, mark: &Mark<'_>) {
        let actor = self.actor(event, host);
        let target = self.target(event, host, mark);
        let from = match actor {
            Some(actor) => {
                self.note(actor, mark);
                actor
            }
            None if host.is_empty() => return,
            None if target.is_none() => return,
            None => self.entity(Kind::Host, EntityKind::Host, host, mark),
        };
        if let Some(to) = target {
            let what = shorten(&event.field(field::ACTIVITY).unwrap_or("acts on").to_lowercase(), 18);
            self.graph.tie(from, to, Tie::Acted, &what);
        }
    }

    /// What an event is about, beside who did it.
    fn target(&mut self, event: &Event, host: &str, mark: &Mark<'_>) -> Option<usize> {
        if event.class == Class::ProcessActivity && event.field(field::ACTOR_PROCESS_PID).is_some() {
            let object =
                told(event, [field::PROCESS_UID, field::PROCESS_PID, field::PROCESS_CMD_LINE], PROCESS)?;
            let node = self.process(host, &object, None);
            self.note(node, mark);
            return Some(node);
        }
        let (kind, name, entity) = [
            (Kind::File, field::FILE_PATH, Some(EntityKind::File)),
            (Kind::Registry, field::REGISTRY_KEY, Some(EntityKind::Registry)),
            (Kind::Service, field::SERVICE_NAME, None),
            (Kind::Job, field::JOB_NAME, None),
            (Kind::Module, field::MODULE_PATH, Some(EntityKind::File)),
            (Kind::Script, field::SCRIPT, None),
            (Kind::Device, field::ASSET, Some(EntityKind::Asset)),
        ]
        .into_iter()
        .find_map(|(kind, name, entity)| Some((kind, event.field(name)?, entity)))?;
        let node = self.other(kind, name, mark);
        let known = &mut self.graph.nodes[node];
        known.entity = entity.map(|kind| Entity::new(kind, name));
        let detail = match kind {
            Kind::File | Kind::Module | Kind::Registry => Some(name),
            _ => first(event, &[field::PROCESS_CMD_LINE, field::PROCESS_PATH]),
        };
        known.detail = shorten(detail.unwrap_or_default(), DETAIL_CHARS);
        if matches!(kind, Kind::File | Kind::Module) {
            known.name = base_name(name).to_owned();
        }
        if kind == Kind::Script {
            // Its text is what there is to read; what encodes says nothing.
            let decoded = casemate_investigate::decoded_layers(name).pop();
            (known.name, known.detail) =
                ("script".to_owned(), shorten(decoded.as_deref().unwrap_or(name), DETAIL_CHARS));
        }
        Some(node)
    }

    fn actor(&mut self, event: &Event, host: &str) -> Option<usize> {
        let fields = [field::ACTOR_PROCESS_UID, field::ACTOR_PROCESS_PID, field::ACTOR_PROCESS_CMD_LINE];
        let actor = told(event, fields, ACTOR)?;
        Some(self.process(host, &actor, None))
    }

    /// The node of a process: by one of its ids, or as one more of those that the same parent started the same way.
    fn process(&mut self, host: &str, told: &Told, parent: Option<usize>) -> usize {
        let of_host = self.processes.get(host).map_or(&[][..], Vec::as_slice);
        let is_it = |node: &Node| {
            let known =
                node.name.eq_ignore_ascii_case(&told.name) || told.name.is_empty() || node.name.is_empty();
            node.ids.iter().any(|(uid, pid)| match (uid, &told.uid) {
                (Some(uid), Some(other)) => uid == other,
                _ => known && pid.is_some() && *pid == told.pid,
            })
        };
        let nodes = &self.graph.nodes;
        // An event that names no id speaks of the only one with that name, if there is one.
        let nameless = told.uid.is_none() && told.pid.is_none();
        let named: Vec<usize> = of_host
            .iter()
            .copied()
            .filter(|index| nodes[*index].name.eq_ignore_ascii_case(&told.name))
            .collect();
        let same = match named.as_slice() {
            [only] if nameless || nodes[*only].ids == [(None, None)] => Some(*only),
            _ => of_host.iter().copied().find(|index| is_it(&nodes[*index])),
        };
        let id = (told.uid.clone(), told.pid);
        if let Some(index) = same {
            let known = &mut self.graph.nodes[index];
            if !known.ids.contains(&id) {
                known.ids.push(id);
            }
            if known.name.is_empty() {
                known.name.clone_from(&told.name);
            }
            if known.detail.is_empty() {
                known.detail.clone_from(&told.detail);
            }
            return index;
        }
        let started_alike = |index: &&usize| {
            let edges = &self.graph.edges;
            let node = &nodes[**index];
            node.name == told.name
                && node.detail == told.detail
                && edges.iter().any(|edge| Some(edge.from) == parent && edge.to == **index)
        };
        if let Some(index) = parent.and_then(|_| of_host.iter().find(started_alike)).copied() {
            let known = &mut self.graph.nodes[index];
            known.count += 1;
            known.ids.push(id);
            return index;
        }
        let entity = (!told.name.is_empty()).then(|| Entity::new(EntityKind::Process, &told.name));
        let index = self.graph.nodes.len();
        self.graph.nodes.push(Node {
            ids: vec![id],
            host: host.to_owned(),
            detail: told.detail.clone(),
            entity,
            ..plain(Kind::Process, &told.name)
        });
        self.processes.entry(host.to_owned()).or_default().push(index);
        index
    }

    /// The node of an entity, by its canonical name.
    fn entity(&mut self, kind: Kind, entity: EntityKind, name: &str, mark: &Mark<'_>) -> usize {
        let entity = Entity::new(entity, name);
        let index = self.other(kind, &entity.value, mark);
        self.graph.nodes[index].entity = Some(entity);
        index
    }

    fn other(&mut self, kind: Kind, name: &str, mark: &Mark<'_>) -> usize {
        let name = shorten(name, DETAIL_CHARS);
        let index = match self.known.get(&(kind, name.to_lowercase())) {
            Some(index) => *index,
            None => {
                let index = self.graph.nodes.len();
                self.known.insert((kind, name.to_lowercase()), index);
                self.graph.nodes.push(plain(kind, &name));
                index
            }
        };
        self.note(index, mark);
        index
    }

    fn note(&mut self, index: usize, mark: &Mark<'_>) {
        let node = &mut self.graph.nodes[index];
        if let Some(label) = mark.label.filter(|label| !node.labels.iter().any(|known| known == label)) {
            node.labels.push(label.to_owned());
        }
        node.is_alert |= mark.is_alert;
        node.is_cited |= mark.is_cited;
        node.rules.extend(mark.rules.iter().cloned());
    }

    /// Processes that nothing started hang on their host.
    fn finish(mut self) -> Graph {
        let roots: Vec<(usize, String)> = self
            .graph
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.kind == Kind::Process && !node.host.is_empty())
            .filter(|(index, _)| {
                !self.graph.edges.iter().any(|edge| edge.to == *index && edge.tie == Tie::Started)
            })
            .map(|(index, node)| (index, node.host.clone()))
            .collect();
        let quiet = Mark { label: None, is_alert: false, is_cited: false, rules: &[] };
        for (index, host) in roots {
            let host = self.entity(Kind::Host, EntityKind::Host, &host, &quiet);
            self.graph.tie(host, index, Tie::Holds, "");
        }
        self.graph
    }
}

fn plain(kind: Kind, name: &str) -> Node {
    Node {
        kind,
        name: name.to_owned(),
        detail: String::new(),
        host: String::new(),
        user: String::new(),
        entity: None,
        labels: Vec::new(),
        is_alert: false,
        is_cited: false,
        rules: BTreeSet::new(),
        count: 1,
        ids: Vec::new(),
    }
}

const PROCESS: [&str; 2] = [field::PROCESS_PATH, field::PROCESS_NAME];
const PARENT: [&str; 2] = [field::PARENT_PROCESS_PATH, field::PARENT_PROCESS_NAME];
const ACTOR: [&str; 2] = [field::ACTOR_PROCESS_PATH, field::ACTOR_PROCESS_NAME];

/// A process as the fields (unique id, process id, command) and names tell it; nothing if they name none.
fn told(event: &Event, [uid, pid, command]: [&str; 3], names: [&str; 2]) -> Option<Told> {
    let path = first(event, &names);
    let told = Told {
        uid: event.field(uid).map(str::to_lowercase),
        pid: event.field(pid).and_then(parse_pid).filter(|pid| *pid > 0),
        name: path.map(base_name).unwrap_or_default().to_owned(),
        detail: shorten(event.field(command).or(path).unwrap_or_default(), DETAIL_CHARS),
    };
    (told.uid.is_some() || told.pid.is_some() || !told.name.is_empty()).then_some(told)
}

/// Windows writes process ids in decimal or as `0x1a2c`.
fn parse_pid(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn first<'a>(event: &'a Event, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| event.field(name)).filter(|value| !value.is_empty() && *value != "-")
}

fn is_launch(event: &Event) -> bool {
    event.field(field::ACTIVITY).is_some_and(|activity| activity.eq_ignore_ascii_case("launch"))
}

fn is_here(address: &str) -> bool {
    matches!(address, "127.0.0.1" | "::1" | "0.0.0.0" | "::" | "localhost")
}

fn base_name(path: &str) -> &str {
    path.trim_matches('"').rsplit(['\\', '/']).next().unwrap_or_default()
}

/// What a Windows logon type means.
fn logon_type(id: Option<&str>) -> &'static str {
    match id {
        Some("2") => "interactive",
        Some("3") => "network",
        Some("4") => "batch",
        Some("5") => "service",
        Some("7") => "unlock",
        Some("8") => "clear-text",
        Some("9") => "other-credentials",
        Some("10") => "remote desktop",
        Some("11") => "cached",
        _ => "",
    }
}
