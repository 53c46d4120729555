//! What all HMAC schemes have in common: where the signature, the timestamp and the id are, and what is signed.

use std::borrow::Cow;
use std::time::Duration;

use super::error::SchemeError;
use super::scheme::{Algorithm, Encoding, Scheme, SecretEncoding, TimestampUnit};
use crate::text::is_header_name;
use crate::units::DurationText;

/// Text that is static in a preset and owned in a configured scheme.
pub(super) type Text = Cow<'static, str>;

/// The default of every scheme that signs a timestamp and does not say how long it holds.
const TOLERANCE: Duration = Duration::from_secs(300);

/// What is signed unless configured otherwise.
pub(super) const BODY: &str = "{body}";

/// What separates the elements of a list unless configured otherwise.
pub(super) const SEPARATOR: char = ',';

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
        scheme.validate()?;
        let (timestamp, timestamp_element) = timestamp_source(scheme)?;
        let layout = match scheme.element.clone() {
            Some(element) => Layout::List {
                separator: scheme.separator.unwrap_or(SEPARATOR),
                assign: '=',
                element: element.into(),
                timestamp: timestamp_element,
                ed25519: None,
            },
            None => Layout::Whole {
                prefix: scheme.prefix.clone().unwrap_or_default().into(),
            },
        };
        let tolerance = scheme.tolerance.map_or(TOLERANCE, DurationText::get);
        Ok(Self {
            algorithm: scheme.algorithm.unwrap_or_default(),
            encoding: scheme.encoding.unwrap_or_default(),
            secret: scheme.secret_encoding.unwrap_or_default(),
            headers: HeaderSet {
                signature: signature_header(scheme)?,
                timestamp,
                id: id_header(scheme)?,
            },
            alternate: None,
            layout,
            signed: template(scheme).to_owned().into(),
            unit: scheme.timestamp_unit.unwrap_or_default(),
            tolerance: scheme.timestamp.is_some().then_some(tolerance),
        })
    }

    /// Whether the value of this header is part of what is signed.
    pub(super) fn signs_header(&self, name: &str) -> bool {
        let parts = |headers: &HeaderSet| {
            let id = (headers.id.clone(), "{id}");
            let timestamp = (headers.timestamp.clone(), "{timestamp}");
            [id, timestamp].into_iter().any(|(header, part)| {
                let named = header.is_some_and(|header| header.eq_ignore_ascii_case(name));
                named && self.signed.contains(part)
            })
        };
        parts(&self.headers) || self.alternate.as_ref().is_some_and(parts)
    }
}

/// Everything that is wrong with the keys of `scheme: hmac`.
pub(super) fn mistakes(scheme: &Scheme) -> Vec<SchemeError> {
    let errors = [
        signature_header(scheme).err(),
        timestamp_source(scheme).err(),
        id_header(scheme).err(),
        Template::parse(template(scheme)).err(),
    ];
    errors
        .into_iter()
        .flatten()
        .chain(contradictions(scheme))
        .collect()
}

/// The keys that contradict each other or the template.
fn contradictions(scheme: &Scheme) -> impl Iterator<Item = SchemeError> {
    let signed = template(scheme);
    let (dated, signs_time) = (scheme.timestamp.is_some(), signed.contains("{timestamp}"));
    let (named, signs_id) = (scheme.id_header.is_some(), signed.contains("{id}"));
    let list = scheme.element.is_some();
    let in_list = |source: &String| source.starts_with("element:");
    [
        (
            list && scheme.prefix.is_some(),
            "prefix",
            "`element` and `prefix` exclude each other; keep one",
        ),
        (
            !list && scheme.separator.is_some(),
            "separator",
            "`separator` means nothing without `element`; add the signature's name in the list, e.g. `element: v1`",
        ),
        (
            !list && scheme.timestamp.as_ref().is_some_and(in_list),
            "timestamp",
            "the signature's header is no list without `element`; add the signature's name in the list, e.g. `element: v1`",
        ),
        (
            signs_time && !dated,
            "signed",
            "`signed` has `{timestamp}`, and nothing says where it is found; add e.g. `timestamp: header:X-Timestamp`",
        ),
        (
            dated && !signs_time,
            "timestamp",
            "a timestamp that is not signed proves nothing; write `{timestamp}` where it stands in `signed`, or remove `timestamp`",
        ),
        (
            scheme.timestamp_unit.is_some() && !dated,
            "timestamp_unit",
            "there is no timestamp to read; add e.g. `timestamp: header:X-Timestamp`, or remove it",
        ),
        (
            scheme.tolerance.is_some() && !dated,
            "tolerance",
            "there is no timestamp to compare; add e.g. `timestamp: header:X-Timestamp`, or remove it",
        ),
        (
            signs_id && !named,
            "signed",
            "`signed` has `{id}`, and nothing says where it is found; add e.g. `id_header: X-Event-Id`",
        ),
        (
            named && !signs_id,
            "id_header",
            "an id that is not signed proves nothing; write `{id}` where it stands in `signed`, or remove `id_header`",
        ),
    ]
    .into_iter()
    .chain(unreadable(scheme))
    .filter_map(|(broken, key, text)| broken.then_some(SchemeError::Contradiction { key, text }))
}

