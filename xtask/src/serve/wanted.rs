//! What a browser asks for.

use percent_encoding::percent_decode_str;
use tiny_http::Request;

/// A request without what does not matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `GET`, mostly.
    pub method: String,
    /// Decoded, without the query, beginning with `/`.
    pub path: String,
    /// Names of encodings that the browser takes.
    pub encodings: Vec<String>,
    /// The header `Range`.
    pub range: Option<String>,
    /// The version that the browser has a part of.
    pub if_range: Option<String>,
    /// Versions that the browser has.
    pub if_none_match: Option<String>,
}

impl Wanted {
    /// Reads a request.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let header = |name: &'static str| {
            let found = request.headers().iter().find(|header| header.field.equiv(name));
            found.map(|header| header.value.as_str().to_owned())
        };
        let path = request.url().split(['?', '#']).next().unwrap_or_default();
        Self {
            method: request.method().to_string(),
            path: percent_decode_str(path).decode_utf8_lossy().into_owned(),
            encodings: parse_encodings(&header("Accept-Encoding").unwrap_or_default()),
            range: header("Range"),
            if_range: header("If-Range"),
            if_none_match: header("If-None-Match"),
        }
    }
}

/// The names in `gzip, br;q=0.9, zstd;q=0` that are not refused.
fn parse_encodings(header: &str) -> Vec<String> {
    header
        .split(',')
        .filter_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let name = parts.next().filter(|name| !name.is_empty())?;
            let refused = parts.any(|part| {
                part.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
            });
            (!refused).then(|| name.to_ascii_lowercase())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_encodings_are_left_out() {
        assert_eq!(parse_encodings("gzip, deflate, BR;q=0.9, zstd;q=0"), ["gzip", "deflate", "br"]);
        assert_eq!(parse_encodings("br;q=0.0"), Vec::<String>::new());
        assert_eq!(parse_encodings(""), Vec::<String>::new());
    }
}
