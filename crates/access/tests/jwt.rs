//! Tokens that are believed, and those that are not: each with what is wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/tokens.rs"]
mod tokens;

use dockside_access::groups::Groups;
use dockside_access::jwt::{Algorithm, Claims, Demands, Refused, Tokens, looks_like_one};
use proptest::prelude::*;
use serde_json::{Value, json};

use tokens::{ALGORITHMS, hmac_of, key_file, token, token_with};

const NOW_S: u64 = 1_800_000_000;
const NOW_MS: u64 = NOW_S * 1000;

fn demands(algorithm: Algorithm) -> Demands {
    Demands {
        algorithm,
        user_claim: "sub".to_owned(),
        groups_claim: "groups".to_owned(),
        issuer: String::new(),
        audience: String::new(),
        leeway_s: 5,
    }
}

fn tokens_of(algorithm: Algorithm) -> Tokens {
    Tokens::new(demands(algorithm), key_file(algorithm)).unwrap()
}

/// What a token with these claims comes to, all else being right.
fn check(claims: &Value) -> Result<Claims, Refused> {
    tokens_of(Algorithm::Hs256).check(token(Algorithm::Hs256, claims).as_bytes(), NOW_MS)
}

fn good() -> Value {
    json!({ "sub": "DOCK1", "exp": NOW_S + 60 })
}

/// The good claims with these over them; null takes one away.
fn with(changes: &Value) -> Value {
    let mut claims = good();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

#[test]
fn each_algorithm_is_believed_by_its_own_key_only() {
    for ours in ALGORITHMS {
        let tokens = tokens_of(ours);
        for theirs in ALGORITHMS {
            let outcome = tokens.check(token(theirs, &good()).as_bytes(), NOW_MS);
            if ours == theirs {
                let claims = outcome.unwrap();
                assert_eq!((&*claims.user, claims.ends_ms), ("DOCK1", NOW_MS + 65_000));
            } else {
                assert_eq!(outcome, Err(Refused::Algorithm), "{ours:?} {theirs:?}");
            }
        }
    }
}

/// The public key is known to everybody: as the secret of an HMAC it must open nothing.
#[test]
fn the_public_key_is_no_secret() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let tokens = tokens_of(algorithm);
        let pem = key_file(algorithm);
        for secret in [pem, pem.trim_end()] {
            for alg in ["HS256", algorithm.as_str()] {
                let forged = token_with(&json!({ "alg": alg }), &good(), |m| hmac_of(secret, m));
                assert!(tokens.check(forged.as_bytes(), NOW_MS).is_err(), "{alg}");
            }
        }
    }
}

#[test]
fn an_unsigned_token_is_not_believed_whatever_it_is_called() {
    for algorithm in ALGORITHMS {
        let tokens = tokens_of(algorithm);
        for alg in ["none", "None", "NONE", "", "hs256", "HS384", "PS256", "EdDSA"] {
            let forged = token_with(&json!({ "alg": alg }), &good(), |_| Vec::new());
            assert!(looks_like_one(forged.as_bytes()));
            assert_eq!(tokens.check(forged.as_bytes(), NOW_MS), Err(Refused::Algorithm), "{alg}");
        }
        let header = json!({ "alg": algorithm.as_str() });
        let forged = token_with(&header, &good(), |_| Vec::new());
        assert_eq!(tokens.check(forged.as_bytes(), NOW_MS), Err(Refused::Signature));
    }
}

#[test]
fn what_was_changed_afterwards_is_not_believed() {
    for algorithm in ALGORITHMS {
        let tokens = tokens_of(algorithm);
        let (real, other) =
            (token(algorithm, &good()), token(algorithm, &with(&json!({ "sub": "DOCK2" }))));
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        let (real, other) = (parts(&real), parts(&other));
        let mixed = [real[0].as_str(), &other[1], &real[2]].join(".");
        assert_eq!(tokens.check(mixed.as_bytes(), NOW_MS), Err(Refused::Signature));
        let mut bent = real[2].clone().into_bytes();
        bent[10] = if bent[10] == b'A' { b'B' } else { b'A' };
        let bent = [real[0].as_bytes(), real[1].as_bytes(), &bent].join(&b'.');
        assert_eq!(tokens.check(&bent, NOW_MS), Err(Refused::Signature));
    }
    let other_secret = token_with(&json!({ "alg": "HS256" }), &good(), |message| {
        hmac_of("another secret for tests, of 32 bytes or more", message)
    });
    let tokens = tokens_of(Algorithm::Hs256);
    assert_eq!(tokens.check(other_secret.as_bytes(), NOW_MS), Err(Refused::Signature));
}

