//! Tokens and the keys that sign them. The keys are for tests and open nothing.

use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dockside_access::jwt::Algorithm;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

const SECRET: &str = "a secret for tests, of 32 bytes or more";
const RS256: &str = include_str!("keys/rs256.pem");
const ES256: &str = include_str!("keys/es256.pem");

pub(crate) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256];

/// The key file that tokens are checked with.
pub(crate) fn key_file(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 => SECRET,
        Algorithm::Rs256 => include_str!("keys/rs256.pub.pem"),
        Algorithm::Es256 => include_str!("keys/es256.pub.pem"),
    }
}

/// A token as its issuer makes it; claims are JSON.
pub(crate) fn token(algorithm: Algorithm, claims: &dyn Display) -> String {
    let header = json!({ "alg": algorithm.as_str(), "typ": "JWT" });
    token_with(&header, claims, |message| sign(algorithm, message))
}

/// A token with this header and whatever signs it.
pub(crate) fn token_with(
    header: &dyn Display,
    claims: &dyn Display,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let part = |json: &dyn Display| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// HS256 with any secret.
pub(crate) fn hmac_of(secret: &str, message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message).as_ref().to_vec()
}

fn sign(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::Hs256 => hmac_of(SECRET, message),
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::from_pkcs8(&der(RS256)).unwrap();
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
            signature
        }
        Algorithm::Es256 => {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der(ES256), &random).unwrap();
            pair.sign(&random, message).unwrap().as_ref().to_vec()
        }
    }
}

fn der(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).unwrap()
}
