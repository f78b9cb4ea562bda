//! Where the ceiling is kept between `loadgen selftest` and later runs: the user's cache.
//!
//! Keeping it is a convenience: whatever goes wrong here never fails a run.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use loadgen::Ceiling;

use super::output;

/// A larger file is none of ours.
const MOST_BYTES: u64 = 1 << 20;

/// The ceiling that was kept, if there is one that can be read.
pub(super) fn read() -> Option<Ceiling> {
    let file = place(&|name| env::var_os(name)).ok()?;
    let small = fs::metadata(&file).ok()?.len() <= MOST_BYTES;
    let text = small.then(|| fs::read_to_string(&file).ok())??;
    serde_json::from_str(&text).ok()
}

/// Keeps `ceiling` and tells where.
///
/// # Errors
///
/// Why it cannot be kept, in one line.
pub(super) fn keep(ceiling: &Ceiling) -> Result<PathBuf, String> {
    let file = place(&|name| env::var_os(name))?;
    let cannot = |error| format!("cannot write {}: {error}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(cannot)?;
    }
    let text = serde_json::to_string_pretty(ceiling).map_err(|error| error.to_string())?;
    output::write(&file, &format!("{text}\n")).map_err(cannot)?;
    Ok(file)
}

/// The file, by the variables of the environment from `lookup`. A relative folder does not count.
fn place(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, String> {
    let folder = |name: &str| {
        let folder = lookup(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let home = || folder("HOME").map(|home| home.join(".cache"));
    let cache = folder("XDG_CACHE_HOME").or_else(home);
    cache
        .map(|cache| cache.join("loadgen").join("selftest.json"))
        .ok_or_else(|| "neither XDG_CACHE_HOME nor HOME names a folder".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(&str, &str)]) -> Option<String> {
        let lookup = |wanted: &str| {
            let (_, value) = pairs.iter().find(|(name, _)| *name == wanted)?;
            Some(OsString::from(*value))
        };
        place(&lookup).ok().map(|file| file.display().to_string())
    }

    #[test]
    fn the_cache_is_where_the_user_has_it() {
        let home = ("HOME", "/home/a");
        let in_home = Some("/home/a/.cache/loadgen/selftest.json".to_owned());
        assert_eq!(found(&[home]), in_home);
        assert_eq!(found(&[home, ("XDG_CACHE_HOME", "")]), in_home);
        assert_eq!(found(&[home, ("XDG_CACHE_HOME", "rel")]), in_home);
        assert_eq!(
            found(&[home, ("XDG_CACHE_HOME", "/c")]).as_deref(),
            Some("/c/loadgen/selftest.json")
        );
        assert_eq!(found(&[]), None);
    }
}
