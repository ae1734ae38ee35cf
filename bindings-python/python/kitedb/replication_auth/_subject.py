"""Whose certificate is admitted, by whole attributes of its subject."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ._errors import ReplicationAdminConfigError

MAX_LENGTH = 4096
"""Longer ones, and those of more attributes, are nobody's: what is matched here was sent by somebody else."""
MAX_ATTRIBUTES = 32

ATTRIBUTE = re.compile(r"[ ]*([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)[ ]*=[ ]*")
"""``CN=``, ``2.5.4.3=``, with blanks around it as OpenSSL may write it."""
COMMON_NAME = ("cn", "commonname", "2.5.4.3")
ENVOY_KEY = re.compile("(by|hash|cert|chain|subject|uri|dns)=", re.IGNORECASE | re.ASCII)
"""What Envoy writes into ``x-forwarded-client-cert``."""
GLOBAL_FLAGS = re.compile(r"\s*\(\?[aiLmsux]+\)")


class Attribute(NamedTuple):
    """Where an attribute of a subject lies in its text."""

    type: str
    start: int
    value: int
    end: int


def _looks_around(source: str) -> bool:
    """Whether a pattern has a lookahead or a lookbehind."""
    rest = re.sub(r"\[[^\]]*\]", "x", re.sub(r"\\.", "x", source, flags=re.DOTALL))
    return re.search(r"\(\?<?[=!]", rest) is not None


def subject_rule(regex: object, name: str) -> Callable[[str], bool]:
    """Makes a pattern into a rule about subjects. It must match whole attributes: from the beginning of an attribute, or of a value
    (where that has no ``=`` in it), to the end of one. ``CN=admin`` admits ``CN=admin,O=KiteDB``, and neither ``CN=administrator``
    nor an organisation that calls itself ``x,CN=admin``. ``^`` and ``$`` are the ends of the whole subject."""
    if not isinstance(regex, re.Pattern):
        if not isinstance(regex, str):
            raise ReplicationAdminConfigError(f"{name} must be a str or a compiled pattern of one")
        try:
            regex = re.compile(regex)
        except re.error as error:
            raise ReplicationAdminConfigError(f"{name} is no regular expression: {error}") from None
    if not isinstance(regex.pattern, str):
        raise ReplicationAdminConfigError(f"{name} must be a str or a compiled pattern of one")
    flags = regex.flags & ~(re.MULTILINE | re.DEBUG)
    source = _without_flags(regex.pattern)
    # Within a verbose one a comment may reach up to its end.
    source = f"(?:{source}\n)" if flags & re.VERBOSE else f"(?:{source})"
    if re.compile(source, flags).search(""):
        raise ReplicationAdminConfigError(
            f"{name} matches an empty subject, and so admits everybody: say whom it is to admit"
        )
    if _looks_around(source):
        raise ReplicationAdminConfigError(
            f"{name} looks at what stands before or after it ((?=, (?!, (?<=, (?<!), and so beyond whole attributes: match them"
        )
    endings: dict[int, re.Pattern[str]] = {}

    def ending_before(rest: int) -> re.Pattern[str]:
        """The pattern, to be followed by so many characters until the end."""
        if (known := endings.get(rest)) is not None:
            return known
        made = re.compile(rf"{source}(?=[\s\S]{{{rest}}}\Z)", flags)
        if len(endings) < 256:
            endings[rest] = made
        return made

    def admits(subject: str) -> bool:
        attributes = _attributes_of(subject)
        if attributes is None:
            return False
        starts = [start for attribute in attributes for start in _starts_of(subject, attribute)]
        ends = [end for attribute in attributes for end in _ends_of(subject, attribute)]
        return any(
            ending_before(len(subject) - end).match(subject, start) is not None
            for start in starts
            for end in ends
            if end > start
        )

    return admits


def _without_flags(pattern: str) -> str:
    """A pattern without the flags at its beginning, which the compiled one has."""
    while (flags := GLOBAL_FLAGS.match(pattern)) is not None:
        pattern = pattern[flags.end() :]
    return pattern


def subject_of_header(value: str) -> str | None:
    """The subject that a header tells: the value itself, or what Envoy wrote about one certificate."""
    if not ENVOY_KEY.match(value):
        return value
    element, *others = _split_outside_quotes(value, ",")
    # More than one: a chain of proxies, or a client who sent one of his own before the proxy's.
    if others:
        return None
    pairs = [pair.strip() for pair in _split_outside_quotes(element, ";")]
    subjects = [pair for pair in pairs if pair.lower().startswith("subject=")]
    if len(subjects) != 1 or not all(ENVOY_KEY.match(pair) for pair in pairs):
        return None
    text = subjects[0][len("subject=") :]
    quoted = re.fullmatch('"([^"]*)"', text)
    if quoted is None:
        return None if '"' in text else text
    return quoted[1]


def _attributes_of(subject: str) -> list[Attribute] | None:
    """Where the attributes are; ``None`` if it is not known what the text says."""
    # A line end is in no subject that means well.
    if len(subject) > MAX_LENGTH or re.search("[\x00-\x1f\x7f\u2028\u2029]", subject):
        return None
    # A name, a fingerprint: one value, that is matched as a whole.
    if "=" not in subject:
        return [Attribute("", 0, 0, len(subject))]
    slashes = subject.startswith("/")
    separators = "/" if slashes else ",;+"
    attributes: list[Attribute] = []
    open_one = _attribute_at(subject, 1 if slashes else 0)
    if open_one is None:
        return None
    quoted = whole = False
    at = open_one.value
    while at <= len(subject):
        character = subject[at] if at < len(subject) else None
        if character == "\\" and not slashes:
            at += 1
        elif character == '"' and not slashes:
            # It opens a value, or it should have been escaped.
            if not quoted and at != open_one.value:
                return None
            quoted = not quoted
        elif character is None or (not quoted and character in separators):
            # What no attribute follows is part of the value, as in `O=Smith, Sons`.
            following = None if character is None else _attribute_at(subject, at + 1)
            if character is None or following is not None:
                attributes.append(open_one._replace(end=at))
                whole = following is None
                if following is not None:
                    open_one = following
                    at = following.value - 1
        at += 1
    # It ends within quotes or after a backslash.
    if quoted or not whole or len(attributes) > MAX_ATTRIBUTES:
        return None
    # Two names: headers of two senders that were joined, or (where slashes are not escaped) one that is written into another value.
    names = [attribute for attribute in attributes if attribute.type in COMMON_NAME]
    return None if len(names) > 1 else attributes


def _attribute_at(subject: str, at: int) -> Attribute | None:
    found = ATTRIBUTE.match(subject, at)
    if found is None:
        return None
    return Attribute(found[1].lower(), found.start(1), found.end(), found.end())


def _starts_of(subject: str, attribute: Attribute) -> list[int]:
    value = subject[attribute.value : attribute.end]
    # A value may look like another attribute.
    if "=" in value:
        return [attribute.start]
    return [attribute.start, attribute.value] + ([attribute.value + 1] if value.startswith('"') else [])


def _ends_of(subject: str, attribute: Attribute) -> list[int]:
    value = subject[attribute.value : attribute.end]
    quoted = value.startswith('"') and value.endswith('"')
    return [attribute.end - 1, attribute.end] if quoted else [attribute.end]


def _split_outside_quotes(text: str, separator: str) -> list[str]:
    parts: list[str] = []
    start, at, quoted = 0, 0, False
    while at < len(text):
        if text[at] == "\\" and quoted:
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] == separator and not quoted:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]
