"""Names that are nearly right: which one somebody may have meant who wrote another."""
from __future__ import annotations

from collections.abc import Iterable

ALIKE = 0.6
"""The share of letters in common from which on two names are alike."""


def nearest(word: str, names: Iterable[str], prefix: str = "") -> str:
    """`; did you mean 'name'?` for the name that is most like a word; nothing where none is like it, or where it is one of them.

    prefix: what all the names begin with, so that it says nothing about how alike they are.
    """
    import difflib  # only mistakes need it
    short = {name.removeprefix(prefix).lower(): name for name in names}
    meant = word.removeprefix(prefix).strip()
    close = difflib.get_close_matches(meant.lower(), short, n=1, cutoff=ALIKE)
    if not close or word in short.values():
        return ""
    return f"; did you mean {short[close[0]]!r}?"
