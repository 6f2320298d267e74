//! Stored passwords.
//!
//! | form | what |
//! |---|---|
//! | `$argon2id$v=19$m=...,t=...,p=...$salt$hash` | argon2id as a PHC string; what is written here |
//! | `$7$iterations$salt$hash` | mosquitto: PBKDF2 with HMAC-SHA512, base64 |
//! | `$6$salt$hash` | mosquitto before 2.0: SHA512 of password and salt, base64 |
//!
//! What an attempt costs is bounded: parameters beyond the limits below are refused when the file
//! is read, not met when somebody logs in.

use std::fmt;
use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, pbkdf2};

const MEMORY_KIB_AT_MOST: u32 = 256 << 10;
const PASSES_AT_MOST: u32 = 16;
const LANES_AT_MOST: u32 = 16;
const ITERATIONS_AT_MOST: u32 = 5_000_000;

/// Bytes of a hash or salt that is believed.
const BYTES_AT_MOST: usize = 256;

/// A stored password. It can be compared with, never shown: `Debug` tells only its form.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    text: Box<str>,
    form: Form,
}

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Argon2id(Box<PasswordHash>),
    Pbkdf2 { iterations: NonZeroU32, salt: Box<[u8]>, hash: Box<[u8]> },
    Sha512 { salt: Box<[u8]>, hash: Box<[u8]> },
}

impl Hash {
    /// Reads a stored password.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let form = if text.starts_with("$argon2id$") {
            argon2id(text)?
        } else if let Some(rest) = text.strip_prefix("$7$") {
            let (iterations, rest) = rest.split_once('$').ok_or("a $7$ hash has three parts")?;
            let iterations = iterations.parse::<NonZeroU32>();
            let iterations = iterations.map_err(|_| "the iterations of a $7$ hash are a number")?;
            if iterations.get() > ITERATIONS_AT_MOST {
                return Err("more iterations than a login may cost");
            }
            let [salt, hash] = salt_and_hash(rest)?;
            Form::Pbkdf2 { iterations, salt, hash }
        } else if let Some(rest) = text.strip_prefix("$6$") {
            let [salt, hash] = salt_and_hash(rest)?;
            Form::Sha512 { salt, hash }
        } else if text.starts_with('$') {
            return Err("an unknown kind of hash; known are $argon2id$, $7$ and $6$");
        } else {
            return Err("a password in the clear is not accepted; use `dockside passwd`");
        };
        Ok(Self { text: text.into(), form })
    }

    /// Hashes a password for storing: argon2id with a random salt and the crate's parameters
    /// (19 MiB, 2 passes), some 20 ms of one core for every login that is not remembered.
    ///
    /// # Errors
    /// The system gives no randomness or no memory.
    pub fn create(password: &[u8]) -> Result<Self, String> {
        let hash = Argon2::default().hash_password(password).map_err(|error| error.to_string())?;
        Self::parse(&hash.to_string()).map_err(str::to_owned)
    }

    /// Whether this is the password. Takes as long for a wrong one as for the right one.
    #[must_use]
    pub fn verify(&self, password: &[u8], memory: &mut Memory) -> bool {
        match &self.form {
            Form::Argon2id(hash) => argon2id_matches(hash, password, memory),
            Form::Pbkdf2 { iterations, salt, hash } => {
                let algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
                pbkdf2::verify(algorithm, *iterations, salt, password, hash).is_ok()
            }
            Form::Sha512 { salt, hash } => {
                let mut context = digest::Context::new(&digest::SHA512);
                context.update(password);
                context.update(salt);
                is_same(context.finish().as_ref(), hash)
            }
        }
    }

    /// Grows with what a comparison costs.
    pub(crate) fn cost(&self) -> u64 {
        match &self.form {
            // Far above the others, whatever its parameters.
            Form::Argon2id(hash) => {
                let params = Params::try_from(&**hash).unwrap_or_default();
                u64::from(u32::MAX) + u64::from(params.m_cost()) * u64::from(params.t_cost())
            }
            Form::Pbkdf2 { iterations, .. } => iterations.get().into(),
            Form::Sha512 { .. } => 0,
        }
    }

    /// The text as it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.form {
            Form::Argon2id(_) => "Hash(argon2id)",
            Form::Pbkdf2 { .. } => "Hash($7$)",
            Form::Sha512 { .. } => "Hash($6$)",
        })
    }
}

/// What argon2id works in: some 20 MiB that are worth using again, and giving back when nobody logs in.
#[derive(Default)]
pub struct Memory(Vec<Block>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} KiB)", self.0.len())
    }
}

/// Blocks of 1 KiB that are asked for at least. glibc gives memory this large back to the system when
/// it is freed; smaller pieces stay with the process, one for each thread that has ever verified.
/// What is not written to takes no memory.
const BLOCKS_AT_LEAST: usize = 33 << 10;

