//! Servers that have to be compiled: once for each source, into a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds `source` in `folder` unless that was done before, and returns the program.
///
/// # Errors
///
/// When the folder cannot be written to, or with the first complaint of the compiler.
pub(super) fn go(name: &str, source: &str, folder: &Path) -> io::Result<PathBuf> {
    // The lab's own folder may be relative, and a program without a slash is looked for elsewhere.
    let folder = std::path::absolute(folder)?.join("foreign");
    let (file, program) = (folder.join(format!("{name}.go")), folder.join(name));
    if program.exists() && fs::read_to_string(&file).is_ok_and(|built| built == source) {
        return Ok(program);
    }
    fs::create_dir_all(&folder)?;
    // Others may build the same at this moment, or run it. So it is done aside, and the source is put
    // down last, so that it never stands beside the program of another one.
    let aside = tempfile::tempdir_in(&folder)?;
    let (fresh_file, fresh) = (aside.path().join("it.go"), aside.path().join("it"));
    fs::write(&fresh_file, source)?;
    compile(&fresh_file, &fresh)?;
    fs::rename(&fresh, &program)?;
    fs::rename(&fresh_file, &file)?;
    Ok(program)
}

fn compile(file: &Path, program: &Path) -> io::Result<()> {
    let mut command = Command::new("go");
    command.args(["build", "-o"]).args([program, file]);
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // The first line only names the package.
    let complaint = said.lines().find(|line| !line.starts_with('#'));
    Err(io::Error::other(
        complaint.unwrap_or("go says nothing").to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_not_built_again() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("foreign");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("it.go"), "package main").unwrap();
        fs::write(inside.join("it"), "a program").unwrap();
        let program = go("it", "package main", folder.path()).unwrap();
        assert_eq!(fs::read_to_string(program).unwrap(), "a program");
    }

    #[test]
    fn what_the_compiler_does_not_take_leaves_no_source_behind() {
        let folder = tempfile::tempdir().unwrap();
        // Without a compiler it fails as well, and for this test that is the same.
        assert!(go("it", "package broken (", folder.path()).is_err());
        let left = fs::read_dir(folder.path().join("foreign")).unwrap();
        assert_eq!(left.count(), 0);
    }
}
