//! What does a question ask for, if it asks for something that can be counted?
//!
//! Code reads the form (who, when, how many …), the kind of events, the names and what part each plays, and the
//! time. It answers only if nothing is left over: a word that was not understood could change everything, and
//! such a question goes to the reader instead.

use super::kinds::{self, ANY, KINDS, Kind, Slot};
use super::names::{self, Name, What};
use super::query;
use super::time::{self, Reference, Span};
use super::words::Words;
use crate::Error;
use casemate_event::{Entity, EntityKind};
use casemate_store::Store;
use std::collections::BTreeSet;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Values of the first of these parts that has any; only the most frequent one if `top`.
    Which { slots: Vec<Slot>, top: bool },
    /// Times of the first and the last.
    When,
    /// How many there are; of different values, if parts are given.
    HowMany(Vec<Slot>),
    /// The events.
    List,
    /// Whether there are any.
    Whether,
}

/// Which end of the events is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    First,
    Last,
}

/// A name and the parts that it may play.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constraint {
    pub(super) written: String,
    /// Each entity with the parts it may play; empty for words of messages.
    pub(super) known: Vec<(Entity, Vec<Slot>)>,
    /// In the query language.
    pub(super) query: String,
}

/// A question that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Understood {
    pub(super) form: Form,
    pub(super) end: Option<End>,
    /// Place in [`KINDS`].
    pub(super) kind: usize,
    pub(super) constraints: Vec<Constraint>,
    pub(super) span: Option<Span>,
}

/// What became of reading a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    Understood(Understood),
    /// It names what the store has never seen.
    Unknown(Vec<String>),
    /// It is about something else than events can be counted for; the names in it, its time, and the words that
    /// nobody understood.
    Free {
        names: Vec<Name>,
        span: Option<Span>,
        left_over: Vec<String>,
    },
}

impl Constraint {
    /// Events of one of these hosts; none if there are no hosts.
    pub(super) fn hosts(hosts: Vec<Entity>) -> Option<Self> {
        let names: Vec<&str> = hosts.iter().map(|host| host.value.as_str()).collect();
        let parts = names.iter().map(|name| query::plays(&[Slot::Host], name)).collect();
        let (written, query) = (names.join(" or "), query::any(parts));
        let known: Vec<(Entity, Vec<Slot>)> =
            hosts.into_iter().map(|host| (host, vec![Slot::Host])).collect();
        (!known.is_empty()).then_some(Self { written, known, query })
    }

    /// Whether it says of which machine an event is.
    pub(super) fn is_host(&self) -> bool {
        self.known.iter().any(|(_, slots)| slots.contains(&Slot::Host))
    }

    /// This or the other; nothing if they are of different sorts.
    fn or(&mut self, other: Self) -> Option<()> {
        let kinds = |known: &[(Entity, Vec<Slot>)]| {
            known.iter().map(|(entity, _)| entity.kind).collect::<BTreeSet<_>>()
        };
        if kinds(&self.known) != kinds(&other.known) {
            return None;
        }
        self.written = format!("{} or {}", self.written, other.written);
        self.query = query::any(vec![self.query.clone(), other.query]);
        self.known.extend(other.known);
        Some(())
    }
}

impl Understood {
    pub(super) fn kind(&self) -> &'static Kind {
        &KINDS[self.kind]
    }
}

/// Words that turn a question around.
const TURNS: [&str; 14] = [
    "not", "never", "no", "without", "except", "other", "besides", "nobody", "neither", "nor", "didn't",
    "wasn't", "weren't", "hasn't",
];
const BE: [&str; 6] = ["is", "are", "was", "were", "been", "being"];
const DO: [&str; 5] = ["did", "do", "does", "has", "have"];
/// Verbs that say nothing of what happened.
const LIGHT: [&str; 17] = [
    "have", "make", "made", "get", "got", "see", "saw", "had", "there", "came", "come", "comes", "use",
    "uses", "occurred", "occur", "took",
];

