//! The rules that one value alone cannot break.

use super::STATE_SOURCE;
use super::claims::Claims;
use super::diagnostic::Diagnostic;
use super::document::Config;
use super::order::Order;
use super::server::Server;
use super::sink::{HeaderText, HttpSink, Sink};
use super::source::{Ack, Source};
use super::subscription::{SourceRef, Subscription};
use super::yaml::{Places, child, entry, join};
use crate::text::{Mistake, did_you_mean, echo, is_header_name};
use crate::units::{Bytes, DurationText};
use crate::verify::Scheme;

/// The most that fits into a ledger entry or an event on every backend.
const INLINE_LIMIT: Bytes = Bytes::kib(256);

/// The longest life of a presigned S3 URL.
const URL_TTL_LIMIT: DurationText = DurationText::from_secs(7 * 86_400);

/// The longest name of a source or subscription, in characters.
const NAME_MAX: usize = 63;

/// Every rule that the configuration breaks.
pub(super) fn check(config: &Config) -> Vec<Diagnostic> {
    let mut rules = Rules {
        places: &config.places,
        problems: Vec::new(),
    };
    rules.claims(&config.claims);
    for (name, source) in &config.sources {
        rules.source(name.as_str(), source, &config.server);
    }
    for (name, subscription) in &config.subscriptions {
        rules.subscription(name.as_str(), subscription, config);
    }
    rules.server(&config.server);
    rules.problems
}

struct Rules<'a> {
    places: &'a Places,
    problems: Vec<Diagnostic>,
}

