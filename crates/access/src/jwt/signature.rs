//! Signatures are checked by ring, which is here for TLS anyway: the backends that `jsonwebtoken`
//! brings would be a second cryptography.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, new_error};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use ring::{agreement, hmac};

use super::Algorithm;

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |algorithm, key| {
        let algorithm = match (algorithm, key.family()) {
            (jsonwebtoken::Algorithm::HS256, AlgorithmFamily::Hmac) => Algorithm::Hs256,
            (jsonwebtoken::Algorithm::RS256, AlgorithmFamily::Rsa) => Algorithm::Rs256,
            (jsonwebtoken::Algorithm::ES256, AlgorithmFamily::Ec) => Algorithm::Es256,
            _ => return Err(new_error(ErrorKind::UnsupportedAlgorithm)),
        };
        Ok(Box::new(Check { algorithm, key: key.clone() }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring what `jsonwebtoken` asks, in this process.
pub(super) fn install() {
    // It is there already from the second time on.
    let _ = RING.install_default();
}

/// Whether a public key is one that signatures can be checked with.
pub(super) fn is_usable(algorithm: Algorithm, key: &[u8]) -> bool {
    match algorithm {
        Algorithm::Hs256 => true,
        // A modulus of 2048 bits, and what DER puts around it; of 8192.
        Algorithm::Rs256 => (262..=1_100).contains(&key.len()),
        // Whether the point is on the curve is asked by an exchange of keys.
        Algorithm::Es256 => {
            let random = SystemRandom::new();
            let own = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random);
            let other = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, key);
            own.is_ok_and(|own| agreement::agree_ephemeral(own, &other, |_| ()).is_ok())
        }
    }
}

struct Check {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        let key = self.key.try_get_as_bytes().map_err(Error::from_source)?;
        let outcome = match self.algorithm {
            Algorithm::Hs256 => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message, signature)
            }
            Algorithm::Rs256 => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message, signature)
            }
            Algorithm::Es256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
        };
        outcome.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        self.algorithm.jws()
    }
}
