//! What Python's parser took beyond JSON, made JSON: Pushkin's clients may rely on it.
//!
//! `NaN`, `Infinity` and numbers beyond a float's range become the texts that Pushkin wrote for
//! them; half of a surrogate pair becomes U+FFFD, as there is no such character. Only a body that
//! the JSON parser has refused comes here, so the usual one pays nothing.

use serde::de::IgnoredAny;

/// The body as JSON; the same text where nothing in it is Python's.
pub(super) fn to_json(body: &str) -> String {
    let mut json = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(place) = rest.find(|next| next == '"' || is_of_a_number(next)) {
        let (before, token) = rest.split_at(place);
        json.push_str(before);
        rest = if let Some(string) = token.strip_prefix('"') {
            json.push('"');
            push_string(&mut json, string)
        } else {
            push_number(&mut json, token)
        };
    }
    json.push_str(rest);
    json
}

/// Appends a string from after its opening quote to its closing one; returns what follows.
fn push_string<'a>(json: &mut String, string: &'a str) -> &'a str {
    let mut rest = string;
    while let Some(place) = rest.find(['"', '\\']) {
        let (before, end) = rest.split_at(place);
        json.push_str(before);
        if let Some(after) = end.strip_prefix('"') {
            json.push('"');
            return after;
        }
        rest = push_escape(json, end);
    }
    json.push_str(rest);
    ""
}

/// Appends the escape that `text` starts with; returns what follows.
fn push_escape<'a>(json: &mut String, text: &'a str) -> &'a str {
    let unit = |text: &'a str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let length = match unit(text) {
        Some(0xd800..=0xdbff) => match text.get(6..).and_then(unit) {
            Some(0xdc00..=0xdfff) => 12,
            _ => 0,
        },
        Some(0xdc00..=0xdfff) => 0,
        Some(_) => 6,
        // A backslash and one character, whatever it is; the parser knows which are allowed.
        None => 1 + text.chars().nth(1).map_or(0, char::len_utf8),
    };
    if length == 0 {
        json.push_str("\\ufffd");
        return text.get(6..).unwrap_or_default();
    }
    let (escape, rest) = text.split_at(length);
    json.push_str(escape);
    rest
}

/// Letters too: numbers and words are told apart when they are complete.
fn is_of_a_number(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.')
}

/// Appends the number or word that `text` starts with; returns what follows.
fn push_number<'a>(json: &mut String, text: &'a str) -> &'a str {
    let length = text
        .find(|next| !is_of_a_number(next))
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(length);
    // A key must be a string in Python too.
    match as_text(number).filter(|_| !rest.trim_start().starts_with(':')) {
        Some(as_text) => {
            json.push('"');
            json.push_str(as_text);
            json.push('"');
        }
        None => json.push_str(number),
    }
    rest
}

/// What Python wrote for a number that JSON, or a float, does not have.
fn as_text(number: &str) -> Option<&str> {
    match number {
        "NaN" => return Some("nan"),
        "Infinity" => return Some("inf"),
        "-Infinity" => return Some("-inf"),
        _ => {}
    }
    // Skipping a number checks its form and not its range.
    serde_json::from_str::<IgnoredAny>(number).ok()?;
    number.parse().is_ok_and(f64::is_infinite).then_some(
        match (number.contains(['.', 'e', 'E']), number.starts_with('-')) {
            // An integer of any length is kept to its last digit.
            (false, _) => number,
            (true, false) => "inf",
            (true, true) => "-inf",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_as_it_is() {
        for json in [
            r#"{"a": [1, -2.5e3, true, null, "NaN \" Infinity \\", ""], "ž": "😀\n"}"#,
            r#""\ud83d\ude00 \u0041""#,
            "[1e308, -0]",
            "",
        ] {
            assert_eq!(to_json(json), json);
        }
    }

    #[test]
    fn what_python_took_becomes_the_text_that_pushkin_wrote() {
        let long = "9".repeat(400);
        let cases = [
            (
                "[NaN,Infinity, -Infinity]",
                r#"["nan","inf", "-inf"]"#.to_owned(),
            ),
            ("[1e999,-1.5E999]", r#"["inf","-inf"]"#.to_owned()),
            (&long, format!("\"{long}\"")),
            (r#""\ud800""#, r#""\ufffd""#.to_owned()),
            (
                r#""\udc00\ud800\u0041""#,
                r#""\ufffd\ufffd\u0041""#.to_owned(),
            ),
            (
                r#""\ud800\ud83d\ude00""#,
                r#""\ufffd\ud83d\ude00""#.to_owned(),
            ),
        ];
        for (python, json) in cases {
            assert_eq!(to_json(python), json);
        }
    }

    #[test]
    fn what_python_refused_too_is_left_to_be_refused() {
        for refused in [
            "{NaN: 1}",
            "[nan]",
            "[-NaN]",
            "[+Infinity]",
            "[01e999]",
            "[1.e999]",
            "[Infinityx]",
            "\"\\",
            "\"\\u12",
            "\"\\ud8",
            "\"\\ž",
            "-",
        ] {
            assert_eq!(to_json(refused), refused);
        }
    }
}
