use proptest::prelude::*;

use super::*;

fn of(html: &str) -> Page {
    read(html.as_bytes(), "text/html; charset=utf-8")
}

fn property(page: &Page, name: &str) -> String {
    page.properties.get(name).cloned().unwrap_or_default()
}

#[test]
fn what_open_graph_says_counts_most() {
    let page = of(r#"<html><head><title>The Rock (1996)</title><meta name="description" content="plain">
        <meta name="twitter:title" content="card"><meta property="og:title" content=" The
        Rock "><meta property="og:title" content="second"><meta property="og:type" content="video.movie"/>
        <meta property="og:image" content="test.png"><meta property="og:image:width" content="1">
        <meta property="og:video" content="http://x/y.mp4"><META PROPERTY="OG:URL" CONTENT="http://x/"></head>"#);
    assert_eq!(property(&page, "og:title"), "The Rock");
    assert_eq!(property(&page, "og:type"), "video.movie");
    assert_eq!(property(&page, "og:url"), "http://x/");
    assert_eq!(property(&page, "og:description"), "plain");
    assert_eq!(page.image.as_deref(), Some("test.png"));
    assert_eq!(page.properties.len(), 4, "neither the picture's own properties nor films");
}

#[test]
fn a_card_fills_in_and_then_the_page_itself() {
    let page = of(r#"<title>Own &amp; <b>plain</title><meta name="twitter:title" content="Card">
        <meta name="twitter:description" content="of the card"><meta name="twitter:image" content="//x/c.png">"#);
    assert_eq!(property(&page, "og:title"), "Card");
    assert_eq!(property(&page, "og:description"), "of the card");
    assert_eq!(page.image.as_deref(), Some("//x/c.png"));
    let page = of(
        "<title> Own &amp; <b>plain </title><svg><title>shape</title></svg><link rel='x image_src' href='i'>",
    );
    assert_eq!(property(&page, "og:title"), "Own & <b>plain");
    assert_eq!(page.image.as_deref(), Some("i"));
    assert_eq!(of("no markup at all"), Page::default());
}

#[test]
fn markup_in_scripts_is_none() {
    let page = of(
        r#"<script>"<meta property='og:title' content='no'><title>no</title>"</script><title>yes</title>"#,
    );
    assert_eq!(property(&page, "og:title"), "yes");
}

#[test]
fn the_encoding_is_the_declared_one() {
    let latin = b"<title>caf\xe9</title>";
    assert_eq!(property(&read(latin, "text/html; charset=ISO-8859-1"), "og:title"), "caf\u{e9}");
    let own = b"<meta charset='windows-1252'><title>caf\xe9</title>";
    assert_eq!(property(&read(own, "text/html"), "og:title"), "caf\u{e9}");
    let japanese = b"<title>\x83e\x83X\x83g</title>";
    assert_eq!(
        property(&read(japanese, "text/html; charset=\"Shift_JIS\""), "og:title"),
        "\u{30c6}\u{30b9}\u{30c8}"
    );
    assert_eq!(property(&read("<title>é</title>".as_bytes(), "text/html"), "og:title"), "é");
}

#[test]
fn a_page_can_not_say_too_much() {
    let mut html = format!("<title>{}</title>", "long ".repeat(100_000));
    for n in 0..1_000 {
        html.push_str(&format!("<meta property='og:x{n}' content='{}'>", "y".repeat(5_000)));
    }
    html.push_str(&format!("<meta property='og:{}' content='y'>", "n".repeat(100)));
    let page = of(&html);
    assert!(page.properties.len() <= MOST_PROPERTIES + 1);
    assert!(page.properties.values().all(|value| value.chars().count() <= MOST_VALUE));
    assert!(page.properties.keys().all(|name| name.len() <= MOST_NAME));
    assert!(of(&"<div>".repeat(200_000)).properties.is_empty(), "depth costs nothing");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000), kind in "[ -~]{0,40}") {
        let _ = read(&bytes, &kind);
    }

    #[test]
    fn no_markup_makes_it_panic(html in "(<(meta|title|svg|/title|link|!--|script)( (property|name|content|rel|href|charset)='?[a-z:\"]{0,9}'?){0,3}/?>|[a-z&;]{0,9}){0,30}") {
        let _ = of(&html);
    }
}
