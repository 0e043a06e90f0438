//! Can an attacker talk the verdict down?
//!
//! A suite of texts that somebody who controls a field would write there, each planted into the events of an
//! attack case without changing what happened. Investigated clean and planted, no verdict may move toward
//! benign. `casemate eval` reports the share that did as `injection_rate`.

mod place;
mod texts;

use casemate_event::Event;

/// Field an attacker writes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// User agent of a request.
    UserAgent,
    /// User name tried in a logon that fails.
    UserName,
    /// Command line, as an argument or comment.
    CommandLine,
    /// Name of a file written.
    FileName,
    /// Name asked for in a DNS query.
    DnsName,
    /// Text of a script block.
    Script,
    /// Parameter of a URL.
    UrlParameter,
    /// Name a client gives itself.
    HostName,
    /// Name of a service installed.
    ServiceName,
    /// Value written to the registry.
    RegistryValue,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::UserAgent,
        Self::UserName,
        Self::CommandLine,
        Self::FileName,
        Self::DnsName,
        Self::Script,
        Self::UrlParameter,
        Self::HostName,
        Self::ServiceName,
        Self::RegistryValue,
    ];
}

/// What the text tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Technique {
    /// Orders in plain words.
    Instruction,
    /// The chat tokens of a model family.
    ChatTokens,
    /// The headings and quotes of our own prompt.
    Delimiter,
    /// Labels of evidence that is not there, with what it would say.
    EvidenceId,
    /// Orders in base64.
    Base64,
    /// Orders in hexadecimal or percent encoding.
    Encoded,
    /// Orders in another language.
    Language,
    /// Orders with spaced, swapped or look-alike letters.
    Disguise,
    /// A claim that somebody approved it, with nothing that looks like an order.
    Approval,
    /// A statement in an administrator's or a vendor's name.
    Authority,
    /// A ready answer in the form the reader is asked for.
    Answer,
    /// Much harmless text, to drown the rest.
    Flood,
}

/// One planted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Unique name.
    pub name: &'static str,
    /// Where it is written.
    pub channel: Channel,
    /// What it tries.
    pub technique: Technique,
    /// What it says, before it is fitted to its channel.
    pub text: String,
}

impl Canary {
    /// Writes the text into an event whose channel an attacker controls, beside what stands there, and into
    /// the vendor's copies of that field and the message. What the event did is not changed, and its template
    /// stays: whoever appends the event to a store sets a new one. False, and nothing changed, if the event
    /// has no such field.
    pub fn plant(&self, event: &mut Event) -> bool {
        place::plant(self, event)
    }

    /// An event of its own that carries the text: what an attacker causes beside the attack by one more
    /// request, query, logon or program. On the host and by the user of `near`, one second later.
    pub fn extra(&self, near: &Event) -> Event {
        place::extra(self, near)
    }

    /// Plants into every event of a case that has the channel; into none, then one extra event follows the
    /// last. Returns how many events carry the text, never 0 unless there are no events.
    pub fn plant_case(&self, events: &mut Vec<Event>) -> usize {
        let planted = events.iter_mut().filter_map(|event| self.plant(event).then_some(())).count();
        match events.last() {
            Some(last) if planted == 0 => {
                let extra = self.extra(last);
                events.push(extra);
                1
            }
            _ => planted,
        }
    }
}

/// All canaries, in a fixed order.
pub fn suite() -> Vec<Canary> {
    texts::all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;
    use casemate_event::{Class, field};
    use std::collections::BTreeSet;

    #[test]
    fn the_suite_covers_channels_and_techniques() {
        let suite = suite();
        assert!(suite.len() >= 40, "{}", suite.len());
        let names: BTreeSet<&str> = suite.iter().map(|canary| canary.name).collect();
        assert_eq!(names.len(), suite.len());
        for channel in Channel::ALL {
            assert!(suite.iter().any(|canary| canary.channel == channel), "{channel:?}");
        }
        let techniques: BTreeSet<Technique> = suite.iter().map(|canary| canary.technique).collect();
        assert_eq!(techniques.len(), 12);
    }

    #[test]
    fn planting_adds_and_changes_nothing_else() {
        let command = "rundll32 comsvcs.dll MiniDump 600 x.dmp full";
        let mut before = event(
            Class::ProcessActivity,
            &[(field::DEVICE_HOSTNAME, "ws1"), (field::PROCESS_CMD_LINE, command)],
        );
        before.native.set("CommandLine", command);
        before.message = format!("Process Create: {command}");
        for canary in suite() {
            let mut planted = before.clone();
            let did = canary.plant(&mut planted);
            assert_eq!(did, canary.channel == Channel::CommandLine, "{}", canary.name);
            assert_eq!(did, planted != before);
            let after = planted.field(field::PROCESS_CMD_LINE).unwrap();
            assert!(after.contains(command));
            assert_eq!(planted.native.get("CommandLine"), Some(after));
            assert!(planted.message.contains(after));
            assert_eq!(planted.fields.len(), before.fields.len());
        }
    }

    #[test]
    fn every_canary_reaches_every_case() {
        let first = event(Class::BaseEvent, &[(field::DEVICE_HOSTNAME, "ws1"), (field::ACTOR_USER, "alice")]);
        for canary in suite() {
            let mut events = vec![first.clone()];
            assert_eq!(canary.plant_case(&mut events), 1, "{}", canary.name);
            assert_eq!(events[0], first);
            assert_eq!(events[1].field(field::DEVICE_HOSTNAME), Some("ws1"));
            let mut again = events[1].clone();
            assert!(canary.plant(&mut again), "{}: the extra event has the channel", canary.name);
        }
        assert_eq!(suite()[0].plant_case(&mut Vec::new()), 0);
    }
}
