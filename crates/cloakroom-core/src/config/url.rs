//! Web addresses in the configuration.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use super::diagnostic::{Mistake, echo};
use super::text::{TextSchema, text_value};

/// An absolute `http` or `https` URL, without user, password or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the address is `https`.
    pub fn is_https(&self) -> bool {
        self.0
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("https:"))
    }

    /// The host, without port and without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
        match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(v6),
            None => authority.split(':').next().unwrap_or(authority),
        }
    }
}

impl FromStr for HttpUrl {
    type Err = Mistake;

    /// The text is repeated only when it cannot hold a password.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        const HINT: &str = "write the whole address, e.g. `https://billing.example/hooks`";
        if text.contains('@') {
            return Err(Mistake::new(
                "a URL here holds no user or password (not shown)",
                "send credentials with `headers: { Authorization: env:NAME }` (an encoded `@` is `%40`)",
            ));
        }
        let shown = echo(text.split('?').next().unwrap_or(text));
        if text.contains('#') {
            return Err(Mistake::new(
                format!("{shown} has a fragment"),
                "leave out `#` and what follows",
            ));
        }
        let uri: Uri = text
            .parse()
            .map_err(|_| Mistake::new(format!("{shown} is not a URL"), HINT))?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(Self(text.to_owned())),
            (Some(scheme), Some(_)) => Err(Mistake::new(
                format!("{} is neither http nor https", echo(scheme)),
                "Cloakroom sends over http and https only",
            )),
            _ => Err(Mistake::new(
                format!("{shown} is not an absolute URL"),
                HINT,
            )),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    HttpUrl,
    TextSchema {
        format: "uri",
        pattern: "^[Hh][Tt][Tt][Pp][Ss]?://[^@#\\s]+$",
        examples: &["https://billing.example/hooks"]
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found() {
        for (url, host) in [
            ("https://a.example", "a.example"),
            ("http://127.0.0.1:8080/x?y", "127.0.0.1"),
            ("http://[::1]:80/", "::1"),
            ("http://localhost?x", "localhost"),
        ] {
            assert_eq!(url.parse::<HttpUrl>().unwrap().host(), host);
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "https://me:hunter2@a.example/",
            "hunter2@x",
            "ftp://hunter2@x",
        ] {
            assert!(
                !url.parse::<HttpUrl>()
                    .unwrap_err()
                    .to_string()
                    .contains("hunter2")
            );
        }
        for url in [
            "/hooks",
            "a.example/hooks",
            "ftp://a.example",
            "https://",
            "",
            "https://a b",
        ] {
            assert!(url.parse::<HttpUrl>().is_err(), "{url}");
        }
    }
}