/// With a leeway of 5 s.
#[test]
fn a_token_has_its_time() {
    for (changes, expected) in [
        (json!({ "exp": NOW_S - 4 }), Ok(NOW_MS + 1_000)),
        (json!({ "exp": NOW_S - 5 }), Err(Refused::Expired)),
        (json!({ "exp": 0 }), Err(Refused::Expired)),
        (json!({ "exp": NOW_S as f64 + 0.9 }), Ok(NOW_MS + 5_000)),
        (json!({ "exp": u64::MAX }), Ok(u64::MAX)),
        (json!({ "exp": 1e300 }), Ok(u64::MAX)),
        (json!({ "exp": -1 }), Err(Refused::Claim)),
        (json!({ "exp": "1900000000" }), Err(Refused::Claim)),
        (json!({ "exp": [NOW_S + 60] }), Err(Refused::Malformed)),
        (json!({ "exp": null }), Err(Refused::NoExpiry)),
        (json!({ "nbf": NOW_S + 5 }), Ok(NOW_MS + 65_000)),
        (json!({ "nbf": NOW_S + 6 }), Err(Refused::NotYet)),
        (json!({ "nbf": u64::MAX }), Err(Refused::NotYet)),
        (json!({ "nbf": "now" }), Err(Refused::Claim)),
    ] {
        assert_eq!(check(&with(&changes)).map(|claims| claims.ends_ms), expected, "{changes}");
    }
}

#[test]
fn a_token_says_whose_it_is() {
    for (changes, expected) in [
        (json!({ "sub": null }), Err(Refused::NoUser)),
        (json!({ "sub": "" }), Err(Refused::Claim)),
        (json!({ "sub": 7 }), Err(Refused::Claim)),
        (json!({ "sub": ["DOCK1"] }), Err(Refused::Malformed)),
        (json!({ "sub": "a\u{0}b" }), Err(Refused::Claim)),
        (json!({ "sub": "x".repeat(257) }), Err(Refused::Claim)),
        (json!({ "sub": "auth0|7:ü" }), Ok("auth0|7:ü")),
    ] {
        let user = check(&with(&changes)).map(|claims| claims.user.to_string());
        assert_eq!(user.as_deref().map_err(|refused| *refused), expected, "{changes}");
    }
    let demands = Demands { user_claim: "name".into(), ..demands(Algorithm::Hs256) };
    let tokens = Tokens::new(demands, key_file(Algorithm::Hs256)).unwrap();
    let named = token(Algorithm::Hs256, &with(&json!({ "name": "DOCK2" })));
    assert_eq!(&*tokens.check(named.as_bytes(), NOW_MS).unwrap().user, "DOCK2");
}

#[test]
fn groups_are_a_list_or_one_or_none() {
    let groups = |changes: &Value| check(&with(changes)).map(|claims| claims.groups);
    assert_eq!(groups(&json!({})), Ok(Groups::default()));
    for claim in [json!(["applications", "b"]), json!("applications")] {
        assert!(groups(&json!({ "groups": claim })).unwrap().contains("applications"));
    }
    for claim in [json!(7), json!([7]), json!({ "applications": true }), json!([["applications"]])]
    {
        assert_eq!(groups(&json!({ "groups": claim })), Err(Refused::Claim));
    }
    let demands = Demands { groups_claim: String::new(), ..demands(Algorithm::Hs256) };
    let tokens = Tokens::new(demands, key_file(Algorithm::Hs256)).unwrap();
    let unread = token(Algorithm::Hs256, &with(&json!({ "groups": 7, "": "applications" })));
    let claims = tokens.check(unread.as_bytes(), NOW_MS).unwrap();
    assert_eq!(claims.groups, Groups::default());
}

#[test]
fn issuer_and_audience_are_looked_at_if_they_are_asked_for() {
    let issuer = Demands { issuer: "idp".into(), ..demands(Algorithm::Hs256) };
    let audience = Demands { audience: "dockside".into(), ..demands(Algorithm::Hs256) };
    for (demands, changes, expected) in [
        (&issuer, json!({ "iss": "idp" }), None),
        (&issuer, json!({ "iss": "other" }), Some(Refused::Issuer)),
        (&issuer, json!({ "iss": ["idp"] }), Some(Refused::Issuer)),
        (&issuer, json!({}), Some(Refused::Issuer)),
        (&audience, json!({ "aud": "dockside" }), None),
        (&audience, json!({ "aud": ["other", "dockside"] }), None),
        (&audience, json!({ "aud": ["other"] }), Some(Refused::Audience)),
        (&audience, json!({ "aud": "" }), Some(Refused::Audience)),
        (&audience, json!({ "aud": 7 }), Some(Refused::Audience)),
        (&audience, json!({}), Some(Refused::Audience)),
        (&demands(Algorithm::Hs256), json!({ "iss": 7, "aud": ["any"] }), None),
    ] {
        let tokens = Tokens::new(demands.clone(), key_file(Algorithm::Hs256)).unwrap();
        let token = token(Algorithm::Hs256, &with(&changes));
        assert_eq!(tokens.check(token.as_bytes(), NOW_MS).err(), expected, "{changes}");
    }
}

