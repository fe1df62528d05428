"""Rules on values: the dtypes and special values of a kind, symbols and arrays for a rule's arguments, and what its two sides give."""
from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph.graph import order, rebuild, transform
from exprgraph.node import INPUT, Graph, Node, Out, constant_value, leaf, make_constant
from exprgraph.patterns import Rule, arguments, sort
from exprgraph.reference import evaluate
from exprgraph.rewrite import Engine, RewriteWarning

Array = np.ndarray[Any, Any]
Values = Mapping[Node, Array]
Case = tuple[list[Any], dict[Node, Array]]
DTYPES = {"f": ("float16", "float32", "float64"), "i": ("int8", "int16", "int32", "int64"),
          "u": ("uint8", "uint16", "uint32", "uint64"), "b": ("bool",)}
SWEEPS = 8
"""How many sweeps a rule may take to come to rest on its own pattern."""


def dtypes_of(rule: Rule) -> list[str]:
    """Every dtype of the rule's kinds."""
    return [d for kind in rule.kinds for d in DTYPES[kind]]


def tensors(rule: Rule) -> list[str]:
    """The arguments that match any tensor."""
    return [n for n in arguments(rule) if sort(n) == "tensor"]


def drawn(name: str) -> np.random.Generator:
    """Random numbers that follow from the seed of the run."""
    return np.random.default_rng([int(os.environ.get("EXPRGRAPH_SEED", 0)), zlib.crc32(name.encode())])


def specials(dtype: str) -> Array:
    """The values at which rules go wrong, and a few random ones."""
    if dtype == "bool":
        return np.array([False, True])
    if not dtype.startswith("float"):
        info = np.iinfo(dtype)
        return np.array([info.min, info.min + 1, *([-1] if info.min else []), 0, 1, 2, 3, info.max // 2 + 1, info.max - 1, info.max], dtype)
    info = np.finfo(dtype)
    fixed = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1, 0.5, 2.5, -2.5, 88, 3e4, info.max, -info.max, info.tiny, info.smallest_subnormal]
    return np.concatenate([fixed, drawn(dtype).standard_normal(6)]).astype(dtype)


def every(dtype: str) -> Array:
    """All values of a dtype of 8 or 16 bits, quiet NaNs alone: arithmetic makes no others, and C leaves open what it makes of them."""
    if dtype == "bool":
        return np.array([False, True])
    width = np.dtype(dtype).itemsize * 8
    return quiet(np.arange(2 ** width, dtype=f"uint{width}").view(dtype))


def quiet(array: Array) -> Array:
    """The array with one quiet NaN for all NaNs."""
    return np.where(array != array, np.nan, array).astype(array.dtype) if array.dtype.kind == "f" else array


def some_halves(count: int = 240) -> Array:
    """The special values of float16 and random bit patterns."""
    patterns = drawn("halves").integers(0, 2 ** 16, count, "uint16")
    return np.concatenate([specials("float16"), quiet(patterns.view("float16"))])


def grid(rule: Rule, dtype: str, points: Array | Mapping[str, Array], constant: Any = 4.0, mesh: bool = False) -> Case:
    """Symbols and arrays for all combinations of points; mesh: every argument along an axis of its own, the others of length 1."""
    names = [n for n in arguments(rule) if sort(n) in ("condition", "tensor")]
    chosen = {n: np.array([False, True]) if sort(n) == "condition" else _points(points, n).astype(dtype) for n in names}
    arrays = np.meshgrid(*chosen.values(), indexing="ij", sparse=mesh)
    symbols: dict[str, Any] = {n: make_constant(constant, dtype) for n in arguments(rule) if sort(n) == "constant"}
    values = {}
    for n, array in zip(names, arrays):
        shape: Any = tuple(1 if k == 1 else None for k in array.shape) if mesh else (None,)
        symbols[n] = Out(leaf(INPUT, array.dtype.name, shape, n))
        values[symbols[n].node] = np.ascontiguousarray(array) if mesh else array.ravel()
    return [symbols[n] for n in arguments(rule)], values


def _points(points: Array | Mapping[str, Array], name: str) -> Array:
    return points[name] if isinstance(points, Mapping) else points


def rewritten(rule: Rule, out: Out, inputs: Sequence[Out]) -> Out | None:
    """What the rule alone makes of a tensor, None where it declines; AssertionError where it breaks a promise or never rests."""
    engine, graph, applied = Engine([rule]), Graph(tuple(inputs), (out,)), False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RewriteWarning)
            for _ in range(SWEEPS):
                graph, last = engine.sweep(graph)
                if last is None:
                    break
                applied = True
            else:
                raise AssertionError(f"{rule.name}: never rests")
    except (RewriteWarning, ValueError, TypeError, IndexError, KeyError, AttributeError) as broken:
        raise AssertionError(f"{rule.name}: {broken}") from broken
    made = graph.outputs[0]
    assert (made.dtype, made.ndim) == (out.dtype, out.ndim), f"{rule.name}: changes {out.type} to {made.type}"
    return made if applied else None


