//! What is allowed, but probably not meant or not wise.

use std::net::IpAddr;

use super::diagnostic::Diagnostic;
use super::document::Config;
use super::order::OrderKind;
use super::sink::{HttpSink, Sink};
use super::source::Source;
use super::subscription::Subscription;
use super::verify::SchemeName;
use super::yaml::{Places, child};

/// Every warning, in no order.
pub(super) fn warnings(config: &Config) -> Vec<Diagnostic> {
    let mut warnings = Warnings {
        places: &config.places,
        found: Vec::new(),
    };
    for (name, source) in &config.sources {
        warnings.source(&child("sources", name.as_str()), source);
        let taken = config
            .subscriptions
            .values()
            .any(|subscription| subscription.takes(name));
        if !taken && !config.subscriptions.is_empty() {
            let path = child("sources", name.as_str());
            warnings.warn(
                &path,
                "no subscription takes its events",
                "add it to the `sources` of a subscription",
            );
        }
    }
    for (name, subscription) in &config.subscriptions {
        warnings.subscription(&child("subscriptions", name.as_str()), subscription, config);
    }
    warnings.server(config);
    warnings.found
}

struct Warnings<'a> {
    places: &'a Places,
    found: Vec<Diagnostic>,
}

impl Warnings<'_> {
    fn warn(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.found.push(self.places.diagnose(path, message, hint));
    }

    fn source(&mut self, path: &str, source: &Source) {
        if source.scheme() == SchemeName::None {
            let (path, message) = match source.verify {
                Some(_) => (
                    child(path, "verify.scheme"),
                    "nothing verifies its webhooks: anyone who reaches it can send",
                ),
                None => (
                    path.to_owned(),
                    "it has no `verify`: anyone on this machine can send",
                ),
            };
            self.warn(
                &path,
                message,
                "name the provider's scheme and its secrets before you rely on it",
            );
        } else if source.id.is_none()
            && source.order.kind() == OrderKind::Arrival
            && !source.scheme().has_identity()
        {
            let message = "without `id` or a `webhook-id` header, two webhooks of the same bytes count as one";
            self.warn(
                path,
                message,
                "name where the provider's event id is found, e.g. `id: body:/id`",
            );
        }
        if source.order.kind() != OrderKind::Arrival && source.key.as_str().starts_with("const:") {
            let message =
                "every event is of one stream, so that one hole or wait holds up all of them";
            self.warn(
                path,
                message,
                "name the ordering key, e.g. `key: body:/data/id`",
            );
        }
    }

    fn subscription(&mut self, path: &str, subscription: &Subscription, config: &Config) {
        if !subscription.enabled {
            let message =
                "while it is disabled, the events it has not settled and their claims are kept";
            self.warn(
                &child(path, "enabled"),
                message,
                "remove the subscription when it is not to come back",
            );
        }
        if let Sink::Http(http) = &subscription.sink {
            self.http(&child(path, "sink.http"), http, config);
        }
    }

    fn http(&mut self, path: &str, http: &HttpSink, config: &Config) {
        let private = is_private(http.url.host());
        if private && !config.server.allow_private_sinks {
            let message =
                "the address is private or loopback: every delivery to it will be refused";
            self.warn(
                &child(path, "url"),
                message,
                "set `server: { allow_private_sinks: true }`",
            );
        }
        if !private && !http.url.is_https() {
            let message = "events travel unencrypted";
            self.warn(&child(path, "url"), message, "use https");
        }
        if http.secret.is_none() {
            let message = "deliveries are not signed: the consumer cannot tell who sends them";
            self.warn(path, message, "add e.g. `secret: env:BILLING_SECRET`");
        }
    }

    fn server(&mut self, config: &Config) {
        let server = &config.server;
        if server.public_url.is_none() && !server.listen.is_loopback() {
            let message = format!(
                "claim URLs will begin with {}, which consumers may not reach",
                server.public_url()
            );
            self.warn(
                "server.public_url",
                message,
                "add the address under which consumers reach the server",
            );
        }
        if server.allow_private_sinks && !server.listen.is_loopback() {
            let message = "subscriptions can reach private addresses of this network";
            self.warn(
                "server.allow_private_sinks",
                message,
                "set it to false when every consumer is public",
            );
        }
    }
}

/// Whether a host is, by its name alone, one that deliveries refuse. What names resolve to is checked when sending.
fn is_private(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(v4)) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
        }
        Ok(IpAddr::V6(v6)) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
        Err(_) => {
            host.eq_ignore_ascii_case("localhost") || host.to_lowercase().ends_with(".localhost")
        }
    }
}
