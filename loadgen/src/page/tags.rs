//! For tests of pages, here and in the lab: is the markup well formed, and what is in it?

/// Checks that tags are closed in the order in which they were opened, and returns their names.
pub(crate) fn tags(page: &str) -> Vec<String> {
    const VOID: [&str; 2] = ["meta", "!doctype"];
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let end = tag.find('>').expect("every tag ends");
        let inside = &tag[..end];
        let name = inside
            .trim_start_matches('/')
            .split_whitespace()
            .next()
            .unwrap()
            .to_lowercase();
        assert_eq!(
            inside.matches('"').count() % 2,
            0,
            "quotes are closed in <{inside}>"
        );
        rest = &tag[end + 1..];
        if inside.starts_with('/') {
            assert_eq!(
                open.pop().as_ref(),
                Some(&name),
                "</{name}> closes the last one"
            );
            continue;
        }
        seen.push(name.clone());
        // What is inside these two is no markup.
        if name == "script" || name == "style" {
            let close = format!("</{name}>");
            rest = &rest[rest.find(&close).expect("it is closed") + close.len()..];
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    seen
}
