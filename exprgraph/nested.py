"""Nested containers of tensors: tuples, lists and dicts, as arguments and results of the functions that transform functions."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exprgraph.errors import UseError, at, here, shortly


def is_container(value: Any) -> bool:
    """Whether the value is a tuple, a list or a dict."""
    return isinstance(value, tuple | list | Mapping)


def _items(value: Any) -> list[tuple[str, Any]]:
    """What a container holds, each with the text that picks it."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    return [(f"[{k!r}]", v) for k, v in pairs]


def flat(value: Any, where: str = "") -> list[tuple[str, Any]]:
    """The leaves of a container in order, each with the text that picks it; what is no container is its own leaf."""
    if not is_container(value):
        return [(where, value)]
    return [leaf for key, v in _items(value) for leaf in flat(v, where + key)]


def each(value: Any, change: Callable[[Any], Any]) -> Any:
    """A container of the same form, its leaves changed, called for in order."""
    if isinstance(value, Mapping):
        return {k: each(v, change) for k, v in value.items()}
    if not is_container(value):
        return change(value)
    parts = [each(v, change) for v in value]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts) if isinstance(value, tuple) else parts


def spread(given: Any, value: Any, what: str) -> list[Any]:
    """For each leaf of a container what belongs to it; a leaf of `given` belongs to all that `value` has in its place."""
    if not is_container(given):
        return [given] * len(flat(value))
    keys = [k for k, _ in _items(given)]
    if not is_container(value) or isinstance(value, Mapping) != isinstance(given, Mapping) or {*keys} != {k for k, _ in _items(value)}:
        raise UseError(f"{what}={shortly(given)} has another form than what it is for: {_form(value)}{at(here())}")
    parts = dict(_items(given))
    return [found for k, v in _items(value) for found in spread(parts[k], v, what)]


def _form(value: Any) -> str:
    if not is_container(value):
        return "one value"
    keys = ", ".join(k for k, _ in _items(value))
    return f"a {type(value).__name__} with the items {keys}" if keys else f"an empty {type(value).__name__}"
