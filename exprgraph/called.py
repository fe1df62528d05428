"""Functions of the user's that transforms call: the tensors among their arguments, in containers too, and results in their form."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from exprgraph import nested
from exprgraph.errors import GraphError, at, here, shortly
from exprgraph.node import Out, as_symbol


def is_tensor(value: Any) -> bool:
    """Whether an argument is a symbol or an array."""
    return isinstance(value, Out | np.ndarray)


def holds_tensors(value: Any) -> bool:
    """Whether an argument is a tensor, or a container with tensors in it."""
    return any(is_tensor(leaf) for _, leaf in nested.flat(value))


def tensors(args: Sequence[Any]) -> list[Out]:
    """The tensors among the arguments, and in their tuples, lists and dicts; what else there is is passed on as it is."""
    return [as_symbol(leaf) for a in args for _, leaf in nested.flat(a) if is_tensor(leaf)]


def with_tensors(args: Sequence[Any], given: Sequence[Out]) -> list[Any]:
    """The arguments with other tensors in their places."""
    left: Iterator[Out] = iter(given)
    return [nested.each(a, lambda leaf: next(left) if is_tensor(leaf) else leaf) if holds_tensors(a) else a for a in args]


def results(name: str, found: Any) -> list[Out]:
    """The results of a user's function, one or several, also in containers, as a list."""
    items = [leaf for _, leaf in nested.flat(found)]
    if not items or any(not isinstance(i, Out) for i in items):
        raise GraphError(f"{name}: its function gave {shortly(found, 80)}: a symbol, or a tuple, list or dict of symbols, is needed"
                         f"{at(here())}")
    return items


def formed(like: Any, outs: Sequence[Any]) -> Any:
    """Results in the form that the user's function gave them."""
    left = iter(outs)
    return nested.each(like, lambda _: next(left))


def per_tensor(found: Any, args: Sequence[Any], what: str) -> list[Any]:
    """What a rule gave for the tensors among arguments, one for each: in a row, or in the form of the arguments that hold tensors."""
    items = list(found) if isinstance(found, list | tuple) else [found]
    forms = [a for a in args if holds_tensors(a)]
    if not any(nested.is_container(f) for f in forms):
        return items
    alike = (i is None or not nested.is_container(f) or nested.is_container(i) for i, f in zip(items, forms))
    if len(items) != len(forms) or not all(alike):
        return [leaf for _, leaf in nested.flat(items)]
    return [leaf for item, form in zip(items, forms) for leaf, (_, old) in zip(nested.spread(item, form, what), nested.flat(form))
            if is_tensor(old)]
