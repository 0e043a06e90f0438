//! Tokens are signed here by keys made for the test; those of RSA lie in `rsa.golden.json`, as `ring` makes no RSA keys.

use super::*;
use crate::{Access, Answer, Credential, Denied, FILE_NAME, TokenDenied};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{self as sig, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair, &'static str, &'static str),
}

impl Signer {
    fn ed() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap())
    }

    fn ec(algorithm: &'static sig::EcdsaSigningAlgorithm, alg: &'static str, curve: &'static str) -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap(), alg, curve)
    }

    fn p256() -> Self {
        Self::ec(&sig::ECDSA_P256_SHA256_FIXED_SIGNING, "ES256", "P-256")
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Ec(_, alg, _) => alg,
        }
    }

    fn public(&self) -> Vec<u8> {
        match self {
            Self::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Self::Ec(pair, ..) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        let public = self.public();
        match self {
            Self::Ed(_) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": BASE64.encode(public)}),
            Self::Ec(.., curve) => {
                let (x, y) = public[1..].split_at(public.len() / 2);
                let (x, y) = (BASE64.encode(x), BASE64.encode(y));
                json!({"kty": "EC", "crv": curve, "kid": kid, "use": "sig", "x": x, "y": y})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Ec(pair, ..) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        format!("{message}.{}", BASE64.encode(self.sign(message.as_bytes())))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

fn claims() -> Value {
    json!({"iss": "https://idp.site", "aud": "casemate", "sub": "ann", "groups": ["soc"], "exp": NOW + 600})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn section() -> Oidc {
    Oidc {
        issuer: "https://idp.site".to_owned(),
        audience: "casemate".to_owned(),
        keys: "idp.json".into(),
        name_claim: sub(),
        roles_claim: "groups".to_owned(),
        roles: [("soc", Role::Analyst), ("audit", Role::Auditor), ("guest", Role::Viewer)]
            .map(|(value, role)| (value.to_owned(), role))
            .into(),
        redacted: BTreeSet::new(),
        leeway_s: 30,
    }
}

fn pin(dir: &Path, keys: &[Value]) {
    casemate_disk::write_private(&dir.join("idp.json"), |out| {
        out.write_all(json!({ "keys": keys }).to_string().as_bytes())
    })
    .unwrap();
}

fn site(keys: &[Value]) -> (TempDir, Access) {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path().join(FILE_NAME)).unwrap();
    pin(dir.path(), keys);
    access.set_oidc(Some(section())).unwrap();
    (dir, access)
}

fn show(access: &Access, token: &str) -> Result<Principal, Denied> {
    access.authenticate(Credential::Token(token), "x", now())
}

fn refused(access: &Access, token: &str) -> String {
    match show(access, token) {
        Err(Denied::Oidc(why)) => why,
        other => panic!("{token}: {other:?}"),
    }
}

#[test]
fn every_kind_of_key_lets_in() {
    let golden: Value = serde_json::from_str(include_str!("rsa.golden.json")).unwrap();
    let p384 = Signer::ec(&sig::ECDSA_P384_SHA384_FIXED_SIGNING, "ES384", "P-384");
    let signers = [Signer::ed(), Signer::p256(), p384];
    let mut keys: Vec<_> = signers.iter().map(|signer| signer.jwk(signer.alg())).collect();
    keys.push(golden["key"].clone());
    let (_dir, access) = site(&keys);
    for signer in &signers {
        for header in [json!({"alg": signer.alg(), "kid": signer.alg()}), json!({"alg": signer.alg()})] {
            let principal = show(&access, &signer.token(&header, &claims())).unwrap();
            assert_eq!(principal.to_string(), "oidc:ann");
            assert_eq!((principal.scopes, principal.redacted), (Role::Analyst.scopes(), false));
            assert_eq!(principal.until, Some(Timestamp::from_second(NOW + 630).unwrap()));
        }
    }
    for alg in ["RS256", "PS256"] {
        assert_eq!(show(&access, golden[alg].as_str().unwrap()).unwrap().name, "ann", "{alg}");
    }
    assert!(refused(&access, golden["RS512"].as_str().unwrap()).contains("fits its alg"));
}

#[test]
fn a_keys_own_alg_and_use_are_held_to() {
    let golden: Value = serde_json::from_str(include_str!("rsa.golden.json")).unwrap();
    let mut only = golden["key"].clone();
    only["alg"] = json!("PS256");
    let (_dir, access) = site(&[only.clone(), golden["short_key"].clone()]);
    show(&access, golden["PS256"].as_str().unwrap()).unwrap();
    refused(&access, golden["RS256"].as_str().unwrap());
    refused(&access, golden["short"].as_str().unwrap());
    only["use"] = json!("enc");
    let (dir, access) = site(&[only.clone(), Signer::ed().jwk("x")]);
    refused(&access, golden["PS256"].as_str().unwrap());
    pin(dir.path(), &[only]);
    let error = access.set_oidc(Some(section())).unwrap_err().to_string();
    assert!(error.contains("idp.json") && error.contains("none of its keys"), "{error}");
}

#[test]
fn forged_tokens_are_refused() {
    let (ed, p256, thief) = (Signer::ed(), Signer::p256(), Signer::ed());
    let (_dir, access) = site(&[ed.jwk("ed"), p256.jwk("ec")]);
    let good = ed.token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims());
    show(&access, &good).unwrap();

    // No signature, or none asked for.
    for alg in ["none", "None", "NONE", ""] {
        refused(&access, &format!("{}.", message(&json!({ "alg": alg }), &claims())));
    }
    refused(&access, &format!("{}.", message(&json!({"alg": "EdDSA"}), &claims())));
    refused(&access, &format!("{}.", message(&json!({}), &claims())));
    // A public key taken for a shared secret.
    for signer in [&ed, &p256] {
        let message = message(&json!({"alg": "HS256"}), &claims());
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &signer.public());
        let tag = ring::hmac::sign(&key, message.as_bytes());
        let why = refused(&access, &format!("{message}.{}", BASE64.encode(tag)));
        assert!(why.contains("fits its alg"), "{why}");
    }
    // Another's key: brought along, pointed at, or under a pinned key's name.
    for header in [
        json!({"alg": "EdDSA"}),
        json!({"alg": "EdDSA", "kid": "ed"}),
        json!({"alg": "EdDSA", "jwk": thief.jwk("ed")}),
        json!({"alg": "EdDSA", "jku": "https://thief.example/keys.json", "kid": "thief"}),
        json!({"alg": "EdDSA", "x5u": "https://thief.example/key.pem"}),
    ] {
        refused(&access, &thief.token(&header, &claims()));
    }
    // One key under the name or the algorithm of another.
    refused(&access, &ed.token(&json!({"alg": "EdDSA", "kid": "ec"}), &claims()));
    refused(&access, &ed.token(&json!({"alg": "ES256", "kid": "ed"}), &claims()));
    refused(&access, &ed.token(&json!({"alg": "ES256", "kid": "ec"}), &claims()));
    // What is not supported is not passed over.
    for (name, value) in [("crit", json!(["exp"])), ("zip", json!("DEF")), ("enc", json!("A256GCM"))] {
        let mut header = json!({"alg": "EdDSA"});
        header[name] = value;
        refused(&access, &ed.token(&header, &claims()));
    }
    // Parts of a good one.
    let parts: Vec<&str> = good.split('.').collect();
    for parts in
        [&parts[..1], &parts[..2], &[parts[0], parts[1], parts[2], parts[2]], &["", parts[1], parts[2]]]
    {
        refused(&access, &parts.join("."));
    }
    let other = BASE64.encode(with("sub", json!("root")).to_string());
    refused(&access, &format!("{}.{other}.{}", parts[0], parts[2]));
}

#[test]
fn every_changed_character_is_noticed() {
    let ed = Signer::ed();
    let (_dir, access) = site(&[ed.jwk("ed")]);
    let good = ed.token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims());
    for index in 0..good.len() {
        for byte in [b'A', b'B', b'_', b'.', b'=', b'+', b'\n', 0] {
            let mut bad = good.clone().into_bytes();
            if bad[index] != byte {
                bad[index] = byte;
                refused(&access, std::str::from_utf8(&bad).unwrap());
            }
        }
        refused(&access, &good[..index]);
    }
}

#[test]
fn whose_for_whom_and_when() {
    let ed = Signer::ed();
    let (_dir, access) = site(&[ed.jwk("ed")]);
    let sign = |claims: Value| ed.token(&json!({"alg": "EdDSA"}), &claims);
    for (expected, claims) in [
        ("iss", without("iss")),
        ("iss", with("iss", json!("https://idp.site/"))),
        ("iss", with("iss", json!(["https://idp.site"]))),
        ("aud", without("aud")),
        ("aud", with("aud", json!("other"))),
        ("aud", with("aud", json!(["other", 7]))),
        ("aud", with("aud", json!([]))),
        ("exp", without("exp")),
        ("exp", with("exp", json!(NOW - 30))),
        ("exp", with("exp", json!("1900000000"))),
        ("exp", with("exp", json!(null))),
        ("exp", with("exp", json!(1e300))),
        ("exp", with("exp", json!(u64::MAX))),
        ("exp", with("exp", json!(-1))),
        ("nbf", with("nbf", json!(NOW + 31))),
        ("nbf", with("nbf", json!("soon"))),
        ("sub", without("sub")),
        ("sub", with("sub", json!(""))),
        ("sub", with("sub", json!("a".repeat(129)))),
        ("sub", with("sub", json!("ann\nroot"))),
        ("groups", without("groups")),
        ("groups", with("groups", json!([]))),
        ("groups", with("groups", json!(["SOC", "other", 1]))),
        ("groups", with("groups", json!({"soc": true}))),
    ] {
        let why = refused(&access, &sign(claims.clone()));
        assert!(why.contains(expected), "{claims}: {why}");
    }
    for claims in [
        with("aud", json!(["other", "casemate"])),
        with("exp", json!(NOW - 29)),
        with("exp", json!(NOW as f64 + 0.5)),
        with("nbf", json!(NOW + 30)),
        with("groups", json!("soc")),
        with("sub", json!("SITE\\ann")),
    ] {
        show(&access, &sign(claims.clone())).unwrap_or_else(|e| panic!("{claims}: {e}"));
    }
    let both = show(&access, &sign(with("groups", json!(["guest", "audit"])))).unwrap();
    assert_eq!((both.scopes, both.redacted), (Role::Auditor.scopes(), false));
    assert!(show(&access, &sign(with("groups", json!(["guest"])))).unwrap().redacted);
    access.set_oidc(Some(Oidc { redacted: ["soc".to_owned()].into(), ..section() })).unwrap();
    assert!(show(&access, &sign(claims())).unwrap().redacted);
    assert!(!show(&access, &sign(with("groups", json!(["soc", "audit"])))).unwrap().redacted);
    let long = with("filler", json!("x".repeat(MAX_TOKEN)));
    assert!(refused(&access, &sign(long)).contains("longer"));
}

#[test]
fn roles_may_lie_deeper_or_under_a_name_with_dots() {
    let ed = Signer::ed();
    let (_dir, access) = site(&[ed.jwk("ed")]);
    for (claim, value) in [
        ("realm_access.roles", json!({"realm_access": {"roles": ["soc"]}})),
        ("https://idp.site/roles", json!({"https://idp.site/roles": "soc"})),
    ] {
        access.set_oidc(Some(Oidc { roles_claim: claim.to_owned(), ..section() })).unwrap();
        let mut claims = without("groups");
        claims.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        show(&access, &ed.token(&json!({"alg": "EdDSA"}), &claims)).unwrap();
        refused(&access, &ed.token(&json!({"alg": "EdDSA"}), &self::claims()));
    }
}

#[test]
fn keys_are_exchanged_while_the_server_runs() {
    let (old, new) = (Signer::ed(), Signer::ed());
    let (dir, access) = site(&[old.jwk("1")]);
    let header = json!({"alg": "EdDSA"});
    let (by_old, by_new) = (old.token(&header, &claims()), new.token(&header, &claims()));
    show(&access, &by_old).unwrap();
    pin(dir.path(), &[new.jwk("2")]);
    access.reload().unwrap();
    refused(&access, &by_old);
    show(&access, &by_new).unwrap();
    // Without keys the provider's tokens wait; everybody else goes on.
    let token = access.create_token("siem", Role::Sensor.scopes(), None, false).unwrap();
    fs_err::remove_file(dir.path().join("idp.json")).unwrap();
    access.reload().unwrap();
    assert_eq!(show(&access, &by_new).unwrap_err().answer(), Answer::Unavailable);
    assert!(access.problems()[0].contains("no such file"), "{:?}", access.problems());
    access.authenticate(Credential::Token(&token.secret), "x", Timestamp::now()).unwrap();
    pin(dir.path(), &[new.jwk("2")]);
    access.reload().unwrap();
    show(&access, &by_new).unwrap();
    access.set_oidc(None).unwrap();
    assert_eq!(show(&access, &by_new), Err(Denied::Token(TokenDenied::Malformed)));
}

#[test]
fn key_files_and_sections_that_make_no_sense_are_refused() {
    let ed = Signer::ed();
    let (dir, access) = site(&[ed.jwk("ed")]);
    let mut private = ed.jwk("ed");
    private["d"] = json!("c2VjcmV0");
    let shared = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"});
    let p521 = json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"});
    for (keys, expected) in [
        (vec![], "none of its keys"),
        (vec![private], "private or shared"),
        (vec![ed.jwk("ed"), shared], "private or shared"),
        (vec![p521], "none of its keys"),
        (vec![json!(7)], "key 0"),
        (vec![json!({"kty": "RSA", "n": "!", "e": "AQAB"})], "key 0"),
        (vec![ed.jwk("ed"); 65], "more than 64"),
    ] {
        pin(dir.path(), &keys);
        let error = access.set_oidc(Some(section())).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs_err::write(dir.path().join("idp.json"), "not json").unwrap();
    access.set_oidc(Some(section())).unwrap_err();
    pin(dir.path(), &[ed.jwk("ed")]);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o622);
    fs_err::set_permissions(dir.path().join("idp.json"), open).unwrap();
    let error = access.set_oidc(Some(section())).unwrap_err().to_string();
    assert!(error.contains("others can write it"), "{error}");
    for section in [
        Oidc { issuer: String::new(), ..section() },
        Oidc { audience: String::new(), ..section() },
        Oidc { roles: BTreeMap::new(), ..section() },
        Oidc { leeway_s: 301, ..section() },
        Oidc { redacted: ["nobody".to_owned()].into(), ..section() },
    ] {
        assert!(matches!(access.set_oidc(Some(section)), Err(Error::Entry { .. })));
    }
}

proptest::proptest! {
    #[test]
    fn hostile_tokens_never_panic(text in ".{0,200}", header in ".{0,60}", claims in ".{0,60}", tail in "[A-Za-z0-9_-]{0,90}") {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let keys = Keys::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        let built = format!("{}.{}.{tail}", BASE64.encode(&header), BASE64.encode(&claims));
        let headed = format!("{}.{}.{tail}", BASE64.encode(r#"{"alg":"EdDSA"}"#), BASE64.encode(&claims));
        for token in [text, built, headed] {
            proptest::prop_assert!(section().principal(&keys, &token, now()).is_err());
        }
    }

    #[test]
    fn hostile_key_files_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        proptest::prop_assert!(Keys::parse(&bytes).is_err());
    }
}
