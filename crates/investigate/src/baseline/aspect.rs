//! What about an event can be usual or not, and how is the store asked for it?

use crate::relate::is_loopback;
use crate::view::View;
use casemate_event::{Class, Entity, EntityKind, Stored, field};
use casemate_store::Query;
use std::collections::BTreeMap;

/// Something about an event that has a past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Aspect {
    /// The masked message.
    Template,
    /// The program that was started, or that acted so, by path.
    Program,
    /// A program started by another.
    ParentChild,
    /// A service, with what it runs where that is logged.
    Service,
    /// A scheduled job.
    Job,
    /// An account from a source on a host by a type of logon.
    LogonPath,
    /// An account on a host.
    AccountOnHost,
    /// A source address on a host.
    SourceOnHost,
    /// Where a program connects, or where a source connects if the program is not known.
    Destination,
    /// A user agent.
    UserAgent,
    /// A cloud operation of an account.
    CloudOperation,
    /// A finding of another product.
    Signature,
    /// The same on this host.
    SignatureOnHost,
    /// An operation of one industrial device on another.
    DeviceOperation,
}

impl Aspect {
    pub(crate) const ALL: [Self; 14] = [
        Self::Template,
        Self::Program,
        Self::ParentChild,
        Self::Service,
        Self::Job,
        Self::LogonPath,
        Self::AccountOnHost,
        Self::SourceOnHost,
        Self::Destination,
        Self::UserAgent,
        Self::CloudOperation,
        Self::Signature,
        Self::SignatureOnHost,
        Self::DeviceOperation,
    ];

    /// Whether an event has it.
    pub(crate) fn is_of(self, stored: &Stored) -> bool {
        of(stored).iter().any(|(aspect, _)| *aspect == self)
    }
}

/// Which logs a figure is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Host,
    Site,
}

/// One thing to look up.
pub(super) struct Ask {
    /// What it is, for people.
    pub(super) value: String,
    pub(super) scope: Scope,
    pub(super) query: Query,
}

/// The host an event was recorded on, as an entity.
pub(super) fn host_of(stored: &Stored) -> Option<Entity> {
    let view = View(&stored.event);
    let kind =
        if stored.event.field(field::DEVICE_HOSTNAME).is_some() { EntityKind::Host } else { EntityKind::Ip };
    let host = view.host();
    (!host.is_empty()).then(|| Entity::new(kind, &host))
}

/// Classes of these events, each once.
pub(super) fn classes(subjects: &[Stored]) -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    for subject in subjects {
        if !classes.contains(&subject.event.class) {
            classes.push(subject.event.class);
        }
    }
    classes
}

/// What to look up about these events: of each aspect the different values, in order.
pub(super) fn asks(subjects: &[Stored]) -> BTreeMap<Aspect, Vec<Ask>> {
    let mut asks: BTreeMap<Aspect, Vec<Ask>> = BTreeMap::new();
    for subject in subjects {
        for (aspect, ask) in of(subject) {
            let asked = asks.entry(aspect).or_default();
            if asked.iter().all(|known| known.query != ask.query) {
                asked.push(ask);
            }
        }
    }
    asks
}

/// What to look up about one event.
fn of(stored: &Stored) -> Vec<(Aspect, Ask)> {
    let event = &stored.event;
    let view = View(event);
    let about = About { view, class: event.class };
    let mut asks = vec![(
        Aspect::Template,
        Ask {
            value: "this kind of event".to_owned(),
            scope: Scope::Site,
            query: Query { templates: vec![event.template], ..Query::default() },
        },
    )];
    let mut add = |aspect, ask: Option<Ask>| asks.extend(ask.map(|ask| (aspect, ask)));
    add(Aspect::Program, about.program());
    add(Aspect::ParentChild, about.parent_child());
    if event.class == Class::WindowsServiceActivity {
        add(
            Aspect::Service,
            about.fields(&[field::SERVICE_NAME], &[field::PROCESS_CMD_LINE, field::ACTIVITY]),
        );
    }
    add(Aspect::Job, about.fields(&[field::JOB_NAME], &[field::ACTIVITY]));
    add(Aspect::LogonPath, about.logon_path());
    add(Aspect::AccountOnHost, about.account_on_host());
    add(Aspect::SourceOnHost, about.source_on_host());
    add(Aspect::Destination, about.destination());
    add(Aspect::UserAgent, about.fields(&[field::USER_AGENT], &[]));
    add(Aspect::CloudOperation, about.cloud_operation());
    add(Aspect::Signature, about.fields(&[field::FINDING_TITLE], &[]));
    add(Aspect::SignatureOnHost, about.signature_on_host());
    add(
        Aspect::DeviceOperation,
        about.fields(&[field::ASSET, field::SRC_IP, field::API_OPERATION], &[field::DST_IP]),
    );
    asks
}

struct About<'a> {
    view: View<'a>,
    class: Class,
}

