//! What every page shares: escaping, and the frame around its body.

use std::fmt::Display;

/// Text that means nothing to HTML, in elements and in quoted attributes alike. All that comes from a driver, a
/// file or a user goes through here.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{FFFD}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A value as JSON that may stand inside a `script` element.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    // Only a value that has no JSON form fails, and reports have none.
    let text = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
    text.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A whole page, with its style inside, so that it needs nothing else.
pub(crate) fn document(title: &str, body: impl Display) -> String {
    let style = include_str!("page.css");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{style}</style>\n\
         </head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        let hostile = "</script><img src=x onerror='a()'>\"&\u{0}";
        assert_eq!(
            escape(hostile),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a()&#39;&gt;&quot;&amp;\u{FFFD}"
        );
        assert!(!json(&hostile).contains('<'));
        let back: String = serde_json::from_str(&json(&hostile)).unwrap();
        assert_eq!(back, hostile);
    }
}
