//! Certificates, users of this machine, and the identity provider: who is let in by what others vouch for.

use crate::access::{Access, Loaded};
use crate::file::{CertificateEntry, PeerEntry, PeerId};
use crate::scope::together;
use crate::secret::{hex, sha256};
use crate::{Denied, Error, Kind, Oidc, Principal, Result, Role};

impl Access {
    /// Lets in who holds the certificate with this DER. Its validity and issuer are the TLS server's to check. `redacted`
    /// masks personal data ([`Role::redacted`] is what a role asks for).
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Exists`], [`Error::TooMany`], or the file's.
    pub fn add_certificate(
        &self,
        name: &str,
        role: Role,
        redacted: bool,
        der: &[u8],
    ) -> Result<CertificateEntry> {
        let sha256 = hex(&sha256(der));
        let entry = CertificateEntry { name: name.to_owned(), sha256, role, redacted };
        self.change(|contents| {
            contents.certificates.push(entry.clone());
            Ok(entry)
        })
    }

    /// Lets the holder of a certificate in no more.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file's.
    pub fn remove_certificate(&self, name: &str) -> Result<CertificateEntry> {
        self.change(|contents| remove(&mut contents.certificates, "certificate", name, |entry| &entry.name))
    }

    /// Certificates that are let in, by name.
    pub fn certificates(&self) -> Vec<CertificateEntry> {
        self.loaded().contents.certificates.clone()
    }

    /// Lets in a user of this machine, or a group of them, through the Unix socket. Nobody is let in without such an
    /// entry, root and the server's own user included. `redacted` masks personal data.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Exists`], [`Error::TooMany`], or the file's.
    pub fn add_peer(&self, name: &str, who: PeerId, role: Role, redacted: bool) -> Result<PeerEntry> {
        let entry = PeerEntry { name: name.to_owned(), who, role, redacted };
        self.change(|contents| {
            contents.peers.push(entry.clone());
            Ok(entry)
        })
    }

    /// Lets a user or group of this machine in no more.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file's.
    pub fn remove_peer(&self, name: &str) -> Result<PeerEntry> {
        self.change(|contents| remove(&mut contents.peers, "peer", name, |entry| &entry.name))
    }

    /// Users and groups of this machine that are let in, by name.
    pub fn peers(&self) -> Vec<PeerEntry> {
        self.loaded().contents.peers.clone()
    }

    /// Lets in tokens of an identity provider, or of none. The keys are looked at first.
    ///
    /// # Errors
    /// [`Error::Entry`], [`Error::Keys`], or the file's.
    pub fn set_oidc(&self, oidc: Option<Oidc>) -> Result<()> {
        if let Some(oidc) = &oidc {
            oidc.check()?;
            crate::oidc::Keys::load(&crate::access::keys_path(self.path(), &oidc.keys))?;
        }
        self.change(|contents| {
            contents.oidc = oidc;
            Ok(())
        })
    }

    /// The identity provider whose tokens are let in.
    pub fn oidc(&self) -> Option<Oidc> {
        self.loaded().contents.oidc.clone()
    }
}

fn remove<T>(
    entries: &mut Vec<T>,
    what: &'static str,
    name: &str,
    name_of: impl Fn(&T) -> &str,
) -> Result<T> {
    let Some(index) = entries.iter().position(|entry| name_of(entry) == name) else {
        return Err(Error::Unknown { what, name: name.chars().take(80).collect() });
    };
    Ok(entries.remove(index))
}

impl Loaded {
    pub(crate) fn by_certificate(&self, der: &[u8]) -> Result<Principal, Denied> {
        let shown = hex(&sha256(der));
        let Some(entry) = self.contents.certificates.iter().find(|entry| entry.sha256 == shown) else {
            return Err(Denied::Certificate(shown));
        };
        Ok(Principal {
            name: entry.name.clone(),
            kind: Kind::Certificate,
            scopes: entry.role.scopes(),
            redacted: entry.redacted,
            until: None,
        })
    }

    /// The user's own entry decides; without one, all entries of its groups together.
    pub(crate) fn by_peer(&self, uid: u32, gid: u32, groups: &[u32]) -> Result<Principal, Denied> {
        let entries = &self.contents.peers;
        let principal = |name, found: &[&PeerEntry]| {
            let (scopes, redacted) = together(found.iter().map(|entry| (entry.role, entry.redacted)));
            Principal { name, kind: Kind::Peer, scopes, redacted, until: None }
        };
        if let Some(own) = entries.iter().find(|entry| entry.who == PeerId::Uid(uid)) {
            return Ok(principal(own.name.clone(), &[own]));
        }
        let is_member = |group: u32| group == gid || groups.contains(&group);
        let found: Vec<&PeerEntry> = entries
            .iter()
            .filter(|entry| matches!(entry.who, PeerId::Gid(group) if is_member(group)))
            .collect();
        match found.is_empty() {
            true => Err(Denied::Peer(uid)),
            false => Ok(principal(format!("uid:{uid}"), &found)),
        }
    }

    /// As [`Access::standing`], but for the time.
    pub(crate) fn standing(&self, principal: &Principal) -> Option<[u8; 32]> {
        let name = principal.name.as_str();
        match principal.kind {
            Kind::User => self.contents.user(name)?.standing(),
            Kind::Token => self.contents.tokens.iter().find(|t| t.name == name).map(|token| token.standing()),
            Kind::Certificate => {
                let entry = self.contents.certificates.iter().find(|entry| entry.name == name)?;
                Some(sha256(format!("{entry:?}").as_bytes()))
            }
            // Groups are not asked again: any change of the entries ends it.
            Kind::Peer => (!self.contents.peers.is_empty())
                .then(|| sha256(format!("{:?}", self.contents.peers).as_bytes())),
            Kind::Oidc => self.contents.oidc.as_ref().map(|oidc| sha256(format!("{oidc:?}").as_bytes())),
            Kind::Local => Some([0; 32]),
        }
    }
}
