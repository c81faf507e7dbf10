"""How identifiers are spelled: one normal form, one form for comparing without regard to case.

An identifier is a text by which a person or a thing is found: the name of a
user, an e-mail address, the id of an account. The same one can be spelled in
several ways that look alike; what is the same person is decided here and
nowhere else. Databases are not asked: their lower() differ.
"""

from __future__ import annotations

import unicodedata


def normalized(text: str) -> str:
    """Return `text` in Unicode's Normalization Form C (UAX #15): one sequence of code points for what reads the same.

    The case stays. For names of which the case counts.
    """
    return unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Return the form by which identifiers are compared without regard to case.

    Normalization Form C and then Unicode case folding (section 3.13.3 of the
    Unicode Standard), which is the same in every language: the dotted and the
    dotless i of Turkish stay apart, sharp s is `ss`, and the three forms of
    sigma are one. Once more in Form C, since folding may take a composed letter
    apart. Folding a folded text changes nothing.
    """
    return normalized(normalized(text).casefold())


def is_misleading(text: str) -> bool:
    """Return whether `text` may look like another one: a format character (category Cf), or white space at an end.

    Format characters are invisible (U+200B) or turn the reading order (U+202E);
    see UTS #39. Such a text must not become an identifier.
    """
    return text != text.strip() or any(unicodedata.category(character) == "Cf" for character in text)
