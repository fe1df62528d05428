"""Options of public functions that are True or False, a text or a function: what is none of these is refused when it is given."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph.errors import OptionError, at, here, shortly


def truth(what: str, value: Any) -> bool:
    """A truth value; 0, 1 and NumPy's are taken too.  OptionError."""
    if value is True or value is False:
        return bool(value)
    if isinstance(value, np.bool_) or isinstance(value, int | np.integer) and value in (0, 1):
        return bool(value)
    raise _error(what, value, "True or False")


def truth_or_none(what: str, value: Any) -> bool | None:
    """A truth value or None.  OptionError."""
    return None if value is None else truth(what, value)


def text_or_none(what: str, value: Any) -> str | None:
    """A text or None.  OptionError."""
    if value is None or isinstance(value, str):
        return value
    raise _error(what, value, "a text")


def callable_or_none(what: str, value: Any) -> Any:
    """Something to be called or None.  OptionError."""
    if value is None or callable(value):
        return value
    raise _error(what, value, "a function")


def seconds_or_none(what: str, value: Any) -> float | None:
    """A time or None.  OptionError."""
    if value is None:
        return None
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and value == value:
        try:
            return float(value)
        except OverflowError:  # more than there are floats for: for ever
            return float("inf") if value > 0 else float("-inf")
    raise _error(what, value, "a number of seconds")


def _error(what: str, value: Any, wanted: str) -> OptionError:
    return OptionError(f"{what}={shortly(value, 40)}: {wanted} is needed{at(here())}")
