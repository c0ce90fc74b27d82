//! Reads a Rust file as tokens: what paths, macros, attributes and strings its code names. Comments never count.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

use super::finding::Finding;

/// A name in code and its line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named<T> {
    pub(crate) value: T,
    pub(crate) line: usize,
}

/// What the code of one file names.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) path: String,
    /// Every path, segment by segment, with the braces of `use` trees multiplied out.
    pub(crate) paths: Vec<Named<Vec<String>>>,
    /// Every macro called, by the last segment of its path.
    pub(crate) macros: Vec<Named<String>>,
    /// Every attribute but doc comments: its tokens without spaces.
    pub(crate) attributes: Vec<Named<String>>,
    /// Every string literal as written, without its quotes.
    pub(crate) strings: Vec<Named<String>>,
    /// Lines in the file.
    pub(crate) lines: usize,
    /// Lines before the test modules that end the file.
    pub(crate) production_lines: usize,
}

impl Source {
    /// Reads a file's text; an unreadable file is a finding.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, Finding> {
        let tokens: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
            let line = error.span().start().line;
            Finding::new(path, line, format!("is not readable as Rust ({error})"), "make it compile")
        })?;
        let lines = text.lines().count();
        let mut source = Self { path: path.to_owned(), lines, ..Self::default() };
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        source.production_lines = test_tail(&trees).map_or(lines, |line| line - 1);
        source.read(&trees);
        Ok(source)
    }

    /// Whether the whole file is test code, by its place or name.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.rsplit('/');
        let file = parts.next().unwrap_or_default();
        let stem = file.strip_suffix(".rs").unwrap_or(file);
        stem == "tests"
            || stem.ends_with("_test")
            || stem.ends_with("_tests")
            || parts.any(|folder| matches!(folder, "tests" | "benches"))
    }

    fn read(&mut self, trees: &[TokenTree]) {
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            at += match tree {
                TokenTree::Punct(punct) if punct.as_char() == '#' => self.read_attribute(&trees[at..]),
                TokenTree::Ident(_) => self.read_path(&trees[at..]),
                TokenTree::Group(group) => {
                    self.read(&trees_of(group));
                    1
                }
                TokenTree::Literal(literal) => {
                    self.read_literal(&literal.to_string(), tree.span().start().line);
                    1
                }
                TokenTree::Punct(_) => 1,
            };
        }
    }

    /// `#[..]` or `#![..]`: how many trees it takes.
    fn read_attribute(&mut self, trees: &[TokenTree]) -> usize {
        let bang = usize::from(is_punct(trees.get(1), '!'));
        let Some(group) = bracketed(trees.get(1 + bang)) else { return 1 };
        let inner = trees_of(group);
        if !matches!(inner.first(), Some(TokenTree::Ident(name)) if name == "doc") {
            let value = compact(group);
            self.attributes.push(Named { value, line: group.span_open().start().line });
            self.read(&inner);
        }
        2 + bang
    }

    /// A path that starts with an identifier: how many trees it takes.
    fn read_path(&mut self, trees: &[TokenTree]) -> usize {
        let taken = self.read_use_tree(&[], trees);
        let bang = is_punct(trees.get(taken), '!') && !is_joint_equals(&trees[taken..]);
        if bang && let Some(TokenTree::Ident(name)) = trees.get(taken - 1) {
            self.macros.push(Named { value: name.to_string(), line: name.span().start().line });
        }
        taken
    }

    /// `a::b`, `a::*` or `a::{b, c::d}` below `prefix`; records the paths, says how many trees it takes.
    fn read_use_tree(&mut self, prefix: &[String], trees: &[TokenTree]) -> usize {
        let mut segments = prefix.to_vec();
        let mut at = 0;
        let mut line = 0;
        loop {
            match trees.get(at) {
                Some(TokenTree::Ident(name)) => {
                    line = name.span().start().line;
                    let name = name.to_string();
                    segments.push(name.strip_prefix("r#").unwrap_or(&name).to_owned());
                    at += 1;
                }
                Some(TokenTree::Group(group)) if at > 0 && group.delimiter() == Delimiter::Brace => {
                    let inner = trees_of(group);
                    for item in inner.split(|tree| is_punct(Some(tree), ',')) {
                        self.read_use_item(&segments, item);
                    }
                    return at + 1;
                }
                _ => break,
            }
            if !is_path_separator(&trees[at..]) {
                break;
            }
            at += 2;
        }
        self.paths.push(Named { value: segments, line });
        at
    }

    /// One item between the commas of a brace, which may itself be followed by `as name`.
    fn read_use_item(&mut self, prefix: &[String], item: &[TokenTree]) {
        match item.first() {
            Some(TokenTree::Ident(_)) => {
                self.read_use_tree(prefix, item);
            }
            Some(_) => self.read(item),
            None => {}
        }
    }

    fn read_literal(&mut self, written: &str, line: usize) {
        let Some(start) = written.find('"') else { return };
        if !written[..start].chars().all(|c| matches!(c, 'b' | 'c' | 'r' | '#')) {
            return;
        }
        let value = written[start..].trim_matches(|c| matches!(c, '"' | '#')).to_owned();
        self.strings.push(Named { value, line });
    }
}