impl About<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.view.0.field(name).filter(|value| !value.is_empty())
    }

    /// Whole values of `needed` and, where they are there, of `further` fields.
    fn fields(&self, needed: &[&str], further: &[&str]) -> Option<Ask> {
        let mut values = Vec::new();
        for name in needed {
            values.push(((*name).to_owned(), self.value(name)?.to_owned()));
        }
        let shown: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
        let value = shown.join(", ");
        values.extend(
            further.iter().filter_map(|name| Some(((*name).to_owned(), self.value(name)?.to_owned()))),
        );
        let query = Query { values, ..Query::default() };
        Some(Ask { value, scope: Scope::Site, query })
    }

    /// The field and value that say on which host the event was recorded.
    fn host(&self) -> Option<(String, String)> {
        [field::DEVICE_HOSTNAME, field::DEVICE_IP]
            .into_iter()
            .find_map(|name| Some((name.to_owned(), self.value(name)?.to_owned())))
    }

    fn program(&self) -> Option<Ask> {
        let launch = self.view.is_launch();
        let path = if launch { self.view.process_path() } else { self.view.actor_path() }?;
        let activity =
            self.value(field::ACTIVITY).map(|activity| (field::ACTIVITY.to_owned(), activity.to_owned()));
        let query = Query {
            entities: vec![program_entity(path)],
            values: activity.into_iter().collect(),
            classes: vec![self.class],
            ..Query::default()
        };
        Some(Ask { value: path.to_owned(), scope: Scope::Site, query })
    }

    fn parent_child(&self) -> Option<Ask> {
        let (child, parent) = (self.view.process_path()?, self.view.parent_path()?);
        if !self.view.is_launch() {
            return None;
        }
        let name = [field::PARENT_PROCESS_PATH, field::PARENT_PROCESS_NAME]
            .into_iter()
            .find(|name| self.value(name) == Some(parent))?;
        let query = Query {
            entities: vec![program_entity(child)],
            values: vec![(name.to_owned(), parent.to_owned())],
            ..Query::default()
        };
        Some(Ask { value: format!("{parent} starting {child}"), scope: Scope::Site, query })
    }

    fn logon_path(&self) -> Option<Ask> {
        self.view.logon()?;
        let user = self.view.person()?;
        let (host, source) = (self.host()?, self.source()?);
        let mut values = vec![host, source.clone()];
        for name in [field::LOGON_TYPE, field::STATUS] {
            values.extend(self.value(name).map(|value| (name.to_owned(), value.to_owned())));
        }
        let value = format!("{user} from {} to {}", source.1, self.view.host());
        Some(self.of_user(&user, values, value, Scope::Host))
    }

    fn account_on_host(&self) -> Option<Ask> {
        let user = self.view.person()?;
        let value = format!("{user} on {}", self.view.host());
        Some(self.of_user(&user, vec![self.host()?], value, Scope::Host))
    }

    fn of_user(&self, user: &str, values: Vec<(String, String)>, value: String, scope: Scope) -> Ask {
        let entities = vec![Entity::new(EntityKind::User, user)];
        Ask { value, scope, query: Query { entities, values, ..Query::default() } }
    }

    /// The field and value that say where a connection came from.
    fn source(&self) -> Option<(String, String)> {
        [field::SRC_IP, field::SRC_HOSTNAME].into_iter().find_map(|name| {
            let value = self.value(name).filter(|value| !is_loopback(value))?;
            Some((name.to_owned(), value.to_owned()))
        })
    }

    fn source_on_host(&self) -> Option<Ask> {
        let source = self.source()?;
        let place = self
            .host()
            .or_else(|| Some((field::DST_IP.to_owned(), self.value(field::DST_IP)?.to_owned())))?;
        let value = format!("{} on {}", source.1, place.1);
        let values = vec![source, place];
        let query = Query { values, ..Query::default() };
        Some(Ask { value, scope: Scope::Host, query })
    }

    fn destination(&self) -> Option<Ask> {
        let name = [field::QUERY_HOSTNAME, field::DST_HOSTNAME, field::DST_IP]
            .into_iter()
            .find(|name| self.value(name).is_some())?;
        let to = self.value(name)?.to_owned();
        let mut values = vec![(name.to_owned(), to.clone())];
        let path = self.view.actor_path().or_else(|| self.view.process_path());
        let (entities, from) = match path {
            Some(path) => (vec![program_entity(path)], path.to_owned()),
            None => {
                let source = self.source()?;
                values.push(source.clone());
                values.extend(
                    self.value(field::DST_PORT).map(|port| (field::DST_PORT.to_owned(), port.to_owned())),
                );
                (Vec::new(), source.1)
            }
        };
        let query = Query { entities, values, ..Query::default() };
        Some(Ask { value: format!("{from} to {to}"), scope: Scope::Site, query })
    }

    fn cloud_operation(&self) -> Option<Ask> {
        if self.class != Class::ApiActivity {
            return None;
        }
        let (user, operation) = (self.view.user()?, self.value(field::API_OPERATION)?);
        let values = vec![(field::API_OPERATION.to_owned(), operation.to_owned())];
        let value = format!("{operation} by {user}");
        Some(self.of_user(&user, values, value, Scope::Site))
    }

    fn signature_on_host(&self) -> Option<Ask> {
        let title = self.value(field::FINDING_TITLE)?;
        let place = self.host().or_else(|| self.source())?;
        let value = format!("{title} on {}", place.1);
        let values = vec![(field::FINDING_TITLE.to_owned(), title.to_owned()), place];
        let query = Query { values, ..Query::default() };
        Some(Ask { value, scope: Scope::Host, query })
    }
}

/// A program by its path, or by its name where that is all that was logged.
fn program_entity(path: &str) -> Entity {
    let kind = if path.contains(['\\', '/']) { EntityKind::File } else { EntityKind::Process };
    Entity::new(kind, path)
}
