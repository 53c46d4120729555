//! What requests to S3 ask IAM for. Buckets are in the path: emulators listen at an address, which has no names below it.

use http::Method;
use http::request::Parts;

use super::access::{Access, Asked, Service, decoded, query};

/// Parameters that choose neither an object nor an operation: how to answer, and a presigned URL's own.
const NEUTRAL: [&str; 3] = ["x-id", "encoding-type", "max-keys"];

/// What a request asks for; `Err` names what the gatekeeper does not know.
pub(super) fn asked(parts: &Parts) -> Result<Asked, String> {
    let path = parts.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let bucket_arn = format!("arn:aws:s3:::{bucket}");
    let (operation, accesses) = match key {
        "" => of_bucket(parts, &bucket_arn)?,
        key => of_object(parts, &format!("{bucket_arn}/{}", decoded(key)))?,
    };
    let looks = !key.is_empty() && matches!(operation, "GetObject" | "HeadObject");
    Ok(Asked {
        service: Service::S3,
        operation: operation.to_owned(),
        accesses,
        absence: looks.then(|| Access::new("s3:ListBucket", bucket_arn)),
        unknown: None,
    })
}

/// The names of the parameters that choose the operation.
fn parameters(parts: &Parts) -> Vec<String> {
    let pairs = parts.uri.query().unwrap_or_default().split('&');
    let names = pairs.map(|pair| decoded(pair.split('=').next().unwrap_or_default()));
    names
        .filter(|name| !name.is_empty() && !NEUTRAL.contains(&name.as_str()))
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            !name.starts_with("x-amz-") && !name.starts_with("response-")
        })
        .collect()
}

fn of_bucket(parts: &Parts, bucket: &str) -> Result<(&'static str, Vec<Access>), String> {
    let names = parameters(parts);
    let has = |name: &str| names.iter().any(|one| one == name);
    let listing = [
        "list-type",
        "prefix",
        "delimiter",
        "start-after",
        "continuation-token",
        "marker",
    ];
    let only_lists = names.iter().all(|name| listing.contains(&name.as_str()));
    let (operation, action) = match &parts.method {
        &Method::HEAD if names.is_empty() => ("HeadBucket", "s3:ListBucket"),
        &Method::GET if has("uploads") => ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
        &Method::GET if only_lists => ("ListObjectsV2", "s3:ListBucket"),
        method => {
            return Err(format!(
                "{method} of a bucket with {names:?} is not known to the gatekeeper"
            ));
        }
    };
    let mut access = Access::new(action, bucket);
    for name in ["prefix", "delimiter"] {
        if let Some(value) = query(parts, name) {
            access = access.with(&format!("s3:{name}"), &value);
        }
    }
    Ok((operation, vec![access]))
}