#[test]
fn what_cannot_be_read_or_is_not_known_is_no_token() {
    let tokens = tokens_of(Algorithm::Hs256);
    let critical = json!({ "alg": "HS256", "crit": ["x"], "x": 1 });
    let sign = |message: &[u8]| hmac_of(key_file(Algorithm::Hs256), message);
    let list = token_with(&json!({ "alg": "HS256" }), &json!([good()]), sign);
    let huge = token(Algorithm::Hs256, &with(&json!({ "x": "x".repeat(20_000) })));
    let deep = format!("{}{}", "[".repeat(4_000), "]".repeat(4_000));
    let deep = format!(r#"{{"sub":"DOCK1","exp":{},"x":{deep}}}"#, NOW_S + 60);
    let deep = token(Algorithm::Hs256, &deep);
    let critical = token_with(&critical, &good(), sign);
    for token in [&critical, &list, &huge, &deep, "", ".", "..", "a.b.c", "e30.e30."] {
        assert_eq!(tokens.check(token.as_bytes(), NOW_MS), Err(Refused::Malformed), "{token}");
    }
}

#[test]
fn only_three_parts_of_base64url_look_like_a_token() {
    for (password, expected) in [
        ("eyJ.e30.x-_9", true),
        ("a.b.", true),
        ("a.b", false),
        ("a.b.c.d", false),
        (".b.c", false),
        ("a..c", false),
        ("a.b.c=", false),
        ("a.b.c ", false),
        ("a.b+.c", false),
        ("secret", false),
        ("", false),
    ] {
        assert_eq!(looks_like_one(password.as_bytes()), expected, "{password}");
    }
}

/// Of 1024 bits, on secp256k1, on P-384.
const OTHER_KEYS: [(Algorithm, &str); 3] =
    [(Algorithm::Rs256, RSA_1024), (Algorithm::Es256, SECP256K1), (Algorithm::Es256, P_384)];

const RSA_1024: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCqkWpCccIHTU9OhT+dtcx7EkRF
qXt9h7ENnPdhILL8m6xD4i05vhUg8FKl9ea4xqKiGCtf1kX8Al7Nh+u4JfWxUhHn
o/sycPfmfD+YDXVfmMNKVLRGGZ70Vn7hXOaXcBQIs2SS/+2GNIG2oCHqmxtADfFk
cf6GE2oa4QCIuvtcVwIDAQAB
-----END PUBLIC KEY-----
";

const SECP256K1: &str = "\
-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAENUqbvwPKYJDfdkEupr6PCtLu/2J/ILes
x/aTJpUgjGLsXm9V9UTcHwaRRU+fUR6ajg2FHPAhr78PFKD1BS04Vg==
-----END PUBLIC KEY-----
";

const P_384: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEOurLv1p18C/ASOGKpNNV6IW9Wd3pp3Jf
CD5kvoHh1f8pdN6BNG4IPfXjsnYH+DaeqHJFuIwCmfPrDc9RNyaDlssvXD5fQMkL
IbfTw9U7mB2aO2aBkA0/yVVcXCkoM7OE
-----END PUBLIC KEY-----
";

#[test]
fn a_key_file_that_cannot_be_is_said_at_start() {
    let wrong = |algorithm, text: &str| Tokens::new(demands(algorithm), text).unwrap_err();
    assert!(wrong(Algorithm::Hs256, "short\n").contains("32 bytes"));
    assert!(wrong(Algorithm::Hs256, "").contains("32 bytes"));
    assert!(wrong(Algorithm::Hs256, key_file(Algorithm::Rs256)).contains("RS256"));
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        assert!(wrong(algorithm, "a secret").contains("public key"));
        assert!(wrong(algorithm, "-----BEGIN PUBLIC KEY-----\nx\n").contains("public key"));
    }
    assert!(wrong(Algorithm::Rs256, key_file(Algorithm::Es256)).contains("RS256"));
    assert!(wrong(Algorithm::Es256, key_file(Algorithm::Rs256)).contains("ES256"));
    let private = include_str!("../../../tests/keys/es256.pem");
    assert!(wrong(Algorithm::Es256, private).contains("private"));
    for (algorithm, key) in OTHER_KEYS {
        assert!(wrong(algorithm, key).contains("P-256"), "{key}");
    }
}

proptest! {
    /// Whatever a stranger sends ends nothing.
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let tokens = tokens_of(Algorithm::Es256);
        prop_assert!(tokens.check(&bytes, NOW_MS).is_err());
        let header = json!({ "alg": "ES256" });
        let forged = token_with(&header, &good(), |_| bytes);
        prop_assert_eq!(tokens.check(forged.as_bytes(), NOW_MS), Err(Refused::Signature));
    }
}
