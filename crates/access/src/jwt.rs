//! Tokens that are given as passwords: JSON Web Tokens (RFC 7519), signed (RFC 7515).
//!
//! The operator says which one algorithm signs them. What a token says of its own algorithm only has
//! to be the same: a key is never used for anything else than it was given for.

mod signature;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Validation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::groups::Groups;
use crate::password_file::is_name;

/// Bytes of a token; a longer one is none.
const TOKEN_BYTES_AT_MOST: usize = 16 << 10;

/// Bytes of a secret that cannot be guessed: those of the digest (RFC 7518 section 3.2).
const SECRET_BYTES: usize = 32;

/// What signs tokens (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever can check a token can make one.
    #[default]
    Hs256,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// As a token's header writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    fn jws(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
        }
    }
}

/// What a token must say.
#[derive(Clone, Debug)]
pub struct Demands {
    /// What signs it.
    pub algorithm: Algorithm,
    /// The claim that is the user's name.
    pub user_claim: String,
    /// The claim that is its groups; empty: none is.
    pub groups_claim: String,
    /// Its `iss`; empty: any, or none.
    pub issuer: String,
    /// Its `aud`, or one of them; empty: any, or none.
    pub audience: String,
    /// What clocks may differ by, seconds.
    pub leeway_s: u64,
}

/// What a token says that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub user: Arc<str>,
    /// Groups the user is in.
    pub groups: Groups,
    /// When it is over, with the leeway, milliseconds since 1970.
    pub ends_ms: u64,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It cannot be read, or asks for something that is not known (`crit`).
    Malformed,
    /// It is signed with another algorithm, or with none.
    Algorithm,
    /// Its signature is not that of the key.
    Signature,
    /// It is over.
    Expired,
    /// Its `nbf` is later than now.
    NotYet,
    /// It is another issuer's.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It has no `exp`.
    NoExpiry,
    /// It does not say whose it is.
    NoUser,
    /// A claim is there, but not what it should be.
    Claim,
}

/// The key, and what a token must say.
#[derive(Debug)]
pub struct Tokens {
    key: DecodingKey,
    validation: Validation,
    demands: Demands,
}

/// The part of a token's header that is looked at before its signature.
#[derive(Deserialize)]
struct Head {
    alg: String,
    crit: Option<Value>,
}

impl Tokens {
    /// Of a key file's text: a secret in its first line, or a public key as PEM.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub fn new(demands: Demands, key_file: &str) -> Result<Self, String> {
        let key = match demands.algorithm {
            Algorithm::Hs256 => secret(key_file)?,
            Algorithm::Rs256 | Algorithm::Es256 => public_key(demands.algorithm, key_file)?,
        };
        signature::install();
        let mut validation = Validation::new(demands.algorithm.jws());
        // It would look at a clock of its own; and what it does not find, it does not miss.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Ok(Self { key, validation, demands })
    }

    /// What a token says, if it is to be believed `now_ms` (milliseconds since 1970).
    ///
    /// # Errors
    /// [`Refused`]; of a token whose signature is wrong nothing else is told.
    pub fn check(&self, token: &[u8], now_ms: u64) -> Result<Claims, Refused> {
        if token.len() > TOKEN_BYTES_AT_MOST {
            return Err(Refused::Malformed);
        }
        let head = head(token).ok_or(Refused::Malformed)?;
        if head.alg != self.demands.algorithm.as_str() {
            return Err(Refused::Algorithm);
        }
        // RFC 7515 section 4.1.11: none of these is known.
        if head.crit.is_some() {
            return Err(Refused::Malformed);
        }
        let decoded =
            jsonwebtoken::decode::<Map<String, Value>>(token, &self.key, &self.validation);
        let claims = decoded.map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Refused::Signature,
            ErrorKind::InvalidAlgorithm => Refused::Algorithm,
            _ => Refused::Malformed,
        })?;
        self.believe(&claims.claims, now_ms)
    }

    fn believe(&self, claims: &Map<String, Value>, now_ms: u64) -> Result<Claims, Refused> {
        let demands = &self.demands;
        let exp = seconds(claims, "exp")?.ok_or(Refused::NoExpiry)?;
        let ends_ms = exp.saturating_add(demands.leeway_s).saturating_mul(1000);
        if ends_ms <= now_ms {
            return Err(Refused::Expired);
        }
        let begins = seconds(claims, "nbf")?.unwrap_or(0).saturating_sub(demands.leeway_s);
        if begins.saturating_mul(1000) > now_ms {
            return Err(Refused::NotYet);
        }
        let is = |value: &Value, expected: &str| value.as_str() == Some(expected);
        let issuer = claims.get("iss").is_some_and(|iss| is(iss, &demands.issuer));
        if !demands.issuer.is_empty() && !issuer {
            return Err(Refused::Issuer);
        }
        let audience = claims.get("aud").is_some_and(|aud| match aud {
            Value::Array(several) => several.iter().any(|aud| is(aud, &demands.audience)),
            one => is(one, &demands.audience),
        });
        if !demands.audience.is_empty() && !audience {
            return Err(Refused::Audience);
        }
        let user = claims.get(&demands.user_claim).ok_or(Refused::NoUser)?;
        let user = user.as_str().filter(|user| is_name(user)).ok_or(Refused::Claim)?;
        let groups = claims.get(&demands.groups_claim).filter(|_| !demands.groups_claim.is_empty());
        let groups = Groups::parse(groups).ok_or(Refused::Claim)?;
        Ok(Claims { user: user.into(), groups, ends_ms })
    }
}

