"""What `f.memory` is asked: shapes by position and name, matched with the inputs and shared variables of a function."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import CallError, at, counted, here, shortly
from exprgraph.footprint import Footprint, Given, MissingSizeError, StrangeSizeError
from exprgraph.node import Node
from exprgraph.program import Executable
from exprgraph.shared import SharedNode, host
from exprgraph.signature import Signature


def memory(run: Executable, signature: Signature, cells: Sequence[SharedNode], targets: Sequence[SharedNode], shapes: Sequence[Any],
           named: Mapping[str, Any]) -> Footprint:
    """What a call takes of memory: the formula alone where nothing was said and sizes are unknown.  cells: the shared variables that are
    read; targets: those that are updated."""
    found = _memory(run, signature, cells, shapes, named)
    unread = sum(_nbytes(t) for t in targets if t not in set(cells))
    if not unread:
        return found
    known, told = found.bytes, {**found.formula, "shared": f"{found.formula['shared']} + {unread}"}
    if known is None:
        return replace(found, formula=told)
    return replace(found, formula=told, bytes={**known, "shared": known["shared"] + unread}, peak=(found.peak or 0) + unread)


def _nbytes(cell: SharedNode) -> int:
    return math.prod(cell.version.shape) * np.dtype(cell.outs[0].dtype).itemsize


def _memory(run: Executable, signature: Signature, cells: Sequence[SharedNode], shapes: Sequence[Any],
            named: Mapping[str, Any]) -> Footprint:
    """What the executable says, in numbers where all sizes are known."""
    given, sizes = asked(signature, cells, shapes, named)
    silent, unknown = not shapes and not named, missing(signature, cells, given)
    if unknown and not silent:
        raise MissingSizeError(f"{signature.name}.memory: the shape is missing of {unknown}{at(here())}")
    try:
        return run.memory_of(None if unknown else given, sizes)
    except MissingSizeError:
        if not silent:
            raise
        return run.memory_of(None, sizes)
    except StrangeSizeError as error:
        raise CallError(f"{signature.name}.memory: there is no input and no size called {', '.join(map(repr, error.strange))}"
                        f"{_there(signature, cells, error.computed)}{at(here())}") from None


def _there(signature: Signature, cells: Sequence[SharedNode], computed: Sequence[str]) -> str:
    """The names by which shapes and sizes may be given."""
    inputs, kept = [s.name for s in signature.slots if s.name], [c.name for c in cells if c.name]
    groups = ("inputs", inputs), ("shared variables", kept), ("sizes that a call computes", computed)
    return "".join(f"; {what}: {', '.join(names)}" for what, names in groups if names)


def asked(signature: Signature, cells: Sequence[SharedNode], shapes: Sequence[Any], named: Mapping[str, Any]) -> tuple[list[Given],
                                                                                                                     dict[str, int]]:
    """What is known of each argument and shared variable, and the named sizes that are neither; CallError for what does not fit."""
    known = {i: _given(v, s.variable.node, s.name) for i, (v, s) in enumerate(zip(shapes, signature.slots))}
    if len(shapes) > len(signature.slots):
        raise CallError(f"{signature.name}.memory: {counted(len(signature.slots), 'shape is', 'shapes are')} taken, "
                        f"{counted(len(shapes), 'was', 'were')} given{at(here())}")
    names = {s.name: i for i, s in reversed(list(enumerate(signature.slots))) if s.name}
    names |= {c.name: len(signature.slots) + k for k, c in reversed(list(enumerate(cells))) if c.name and c.name not in names}
    nodes = [*(s.variable.node for s in signature.slots), *cells]
    sizes = {}
    for name, value in named.items():
        if name in names:
            known[names[name]] = _given(value, nodes[names[name]], name)
        else:
            sizes[name] = value
    defaults = [*(s.default for s in signature.slots), *cells]
    return [known[i] if i in known else _default(n, d) for i, (n, d) in enumerate(zip(nodes, defaults))], sizes


def _given(value: Any, node: Node, name: str | None) -> Given:
    """What a shape, an array or the value of an integer scalar tells of an argument."""
    kind, rank = node.outs[0], node.outs[0].ndim
    if hasattr(value, "shape"):
        number = int(value) if not rank and dtypes.is_int(kind.dtype) and isinstance(value, np.ndarray | np.generic) else None
        shape = tuple(value.shape)
    elif isinstance(value, int) and not rank:
        shape, number = (), int(value)
    else:
        shape, number = (value,) if isinstance(value, int) else value, None
    fine = isinstance(shape, tuple | list) and len(shape) == rank and all(isinstance(n, int | np.integer) and n >= 0 for n in shape)
    if not fine:
        wanted = counted(rank, "length") if rank else "nothing, or its value where it is an integer"
        raise CallError(f"memory: {name or 'an argument'} is {kind.dtype} with {counted(rank, 'axis', 'axes')}: {wanted} expected, not "
                        f"{shortly(value)}{at(here())}")
    return Given(tuple(map(int, shape)), number)


def _default(node: Node, cell: SharedNode | None) -> Given:
    """What is known of an argument that nothing was said of: its default or present value, and sizes that are fixed."""
    if cell is not None and hasattr(cell.version, "shape"):  # a copy `without_values` has none
        integer = not node.outs[0].ndim and dtypes.is_int(node.outs[0].dtype)
        return Given(tuple(cell.version.shape), int(host(cell.version)) if integer else None)
    fixed = [d.const for d in node.outs[0].shape]
    return Given(None if None in fixed else tuple(n for n in fixed if n is not None))


def missing(signature: Signature, cells: Sequence[SharedNode], given: Sequence[Given]) -> str:
    """The arguments and shared variables whose shapes are not known, for a message."""
    asked = [*((s.name, s.variable.node) for s in signature.slots), *((c.name, c) for c in cells)]
    return ", ".join(f"{name or f'number {i + 1}'} ({counted(node.outs[0].ndim, 'axis', 'axes')})"
                     for i, ((name, node), g) in enumerate(zip(asked, given)) if g.shape is None)
