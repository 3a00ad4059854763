//! What the page may do: its own files and nothing else.

/// Sent with every answer, beside the Content-Security-Policy.
pub const HEADERS: [(&str, &str); 3] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=(self), geolocation=(), microphone=()"),
];

/// The Content-Security-Policy; models and photos may also come from the origins in `allowed`, and what is
/// forbidden is reported to `reports`.
#[must_use]
pub fn content_security_policy(allowed: &[String], reports: Option<&str>) -> String {
    let mut directives = vec![
        "default-src 'self'".to_owned(),
        "object-src 'none'".to_owned(),
        "script-src 'self' 'wasm-unsafe-eval'".to_owned(),
        "style-src 'self'".to_owned(),
        "img-src 'self' blob: data:".to_owned(),
        "media-src 'self' blob:".to_owned(),
        ["connect-src 'self' blob:"]
            .into_iter()
            .chain(allowed.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" "),
        "worker-src 'self'".to_owned(),
        "base-uri 'none'".to_owned(),
        "form-action 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
    ];
    directives.extend(reports.map(|path| format!("report-uri {path}")));
    directives.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_origins_are_allowed() {
        let strict = content_security_policy(&[], None);
        assert!(strict.contains("connect-src 'self' blob:;") && !strict.contains("http"), "{strict}");
        let wider = content_security_policy(&["https://models.example".to_owned()], Some("/reports"));
        assert!(wider.contains("connect-src 'self' blob: https://models.example;"), "{wider}");
        assert!(wider.ends_with("; report-uri /reports"), "{wider}");
    }
}
