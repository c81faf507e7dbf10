"""How identifiers are spelled: one normal form, one form for comparing without regard to case.

An identifier is a text by which a person or a thing is found: the name of a
user, an e-mail address, the id of an account. The same one can be spelled in
several ways that look alike; what is the same person is decided here and
nowhere else. Databases are not asked: their lower() differ.
"""

from __future__ import annotations

import re
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
    """Return whether `text` may look like another one: an invisible character, or white space at an end.

    Invisible are format characters (category Cf), some of which turn the reading
    order (U+202E), and what else is shown as nothing (Default_Ignorable_Code_Point);
    see UTS #39. Such a text must not become an identifier.
    """
    return text != text.strip() or _IGNORABLE.search(text) is not None or any(map(_is_format, text))


# Default_Ignorable_Code_Point (DerivedCoreProperties.txt of Unicode 16), which unicodedata does not know: fillers of
# Hangul, variation selectors, the grapheme joiner, and what is kept free for others. The set is stable but for these.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def _is_format(character: str) -> bool:
    return unicodedata.category(character) == "Cf"
