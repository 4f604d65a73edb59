"""Escaping of names, classes and messages for consoles, tables, logs and Markdown."""

import json
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.text

# Controls, halves of a character (bytes of a file name that are no UTF-8), ends of a line.
_ESCAPED = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They turn what follows around, so that a name could look like another one.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What Markdown reads as more than itself; an underscore at an end of a word, a colon that begins an
# emoji.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~&$#]|(?<!\w)_+|_+(?!\w)|:(?=[\w+-]+:)")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(character: str) -> str:
    r"""Return a character as Python would write it in a string: `\n`, `\x1b` or `\u2028`."""
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str, *, keep: str = "") -> str:
    r"""Return text on one line that moves no cursor and sets no colour: `a\nb`, `\x1b[31m`.

    What any script needs to write a name stays as it is, and so does a backslash.

    Args:
        text: a name or a message.
        keep: characters that stay although they are controls, such as a newline.
    """
    if text.isprintable():
        return text
    return "".join(
        escaped(character)
        if character not in keep
        and (unicodedata.category(character) in _ESCAPED or character in _TURNING)
        else character
        for character in text
    )


def json_line(values: object) -> str:
    """Return JSON on one line of printable ASCII, whatever names it holds."""
    return json.dumps(values).replace("\x7f", "\\u007f")  # the one control that is let through


def markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line, also in a table: `a\|b`, `\*x\*`.

    Letters, digits, blanks, and what stands between them in names, stay as they are.
    """
    return _MARKDOWN.sub(lambda match: re.sub("(.)", r"\\\1", match[0]), printable(text))


def cell(text: str) -> "rich.text.Text":
    """Return what a table of `rich` shows as it is: no markup, no emoji, no second line."""
    import rich.text

    return rich.text.Text(printable(text))