/// Reads a question.
pub(super) fn read(question: &str, store: &Store, reference: Reference) -> Result<Reading, Error> {
    let mut words = Words::of(question);
    let span = time::find(&mut words, reference);
    let is_kind_word = |word: &str| {
        KINDS
            .iter()
            .any(|kind| kind.groups.iter().any(|group| group.contains(&word)) || kind.also.contains(&word))
    };
    let names = names::find(&mut words, store, &is_kind_word)?;
    let unknown: Vec<String> =
        names.iter().filter(|name| name.what == What::Unknown).map(|name| name.written.clone()).collect();
    if !unknown.is_empty() {
        return Ok(Reading::Unknown(unknown));
    }
    let turned = (0..words.len()).any(|place| TURNS.contains(&words.at(place)));
    let understood = if turned { None } else { parse(&mut words, &names) };
    let left_over: Vec<String> = words.left_over().into_iter().map(str::to_owned).collect();
    let narrowed = understood.filter(|_| left_over.is_empty());
    Ok(match narrowed {
        Some(asked) => Reading::Understood(Understood { span, ..asked }),
        None => Reading::Free { names, span, left_over },
    })
}

/// What stands where in a question.
struct Sentence {
    asked: Asked,
    kind: usize,
    /// Place of the auxiliary verb of an active question ("did"), if there is one.
    does: Option<usize>,
    /// Whether what is named before or without a verb is acted on.
    passive: bool,
    /// Place of the first word that says what happened.
    verb: usize,
}

/// What is asked for, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Noun { noun: String, place: usize, lead: String, listed: bool },
    What { place: usize },
    When,
    HowMany { noun: Option<(String, usize)>, distinct: bool },
    List,
    Whether,
}

fn parse(words: &mut Words, names: &[Name]) -> Option<Understood> {
    let (mut end, mut top) = (None, false);
    for place in 0..words.len() {
        match words.at(place) {
            "first" | "earliest" => end = end.or(Some(End::First)),
            "last" | "latest" | "newest" | "recent" | "recently" | "lately" => end = end.or(Some(End::Last)),
            "most" if matches!(words.at(place + 1), "recent" | "recently") => {}
            "most" | "often" | "frequent" | "frequently" if words.find(0, &["how"]).is_none() => top = true,
            "often" => {}
            _ => continue,
        }
        words.take(place);
    }
    let asked = asked(words)?;
    let does = words.find(0, &DO).filter(|place| *place < words.len());
    let been = words.find(0, &["been"]).is_some();
    let mut passive = been || does.is_none() && words.find(0, &BE).is_some();
    if let Asked::Noun { place, listed, .. } = &asked {
        // "List the processes started by cmd.exe": what is listed was acted on.
        let by = words.at(place + 2) == "by";
        passive |= does.is_none() && (by || *listed && words.at(place + 1).ends_with("ed"));
    }
    let kind = kind_of(words, names, &asked, does, passive)?;
    if kind == ANY && !says_anything(words) {
        return None;
    }
    let said = |word: &str| KINDS[kind].groups.iter().any(|group| group.contains(&word));
    let skipped = match &asked {
        Asked::Noun { place, .. } => Some(*place),
        _ => None,
    };
    let verb = (0..words.len())
        .find(|place| Some(*place) != skipped && said(words.at(*place)))
        .unwrap_or(words.len());
    let sentence = Sentence { asked, kind, does: does.filter(|_| !been), passive, verb };
    take_kind(words, kind);
    let mut constraints: Vec<Constraint> = Vec::new();
    for name in names {
        let constraint = sentence.constraint(words, names, name)?;
        match constraints.last_mut() {
            // "On PRD01 and FIN02": either.
            Some(last) if matches!(words.before(name.place), "and" | "or") => last.or(constraint)?,
            _ => constraints.push(constraint),
        }
    }
    let form = sentence.form(words, names, top)?;
    Some(Understood { form, end, kind, constraints, span: None })
}

/// Whether words say that any event is meant: "what happened", "which hosts has X been seen on".
fn says_anything(words: &Words) -> bool {
    let says = |word: &str| KINDS[ANY].also.contains(&word) || DO.contains(&word);
    (0..words.len()).any(|place| says(words.at(place)))
}

/// Takes the words of a kind of events.
fn take_kind(words: &mut Words, kind: usize) {
    let kind = &KINDS[kind];
    for place in 0..words.len() {
        let word = words.at(place).to_owned();
        let said = kind.groups.iter().any(|group| group.contains(&word.as_str()));
        if said || kind.also.contains(&word.as_str()) || LIGHT.contains(&word.as_str()) {
            words.take(place);
        }
        if kinds::particle(&word, words.at(place + 1)) {
            words.take(place + 1);
        }
    }
}

