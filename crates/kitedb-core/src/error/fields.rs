//! What an error is about, for programs: the fields beside its kind, code and message.

use super::Error;
use crate::graph::{Epoch, Token};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// How many bytes of a text a field keeps: as many as a name has at most. A key may be longer.
const MAX_TEXT: usize = 4096;

/// See the [module documentation](self).
#[derive(Clone, Default)]
pub(super) struct Fields {
    token: Option<Token>,
    epoch: Option<Epoch>,
    path: Option<Box<Path>>,
    pid: Option<u32>,
    key: Option<Box<str>>,
    expected: Option<Box<str>>,
    found: Option<Box<str>>,
}

impl Error {
    /// The commit that it is about: the one whose outcome is unknown, that does not count, or up to which something goes.
    pub fn token(&self) -> Option<Token> {
        self.0.fields.token
    }

    /// The epoch that leads, as far as is known here.
    pub fn epoch(&self) -> Option<Epoch> {
        self.0.fields.epoch
    }

    /// The file or folder that it is about.
    pub fn path(&self) -> Option<&Path> {
        self.0.fields.path.as_deref()
    }

    /// The id of the process that is in the way.
    pub fn pid(&self) -> Option<u32> {
        self.0.fields.pid
    }

    /// What the caller used and what is wrong with it: the key of a node, the name of a label, an edge type or a property, as
    /// text; the id of a node or a name where the caller used that, and where there is no name. A text of more than 4 KiB is
    /// cut, with `…` at its end.
    pub fn key(&self) -> Option<&str> {
        self.0.fields.key.as_deref()
    }

    /// What should have been there.
    pub fn expected(&self) -> Option<&str> {
        self.0.fields.expected.as_deref()
    }

    /// What is there instead.
    pub fn found(&self) -> Option<&str> {
        self.0.fields.found.as_deref()
    }

    /// The fields that are set, by the names under which JSON has them, each as text.
    ///
    /// ```
    /// # use kitedb_core::{Error, ErrorCode};
    /// let error = Error::new(ErrorCode::Locked, "a.kitedb is open elsewhere").with_path("a.kitedb").with_pid(42);
    /// assert_eq!(error.fields(), [("path", "a.kitedb".to_owned()), ("pid", "42".to_owned())]);
    /// ```
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        self.0.fields.set().collect()
    }

    /// The same error about that commit.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.0.fields.token = Some(token);
        self
    }

    /// The same error, with the epoch that leads.
    #[must_use]
    pub fn with_epoch(mut self, epoch: Epoch) -> Self {
        self.0.fields.epoch = Some(epoch);
        self
    }

    /// The same error about that file or folder.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.fields.path = Some(path.into().into_boxed_path());
        self
    }

    /// The same error about that file, if no place below knew a nearer one.
    #[must_use]
    pub(crate) fn or_path(self, path: &Path) -> Self {
        if self.path().is_some() { self } else { self.with_path(path) }
    }

    /// The same error, with the id of the process that is in the way; 0 is none.
    #[must_use]
    pub fn with_pid(mut self, pid: impl TryInto<u32>) -> Self {
        self.0.fields.pid = pid.try_into().ok().filter(|pid| *pid != 0);
        self
    }

    /// The same error about what the caller called so.
    #[must_use]
    pub fn with_key(mut self, key: impl fmt::Display) -> Self {
        self.0.fields.key = Some(bounded(key));
        self
    }

    /// The same error, with what should have been there.
    #[must_use]
    pub fn with_expected(mut self, expected: impl fmt::Display) -> Self {
        self.0.fields.expected = Some(bounded(expected));
        self
    }

    /// The same error, with what is there instead.
    #[must_use]
    pub fn with_found(mut self, found: impl fmt::Display) -> Self {
        self.0.fields.found = Some(bounded(found));
        self
    }

    /// The same error with the fields of `cause`, of which it is another word.
    #[must_use]
    pub(crate) fn about_what(mut self, cause: &Self) -> Self {
        self.0.fields = cause.0.fields.clone();
        self
    }
}