/// What no header could be written and read by: every webhook would be refused, and nobody would know why.
fn unreadable(scheme: &Scheme) -> [(bool, &'static str, &'static str); 5] {
    let separator = scheme.separator.unwrap_or(SEPARATOR);
    let unfit = |name: &str| {
        let breaks = |c: char| c == '=' || c == separator || c.is_control();
        name.trim() != name || name.contains(breaks)
    };
    let element = scheme.element.as_deref();
    let timestamp = scheme.timestamp.as_deref();
    let dated = timestamp.and_then(|source| source.strip_prefix("element:"));
    let time_header = timestamp.and_then(|source| source.strip_prefix("header:"));
    let headers = [
        scheme.header.as_deref(),
        time_header,
        scheme.id_header.as_deref(),
    ];
    let twice = (1..3).any(|at| {
        let same = |one: &str| headers[at].is_some_and(|two| one.eq_ignore_ascii_case(two));
        headers[..at].iter().flatten().any(|one| same(one))
    });
    [
        (
            element.is_some()
                && (separator.is_ascii_alphanumeric()
                    || separator.is_control()
                    || "=+/-_.:".contains(separator)),
            "separator",
            "a signature or a timestamp may hold this character itself; write the one that the provider documents, e.g. `;`",
        ),
        (
            element.is_some_and(|name| name.is_empty() || unfit(name)),
            "element",
            "nothing in a list can have this name; write it without `=`, the separator, and spaces around it",
        ),
        (
            dated.is_some_and(|name| unfit(name) || element == Some(name)),
            "timestamp",
            "no element of the list can be that; name it without `=` and the separator, and other than the signature",
        ),
        (
            scheme.prefix.as_deref().is_some_and(|prefix| {
                prefix.starts_with(char::is_whitespace) || prefix.contains(char::is_control)
            }),
            "prefix",
            "no header's value begins like that; leave out spaces at its beginning, and control characters",
        ),
        (
            twice,
            "header",
            "one header cannot hold two things; give the signature, the timestamp and the id a header each",
        ),
    ]
}

fn template(scheme: &Scheme) -> &str {
    scheme.signed.as_deref().unwrap_or(BODY)
}

fn signature_header(scheme: &Scheme) -> Result<Text, SchemeError> {
    let name = scheme.header.as_deref().ok_or(SchemeError::MissingHeader)?;
    header_name(name, "header")
}

fn id_header(scheme: &Scheme) -> Result<Option<Text>, SchemeError> {
    let name = scheme.id_header.as_deref();
    name.map(|name| header_name(name, "id_header")).transpose()
}

/// The header or the list's element that carries the timestamp.
fn timestamp_source(scheme: &Scheme) -> Result<(Option<Text>, Option<Text>), SchemeError> {
    let Some(source) = scheme.timestamp.as_deref() else {
        return Ok((None, None));
    };
    match source.split_once(':') {
        Some(("header", name)) => Ok((Some(header_name(name, "timestamp")?), None)),
        Some(("element", name)) if !name.is_empty() => Ok((None, Some(name.to_owned().into()))),
        _ => Err(SchemeError::BadTimestampSource(source.to_owned())),
    }
}

fn header_name(name: &str, key: &'static str) -> Result<Text, SchemeError> {
    if !is_header_name(name) {
        let name = name.to_owned();
        return Err(SchemeError::BadHeaderName { key, name });
    }
    Ok(name.to_ascii_lowercase().into())
}

/// A part of the signed content.
#[derive(Debug, Clone)]
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
                    return Err(SchemeError::Contradiction {
                        key: "signed",
                        text: "the body is signed twice; write `{body}` once",
                    });
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
        let before = before.ok_or(SchemeError::Contradiction {
            key: "signed",
            text: "what is signed leaves out the body; write `{body}` where it stands",
        })?;
        Ok(Self {
            before,
            after: parts,
        })
    }
}

fn literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
}
