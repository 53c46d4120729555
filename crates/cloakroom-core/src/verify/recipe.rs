//! What all HMAC schemes have in common: where the signature, the timestamp and the id are, and what is signed.

use std::borrow::Cow;
use std::time::Duration;

use super::scheme::{Algorithm, Encoding, Scheme, SchemeError, SecretEncoding, TimestampUnit};

/// Text that is static in a preset and owned in a configured scheme.
pub(super) type Text = Cow<'static, str>;

/// The default of every scheme that signs a timestamp and does not say how long it holds.
const TOLERANCE: Duration = Duration::from_secs(300);

/// One HMAC scheme, as data.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) algorithm: Algorithm,
    pub(super) encoding: Encoding,
    pub(super) secret: SecretEncoding,
    /// Where the headers are.
    pub(super) headers: HeaderSet,
    /// Other names of the same headers, used when the request has this id and not the first one.
    pub(super) alternate: Option<HeaderSet>,
    /// How the signature's header is laid out.
    pub(super) layout: Layout,
    /// What is signed, as a template.
    pub(super) signed: Text,
    pub(super) unit: TimestampUnit,
    /// How far the timestamp may be from now. `None` where none is signed.
    pub(super) tolerance: Option<Duration>,
}

/// The names of the headers, lower-case.
#[derive(Debug, Clone)]
pub(super) struct HeaderSet {
    pub(super) signature: Text,
    pub(super) timestamp: Option<Text>,
    pub(super) id: Option<Text>,
}

/// How a signature stands in its header.
#[derive(Debug, Clone)]
pub(super) enum Layout {
    /// The whole value, after a prefix.
    Whole { prefix: Text },
    /// An element (or several of one name) of a list, like `t=1,v1=ab,v1=cd`.
    List {
        separator: char,
        assign: char,
        element: Text,
        /// The element that carries the timestamp, where no header does.
        timestamp: Option<Text>,
        /// The element that carries Ed25519 signatures of the same content.
        ed25519: Option<Text>,
    },
}

impl Recipe {
    /// Reads the keys of `scheme: hmac`.
    pub(super) fn from_scheme(scheme: &Scheme) -> Result<Self, SchemeError> {
        let header = scheme.header.as_deref().ok_or(SchemeError::MissingKey {
            key: "header",
            hint: "the name of the header that carries the signature",
        })?;
        let (timestamp_header, timestamp_element) = timestamp_source(scheme.timestamp.as_deref())?;
        let id = scheme
            .id_header
            .as_deref()
            .map(|name| header_name(name, "id_header"))
            .transpose()?;
        let signed = scheme.signed.as_deref().unwrap_or("{body}").to_owned();
        let has_timestamp = scheme.timestamp.is_some();
        consistent(
            scheme,
            &Template::parse(&signed)?,
            timestamp_element.is_some(),
        )?;
        let layout = match scheme.element.clone() {
            Some(element) => Layout::List {
                separator: scheme.separator.unwrap_or(','),
                assign: '=',
                element: element.into(),
                timestamp: timestamp_element,
                ed25519: None,
            },
            None => Layout::Whole {
                prefix: scheme.prefix.clone().unwrap_or_default().into(),
            },
        };
        Ok(Self {
            algorithm: scheme.algorithm.unwrap_or(Algorithm::Sha256),
            encoding: scheme.encoding.unwrap_or(Encoding::Hex),
            secret: scheme.secret_encoding.unwrap_or(SecretEncoding::Raw),
            headers: HeaderSet {
                signature: header_name(header, "header")?,
                timestamp: timestamp_header,
                id,
            },
            alternate: None,
            layout,
            signed: signed.into(),
            unit: scheme.timestamp_unit.unwrap_or(TimestampUnit::Seconds),
            tolerance: has_timestamp.then(|| scheme.tolerance.unwrap_or(TOLERANCE)),
        })
    }
}

