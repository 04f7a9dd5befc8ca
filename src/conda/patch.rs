//! Replaces the prefix that a package was built in. The rules are rattler's: in texts the prefix changes its length, in binaries the rest of the string
//! moves up and NULs fill the end; UTF-8, UTF-16 and UTF-32 alike.
//!
//! rattler wants the whole file in memory. A larger one is cut into windows, and rattler's replacement of each window gives together what it would give of
//! the whole:
//!
//! - Cuts lie at multiples of four bytes, so that the alignment by which rattler tells encodings apart stays.
//! - No occurrence of the prefix, in any encoding, leads over a cut.
//! - In binaries every string with an occurrence ends before the cut: there are seven NULs between them, which hold a whole aligned code unit of NULs
//!   in every encoding. (No encoding of a text without NULs holds more than five NULs in a row.)
//! - A first line that begins with `#!`, which has rules of its own, lies in the first window, and no other window begins so.

use std::io::{self, Read, Write};

use memchr::memmem;
use rattler::install::link::copy_and_replace_placeholders;
use rattler_conda_types::Subdir;
use rattler_conda_types::package::{FileMode, OffsetEncoding};

use super::info::Placeholder;

/// Bytes of a file that are in memory at once.
const WINDOW: usize = 16 << 20;
/// Most occurrences in one window: rattler keeps a list of them.
const OCCURRENCES_MAX: usize = 1 << 18;
/// NULs in a row that end a string of every encoding.
const END: [u8; 7] = [0; 7];

/// Copies `source`, which has `size` bytes, to `out` with `placeholder` replaced by `prefix`.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] with a reason, where it cannot be replaced: the prefix is longer than the placeholder in a binary, or a string of
/// a binary is longer than the memory allows.
pub(super) fn copy_patched(source: impl Read, size: u64, placeholder: &Placeholder, prefix: &str, out: impl Write) -> io::Result<()> {
    copy_in_windows(source, size, placeholder, prefix, out, WINDOW)
}

fn copy_in_windows(
    mut source: impl Read,
    size: u64,
    placeholder: &Placeholder,
    prefix: &str,
    mut out: impl Write,
    window_size: usize,
) -> io::Result<()> {
    let mode = if placeholder.binary { FileMode::Binary } else { FileMode::Text };
    let encoded = OffsetEncoding::DEFINED.map(|encoding| encoding.encode(&placeholder.text));
    let mut window = Vec::with_capacity(usize::try_from(size).unwrap_or(usize::MAX).min(window_size));
    let mut is_first = true;
    loop {
        let wanted = (window_size - window.len()) as u64;
        source.by_ref().take(wanted).read_to_end(&mut window)?;
        let is_last = window.len() < window_size;
        let end = if is_last { window.len() } else { cut(&window, &encoded, mode, is_first)? };
        refuse_too_many(&window[..end], &encoded)?;
        copy_and_replace_placeholders(&window[..end], &mut out, &placeholder.text, prefix, &Subdir::Linux64, mode)?;
        if is_last {
            return Ok(());
        }
        window.drain(..end);
        is_first = false;
    }
}

fn refuse_too_many(window: &[u8], encoded: &[Vec<u8>]) -> io::Result<()> {
    let count: usize = encoded.iter().map(|text| memmem::find_iter(window, text).take(OCCURRENCES_MAX + 1).count()).sum();
    if count > OCCURRENCES_MAX {
        return Err(invalid("it holds its prefix more often than a file does that is made in good faith"));
    }
    Ok(())
}

/// Where the window may end.
fn cut(window: &[u8], encoded: &[Vec<u8>], mode: FileMode, is_first: bool) -> io::Result<usize> {
    let least = match window.starts_with(b"#!") && is_first && mode == FileMode::Text {
        true => memchr::memchr(b'\n', window).ok_or_else(|| invalid("its first line is longer than 16 MiB"))? + 1,
        false => 1,
    };
    let longest = encoded.iter().map(Vec::len).max().unwrap_or_default();
    let mut end = aligned(window.len().saturating_sub(longest));
    let mut last = Occurrences::new(encoded, window);
    while end >= least {
        let reached = last.before(end);
        // Nothing after the last occurrence could hold another cut off: the next attempt is before it.
        match reached {
            Some(reached) if !is_over(window, reached.end, end, mode) => end = aligned(reached.start),
            _ if window[end..].starts_with(b"#!") => end -= 4,
            _ => return Ok(end),
        }
    }
    Err(invalid("it holds its prefix in a string of more than 16 MiB"))
}

/// Whether what an occurrence that ends at `occurrence` belongs to is over at `end`.
fn is_over(window: &[u8], occurrence: usize, end: usize, mode: FileMode) -> bool {
    match mode {
        FileMode::Text => occurrence <= end,
        FileMode::Binary => occurrence <= end && memmem::find(&window[occurrence..end], &END).is_some(),
    }
}