fn argon2id_matches(hash: &PasswordHash, password: &[u8], memory: &mut Memory) -> bool {
    let (Ok(params), Some(salt), Some(expected)) = (Params::try_from(hash), &hash.salt, &hash.hash)
    else {
        return false;
    };
    let version = hash.version.and_then(|version| Version::try_from(version).ok());
    let count = params.block_count();
    let blocks = &mut memory.0;
    if blocks.len() < count {
        *blocks = Vec::with_capacity(count.max(BLOCKS_AT_LEAST));
        blocks.resize(count, Block::default());
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, version.unwrap_or_default(), params);
    let mut found = vec![0; expected.len()];
    let hashed =
        argon2.hash_password_into_with_memory(password, salt, &mut found, &mut blocks[..count]);
    hashed.is_ok() && is_same(&found, expected.as_bytes())
}

/// Every byte is looked at, whatever the first ones say.
fn is_same(found: &[u8], expected: &[u8]) -> bool {
    let odd = found.iter().zip(expected).fold(0, |odd, (a, b)| odd | (a ^ b));
    odd == 0 && found.len() == expected.len()
}

fn argon2id(text: &str) -> Result<Form, &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| "not a PHC string")?;
    let params = Params::try_from(&hash).map_err(|_| "parameters that argon2 does not have")?;
    if params.m_cost() > MEMORY_KIB_AT_MOST
        || params.t_cost() > PASSES_AT_MOST
        || params.p_cost() > LANES_AT_MOST
    {
        return Err("parameters beyond what a login may cost (m 262144, t 16, p 16)");
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("a PHC string without salt or hash");
    }
    Ok(Form::Argon2id(Box::new(hash)))
}

/// `salt$hash`, both base64; the hash has the 64 bytes of SHA512.
fn salt_and_hash(text: &str) -> Result<[Box<[u8]>; 2], &'static str> {
    let (salt, hash) = text.split_once('$').ok_or("a hash without its salt")?;
    let bytes = |text: &str| STANDARD.decode(text).map_err(|_| "salt or hash is not base64");
    let (salt, hash) = (bytes(salt)?, bytes(hash)?);
    if salt.is_empty() || salt.len() > BYTES_AT_MOST || hash.len() != 64 {
        return Err("salt or hash has a wrong length");
    }
    Ok([salt.into(), hash.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by mosquitto_passwd 2.0.11 (`-H sha512-pbkdf2` and `-H sha512`), password `secret`.
    const MOSQUITTO: [&str; 2] = [
        "$7$101$KwMJa8HXMfPcbAl8$71LaWTK3hXYiVQXuZz/xBX+6PsHsog4kBhxZiDwlkybJ01dwqiLSz6ahSgZ4wdSc1RFsi00ANpyjzfXkgibScw==",
        "$6$e1rh9bYiIuX2nEh6$9/84GMMHfI5HH4Y820zkkg64ZjOCXuqTyEIGGMqd7figAXgOgKYpeDYbEOkD6q7/obbCzXUcZb5d1QLb4ftv7w==",
    ];

    #[test]
    fn mosquittos_hashes_verify() {
        for text in MOSQUITTO {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.verify(b"secret", &mut Memory::default()), "{text}");
            assert!(
                !hash.verify(b"secreT", &mut Memory::default())
                    && !hash.verify(b"", &mut Memory::default()),
                "{text}"
            );
        }
    }

    const OTHER: &str = "$argon2id$v=19$m=1024,t=2,p=2$mWeCsV0eRzuQK82vrM4jzg$bh4ybY51k3yAyX0On+NOj2ytpnd+oZl+dp4jj8MN8zM";

    #[test]
    fn what_is_created_verifies_and_nothing_else_does() {
        let hash = Hash::create(b"secret").unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hash.verify(b"secret", &mut Memory::default()));
        assert!(
            !hash.verify(b"Secret", &mut Memory::default())
                && !hash.verify(b"", &mut Memory::default())
        );
        assert_ne!(Hash::create(b"secret").unwrap(), hash, "the salt is random");
    }

    /// Made by another implementation (Python's argon2-cffi), password `password`.
    #[test]
    fn other_peoples_argon2id_verifies() {
        let hash = Hash::parse(OTHER).unwrap();
        assert!(
            hash.verify(b"password", &mut Memory::default())
                && !hash.verify(b"Password", &mut Memory::default())
        );
    }

    #[test]
    fn debug_shows_no_hash() {
        let hash = Hash::create(b"secret").unwrap();
        assert_eq!(format!("{hash:?}"), "Hash(argon2id)");
    }

    #[test]
    fn bad_hashes_are_refused_without_being_repeated() {
        for text in [
            "",
            "secret",
            "$1$abc$def",
            "$7$101$notbase64!$x",
            "$7$0$AAAA$AAAA",
            "$7$99999999$AAAA$AAAA",
            "$6$AAAA",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21l$\
             1G6Kx2XvKdGFWzYFXb4BYPVIPhyNnvwcxZ5bJZBZ1tk",
        ] {
            let error = Hash::parse(text).unwrap_err();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}