/// Refuses keys that contradict each other or the template.
fn consistent(scheme: &Scheme, template: &Template, in_list: bool) -> Result<(), SchemeError> {
    let timestamp = scheme.timestamp.is_some();
    let rules = [
        (
            scheme.element.is_some() && scheme.prefix.is_some(),
            "`element` and `prefix` exclude each other; keep one",
        ),
        (
            scheme.element.is_none() && scheme.separator.is_some(),
            "`separator` needs `element`, the signature's name in the list",
        ),
        (
            scheme.element.is_none() && in_list,
            "`timestamp: element:…` needs `element`, the signature's name in the list",
        ),
        (
            template.has(Part::Timestamp) && !timestamp,
            "`signed` has {timestamp}, so `timestamp` must say where it is",
        ),
        (
            timestamp && !template.has(Part::Timestamp),
            "`timestamp` is set, so `signed` must contain {timestamp}: an unsigned one protects nothing",
        ),
        (
            scheme.timestamp_unit.is_some() && !timestamp,
            "`timestamp_unit` needs `timestamp`",
        ),
        (
            scheme.tolerance.is_some() && !timestamp,
            "`tolerance` needs `timestamp`",
        ),
        (
            template.has(Part::Id) && scheme.id_header.is_none(),
            "`signed` has {id}, so `id_header` must say where it is",
        ),
        (
            scheme.id_header.is_some() && !template.has(Part::Id),
            "`id_header` is set, so `signed` must contain {id}",
        ),
    ];
    if let Some((_, text)) = rules.into_iter().find(|(broken, _)| *broken) {
        return Err(SchemeError::Contradiction(text));
    }
    if scheme.tolerance == Some(Duration::ZERO) {
        Err(SchemeError::ZeroTolerance)
    } else {
        Ok(())
    }
}

/// `header:…` or `element:…`, whichever it is.
fn timestamp_source(text: Option<&str>) -> Result<(Option<Text>, Option<Text>), SchemeError> {
    match text.map(|text| text.split_once(':')) {
        None => Ok((None, None)),
        Some(Some(("header", name))) => Ok((Some(header_name(name, "timestamp")?), None)),
        Some(Some(("element", name))) if !name.is_empty() => {
            Ok((None, Some(name.to_owned().into())))
        }
        Some(_) => Err(SchemeError::BadTimestampSource),
    }
}

fn header_name(name: &str, key: &'static str) -> Result<Text, SchemeError> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(SchemeError::BadHeaderName { key });
    }
    Ok(name.to_ascii_lowercase().into())
}

/// A part of the signed content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Method,
    Url,
    Id,
    Timestamp,
}

/// The signed content, split at the body, which is the one part that streams.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) before: Vec<Part>,
    pub(super) after: Vec<Part>,
}

impl Template {
    /// Reads `{id}.{timestamp}.{body}` and its like. `{body}` must be there exactly once.
    pub(super) fn parse(text: &str) -> Result<Self, SchemeError> {
        let (mut before, mut parts) = (None, Vec::new());
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            literal(&mut parts, &rest[..open]);
            let close = rest[open..]
                .find('}')
                .map(|close| open + close + 1)
                .unwrap_or(rest.len());
            let part = match &rest[open..close] {
                "{body}" if before.is_none() => {
                    before = Some(std::mem::take(&mut parts));
                    rest = &rest[close..];
                    continue;
                }
                "{body}" => {
                    return Err(SchemeError::Contradiction(
                        "`signed` must contain {body} once, not twice",
                    ));
                }
                "{method}" => Part::Method,
                "{url}" => Part::Url,
                "{id}" => Part::Id,
                "{timestamp}" => Part::Timestamp,
                unknown => return Err(SchemeError::BadTemplate(unknown.to_owned())),
            };
            parts.push(part);
            rest = &rest[close..];
        }
        literal(&mut parts, rest);
        let before = before.ok_or(SchemeError::Contradiction(
            "`signed` must contain {body}: a signature that does not cover the body protects nothing",
        ))?;
        Ok(Self {
            before,
            after: parts,
        })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the callers name a variant, and a borrow of it reads worse"
    )]
    pub(super) fn has(&self, part: Part) -> bool {
        self.before
            .iter()
            .chain(&self.after)
            .any(|other| *other == part)
    }
}

fn literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
}