/// The form of the question; its words are taken.
fn asked(words: &mut Words) -> Option<Asked> {
    const PREPOSITIONS: [&str; 6] = ["on", "from", "to", "at", "in", "by"];
    let mut place = 0;
    let mut lead = String::new();
    while matches!(words.at(place), "please" | "and" | "so" | "can" | "could" | "you" | "tell" | "me" | "us")
    {
        place += 1;
    }
    if PREPOSITIONS.contains(&words.at(place)) {
        lead = words.at(place).to_owned();
        place += 1;
    }
    let word = words.at(place).to_owned();
    let was_taken = words.0.get(place).is_some_and(|word| word.taken);
    words.take(place);
    Some(match word.as_str() {
        "who" | "whom" | "whose" => Asked::Noun { noun: "who".to_owned(), place, lead, listed: false },
        "where" if words.find(place, &["from"]).is_some() => {
            Asked::Noun { noun: "source".to_owned(), place, lead: "from".to_owned(), listed: false }
        }
        "where" => Asked::Noun { noun: "host".to_owned(), place, lead, listed: false },
        "when" => Asked::When,
        "which" | "what" => match noun(words, place + 1) {
            Some((noun, _)) if noun == "time" => Asked::When,
            Some((noun, place)) => Asked::Noun { noun, place, lead, listed: false },
            None if word == "what" => Asked::What { place },
            None => return None,
        },
        "how" if words.at(place + 1) == "often" => {
            words.take(place + 1);
            Asked::HowMany { noun: None, distinct: false }
        }
        "how" if words.at(place + 1) == "many" => {
            words.take(place + 1);
            if words.at(place + 2) == "times" {
                words.take(place + 2);
            }
            let distinct = matches!(words.at(place + 2), "different" | "distinct" | "unique");
            Asked::HowMany { noun: noun(words, place + 2), distinct }
        }
        "number" | "count" => Asked::HowMany { noun: noun(words, place + 2), distinct: false },
        "list" | "show" | "give" | "name" | "find" | "display" | "print" => {
            let mut at = place + 1;
            while matches!(words.at(at), "me" | "us" | "all" | "the" | "every" | "each" | "of" | "number") {
                if words.at(at) == "number" {
                    words.take(at);
                    return Some(Asked::HowMany { noun: noun(words, at + 2), distinct: false });
                }
                words.take(at);
                at += 1;
            }
            match noun(words, at) {
                Some((noun, place)) => Asked::Noun { noun, place, lead, listed: true },
                None => Asked::List,
            }
        }
        "did" | "was" | "were" | "has" | "have" | "is" | "are" | "do" | "does" | "had" => Asked::Whether,
        _ => {
            // "Failed logons on FIN02 yesterday": what is left says whether it was understood.
            if let Some(word) = words.0.get_mut(place) {
                word.taken = was_taken;
            }
            Asked::List
        }
    })
}

/// The noun at or just behind a place that says what is asked for; taken with what belongs to it.
fn noun(words: &mut Words, place: usize) -> Option<(String, usize)> {
    const ADJECTIVES: [&str; 12] = [
        "different",
        "distinct",
        "unique",
        "ip",
        "windows",
        "the",
        "of",
        "remote",
        "source",
        "destination",
        "network",
        "all",
    ];
    let mut at = place;
    while at < place + 3 && ADJECTIVES.contains(&words.at(at)) {
        let (word, next) = (words.at(at).to_owned(), words.at(at + 1).to_owned());
        // "ip" may be the noun itself.
        if matches!(word.as_str(), "ip" | "source" | "destination") && kinds::asked_slots(&next).is_empty() {
            break;
        }
        words.take(at);
        if matches!(word.as_str(), "source" | "destination") {
            words.take(at + 1);
            return Some((word, at + 1));
        }
        at += 1;
    }
    let word = words.at(at).to_owned();
    let next = words.at(at + 1).to_owned();
    let (noun, length) = match (word.as_str(), next.as_str()) {
        ("command", "line" | "lines") => ("command", 2),
        ("user", "agent" | "agents") => ("agent", 2),
        ("registry", "key" | "keys") => ("key", 2),
        ("parent", "process" | "program") => ("parent", 2),
        ("user", "account" | "accounts" | "name" | "names") => ("user", 2),
        ("host", "name" | "names") => ("host", 2),
        ("time", _) => ("time", 1),
        (word, _) if !kinds::asked_slots(word).is_empty() => (word, 1),
        _ => return None,
    };
    let noun = noun.to_owned();
    (at..at + length).for_each(|place| words.take(place));
    Some((noun, at))
}

