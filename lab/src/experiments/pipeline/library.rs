//! Real files to be searched, and the plain search that every other way must agree with.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::dice::Dice;

/// What is looked for.
const KEYWORD: &str = "echo";
/// What the texts are made of: words that begin as it does, and one that contains it.
const WORDS: [&str; 12] = [
    "accept",
    "backlog",
    "client",
    "ebb",
    "echelon",
    "echo",
    "queue",
    "server",
    "socket",
    "thread",
    "re-echoed",
    "worker",
];
/// One text of so many has no word with the keyword in it.
const WITHOUT: usize = 3;
/// Words of one text: some 6 KiB.
const WORDS_PER_FILE: usize = 1_000;

/// How often the keyword stands in each file, by the file's number.
pub(super) type Answer = BTreeMap<usize, usize>;

/// A folder of text files, which is removed with it.
#[derive(Debug)]
pub(super) struct Library {
    /// The files in the order of their numbers.
    pub(super) files: Vec<PathBuf>,
    _folder: TempDir,
}

impl Library {
    /// Writes `count` files whose words follow from `seed`.
    ///
    /// # Errors
    ///
    /// When there is nowhere to write to.
    pub(super) fn write(count: usize, seed: u64) -> io::Result<Self> {
        let folder = TempDir::with_prefix("lab-pipeline-")?;
        let mut dice = Dice::of(seed);
        let mut files = Vec::new();
        for number in 0..count {
            let all = WORDS.into_iter();
            let all: Vec<&str> = all
                .filter(|word| number % WITHOUT != 1 || occurrences(word.as_bytes()) == 0)
                .collect();
            let words: Vec<&str> = (0..WORDS_PER_FILE)
                .filter_map(|_| dice.pick(&all))
                .collect();
            let path = folder.path().join(format!("{number}.txt"));
            fs::write(&path, words.join(" "))?;
            files.push(path);
        }
        Ok(Self {
            files,
            _folder: folder,
        })
    }

    /// One file after the other.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub(super) fn search(&self) -> io::Result<Answer> {
        let numbered = self.files.iter().enumerate();
        numbered
            .map(|(number, path)| Ok((number, occurrences(&fs::read(path)?))))
            .collect()
    }
}

/// How often the keyword stands in `text`.
pub(super) fn occurrences(text: &[u8]) -> usize {
    memchr::memmem::find_iter(text, KEYWORD).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_texts_and_some_of_them_lack_the_keyword() {
        let answer = |seed| Library::write(3, seed).unwrap().search().unwrap();
        assert_eq!(answer(7), answer(7));
        assert_ne!(answer(7), answer(8));
        let have: Vec<bool> = answer(7).values().map(|found| *found > 0).collect();
        assert_eq!(have, [true, false, true]);
    }
}