fn of_object(parts: &Parts, object: &str) -> Result<(&'static str, Vec<Access>), String> {
    let names = parameters(parts);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let header = |name: &str| parts.headers.get(name).and_then(|one| one.to_str().ok());
    let (operation, action) = match (parts.method.as_str(), names.as_slice()) {
        ("GET", []) => ("GetObject", "s3:GetObject"),
        ("HEAD", []) => ("HeadObject", "s3:GetObject"),
        ("GET" | "HEAD", ["versionId"]) => ("GetObject", "s3:GetObjectVersion"),
        ("GET", ["uploadId"]) => ("ListParts", "s3:ListMultipartUploadParts"),
        ("PUT", []) => ("PutObject", "s3:PutObject"),
        ("PUT", ["partNumber", "uploadId"] | ["uploadId", "partNumber"]) => {
            ("UploadPart", "s3:PutObject")
        }
        ("POST", ["uploads"]) => ("CreateMultipartUpload", "s3:PutObject"),
        ("POST", ["uploadId"]) => ("CompleteMultipartUpload", "s3:PutObject"),
        ("DELETE", []) => ("DeleteObject", "s3:DeleteObject"),
        ("DELETE", ["versionId"]) => ("DeleteObject", "s3:DeleteObjectVersion"),
        ("DELETE", ["uploadId"]) => ("AbortMultipartUpload", "s3:AbortMultipartUpload"),
        (method, names) => {
            return Err(format!(
                "{method} of an object with {names:?} is not known to the gatekeeper"
            ));
        }
    };
    let mut accesses = vec![Access::new(action, object)];
    if let Some(source) = header("x-amz-copy-source") {
        let source = decoded(source.trim_start_matches('/'));
        accesses.push(Access::new(
            "s3:GetObject",
            format!("arn:aws:s3:::{source}"),
        ));
    }
    for (name, action) in [
        ("x-amz-tagging", "s3:PutObjectTagging"),
        ("x-amz-acl", "s3:PutObjectAcl"),
    ] {
        if header(name).is_some() {
            accesses.push(Access::new(action, object));
        }
    }
    // To compare with what stands there is to read it.
    if action == "s3:PutObject" && header("if-match").is_some() {
        accesses.push(Access::new("s3:GetObject", object));
    }
    Ok((operation, accesses))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn of(line: &str, headers: &[(&str, &str)]) -> Result<Asked, String> {
        let (method, uri) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        asked(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn methods_and_parameters_choose_the_action() {
        for (line, expected) in [
            ("GET /b/c/0/x?x-id=GetObject", "s3:GetObject b/c/0/x"),
            ("HEAD /b/c/0/x%7Ey", "s3:GetObject b/c/0/x~y"),
            ("GET /b/k?versionId=1", "s3:GetObjectVersion b/k"),
            ("PUT /b/k?x-id=PutObject", "s3:PutObject b/k"),
            ("POST /b/k?uploads", "s3:PutObject b/k"),
            (
                "PUT /b/k?x-id=UploadPart&partNumber=1&uploadId=u",
                "s3:PutObject b/k",
            ),
            (
                "POST /b/k?x-id=CompleteMultipartUpload&uploadId=u",
                "s3:PutObject b/k",
            ),
            ("DELETE /b/k?uploadId=u", "s3:AbortMultipartUpload b/k"),
            ("GET /b/k?uploadId=u", "s3:ListMultipartUploadParts b/k"),
            ("DELETE /b/k?x-id=DeleteObject", "s3:DeleteObject b/k"),
            ("DELETE /b/k?versionId=1", "s3:DeleteObjectVersion b/k"),
            ("HEAD /b", "s3:ListBucket b"),
            (
                "GET /b?list-type=2&prefix=c%2F0%2F&start-after=x",
                "s3:ListBucket b",
            ),
            (
                "GET /b/?uploads&max-uploads=1",
                "s3:ListBucketMultipartUploads b",
            ),
            (
                "GET /b/k?X-Amz-Algorithm=A&X-Amz-Credential=c&X-Amz-Signature=s&response-content-type=t",
                "s3:GetObject b/k",
            ),
        ] {
            let asked = of(line, &[]).unwrap();
            let found: Vec<String> = asked
                .accesses
                .iter()
                .map(|one| format!("{} {}", one.action, one.resource))
                .collect();
            let (action, resource) = expected.split_once(' ').unwrap();
            assert_eq!(
                found,
                [format!("{action} arn:aws:s3:::{resource}")],
                "{line}"
            );
        }
    }

    #[test]
    fn headers_may_take_more() {
        let more = |name: &str, value: &str| {
            let asked = of("PUT /b/k", &[(name, value)]).unwrap();
            asked.accesses[1..].to_vec()
        };
        assert_eq!(
            more("x-amz-copy-source", "/a/x%20y"),
            [Access::new("s3:GetObject", "arn:aws:s3:::a/x y")]
        );
        assert_eq!(
            more("x-amz-tagging", "a=b"),
            [Access::new("s3:PutObjectTagging", "arn:aws:s3:::b/k")]
        );
        assert_eq!(
            more("if-match", "\"e\""),
            [Access::new("s3:GetObject", "arn:aws:s3:::b/k")]
        );
        assert_eq!(more("if-none-match", "*"), []);
    }

    #[test]
    fn only_who_may_list_is_told_what_is_not_there() {
        let list = Access::new("s3:ListBucket", "arn:aws:s3:::b");
        assert_eq!(of("HEAD /b/k", &[]).unwrap().absence, Some(list.clone()));
        assert_eq!(of("GET /b/k", &[]).unwrap().absence, Some(list));
        assert_eq!(of("PUT /b/k", &[]).unwrap().absence, None);
        assert_eq!(of("GET /b?list-type=2", &[]).unwrap().absence, None);
    }

    #[test]
    fn conditions_may_ask_for_the_prefix() {
        let asked = of("GET /b?list-type=2&prefix=c%2F", &[]).unwrap();
        assert_eq!(asked.accesses[0].context("s3:prefix"), ["c/"]);
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (line, part) in [
            ("GET /b/k?acl", "acl"),
            ("PUT /b", "PUT"),
            ("POST /b?delete", "delete"),
            ("GET /b?policy", "policy"),
        ] {
            let error = of(line, &[]).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
