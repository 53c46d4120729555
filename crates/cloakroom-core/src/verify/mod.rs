//! Signature schemes of webhook providers: what a preset is, how a request is checked while its body streams by, and
//! how the same schemes sign.
//!
//! | file | what |
//! | --- | --- |
//! | `scheme` | the configuration: a scheme's name and, for `hmac`, its parts |
//! | `preset` | the table of providers: where signatures are, what is signed, what identifies an event |
//! | `recipe` | the one description all HMAC schemes share, and the signed-content template |
//! | `verifier` | [`Verifier`] and [`Verification`]: what the ingest path calls |
//! | `keyed` | the HMAC and Ed25519 check over a [`Recipe`](recipe::Recipe) |
//! | `twilio` | the one provider that signs sorted form fields |
//! | `mac`, `clock` | keyed hashes; timestamps and tolerance |
//! | `sign` | [`Signer`]: the headers a provider would send |

mod clock;
mod keyed;
mod mac;
mod preset;
mod recipe;
mod scheme;
mod secret;
mod sign;
#[cfg(test)]
mod tests;
mod twilio;
mod verifier;

pub use preset::{Preset, Replay};
pub use scheme::{
    Algorithm, Encoding, Scheme, SchemeError, SchemeName, SecretEncoding, TimestampUnit,
};
pub use sign::{Signer, sign};
pub use verifier::{FORM_MAX_BYTES, Headers, Rejection, RequestHead, Verification, Verifier};