/// A text for a field, or for a key in a message: of any length, it is cut where it is long.
pub(crate) fn bounded(text: impl fmt::Display) -> Box<str> {
    let mut text = text.to_string();
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text.into()
}

impl Fields {
    /// Those that are set, in one order.
    fn set(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Self { token, epoch, path, pid, key, expected, found } = self;
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let all = [
            ("token", token.map(Token::full)),
            ("epoch", epoch.map(|epoch| epoch.to_string())),
            ("path", path.as_ref().map(|path| path.display().to_string())),
            ("pid", pid.map(|pid| pid.to_string())),
            ("key", text(key)),
            ("expected", text(expected)),
            ("found", text(found)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// Behind a message, as in ` {path: "a.kitedb", pid: "42"}`; nothing where none is set.
impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (name, value)) in self.set().enumerate() {
            write!(f, "{}{name}: {value:?}", if nth == 0 { " {" } else { ", " })?;
        }
        if self.set().next().is_some() { f.write_str("}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::ErrorCode,
        graph::{LogIndex, WriterTag},
    };
    use std::io;

    fn full() -> Error {
        let token = Token::new(Epoch(2), LogIndex(17)).with_tag(WriterTag(0x9f3c_21aa));
        Error::new(ErrorCode::StalePrimary, "another node leads")
            .with_token(token)
            .with_epoch(Epoch(3))
            .with_path("a.kitedb")
            .with_pid(42u64)
            .with_key("alice")
            .with_expected("2")
            .with_found(3)
    }

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<crate::Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn fields_are_read_back_and_shown_to_who_debugs_and_not_in_the_message() {
        let error = full();
        assert_eq!(error.to_string(), "another node leads");
        assert_eq!(
            format!("{error:?}"),
            "STALE_PRIMARY (fenced): another node leads {token: \"2:17.9f3c21aa\", epoch: \"3\", path: \"a.kitedb\", \
             pid: \"42\", key: \"alice\", expected: \"2\", found: \"3\"}"
        );
        assert_eq!((error.epoch(), error.pid(), error.path()), (Some(Epoch(3)), Some(42), Some(Path::new("a.kitedb"))));
        assert_eq!((error.key(), error.expected(), error.found()), (Some("alice"), Some("2"), Some("3")));
        let bare = Error::invalid("no");
        assert_eq!((format!("{bare:?}"), bare.fields()), ("INVALID_ARGUMENT (input): no".into(), vec![]));
    }

    #[test]
    fn what_is_done_to_an_error_keeps_its_fields_and_its_cause() {
        let io = Error::io("open", Path::new("b"), io::Error::other("no"));
        let same = |error: Error| (error.fields(), std::error::Error::source(&error).is_some());
        let before = same(io.clone());
        assert_eq!(before, (vec![("path", "b".to_owned())], true));
        for error in [io.clone().context("first"), io.clone().and("then"), io.clone().recoded(ErrorCode::Corrupt)] {
            assert_eq!(same(error), before);
        }
        assert_eq!(Error::invalid("another word").about_what(&full()).fields(), full().fields());
        assert_eq!(io.clone().or_path(Path::new("outer")).path(), Some(Path::new("b")));
        assert_eq!(Error::invalid("no").or_path(Path::new("outer")).path(), Some(Path::new("outer")));
        // Who looks for the operating system's word finds it as what it is.
        let source = std::error::Error::source(&io).and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::Other));
        let gone = Error::own_file("open", Path::new("c"), io::ErrorKind::NotFound.into());
        assert_eq!((gone.code(), gone.path()), (ErrorCode::Corrupt, Some(Path::new("c"))));
    }

    #[test]
    fn a_field_of_any_length_is_bounded_and_no_process_has_the_id_0() {
        for (len, kept) in [(MAX_TEXT, MAX_TEXT), (MAX_TEXT + 2, MAX_TEXT + 3)] {
            let error = Error::invalid("no").with_key("ä".repeat(len / 2));
            assert_eq!(error.key().unwrap().len(), kept);
        }
        assert_eq!(Error::invalid("no").with_pid(0u32).pid(), None);
        assert_eq!(Error::invalid("no").with_pid(u64::MAX).pid(), None);
    }
}