/// The kind that the words mean: the one with most of its groups said. `None` where two are equally meant.
fn kind_of(
    words: &Words,
    names: &[Name],
    asked: &Asked,
    does: Option<usize>,
    passive: bool,
) -> Option<usize> {
    // In "which user created …" the user acts; in "which files did … create" the files are what is created.
    let acts = match asked {
        Asked::Noun { place, .. } if does.is_none() && !passive => Some(*place),
        _ => None,
    };
    let mut said: BTreeSet<String> = (0..words.len())
        .filter(|place| Some(*place) != acts)
        .map(|place| words.at(place.to_owned()).to_owned())
        .collect();
    said.remove("");
    for name in names {
        if name.what == What::Text && names::is_file_name(&name.written.to_lowercase()) {
            said.insert("@file".to_owned());
        }
        if let What::Known(known) = &name.what {
            said.extend(known.iter().map(|entity| format!("@{}", entity.kind.name())));
        }
    }
    let meant = |kind: &Kind| kind.groups.iter().all(|group| group.iter().any(|word| said.contains(*word)));
    let most = KINDS.iter().filter(|kind| meant(kind)).map(|kind| kind.groups.len()).max()?;
    if most == 0 {
        return Some(ANY);
    }
    let best: Vec<usize> = (0..KINDS.len())
        .filter(|place| KINDS[*place].groups.len() == most && meant(&KINDS[*place]))
        .collect();
    match best.as_slice() {
        [one] => Some(*one),
        // Two rows may be the same kind in other words.
        [first, rest @ ..] if rest.iter().all(|place| KINDS[*place].query == KINDS[*first].query) => {
            Some(*first)
        }
        several => by_noun(several, &said),
    }
}

/// Of kinds that share a verb, the one whose object is named by a noun and not by a name alone.
fn by_noun(several: &[usize], said: &BTreeSet<String>) -> Option<usize> {
    let named = |place: &&usize| {
        KINDS[**place]
            .groups
            .iter()
            .all(|group| group.iter().any(|word| !word.starts_with('@') && said.contains(*word)))
    };
    let mut plain = several.iter().filter(named);
    let one = plain.next()?;
    plain.next().is_none().then_some(*one)
}

