//! A small scanner for Rust text: enough to tell code from comments and literals, and to find modules and bodies.
//!
//! It is no parser. [`blank`] writes spaces over comments and literals and keeps every byte in its place, so that
//! what is found afterwards has the position it has in the file.

/// A word (name, keyword, number) or one other character of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    /// Byte position in the text.
    pub(crate) at: usize,
}

/// `mod name;` or `mod name { .. }`.
#[derive(Debug)]
pub(crate) struct Module<'a> {
    pub(crate) name: &'a str,
    /// The inline modules around it, outermost first.
    pub(crate) inside: Vec<&'a str>,
    /// The index of the token `mod`.
    pub(crate) index: usize,
    /// Byte positions of the braces, for an inline module.
    pub(crate) body: Option<(usize, usize)>,
}

/// The text with spaces in place of comments and of string, byte and character literals.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => find(bytes, at, b"\n").unwrap_or(bytes.len()),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'\'' => character_end(text, at),
            b'r' => raw_string_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in out[at..end].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        at = end;
    }
    String::from_utf8(out).expect("whole characters are replaced by spaces")
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    bytes[from..].windows(wanted.len()).position(|window| window == wanted).map(|offset| from + offset)
}

/// Block comments nest.
fn comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if bytes[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `'x'` is a literal, `'x` a lifetime: nothing is skipped then.
fn character_end(text: &str, start: usize) -> usize {
    let mut rest = text[start + 1..].char_indices();
    match rest.next() {
        // The character after the backslash may be a quote.
        Some((_, '\\')) => {
            rest.next();
            rest.find(|(_, character)| *character == '\'')
                .map_or(text.len(), |(offset, _)| start + 1 + offset + 1)
        }
        Some(_) => match rest.next() {
            Some((offset, '\'')) => start + 1 + offset + 1,
            _ => start,
        },
        None => start,
    }
}

/// `r"..."`, `r#"..."#`, also behind `b` or `c`; `None` for a name that begins with r, or for `r#name`.
fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let before = start.checked_sub(1).map(|at| bytes[at]);
    let prefix =
        matches!(before, Some(b'b' | b'c')) && !start.checked_sub(2).is_some_and(|at| is_word(bytes[at]));
    if before.is_some_and(is_word) && !prefix {
        return None;
    }
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    Some(find(bytes, open + 1, &close).map_or(bytes.len(), |at| at + close.len()))
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// The tokens of text that went through [`blank`].
pub(crate) fn tokens(blanked: &str) -> Vec<Token<'_>> {
    let bytes = blanked.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count().max(1);
        if !bytes[at].is_ascii_whitespace() {
            found.push(Token { text: &blanked[at..at + length], at });
        }
        at += length;
    }
    found
}

/// The index of the token that closes the bracket at `open`; the last token if none does.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth <= 1 => return index,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len() - 1
}

/// Every module that the tokens declare, in order.
pub(crate) fn modules<'a>(tokens: &[Token<'a>]) -> Vec<Module<'a>> {
    let mut found: Vec<Module<'a>> = Vec::new();
    for (index, pair) in tokens.windows(3).enumerate() {
        let (keyword, name, next) = (pair[0], pair[1], pair[2]);
        if keyword.text != "mod" || !name.text.bytes().all(is_word) {
            continue;
        }
        let body = match next.text {
            "{" => Some((next.at, tokens[closing(tokens, index + 2)].at)),
            ";" => None,
            _ => continue,
        };
        let around = found
            .iter()
            .filter(|outer| outer.body.is_some_and(|(open, close)| open < keyword.at && keyword.at < close));
        let inside = around.map(|outer| outer.name).collect();
        found.push(Module { name: name.text, inside, index, body });
    }
    found
}

/// Blanked text with every item under `#[cfg(test)]` or `#[cfg(all(test, ..))]` blanked too.
pub(crate) fn without_tests(blanked: &str) -> String {
    let all = tokens(blanked);
    let mut out = blanked.as_bytes().to_vec();
    for start in 0..all.len() {
        let words: Vec<&str> = all[start..].iter().take(7).map(|token| token.text).collect();
        let is_test = words.starts_with(&["#", "[", "cfg", "(", "test"])
            || words.starts_with(&["#", "[", "cfg", "(", "all", "(", "test"]);
        if !is_test {
            continue;
        }
        let end = item_end(&all, closing(&all, start + 1) + 1);
        let last = all.get(end).map_or(out.len(), |token| token.at + token.text.len());
        for byte in out[all[start].at..last].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
    }
    String::from_utf8(out).expect("whole tokens are replaced by spaces")
}

/// The index of the token that ends the item at `start`: its `;`, or the brace that closes its body.
fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut index = start;
    while index < tokens.len() {
        match tokens[index].text {
            ";" => return index,
            "{" => return closing(tokens, index),
            "(" | "[" => index = closing(tokens, index) + 1,
            _ => index += 1,
        }
    }
    index
}

/// The line of a byte position, counted from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[test]
fn comments_and_literals_are_blanked_in_place() {
    let cases = [
        ("a // b { c\nd", "a d"),
        ("a /* b /* c */ d */ e", "a e"),
        (r#"f("}\"{", 1)"#, "f( , 1)"),
        ("r#\"a\"b\"#; r#type", "; r#type"),
        ("br\"\\\"; for", "b ; for"),
        ("super\"x\"", "super"),
        (r"a '{' '\'' '\u{7d}' <'a> 'é' b", "a <'a> b"),
        ("\"é\n{\" x", "x"),
    ];
    let breaks = |text: &str| text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>();
    for (text, wanted) in cases {
        let blanked = blank(text);
        assert_eq!(blanked.split_whitespace().collect::<Vec<_>>().join(" "), wanted, "of {text}");
        assert_eq!((blanked.len(), breaks(&blanked)), (text.len(), breaks(text)), "of {text}");
    }
}

#[test]
fn modules_know_what_is_around_them() {
    let text = "mod a { mod b; } pub mod c; let model = 1;";
    let all = tokens(text);
    let found: Vec<(&str, Vec<&str>)> =
        modules(&all).into_iter().map(|module| (module.name, module.inside)).collect();
    assert_eq!(found, [("a", vec![]), ("b", vec!["a"]), ("c", vec![])]);
}

#[test]
fn test_items_are_blanked() {
    let text = "use a; #[cfg(test)] mod tests { use b; } #[cfg(test)] #[path = x] mod t;\n\
                #[cfg(all(test, x))] fn f(a: [u8; 2]) { b } c";
    let left: Vec<String> = without_tests(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(left, ["use", "a;", "c"]);
}
