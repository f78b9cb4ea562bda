//! The files of the page, which are part of the program.

/// One of them.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    pub(super) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Makes the table of files that lie beside each other.
macro_rules! assets {
    ($($name:literal at $path:expr, $kind:ident;)+) => {
        &[$(Asset {
            path: $path,
            kind: $kind,
            bytes: include_bytes!(concat!("dashboard/", $name)),
        },)+]
    };
    ($($name:literal, $kind:ident;)+) => {
        assets! { $($name at concat!("/assets/", $name), $kind;)+ }
    };
}

/// The page itself.
const PAGE: &[Asset] = assets! { "index.html" at "/", HTML; };

/// What it loads.
const PARTS: &[Asset] = assets! {
    "chart.js", SCRIPT;
    "dashboard.css", CSS;
    "dashboard.js", SCRIPT;
    "dom.js", SCRIPT;
    "history.js", SCRIPT;
    "icon.svg", SVG;
    "panels.js", SCRIPT;
    "scene.js", SCRIPT;
    "sentence.js", SCRIPT;
    "stage.css", CSS;
    "stage.js", SCRIPT;
    "stream.js", SCRIPT;
    "view.js", SCRIPT;
    "words.js", SCRIPT;
};

/// The file that is served under a path.
pub(super) fn find(path: &str) -> Option<&'static Asset> {
    PAGE.iter().chain(PARTS).find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/dashboard");
        let files = fs::read_dir(folder).unwrap();
        let mut names: BTreeSet<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        // It tells Node.js how to read them, which tests them without a browser.
        assert!(names.remove("package.json"));
        let served = PARTS
            .iter()
            .map(|asset| asset.path.strip_prefix("/assets/"));
        let served = served.map(|name| name.unwrap().to_owned());
        let served: BTreeSet<_> = served.chain(["index.html".to_owned()]).collect();
        assert_eq!(served, names);
    }

    #[test]
    fn the_page_has_no_script_or_style_in_it() {
        let page = std::str::from_utf8(find("/").unwrap().bytes).unwrap();
        for inline in [
            "<style",
            " style=",
            "<script>",
            " on",
            "http:",
            "https:",
            "javascript:",
        ] {
            assert!(!page.to_lowercase().contains(inline), "{inline}");
        }
    }
}