fn aligned(place: usize) -> usize {
    place & !3
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The last occurrence of each encoding before a place that moves down: each part of the window is searched once.
struct Occurrences<'a> {
    encoded: &'a [Vec<u8>],
    window: &'a [u8],
    last: Vec<Option<usize>>,
}

/// Where the last occurrence begins, and where the one that reaches furthest ends.
struct Reached {
    start: usize,
    end: usize,
}

impl<'a> Occurrences<'a> {
    fn new(encoded: &'a [Vec<u8>], window: &'a [u8]) -> Self {
        Occurrences { encoded, window, last: vec![Some(usize::MAX); encoded.len()] }
    }

    /// The occurrences that begin before `end`.
    fn before(&mut self, end: usize) -> Option<Reached> {
        for (text, last) in self.encoded.iter().zip(&mut self.last) {
            if last.is_some_and(|last| last >= end) {
                let seen = (end + text.len() - 1).min(self.window.len());
                *last = memmem::rfind(&self.window[..seen], text);
            }
        }
        let found = self.encoded.iter().zip(&self.last).filter_map(|(text, last)| last.map(|start| (start, start + text.len())));
        found.fold(None, |reached: Option<Reached>, (start, end)| match reached {
            None => Some(Reached { start, end }),
            Some(reached) => Some(Reached { start: reached.start.max(start), end: reached.end.max(end) }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "/ab";

    fn placeholder(text: &str, binary: bool) -> Placeholder {
        Placeholder { text: text.to_owned(), binary }
    }

    fn patched(source: &[u8], placeholder: &Placeholder, prefix: &str, window: usize) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        copy_in_windows(source, source.len() as u64, placeholder, prefix, &mut out, window).map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn texts_grow_and_binaries_keep_their_size() {
        let source = b"#!/built/here/bin/python\nx = '/built/here/lib'\n";
        let text = patched(source, &placeholder("/built/here", false), "/opt/conda/somewhere", WINDOW).unwrap();
        assert_eq!(text, b"#!/opt/conda/somewhere/bin/python\nx = '/opt/conda/somewhere/lib'\n");
        let source = b"\x7fELF\0/built/here/lib:/built/here/etc\0rest";
        let binary = patched(source, &placeholder("/built/here", true), "/opt", WINDOW).unwrap();
        assert_eq!(binary, b"\x7fELF\0/opt/lib:/opt/etc\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0rest");
        let long = patched(source, &placeholder("/built/here", true), "/opt/conda/somewhere", WINDOW).unwrap_err();
        assert!(long.contains("longer"), "{long}");
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let binary = [b"\0".repeat(64), b"/ab".repeat(100)].concat();
        let error = patched(&binary, &placeholder(TEXT, true), "/c", 64).unwrap_err();
        assert!(error.contains("in a string of more than"), "{error}");
        let shebang = [b"#!".to_vec(), b"x".repeat(100)].concat();
        let error = patched(&shebang, &placeholder(TEXT, false), "/c", 64).unwrap_err();
        assert!(error.contains("first line"), "{error}");
        let many = b"/ab\0".repeat(OCCURRENCES_MAX + 1);
        let error = patched(&many, &placeholder(TEXT, true), "/c", WINDOW).unwrap_err();
        assert!(error.contains("more often"), "{error}");
    }

    /// Parts of which occurrences, near-occurrences and ends of strings of all encodings come about often.
    fn part() -> impl Strategy<Value = Vec<u8>> {
        let encodings: Vec<Vec<u8>> = OffsetEncoding::DEFINED.iter().map(|encoding| encoding.encode(TEXT)).collect();
        prop_oneof![
            4 => proptest::sample::select(encodings),
            2 => Just(vec![0; 7]),
            2 => proptest::collection::vec(Just(0), 1..6),
            3 => proptest::collection::vec(proptest::sample::select(&b"/ab#!\nx\0"[..]), 1..12),
            1 => Just(b"#!/ab/x\n".to_vec()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn windows_give_what_rattler_gives_of_the_whole(
            parts in proptest::collection::vec(part(), 0..60),
            binary: bool,
            prefix in proptest::sample::select(&["/c", "/x1", "/longer"][..]),
            window in 40usize..200,
        ) {
            let source = parts.concat();
            let mode = if binary { FileMode::Binary } else { FileMode::Text };
            let mut whole = Vec::new();
            let expected = copy_and_replace_placeholders(&source, &mut whole, TEXT, prefix, &Subdir::Linux64, mode).map(|()| whole);
            match (patched(&source, &placeholder(TEXT, binary), prefix, window), expected) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                // Small windows cannot hold every string, and say so.
                (Err(ours), theirs) => prop_assert!(theirs.is_err() || ours.contains("of more than") || ours.contains("longer than"), "{}", ours),
                (Ok(_), Err(theirs)) => prop_assert!(false, "{}", theirs),
            }
        }
    }
}
