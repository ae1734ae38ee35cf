//! The bytes of a file: where they come from, and that they are text or gzip.

use crate::{
    cli::Format,
    failure::{EXIT_FAULT, Failure, Outcome},
    import::{envelope, progress},
    piped::{PipedInput, interruption},
    render::style::clean,
    watched::Watched,
};
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use std::{
    fs::{self, File},
    io::{self, BufReader, Cursor, Read},
    os::fd::AsFd,
    path::Path,
};

pub type Input = Box<dyn Read>;

/// How the input is called.
pub fn source(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { clean(&path.display().to_string()) }
}

/// Why the input cannot be read on.
pub fn unread(path: &Path, error: &io::Error) -> Failure {
    interruption(error).map_or_else(|| Failure::reading(path, error), Failure::from)
}

/// What can be looked at before anything is written: that the file is there, and whole if it is an export.
pub fn require_whole(path: &Path, format: Format, skip_bad: bool) -> Outcome {
    if path == Path::new("-") {
        return Ok(());
    }
    let failed = |error: io::Error| unread(path, &error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::new(format_args!("cannot read {}: it is a folder", path.display())));
    }
    if !metadata.is_file() {
        return Ok(());
    }
    let mut file = File::open(path).map_err(failed)?;
    if format == Format::Jsonl && !skip_bad && envelope::is_cut(&mut file).map_err(failed)? {
        let what = format_args!(
            "{} is cut: it begins as an export does, and its last line is not the one with which an export ends",
            source(path)
        );
        return Err(Failure::new(what).exit(EXIT_FAULT).hint(
            "nothing is imported; export the graph again, or import what is there with --skip-bad, which ends with 3, too",
        ));
    }
    Ok(())
}

/// Opens a file that is there, or standard input.
pub fn open(path: &Path, watched: &Watched) -> Outcome<(Input, ProgressBar)> {
    let failed = |error: io::Error| unread(path, &error);
    let piped = |input: io::Result<PipedInput>| -> Outcome<(Input, ProgressBar)> {
        Ok((Box::new(input.map_err(failed)?), progress::bar(None)))
    };
    if path == Path::new("-") {
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        return piped(PipedInput::open(move || Ok(input.into()), watched));
    }
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        let path = path.to_owned();
        return piped(PipedInput::open(move || File::open(path), watched));
    }
    Ok((Box::new(File::open(path).map_err(failed)?), progress::bar(Some(metadata.len()))))
}