impl Rules<'_> {
    fn refuse(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.problems
            .push(self.places.diagnose(path, message, hint));
    }

    fn positive(&mut self, path: &str, span: DurationText, example: &str) {
        if span.get().is_zero() {
            self.refuse(
                path,
                "must be longer than nothing",
                format!("write e.g. `{example}`"),
            );
        }
    }

    fn at_most(&mut self, path: &str, size: Bytes, limit: Bytes) {
        if size > limit {
            self.refuse(
                path,
                format!("{size} is more than {limit}"),
                format!("write at most `{limit}`"),
            );
        }
    }

    fn not_empty(&mut self, path: &str, size: Bytes) {
        if size.get() == 0 {
            self.refuse(path, "must be more than nothing", "write e.g. `10MiB`");
        }
    }

    fn claims(&mut self, claims: &Claims) {
        if claims.store.is_some() && claims.above.is_some() {
            self.refuse(
                "claims.above",
                "`store` and `above` exclude each other",
                "keep one of them",
            );
        }
        if let Some(above) = claims.above {
            self.at_most("claims.above", above, INLINE_LIMIT);
        }
        self.at_most("claims.inline_max", claims.inline_max, INLINE_LIMIT);
        self.not_empty("claims.max_payload", claims.max_payload);
        self.positive("claims.retention", claims.retention, "30d");
        self.positive("claims.url_ttl", claims.url_ttl, "1h");
        if claims.url_ttl > URL_TTL_LIMIT {
            let message = format!("{} is longer than a presigned URL may live", claims.url_ttl);
            self.refuse(
                "claims.url_ttl",
                message,
                format!("write at most `{URL_TTL_LIMIT}`"),
            );
        }
    }

    fn name(&mut self, path: &str, name: &str) {
        let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = name.starts_with(first)
            && name.chars().all(|c| first(c) || c == '_' || c == '-')
            && name.len() <= NAME_MAX;
        if !fits {
            let hint = format!(
                "use a-z, 0-9, `-` and `_`, not `-` or `_` first, at most {NAME_MAX} characters"
            );
            self.problems.push(self.places.diagnose_key(
                path,
                format!("{} is not a name", echo(name)),
                Some(hint),
            ));
        }
    }

    fn source(&mut self, name: &str, source: &Source, server: &Server) {
        let path = child("sources", name);
        self.name(&path, name);
        if name == STATE_SOURCE {
            let message = format!("`{STATE_SOURCE}` is the source of Cloakroom's own events");
            self.problems.push(self.places.diagnose_key(
                &path,
                message,
                Some("choose another name".to_owned()),
            ));
        }
        match &source.verify {
            Some(verify) => self.verify(&child(&path, "verify"), verify),
            None if server.listen.is_loopback() => {}
            None => self.refuse(
                &path,
                format!("nothing verifies its webhooks, and the server listens on {}, beyond loopback", server.listen),
                "add `verify: { scheme: …, secrets: [env:…] }`, or say `verify: { scheme: none }` to take anything",
            ),
        }
        if let Order::Dense { gap, .. } = &source.order {
            self.positive(&child(&path, "order.gap.after"), gap.after, "60s");
            if gap.max == 0 {
                self.refuse(
                    &child(&path, "order.gap.max"),
                    "must be at least 1",
                    "write e.g. `10000`",
                );
            }
        }
        if let Ack::Delivered { timeout } = source.ack {
            self.positive(&child(&path, "ack.delivered.timeout"), timeout, "10s");
        }
        if source.generation == 0 {
            self.refuse(
                &child(&path, "generation"),
                "generations count from 1",
                "write `1`, or leave it out",
            );
        }
        if let Some(limit) = source.max_payload {
            self.not_empty(&child(&path, "max_payload"), limit);
        }
        for (key, span) in [
            ("read_timeout", source.read_timeout),
            ("body_timeout", source.body_timeout),
        ] {
            if let Some(span) = span {
                self.positive(&child(&path, key), span, "30s");
            }
        }
    }

    fn verify(&mut self, path: &str, scheme: &Scheme) {
        let secrets = scheme.expects_secrets(scheme.secrets.len()).err();
        for mistake in scheme.mistakes().into_iter().chain(secrets) {
            let (_, message, hint) = Mistake::take_apart(&mistake.to_string());
            let hint = hint.expect("every mistake of a scheme has a remedy");
            self.refuse(&join(path, &mistake.path()), message, hint);
        }
    }

    fn subscription(&mut self, name: &str, subscription: &Subscription, config: &Config) {
        let path = child("subscriptions", name);
        self.name(&path, name);
        self.sources(&child(&path, "sources"), &subscription.sources, config);
        let sink = child(&child(&path, "sink"), subscription.sink.name());
        match &subscription.sink {
            Sink::Http(http) => self.http(&sink, http),
            Sink::File(file) if file.path.as_os_str().is_empty() => {
                self.refuse(
                    &child(&sink, "path"),
                    "is empty",
                    "write the file's path, e.g. `./audit.ndjson`",
                );
            }
            Sink::Pull(pull) => self.positive(&child(&sink, "lease"), pull.lease, "30s"),
            Sink::SqsFifo(sqs) if !sqs.queue.ends_with(".fifo") => {
                let hint = "name a FIFO queue: its name ends in `.fifo`";
                self.refuse(
                    &child(&sink, "queue"),
                    "does not name a FIFO queue, which alone keeps the order",
                    hint,
                );
            }
            _ => {}
        }
        let retry = child(&path, "retry");
        if subscription.retry.attempts == 0 {
            let hint = "write `1` for a single try: the first one counts";
            self.refuse(&child(&retry, "attempts"), "must be at least 1", hint);
        }
        self.positive(&child(&retry, "base"), subscription.retry.base, "1s");
        if subscription.retry.base > subscription.retry.max {
            let message = format!(
                "{} is longer than `max`, {}",
                subscription.retry.base, subscription.retry.max
            );
            self.refuse(
                &child(&retry, "base"),
                message,
                "raise `max` or lower `base`",
            );
        }
    }

    fn sources(&mut self, path: &str, sources: &[SourceRef], config: &Config) {
        if sources.is_empty() {
            self.refuse(
                path,
                "names no source",
                "name some, or write [\"*\"] for all of them",
            );
        }
        for (index, source) in sources.iter().enumerate() {
            let here = entry(path, index);
            if sources[..index].contains(source) {
                self.refuse(
                    &here,
                    format!("{} stands here twice", echo(&source.to_string())),
                    "remove one of them",
                );
            }
            let SourceRef::Named(name) = source else {
                continue;
            };
            if name.as_str() != STATE_SOURCE && !config.sources.contains_key(name) {
                let known: Vec<&str> = config.sources.keys().map(|name| name.as_str()).collect();
                let message = format!("there is no source {}", echo(name.as_str()));
                self.refuse(
                    &here,
                    message,
                    did_you_mean(name.as_str(), &known, "sources"),
                );
            }
        }
    }

    fn http(&mut self, path: &str, http: &HttpSink) {
        self.positive(&child(path, "timeout"), http.timeout, "15s");
        for (name, value) in &http.headers {
            let here = child(&child(path, "headers"), name);
            let lower = name.to_lowercase();
            if !is_header_name(name) {
                self.refuse(
                    &here,
                    format!("{} is not the name of a header", echo(name)),
                    "write e.g. `X-Tenant`",
                );
            } else if is_ours(&lower) {
                self.refuse(&here, "Cloakroom sets this header itself", "remove it");
            } else if is_confidential(&lower) && matches!(value, HeaderText::Plain(_)) {
                let hint = "write where it is found: `env:NAME`, `file:PATH` or `aws-secret:NAME`";
                self.refuse(&here, "the value looks like a secret (not shown)", hint);
            }
        }
    }

    fn server(&mut self, server: &Server) {
        if server.admin_token.is_none() && !server.listen.is_loopback() {
            let message = format!(
                "the server listens on {}, beyond loopback, and the API asks for no token",
                server.listen
            );
            self.refuse(
                "server.admin_token",
                message,
                "add e.g. `admin_token: env:CLOAKROOM_ADMIN_TOKEN`",
            );
        }
        if server.data_dir.as_os_str().is_empty() {
            self.refuse(
                "server.data_dir",
                "is empty",
                "write a directory, e.g. `./cloakroom-data`",
            );
        }
        if server
            .public_url
            .as_ref()
            .is_some_and(|url| url.as_str().contains('?'))
        {
            self.refuse(
                "server.public_url",
                "has a query, to which no path can be added",
                "leave out `?` and what follows",
            );
        }
        if server.max_in_flight.requests == 0 {
            self.refuse(
                "server.max_in_flight.requests",
                "must be at least 1",
                "write e.g. `1024`",
            );
        }
        if server.max_connections == 0 {
            self.refuse(
                "server.max_connections",
                "must be at least 1",
                "write e.g. `4096`",
            );
        }
        self.not_empty("server.max_in_flight.bytes", server.max_in_flight.bytes);
        self.positive("server.header_timeout", server.header_timeout, "10s");
        self.positive("server.read_timeout", server.read_timeout, "30s");
        self.positive("server.body_timeout", server.body_timeout, "1h");
    }
}

fn is_ours(header: &str) -> bool {
    const OURS: [&str; 7] = [
        "content-type",
        "content-length",
        "host",
        "connection",
        "transfer-encoding",
        "traceparent",
        "tracestate",
    ];
    OURS.contains(&header) || header.starts_with("ce-") || header.starts_with("webhook-")
}

fn is_confidential(header: &str) -> bool {
    [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
    ]
    .iter()
    .any(|word| header.contains(word))
}
