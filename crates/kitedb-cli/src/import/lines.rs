//! Lines of text in bounded memory, numbered from 1.

use super::too_long;
use std::io::{self, BufRead, Read};

/// For text with line ends of old Macs, all of which would be one line.
pub const LONE_CR: &str =
    "a carriage return stands alone within it: line ends are LF or CRLF (`tr '\\r' '\\n' < FILE` makes them)";

/// Calls `each` with every line of `reader`: its number, its text without line end and byte order mark, or what keeps it
/// from being text, and the line end that was taken off. None is longer than `limit` bytes.
pub fn each<E>(
    mut reader: impl BufRead,
    limit: usize,
    failed: impl Fn(&io::Error) -> E,
    mut each: impl FnMut(u64, Result<&str, String>, &'static str) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = Vec::new();
    for number in 1.. {
        buffer.clear();
        let read = (&mut reader).take(limit as u64).read_until(b'\n', &mut buffer).map_err(|e| failed(&e))?;
        if read == 0 {
            break;
        }
        let ends = buffer.pop_if(|last| *last == b'\n').is_some();
        if !ends && read == limit {
            buffer = Vec::new();
            reader.skip_until(b'\n').map_err(|e| failed(&e))?;
            each(number, Err(too_long(limit)), "\n")?;
            continue;
        }
        let (text, end) = match buffer.strip_suffix(b"\r") {
            Some(text) => (text, if ends { "\r\n" } else { "\r" }),
            None => (&*buffer, if ends { "\n" } else { "" }),
        };
        let text = if number == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) } else { text };
        each(number, as_text(text), end)?;
    }
    Ok(())
}

fn as_text(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    if bytes.contains(&0) {
        return Err("it holds a NUL character: is it UTF-16? (`iconv -f UTF-16LE -t UTF-8` converts it)".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::MAX_LINE;

    fn lines(bytes: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut all = Vec::new();
        each(
            bytes,
            MAX_LINE,
            |e| e.to_string(),
            |number, text, _| {
                all.push((number, text.map(str::to_owned)));
                Ok(())
            },
        )
        .unwrap();
        all
    }

    #[test]
    fn lines_lose_their_ends_and_the_byte_order_mark() {
        let all = lines(b"\xef\xbb\xbfone\r\n\ntwo\nlast");
        let text: Vec<_> = all.iter().map(|(n, t)| (*n, t.as_deref().unwrap())).collect();
        assert_eq!(text, [(1, "one"), (2, ""), (3, "two"), (4, "last")]);
    }

    #[test]
    fn a_line_that_is_no_text_is_reported_and_the_next_one_read() {
        let all = lines(b"\xff\xfe\nok\n");
        assert!(all[0].1.as_ref().unwrap_err().contains("UTF-8"));
        assert_eq!(all[1].1.as_deref(), Ok("ok"));
    }

    #[test]
    fn text_of_two_bytes_a_character_is_no_text_of_one() {
        let all = lines(b"a\0 \0b\0\n");
        assert!(all[0].1.as_ref().unwrap_err().contains("UTF-16"), "{all:?}");
    }

    #[test]
    fn the_end_of_each_line_is_told() {
        let mut ends = Vec::new();
        let see = |_, _: Result<&str, String>, end| {
            ends.push(end);
            Ok::<_, String>(())
        };
        each(&b"a\r\nb\n\r\nc\r"[..], MAX_LINE, |e| e.to_string(), see).unwrap();
        assert_eq!(ends, ["\r\n", "\n", "\r\n", "\r"]);
    }

    #[test]
    fn a_line_without_end_is_cut_off_and_the_next_one_read() {
        let mut bytes = vec![b'x'; MAX_LINE + 10];
        bytes.extend_from_slice(b"\nok\n");
        let all = lines(&bytes);
        assert!(all[0].1.as_ref().unwrap_err().contains("16 MiB"));
        assert_eq!((all[1].0, all[1].1.as_deref()), (2, Ok("ok")));
    }
}