/// What an input is by its first bytes.
#[derive(Debug, PartialEq)]
enum Begins {
    AsText,
    AsGzip,
    /// As what is not read: why, and what to do.
    Otherwise(&'static str),
}

/// Bytes with which text does not begin, or seldom.
const SIGNS: [(&[u8], Begins); 8] = [
    (&[0x1F, 0x8B], Begins::AsGzip),
    (&[0xFF, 0xFE], Begins::Otherwise(UTF_16)),
    (&[0xFE, 0xFF], Begins::Otherwise(UTF_16)),
    (
        &[0x28, 0xB5, 0x2F, 0xFD],
        Begins::Otherwise("it is compressed with zstd: unpack it into a pipe (`zstdcat FILE | kitedb import DB -`)"),
    ),
    (
        b"BZh9",
        Begins::Otherwise("it is compressed with bzip2: unpack it into a pipe (`bzcat FILE | kitedb import DB -`)"),
    ),
    (
        &[0xFD, b'7', b'z', b'X'],
        Begins::Otherwise("it is compressed with xz: unpack it into a pipe (`xzcat FILE | kitedb import DB -`)"),
    ),
    (b"PK\x03\x04", Begins::Otherwise("it is a ZIP archive: unpack it")),
    (b"PAR1", Begins::Otherwise("it is a Parquet file: write it as CSV")),
];

const UTF_16: &str = "it is UTF-16 text: convert it (`iconv -f UTF-16 -t UTF-8 FILE | kitedb import DB -`)";

/// The text of an input. What is gzip is unpacked, and what is neither is refused.
pub fn decoded(input: impl Read + 'static) -> io::Result<BufReader<Input>> {
    let (begins, input) = sniffed(input)?;
    let input = match begins {
        Begins::AsText => input,
        Begins::AsGzip => match sniffed(MultiGzDecoder::new(input))? {
            (Begins::AsText, input) => input,
            (Begins::AsGzip, _) => return Err(io::Error::other("it is compressed twice: unpack it once")),
            (Begins::Otherwise(what), _) => return Err(io::Error::other(what)),
        },
        Begins::Otherwise(what) => return Err(io::Error::other(what)),
    };
    Ok(BufReader::with_capacity(256 << 10, input))
}

/// What an input is, and all of it. No more is waited for than the signs take that its first bytes may become.
fn sniffed(mut input: impl Read + 'static) -> io::Result<(Begins, Input)> {
    let mut head = Vec::new();
    let begins = loop {
        let may_be = |sign: &[u8]| sign.len() > head.len() && sign.starts_with(&head);
        if !SIGNS.iter().any(|(sign, _)| may_be(sign)) {
            break SIGNS
                .into_iter()
                .find(|(sign, _)| head.starts_with(sign))
                .map_or(Begins::AsText, |(_, begins)| begins);
        }
        let mut byte = [0];
        match input.read(&mut byte) {
            Ok(0) => break Begins::AsText,
            Ok(_) => head.extend(byte),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    };
    Ok((begins, Box::new(Cursor::new(head).chain(input))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn text(bytes: &'static [u8]) -> io::Result<String> {
        let mut text = String::new();
        decoded(bytes)?.read_to_string(&mut text)?;
        Ok(text)
    }

    fn packed(text: &[u8]) -> &'static [u8] {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(text).unwrap();
        packed.finish().unwrap().leak()
    }

    #[test]
    fn text_and_gzip_are_read_and_all_else_is_refused() {
        for (bytes, want) in [
            (&b""[..], ""),
            (b"a", "a"),
            (b"BZ h", "BZ h"),
            (b"\xef\xbb\xbfa", "\u{feff}a"),
            (packed(b"a b\n"), "a b\n"),
            ([packed(b"a b\n"), packed(b"c d\n")].concat().leak(), "a b\nc d\n"),
        ] {
            assert_eq!(text(bytes).unwrap(), want);
        }
        for (bytes, phrase) in [
            (&b"\xff\xfea\0"[..], "UTF-16"),
            (b"\xfe\xff\0a", "UTF-16"),
            (packed(b"\xff\xfea\0"), "UTF-16"),
            (packed(packed(b"a")), "compressed twice"),
            (b"\x28\xb5\x2f\xfd....", "zstd"),
            (b"PK\x03\x04....", "ZIP"),
        ] {
            assert!(text(bytes).unwrap_err().to_string().contains(phrase), "{phrase}");
        }
        // Cut, and followed by something else.
        let whole = packed(b"a b\n");
        assert!(text(&whole[..whole.len() - 4]).is_err());
        assert!(text([whole, b"more"].concat().leak()).is_err());
    }

    /// Wherever it is cut, and whatever bit of it is another one: it is the same text, or an error.
    #[test]
    fn damaged_gzip_is_an_error_and_no_panic() {
        const TEXT: &str = "ada charles KNOWS\ncharles ada KNOWS\n";
        let whole = packed(TEXT.as_bytes());
        for at in 0..whole.len() {
            assert!(at < 2 || text(&whole[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut other = whole.to_vec();
                other[at] ^= 1 << bit;
                let read = text(other.leak());
                // Bits of its head, and behind its last block, mean nothing.
                assert!(read.as_ref().map_or(true, |read| read == TEXT), "bit {bit} of byte {at}: {read:?}");
            }
        }
    }
}