def both_sides(rule: Rule, case: Case, constant: bool = False) -> tuple[Out, Out] | None:
    """The pattern and what the rule makes of it; None where the rule may decline a constant and does."""
    symbols, values = case
    assert rule.pattern is not None
    left = rule.pattern(*symbols)
    right = rewritten(rule, left, [Out(n) for n in values])
    if right is None and constant:
        return None
    assert right is not None, f"{rule.name}: does not apply to its own pattern"
    return left, right


def spread(rule: Rule, dtype: str) -> tuple[Out, Out, Values] | None:
    """Both sides where each constant of the pattern is two equal numbers along an axis of its own; None where there is no constant."""
    symbols, values = grid(rule, dtype, specials(dtype), mesh=True)
    assert rule.pattern is not None
    plain = rule.pattern(*symbols)

    def wide(node: Node, inputs: tuple[Out, ...]) -> Out:
        value = constant_value(Out(node))
        if value is None:
            return rebuild(node, inputs)
        return make_constant(np.broadcast_to(value, (2, *[1] * (1 + plain.ndim))), node.outs[0].dtype)
    left, = transform([plain], wide)
    if left.ndim == plain.ndim:
        return None
    right = rewritten(rule, left, [Out(n) for n in values])
    assert right is not None, f"{rule.name}: does not apply where its constants are tensors"
    return left, right, values


def sides(rule: Rule, case: Case) -> tuple[Array, Array]:
    """The values of the pattern and of what the rule makes of it."""
    left, right = both_sides(rule, case) or (None, None)
    assert left is not None and right is not None
    return evaluate([left], case[1])[0], evaluate([right], case[1])[0]


def bits(array: Array) -> Array:
    """The bits of an array, all NaNs alike."""
    return np.ascontiguousarray(quiet(array)).view(f"u{array.dtype.itemsize}") if array.dtype.kind == "f" else array


def assert_same_bits(name: str, left: Array, right: Array) -> None:
    """AssertionError with the first element that differs in a bit, in shape or in dtype."""
    assert (left.dtype, left.shape) == (right.dtype, right.shape), f"{name}: {left.dtype}{left.shape} becomes {right.dtype}{right.shape}"
    differ = np.flatnonzero(bits(left) != bits(right))
    assert not differ.size, f"{name}: in {left.dtype} {left.flat[differ[0]]!r} becomes {right.flat[differ[0]]!r}, {differ.size} differ"


def meaning(out: Out, values: Mapping[Node, Any], table: Mapping[str, Callable[..., Any]], number: Callable[[Any], Any]) -> dict[Node, Any]:
    """Every node of a graph over other numbers, arrays of objects: mpmath's, sympy's or bit vectors.

    table: the meaning of each elementwise row on single numbers, of "sum", "max" and "min" on two; number: what a constant is among them.
    Views mean what they mean to NumPy.
    """
    done = {n: _objects(v) for n, v in values.items()}
    for node in (n for n in order([out], values) if n not in done):
        given = [done[i.node] for i in node.inputs]
        name = node.op.name
        if node.op.kind == "leaf":
            found = _each(number, 1)(constant_value(Out(node)))
        elif name in ("sum", "max", "min"):
            found = _reduced(_each(table[name], 2), given[0], dict(node.params))
        elif node.op.kind == "elementwise":
            found = _each(table[name], len(given))(*given)
        else:
            found = node.op.numpy(*given, **dict(node.params))
        done[node] = _objects(found) if name != "size" else np.asarray(found)
    return done


def _reduced(step: Any, given: Any, params: Mapping[str, Any]) -> Any:
    found = given
    for axis in sorted(params["axis"], reverse=True):
        found = step.reduce(found, axis=axis, keepdims=params["keepdims"])
    return found


def _each(function: Callable[..., Any], arity: int) -> Any:
    return np.frompyfunc(function, arity, 1)


def _objects(found: Any) -> Any:
    """An array of objects, of rank 0 too."""
    if isinstance(found, np.ndarray):
        return found
    array = np.empty((), object)
    array[()] = found
    return array


def walk(rules: Sequence[Rule]) -> Iterator[Rule]:
    """The rules whose arguments are all tensors, conditions or constants."""
    return (r for r in rules if r.pattern is not None and not any(sort(n) in ("params", "rest", "views") for n in arguments(r)))