/// The line where the test modules begin that end a file, if it ends with test modules.
fn test_tail(trees: &[TokenTree]) -> Option<usize> {
    (0..trees.len())
        .find(|at| is_only_test_modules(&trees[*at..]))
        .map(|at| trees[at].span().start().line)
        .filter(|line| *line > 0)
}

/// Whether these trees are nothing but `#[cfg(test)] mod name { .. }`, once or more.
fn is_only_test_modules(mut trees: &[TokenTree]) -> bool {
    if trees.is_empty() {
        return false;
    }
    while !trees.is_empty() {
        let mut under_test = false;
        while is_punct(trees.first(), '#')
            && let Some(group) = bracketed(trees.get(1))
        {
            let attribute = compact(group);
            under_test |= attribute.starts_with("cfg(test") || attribute.starts_with("cfg(all(test");
            trees = &trees[2..];
        }
        match trees {
            [TokenTree::Ident(keyword), TokenTree::Ident(_), TokenTree::Group(_), rest @ ..]
                if under_test && keyword == "mod" =>
            {
                trees = rest;
            }
            [TokenTree::Ident(keyword), TokenTree::Ident(_), TokenTree::Punct(_), rest @ ..]
                if under_test && keyword == "mod" =>
            {
                trees = rest;
            }
            _ => return false,
        }
    }
    true
}

fn trees_of(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

fn compact(group: &Group) -> String {
    group.stream().to_string().chars().filter(|c| !c.is_whitespace()).collect()
}

fn bracketed(tree: Option<&TokenTree>) -> Option<&Group> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some(group),
        _ => None,
    }
}

fn is_punct(tree: Option<&TokenTree>, sign: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_path_separator(trees: &[TokenTree]) -> bool {
    matches!(trees, [TokenTree::Punct(first), TokenTree::Punct(second), next, ..]
        if first.as_char() == ':' && first.spacing() == Spacing::Joint && second.as_char() == ':'
            && matches!(next, TokenTree::Ident(_) | TokenTree::Group(_)))
}

fn is_joint_equals(trees: &[TokenTree]) -> bool {
    matches!(trees, [TokenTree::Punct(bang), TokenTree::Punct(equals), ..]
        if bang.spacing() == Spacing::Joint && equals.as_char() == '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Source {
        Source::parse("crates/pdu/src/lib.rs", text).unwrap()
    }

    fn paths(text: &str) -> Vec<String> {
        parse(text).paths.iter().map(|path| path.value.join("::")).collect()
    }

    #[test]
    fn use_trees_are_multiplied_out() {
        let found = paths("use std::{fs, time::{Duration, Instant as Clock}, collections::*};");
        for expected in ["std::fs", "std::time::Duration", "std::time::Instant", "std::collections"] {
            assert!(found.iter().any(|path| path == expected), "{expected} in {found:?}");
        }
    }

    #[test]
    fn a_path_split_over_lines_is_one_path() {
        let source = parse("fn f() {\n    let t = std::time::Instant\n        ::now();\n}");
        let path = source.paths.iter().find(|path| path.value.len() == 4).unwrap();
        assert_eq!((path.value.join("::").as_str(), path.line), ("std::time::Instant::now", 3));
    }

    #[test]
    fn comments_and_strings_name_no_paths() {
        let text =
            "/// `Instant::now`\n// Instant::now\nconst A: &str = \"Instant::now\"; /* Instant::now */";
        assert!(!paths(text).iter().any(|path| path.contains("now")));
    }

    #[test]
    fn doc_comments_are_no_strings() {
        let source = parse("/// SELECT nothing\nfn f() { g(r#\"say \"x\"\"#, b\"y\", 'z', \"\") }");
        let strings: Vec<&str> = source.strings.iter().map(|string| string.value.as_str()).collect();
        assert_eq!(strings, ["say \"x", "y", ""]);
    }

    #[test]
    fn macros_are_told_from_inequality() {
        let source = parse("fn f(a: u8) -> bool { if a != 1 { todo!() } else { std::panic!(\"\") } }");
        let macros: Vec<&str> = source.macros.iter().map(|name| name.value.as_str()).collect();
        assert_eq!(macros, ["todo", "panic"]);
    }

    #[test]
    fn production_ends_where_the_trailing_test_modules_begin() {
        let text = "fn a() {}\n\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod x;\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(parse(text).production_lines, 2);
        assert_eq!(parse("#[cfg(test)]\nmod tests {}\n\nfn a() {}\n").production_lines, 4);
        assert_eq!(parse("fn a() {}\n\nmod plain {}\n").production_lines, 3);
    }

    #[test]
    fn unbalanced_code_is_a_finding() {
        let finding = Source::parse("a.rs", "fn f() {\n  (\n}").unwrap_err();
        assert!(finding.what.contains("not readable"), "{finding}");
    }

    #[test]
    fn test_files_are_known_by_place_and_name() {
        let is_test = |path: &str| Source::parse(path, "").unwrap().is_test();
        assert!(is_test("crates/pdu/tests/vectors.rs"));
        assert!(is_test("crates/pdu/src/event/tests.rs"));
        assert!(is_test("crates/pdu/src/event_tests.rs"));
        assert!(!is_test("crates/pdu/src/latest.rs"));
    }
}