impl Sentence {
    fn kind(&self) -> &'static Kind {
        &KINDS[self.kind]
    }

    /// The parts that a name may play where it stands. `None` if it can play none.
    fn constraint(&self, words: &Words, names: &[Name], name: &Name) -> Option<Constraint> {
        let written = name.written.clone();
        match &name.what {
            What::Unknown => None,
            What::Text => {
                let query = query::quote(&name.written);
                Some(Constraint { written, known: Vec::new(), query })
            }
            What::Value(slot, value) => {
                let query = query::plays(&[*slot], value);
                Some(Constraint { written, known: Vec::new(), query })
            }
            What::Known(entities) => {
                let allowed = self.allowed(words, names, name);
                let known: Vec<(Entity, Vec<Slot>)> = entities
                    .iter()
                    .map(|entity| {
                        let slots = allowed.iter().copied().filter(|slot| slot.holds(entity.kind)).collect();
                        (entity.clone(), slots)
                    })
                    .filter(|(_, slots): &(Entity, Vec<Slot>)| !slots.is_empty())
                    .collect();
                let parts: Vec<String> =
                    known.iter().map(|(entity, slots)| query::plays(slots, &entity.value)).collect();
                (!parts.is_empty()).then(|| Constraint { written, query: query::any(parts), known })
            }
        }
    }

    fn allowed(&self, words: &Words, names: &[Name], name: &Name) -> Vec<Slot> {
        let kind = self.kind();
        let every = || kind.slots().collect::<Vec<Slot>>();
        if self.kind == ANY {
            return match words.before(name.place) {
                "on" | "at" | "in" => vec![Slot::Host],
                _ => every(),
            };
        }
        let with_host = |slots: &[Slot]| [slots, &[Slot::Host]].concat();
        let is_host = |name: &Name| match &name.what {
            What::Known(known) => known.iter().all(|entity| entity.kind == EntityKind::Host),
            _ => false,
        };
        let is_address = |name: &Name| match &name.what {
            What::Known(known) => known.iter().all(|entity| entity.kind == EntityKind::Ip),
            _ => false,
        };
        let before = preposition(words, names, name.place);
        match before.as_str() {
            "by" => kind.subject.to_vec(),
            "from" if kind.slots().any(|slot| slot == Slot::Source) => vec![Slot::Source],
            "from" => every(),
            "to" | "into" | "onto" if kind.object.is_empty() => Vec::new(),
            "to" | "into" | "onto" => kind.object.to_vec(),
            "on" | "at" | "in" if is_address(name) => vec![Slot::Destination],
            "on" | "at" | "in" => vec![Slot::Host],
            "as" => vec![Slot::Account, Slot::Actor],
            "via" | "using" | "with" | "through" => vec![Slot::By, Slot::Program, Slot::Parent, Slot::Source],
            "of" | "for" | "about" | "against" | "involving" => every(),
            _ if is_host(name) && self.asked != Asked::List => with_host(&[Slot::Source]),
            _ => match self.role(words, name.place) {
                Role::Subject if self.runs_itself(names, name) => vec![Slot::Program],
                Role::Subject => with_host(kind.subject),
                Role::Object => kind.object.to_vec(),
                Role::Either => every(),
            },
        }
    }

    /// Whether "did X run" means that X itself was started.
    fn runs_itself(&self, names: &[Name], name: &Name) -> bool {
        let asks_what = matches!(&self.asked, Asked::What { .. })
            || matches!(&self.asked, Asked::Noun { noun, .. } if kinds::asked_slots(noun).contains(&Slot::Program)
                || kinds::asked_slots(noun).contains(&Slot::Command));
        self.kind().object.contains(&Slot::Program)
            && self.kind().twice == kinds::Twice::Process
            && is_program(name)
            && !asks_what
            && names.iter().filter(|other| is_program(other)).count() == 1
    }

    fn role(&self, words: &Words, place: usize) -> Role {
        let between =
            |from: usize| (from + 1..place).any(|at| at == self.verb || LIGHT.contains(&words.at(at)));
        if let Some(does) = self.does.filter(|does| *does < place) {
            return if between(does) { Role::Object } else { Role::Subject };
        }
        if self.passive {
            return if self.verb < place && matches!(self.asked, Asked::List) {
                Role::Either
            } else {
                Role::Object
            };
        }
        match (&self.asked, self.verb < place) {
            (Asked::List | Asked::HowMany { .. }, _) => Role::Either,
            (_, true) => Role::Object,
            (_, false) => Role::Subject,
        }
    }

    fn form(&self, words: &Words, names: &[Name], top: bool) -> Option<Form> {
        let kind = self.kind();
        Some(match &self.asked {
            Asked::When => Form::When,
            Asked::List => Form::List,
            Asked::Whether => Form::Whether,
            Asked::What { .. } if self.kind == ANY => Form::List,
            Asked::What { place } => {
                // "What started X" asks for what acted, "what did X start" for what was acted on.
                let acted = self.does.is_none() && !self.passive && self.verb == place + 1;
                let object = names.iter().any(|name| self.role(words, name.place) == Role::Object);
                let slots = match (acted, object) {
                    (true, true) if kind.twice == kinds::Twice::Process => vec![Slot::Parent],
                    (true, true) => {
                        kind.subject.iter().copied().filter(|slot| *slot != Slot::Actor).collect()
                    }
                    (true, false) if kind.twice != kinds::Twice::Process => return None,
                    _ if kind.twice == kinds::Twice::Process => vec![Slot::Program],
                    _ => kind.object.to_vec(),
                };
                Form::Which { slots, top }
            }
            Asked::HowMany { noun: None, .. } => Form::HowMany(Vec::new()),
            Asked::HowMany { noun: Some((noun, place)), distinct } => {
                // "How many processes were started" counts starts, "how many different processes" programs.
                let counts_events = !distinct
                    && (kind.also.contains(&noun.as_str()) && kind.twice == kinds::Twice::Process
                        || matches!(noun.as_str(), "times"));
                let slots =
                    if counts_events { Vec::new() } else { self.which(words, names, (noun, *place), "")? };
                Form::HowMany(slots)
            }
            Asked::Noun { noun, place, lead, .. } => {
                Form::Which { slots: self.which(words, names, (noun, *place), lead)?, top }
            }
        })
    }

    /// The parts that an asked noun can stand for here.
    fn which(
        &self,
        words: &Words,
        names: &[Name],
        (noun, place): (&str, usize),
        lead: &str,
    ) -> Option<Vec<Slot>> {
        let kind = self.kind();
        let mut slots: Vec<Slot> = kinds::asked_slots(noun).to_vec();
        let last =
            (0..words.len()).rev().map(|at| words.at(at)).find(|word| !word.is_empty()).unwrap_or_default();
        let acts = self.does.is_none() && !self.passive && self.verb == place + 1;
        let has = |slot: Slot| kind.slots().any(|own| own == slot);
        let says = |preposition: &str| lead == preposition || last == preposition;
        match noun {
            "host" | "hosts" | "machine" | "machines" | "computer" | "computers" | "server" | "servers"
            | "system" | "systems" | "device" | "devices" | "pc" | "workstation" | "workstations" => {
                if says("from") && has(Slot::Source) {
                    slots = vec![Slot::Source];
                } else if says("to") && has(Slot::Destination) {
                    slots = vec![Slot::Destination];
                }
            }
            "address" | "addresses" | "ip" | "ips" => {
                let source = says("from") || acts && !says("to") || !has(Slot::Destination);
                slots = vec![if source { Slot::Source } else { Slot::Destination }];
            }
            "who" | "user" | "users" | "account" | "accounts" | "username" | "usernames" | "person"
            | "people" | "whom" | "someone" | "anyone" | "anybody" => {
                let account_first = kind.subject.contains(&Slot::Account);
                let by = says("by");
                slots = if kind.object.contains(&Slot::Account) && !account_first {
                    vec![if (acts || by) && noun != "whom" { Slot::Actor } else { Slot::Account }]
                } else if account_first {
                    vec![Slot::Account]
                } else if self.passive && !by && self.kind != ANY && kind.object != [Slot::Program] {
                    // "Who was added": whoever it was is not in the event by name.
                    return None;
                } else {
                    vec![Slot::Actor, Slot::Account]
                };
            }
            "program" | "programs" | "process" | "processes" | "executable" | "executables"
            | "application" | "applications" | "binary" | "binaries" | "tool" | "tools"
                if kind.twice == kinds::Twice::Process =>
            {
                let object = names.iter().any(|name| name.place > self.verb && is_program(name));
                slots = vec![if acts && object { Slot::Parent } else { Slot::Program }];
            }
            "program" | "programs" | "process" | "processes" | "executable" | "executables"
            | "application" | "applications" | "binary" | "binaries" | "tool" | "tools" => {
                let acted_on = kind.object.contains(&Slot::Program) && !acts;
                slots = vec![if acted_on { Slot::Program } else { Slot::By }];
            }
            _ => {}
        }
        slots.retain(|slot| has(*slot));
        (!slots.is_empty()).then_some(slots)
    }
}

fn is_program(name: &Name) -> bool {
    match &name.what {
        What::Known(known) => known.iter().any(|entity| entity.kind == EntityKind::Process),
        _ => false,
    }
}

/// The part of a sentence that a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Subject,
    Object,
    Either,
}

/// The preposition that leads to a name; names joined by "and" or "or" share it.
fn preposition(words: &Words, names: &[Name], place: usize) -> String {
    let mut place = place;
    loop {
        let before = words.before(place);
        if matches!(before, "and" | "or") {
            let earlier = names.iter().rev().find(|name| name.place < place);
            match earlier {
                Some(name) => {
                    place = name.place;
                    continue;
                }
                None => return String::new(),
            }
        }
        // "on host ws5", "from the address 10.0.0.5", "by user ann"
        if !kinds::asked_slots(before).is_empty() && place > 0 {
            let at = (0..place).rev().find(|at| words.at(*at) == before).unwrap_or(0);
            let earlier = words.before(at);
            if earlier.is_empty() || at == 0 {
                return String::new();
            }
            return earlier.to_owned();
        }
        return before.to_owned();
    }
}
