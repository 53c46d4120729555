//! The providers, as data.

use std::borrow::Cow::Borrowed;
use std::time::Duration;

use super::recipe::{HeaderSet, Layout, Recipe, Text};
use super::scheme::{Algorithm, Encoding, SchemeName, SecretEncoding, TimestampUnit};

/// What is known about a provider.
#[derive(Debug)]
pub struct Preset {
    /// Its name in the configuration.
    pub name: SchemeName,
    /// The page this entry was written from.
    pub docs: &'static str,
    /// Selectors of the identity, as the configuration writes them, the first that finds something wins.
    /// Without any, or when none finds anything, the payload's SHA-256 is the identity.
    pub identity: &'static [&'static str],
    /// Selector of the event's type.
    pub event_type: Option<&'static str>,
    /// What stops a captured request from being sent again.
    pub replay: Replay,
    /// Whether the signature covers the identity. Where it does not, who captured a request can send it again under
    /// another id; then the payload's hash is the safer identity, if no two events have equal payloads.
    pub identity_signed: bool,
    pub(super) method: Method,
}

/// What stops a captured request from being sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// Its signed timestamp goes stale. Within the tolerance, deduplication still recognises it.
    Tolerance,
    /// Nothing but deduplication, so identities must be kept for as long as replays are to be refused.
    Dedupe,
}

/// How the provider is verified.
#[derive(Debug)]
pub(super) enum Method {
    /// Not at all.
    Open,
    /// By the generic HMAC check.
    Hmac(Recipe),
    /// By a plain token, or by the generic check where there is a signature.
    Token {
        header: &'static str,
        signed: Recipe,
    },
    /// By Twilio's own rules.
    Twilio,
    /// As the configuration says.
    Configured,
}

impl Preset {
    /// The preset of that name.
    pub fn of(name: SchemeName) -> &'static Self {
        match name {
            SchemeName::StandardWebhooks => &STANDARD_WEBHOOKS,
            SchemeName::Stripe => &STRIPE,
            SchemeName::Github => &GITHUB,
            SchemeName::Shopify => &SHOPIFY,
            SchemeName::Bigcommerce => &BIGCOMMERCE,
            SchemeName::Slack => &SLACK,
            SchemeName::Adyen => &ADYEN,
            SchemeName::Twilio => &TWILIO,
            SchemeName::Square => &SQUARE,
            SchemeName::Paddle => &PADDLE,
            SchemeName::Gitlab => &GITLAB,
            SchemeName::None => &NONE,
            SchemeName::Hmac => &HMAC,
        }
    }

    /// How far a signed timestamp may be from now, unless configured otherwise. `None` where none is signed.
    pub fn tolerance(&self) -> Option<Duration> {
        match &self.method {
            Method::Hmac(recipe) | Method::Token { signed: recipe, .. } => recipe.tolerance,
            Method::Open | Method::Twilio | Method::Configured => None,
        }
    }
}

const FIVE_MINUTES: Option<Duration> = Some(Duration::from_secs(300));
const BARE: Layout = Layout::Whole {
    prefix: Borrowed(""),
};

/// A signature header of its own, with nothing else that is signed in a header.
const fn only(header: &'static str) -> HeaderSet {
    HeaderSet {
        signature: Borrowed(header),
        timestamp: None,
        id: None,
    }
}

/// The triple of headers that Standard Webhooks defines.
const fn triple(id: &'static str, timestamp: &'static str, signature: &'static str) -> HeaderSet {
    HeaderSet {
        signature: Borrowed(signature),
        timestamp: Some(Borrowed(timestamp)),
        id: Some(Borrowed(id)),
    }
}

const fn list(
    separator: char,
    assign: char,
    element: &'static str,
    timestamp: Option<Text>,
    ed25519: Option<Text>,
) -> Layout {
    Layout::List {
        separator,
        assign,
        element: Borrowed(element),
        timestamp,
        ed25519,
    }
}

/// Standard Webhooks without its Ed25519 signatures and without Svix's names.
const fn standard(
    secret: SecretEncoding,
    ed25519: Option<Text>,
    alternate: Option<HeaderSet>,
) -> Recipe {
    Recipe {
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        secret,
        headers: triple("webhook-id", "webhook-timestamp", "webhook-signature"),
        alternate,
        layout: list(' ', ',', "v1", None, ed25519),
        signed: Borrowed("{id}.{timestamp}.{body}"),
        unit: TimestampUnit::Seconds,
        tolerance: FIVE_MINUTES,
    }
}

static STANDARD_WEBHOOKS: Preset = Preset {
    name: SchemeName::StandardWebhooks,
    docs: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    identity: &["header:webhook-id", "header:svix-id"],
    event_type: Some("body:/type"),
    replay: Replay::Tolerance,
    identity_signed: true,
    method: Method::Hmac(standard(
        SecretEncoding::Whsec,
        Some(Borrowed("v1a")),
        Some(triple("svix-id", "svix-timestamp", "svix-signature")),
    )),
};

static STRIPE: Preset = Preset {
    name: SchemeName::Stripe,
    docs: "https://docs.stripe.com/webhooks/signature",
    identity: &["body:/id"],
    event_type: Some("body:/type"),
    replay: Replay::Tolerance,
    identity_signed: true,
    method: Method::Hmac(Recipe {
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        secret: SecretEncoding::Raw,
        headers: only("stripe-signature"),
        alternate: None,
        layout: list(',', '=', "v1", Some(Borrowed("t")), None),
        signed: Borrowed("{timestamp}.{body}"),
        unit: TimestampUnit::Seconds,
        tolerance: FIVE_MINUTES,
    }),
};

