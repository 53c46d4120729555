//! `POST /in/{source}/uploads`: where a provider may put the body of a webhook itself.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use cloakroom_core::event::Sha256;
use cloakroom_engine::ports::{Announced, Offer, Uploads};
use cloakroom_engine::upload::OfferError;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, Request, Uri};
use metrics::counter;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::extract::read_json;
use crate::problem::{Kind, Problem};

/// The longest announcement, in bytes. What fits onto an object is less.
const ANNOUNCEMENT_MAX: usize = 16 << 10;

/// Behind the path of the source.
const SUFFIX: &str = "/uploads";

/// Headers that belong to a request and not to its webhook; the content type has a field of its own.
const NOT_THE_WEBHOOKS: [HeaderName; 5] = [
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
];

/// What a provider says of its webhook.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Announcement {
    content_type: String,
    content_length: u64,
    sha256: String,
    headers: BTreeMap<String, String>,
}

/// What it is answered.
#[derive(Debug, Serialize)]
struct Answer {
    upload_url: String,
    headers: BTreeMap<String, String>,
    claim: String,
    expires_at: String,
}

/// The handler.
pub(crate) async fn offer(State(app): State<App>, request: Request<Body>) -> Response {
    match make_offer(&app, request).await {
        Ok(offer) => Json(Answer {
            upload_url: offer.url,
            headers: offer.headers,
            claim: offer.place,
            expires_at: offer.expires.to_string(),
        })
        .into_response(),
        Err(problem) => {
            counter!("cloakroom_http_refusals_total", "problem" => problem.kind().name())
                .increment(1);
            problem.into_response()
        }
    }
}

async fn make_offer(app: &App, request: Request<Body>) -> Result<Offer, Problem> {
    let Some(uploads) = app.uploads() else {
        let text = "uploads need the claim store on S3 and the function `upload`";
        return Err(Problem::new(Kind::UploadsNotOffered, text));
    };
    let uploads: &dyn Uploads = uploads.as_ref();
    let (source, url) = webhook(app.public_url(), request.uri())?;
    let announcement: Announcement = read_json(request, app.pace(), ANNOUNCEMENT_MAX).await?;
    let announced = Announced {
        source: source.as_str().into(),
        url,
        headers: headers(&announcement)?,
        size: announcement.content_length,
        sha256: sha256(&announcement.sha256)?,
        offered: app.engine().now(),
    };
    Ok(app.engine().offer_upload(uploads, &announced).await?)
}

/// The source, and the URL that the webhook would be sent to: without the end of the path, with the query.
fn webhook(public_url: &str, uri: &Uri) -> Result<(String, String), Problem> {
    let path = uri.path().strip_suffix(SUFFIX).unwrap_or_default();
    let Some(source) = path.strip_prefix("/in/") else {
        return Err(Problem::not_found(format!(
            "there is nothing at {}",
            uri.path()
        )));
    };
    let query = uri.query().map(|query| format!("?{query}"));
    let url = [public_url, path, query.as_deref().unwrap_or_default()].concat();
    Ok((source.to_owned(), url))
}

fn sha256(text: &str) -> Result<Sha256, Problem> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| {
        Problem::invalid("`sha256` must be the body's hash in 64 hexadecimal digits")
    })?;
    Ok(Sha256(bytes))
}

/// The webhook's headers, its content type among them.
fn headers(announcement: &Announcement) -> Result<Vec<(String, String)>, Problem> {
    let is_plain =
        |text: &str| !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if !is_plain(&announcement.content_type) {
        let text = "`content_type` must be the value of a header, in printable ASCII";
        return Err(Problem::invalid(text));
    }
    let mut headers = vec![("content-type".to_owned(), announcement.content_type.clone())];
    for (name, value) in &announcement.headers {
        let Ok(parsed) = HeaderName::try_from(name.as_str()) else {
            return Err(Problem::invalid(format!("{name:?} is no header")));
        };
        if NOT_THE_WEBHOOKS.contains(&parsed) {
            let text = format!(
                "`headers` must not have `{parsed}`: name those that are the webhook's own"
            );
            return Err(Problem::invalid(text));
        }
        if value.chars().any(char::is_control) {
            return Err(Problem::invalid(format!("the value of `{parsed}` is none")));
        }
        if headers.iter().any(|(known, _)| known == parsed.as_str()) {
            return Err(Problem::invalid(format!("`{parsed}` is there twice")));
        }
        headers.push((parsed.as_str().to_owned(), value.clone()));
    }
    Ok(headers)
}

impl From<OfferError> for Problem {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Refused(refusal) => refusal.into(),
            OfferError::HeadTooLarge(error) => Self::invalid(error.to_string()),
        }
    }
}
