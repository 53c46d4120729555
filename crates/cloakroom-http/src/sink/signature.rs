//! Standard Webhooks signatures (HMAC-SHA256), with the key prepared once.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cloakroom_core::secret::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::HttpSinkError;

/// Written padded, read either way, as secrets come in both forms.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) struct Signer {
    key: Hmac<Sha256>,
}

impl Signer {
    pub(super) fn new(secret: &Secret) -> Result<Self, HttpSinkError> {
        let secret = secret.expose().trim_ascii();
        let key = if let Some(encoded) = secret.strip_prefix(b"whsec_") {
            let key = BASE64.decode(encoded);
            Secret::new(key.map_err(|_| HttpSinkError::Secret("no base64 follows `whsec_`"))?)
        } else if secret.starts_with(b"whsk_") || secret.starts_with(b"whpk_") {
            return Err(HttpSinkError::Secret(
                "only symmetric secrets (`whsec_…`) can sign deliveries",
            ));
        } else {
            Secret::new(secret)
        };
        if key.expose().is_empty() {
            return Err(HttpSinkError::Secret("it is empty"));
        }
        let key = Hmac::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
        Ok(Self { key })
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = self.key.clone();
        mac.update(id.as_bytes());
        mac.update(format!(".{seconds}.").as_bytes());
        mac.update(body);
        let mut signature = "v1,".to_owned();
        BASE64.encode_string(mac.finalize().into_bytes(), &mut signature);
        signature
    }
}
