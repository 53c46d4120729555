//! From configured secrets to keys.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::scheme::{SchemeError, SecretEncoding};
use crate::secret::Secret;

/// Base64 as providers write it: the standard alphabet, padded or not.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The prefix of a Standard Webhooks HMAC secret.
pub(super) const WHSEC: &str = "whsec_";
const PUBLIC: &str = "whpk_";
const PRIVATE: &str = "whsk_";

/// The key of an HMAC. `index` only names the secret in an error.
pub(super) fn key(
    secret: &Secret,
    encoding: SecretEncoding,
    index: usize,
) -> Result<Zeroizing<Vec<u8>>, SchemeError> {
    let bytes = secret.expose();
    let bad = |expected| SchemeError::BadSecret { index, expected };
    let text = |expected| {
        std::str::from_utf8(bytes)
            .map(str::trim)
            .map_err(|_| bad(expected))
    };
    let base64 = |text: &str, expected| BASE64.decode(text).map_err(|_| bad(expected));
    let key = match encoding {
        SecretEncoding::Raw => bytes.to_vec(),
        SecretEncoding::Hex => hex::decode(text("hexadecimal")?).map_err(|_| bad("hexadecimal"))?,
        SecretEncoding::Base64 => base64(text("base64")?, "base64")?,
        SecretEncoding::Whsec => {
            let text = text("`whsec_` and base64")?;
            base64(
                text.strip_prefix(WHSEC).unwrap_or(text),
                "`whsec_` and base64",
            )?
        }
    };
    if key.is_empty() {
        Err(SchemeError::EmptySecret(index))
    } else {
        Ok(Zeroizing::new(key))
    }
}

/// The Ed25519 public key in a `whpk_…` secret, or the one that belongs to a `whsk_…` secret; `None` for any other.
pub(super) fn verifying_key(
    secret: &Secret,
    index: usize,
) -> Result<Option<VerifyingKey>, SchemeError> {
    if let Some(signing) = signing_key(secret, index)? {
        return Ok(Some(signing.verifying_key()));
    }
    let Some(bytes) = prefixed(secret, PUBLIC) else {
        return Ok(None);
    };
    let bad = SchemeError::BadSecret {
        index,
        expected: "`whpk_` and an Ed25519 public key in base64",
    };
    let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    // A key of small order verifies signatures that nobody made.
    key.filter(|key| !key.is_weak()).map(Some).ok_or(bad)
}

/// The Ed25519 private key in a `whsk_…` secret; `None` for any other.
pub(super) fn signing_key(
    secret: &Secret,
    index: usize,
) -> Result<Option<SigningKey>, SchemeError> {
    let Some(seed) = prefixed(secret, PRIVATE) else {
        return Ok(None);
    };
    let seed = seed.map(Zeroizing::new).ok_or(SchemeError::BadSecret {
        index,
        expected: "`whsk_` and an Ed25519 private key in base64",
    })?;
    Ok(Some(SigningKey::from_bytes(&seed)))
}

/// Whether this is a public key, which cannot sign.
pub(super) fn is_public(secret: &Secret) -> bool {
    secret.expose().trim_ascii().starts_with(PUBLIC.as_bytes())
}

/// Whether this is a Standard Webhooks signing secret by its prefix.
pub(super) fn is_whsec(secret: &Secret) -> bool {
    secret.expose().trim_ascii().starts_with(WHSEC.as_bytes())
}

/// The 32 bytes after `prefix`: `None` without the prefix, `Some(None)` when what follows is no key.
/// Some libraries write a private key with its public half appended; the seed comes first.
fn prefixed(secret: &Secret, prefix: &str) -> Option<Option<[u8; 32]>> {
    let encoded = secret
        .expose()
        .trim_ascii()
        .strip_prefix(prefix.as_bytes())?;
    let bytes = BASE64.decode(encoded).ok().map(Zeroizing::new);
    Some(bytes.and_then(|bytes| match bytes.len() {
        32 => bytes.as_slice().try_into().ok(),
        64 if prefix == PRIVATE => bytes[..32].try_into().ok(),
        _ => None,
    }))
}