static GITHUB: Preset = Preset {
    name: SchemeName::Github,
    docs: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    identity: &["header:X-GitHub-Delivery"],
    event_type: Some("header:X-GitHub-Event"),
    replay: Replay::Dedupe,
    identity_signed: false,
    method: Method::Hmac(Recipe {
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        secret: SecretEncoding::Raw,
        headers: only("x-hub-signature-256"),
        alternate: None,
        layout: Layout::Whole {
            prefix: Borrowed("sha256="),
        },
        signed: Borrowed("{body}"),
        unit: TimestampUnit::Seconds,
        tolerance: None,
    }),
};

static SHOPIFY: Preset = Preset {
    name: SchemeName::Shopify,
    docs: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
    identity: &["header:X-Shopify-Event-Id"],
    event_type: Some("header:X-Shopify-Topic"),
    replay: Replay::Dedupe,
    identity_signed: false,
    method: Method::Hmac(Recipe {
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        secret: SecretEncoding::Raw,
        headers: only("x-shopify-hmac-sha256"),
        alternate: None,
        layout: BARE,
        signed: Borrowed("{body}"),
        unit: TimestampUnit::Seconds,
        tolerance: None,
    }),
};

static BIGCOMMERCE: Preset = Preset {
    name: SchemeName::Bigcommerce,
    docs: "https://developer.bigcommerce.com/docs/integrations/webhooks",
    // Not `hash`: it can be the same for two real updates.
    identity: &["header:webhook-id"],
    event_type: Some("body:/scope"),
    replay: Replay::Tolerance,
    identity_signed: true,
    method: Method::Hmac(standard(SecretEncoding::Raw, None, None)),
};

static SLACK: Preset = Preset {
    name: SchemeName::Slack,
    docs: "https://docs.slack.dev/authentication/verifying-requests-from-slack/",
    identity: &["body:/event_id"],
    event_type: Some("body:/event/type"),
    replay: Replay::Tolerance,
    identity_signed: true,
    method: Method::Hmac(Recipe {
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        secret: SecretEncoding::Raw,
        headers: HeaderSet {
            signature: Borrowed("x-slack-signature"),
            timestamp: Some(Borrowed("x-slack-request-timestamp")),
            id: None,
        },
        alternate: None,
        layout: Layout::Whole {
            prefix: Borrowed("v0="),
        },
        signed: Borrowed("v0:{timestamp}:{body}"),
        unit: TimestampUnit::Seconds,
        tolerance: FIVE_MINUTES,
    }),
};

static ADYEN: Preset = Preset {
    name: SchemeName::Adyen,
    docs: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
    // `data.id` names the transfer, not the event; what names the event is `data.id` with `data.sequenceNumber`.
    identity: &[],
    event_type: Some("body:/type"),
    replay: Replay::Dedupe,
    identity_signed: true,
    method: Method::Hmac(Recipe {
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        secret: SecretEncoding::Hex,
        headers: only("hmacsignature"),
        alternate: None,
        layout: BARE,
        signed: Borrowed("{body}"),
        unit: TimestampUnit::Seconds,
        tolerance: None,
    }),
};

static TWILIO: Preset = Preset {
    name: SchemeName::Twilio,
    docs: "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
    identity: &["header:I-Twilio-Idempotency-Token"],
    event_type: None,
    replay: Replay::Dedupe,
    identity_signed: false,
    method: Method::Twilio,
};

static SQUARE: Preset = Preset {
    name: SchemeName::Square,
    docs: "https://developer.squareup.com/docs/webhooks/step3validate",
    identity: &["body:/event_id"],
    event_type: Some("body:/type"),
    replay: Replay::Dedupe,
    identity_signed: true,
    method: Method::Hmac(Recipe {
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Base64,
        secret: SecretEncoding::Raw,
        headers: only("x-square-hmacsha256-signature"),
        alternate: None,
        layout: BARE,
        signed: Borrowed("{url}{body}"),
        unit: TimestampUnit::Seconds,
        tolerance: None,
    }),
};

static PADDLE: Preset = Preset {
    name: SchemeName::Paddle,
    docs: "https://developer.paddle.com/webhooks/signature-verification",
    identity: &["body:/event_id"],
    event_type: Some("body:/event_type"),
    replay: Replay::Tolerance,
    identity_signed: true,
    method: Method::Hmac(Recipe {
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        secret: SecretEncoding::Raw,
        headers: only("paddle-signature"),
        alternate: None,
        layout: list(';', '=', "h1", Some(Borrowed("ts")), None),
        signed: Borrowed("{timestamp}:{body}"),
        unit: TimestampUnit::Seconds,
        tolerance: Some(Duration::from_secs(5)),
    }),
};

static GITLAB: Preset = Preset {
    name: SchemeName::Gitlab,
    docs: "https://docs.gitlab.com/user/project/integrations/webhooks/",
    identity: &["header:webhook-id", "header:Idempotency-Key"],
    event_type: Some("header:X-Gitlab-Event"),
    // The plain token signs nothing, so only what holds for it holds for the preset.
    replay: Replay::Dedupe,
    identity_signed: false,
    method: Method::Token {
        header: "x-gitlab-token",
        signed: standard(SecretEncoding::Whsec, None, None),
    },
};

static NONE: Preset = Preset {
    name: SchemeName::None,
    docs: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    identity: &["header:webhook-id"],
    event_type: None,
    replay: Replay::Dedupe,
    identity_signed: false,
    method: Method::Open,
};

static HMAC: Preset = Preset {
    name: SchemeName::Hmac,
    docs: "https://www.rfc-editor.org/rfc/rfc2104",
    identity: &[],
    event_type: None,
    replay: Replay::Dedupe,
    identity_signed: false,
    method: Method::Configured,
};
