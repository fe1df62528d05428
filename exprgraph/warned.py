"""Warnings: each points at the line of the user's that led to it, however deep in these packages it is given."""
from __future__ import annotations

import sys
import warnings
from importlib import __file__ as _importlib
from types import FrameType

from exprgraph.errors import OURS

BETWEEN = (*OURS, "<frozen importlib", _importlib)
"""Where files lie whose lines are not the user's: these packages, and what imports them."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line on the stack that is the user's."""
    frame = _outside(sys._getframe(1))
    space = frame.f_globals
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, space.get("__name__") or "<string>",
                           space.setdefault("__warningregistry__", {}))


def _outside(frame: FrameType) -> FrameType:
    while frame.f_back is not None and frame.f_code.co_filename.startswith(BETWEEN):
        frame = frame.f_back
    return frame
