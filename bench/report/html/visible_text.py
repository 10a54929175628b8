"""Text in which every character can be seen: a name cannot reorder or hide what stands around it."""

from __future__ import annotations

import unicodedata

#: Categories of characters that are not seen: controls, formats (as marks of direction), surrogates, private ones.
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def make_visible(text: str) -> str:
    """The text with each unseen character as `⟨U+202E⟩`; blanks, tabs and line breaks stay."""
    if text.isprintable():
        return text
    return "".join(f"⟨U+{ord(c):04X}⟩" if c not in "\n\t" and unicodedata.category(c) in _UNSEEN else c for c in text)