/// Whether a password looks like a token: three parts of base64url with dots between, the last of
/// which may be empty.
#[must_use]
pub fn looks_like_one(password: &[u8]) -> bool {
    let is_part = |part: &[u8]| {
        part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_')
    };
    let mut parts = password.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    !header.is_empty()
        && !payload.is_empty()
        && [header, payload, signature].into_iter().all(is_part)
}

fn head(token: &[u8]) -> Option<Head> {
    let header = token.split(|byte| *byte == b'.').next()?;
    let json = URL_SAFE_NO_PAD.decode(header).ok()?;
    serde_json::from_slice(&json).ok()
}

/// A NumericDate (RFC 7519 section 2), whole seconds.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refused> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_u64();
    let part = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    // A cast beyond the largest number gives the largest.
    whole.or(part.map(|seconds| seconds as u64)).map(Some).ok_or(Refused::Claim)
}

fn secret(text: &str) -> Result<DecodingKey, String> {
    let line = text.lines().next().unwrap_or_default();
    if line.starts_with("-----BEGIN") {
        return Err("is a PEM file, and HS256 has a secret: set algorithm to RS256 or ES256".into());
    }
    if line.len() < SECRET_BYTES {
        return Err(format!(
            "the first line must be a secret of {SECRET_BYTES} bytes or more; make one with `openssl rand -hex 32`"
        ));
    }
    Ok(DecodingKey::from_secret(line.as_bytes()))
}

fn public_key(algorithm: Algorithm, text: &str) -> Result<DecodingKey, String> {
    let name = algorithm.as_str();
    if text.contains("PRIVATE KEY-----") {
        return Err("is a private key, which only the issuer should have; give the public one (`openssl pkey -in KEY -pubout`)".into());
    }
    let is_public = text.contains("-----BEGIN PUBLIC KEY-----")
        || (algorithm == Algorithm::Rs256 && text.contains("-----BEGIN RSA PUBLIC KEY-----"));
    let key = match algorithm {
        _ if !is_public => None,
        Algorithm::Rs256 => DecodingKey::from_rsa_pem(text.as_bytes()).ok(),
        _ => DecodingKey::from_ec_pem(text.as_bytes()).ok(),
    };
    let key = key.ok_or_else(|| format!("is no PEM file with a public key for {name}"))?;
    let bytes = key.try_get_as_bytes().unwrap_or_default();
    if !signature::is_usable(algorithm, bytes) {
        return Err(format!(
            "the key is none for {name}, which needs an RSA key of 2048 to 8192 bits (RS256) or one on P-256 (ES256)"
        ));
    }
    Ok(key)
}
