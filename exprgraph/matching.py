"""Matching as written: patterns are found by structure.

Constants match by value, of any shape and dtype, behind broadcasts too; rows that are commutative match in both orders; an operand of an
elementwise row is found behind `broadcast_to`, since what a rule makes is broadcast to the shape of what it replaces.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from exprgraph.node import CONSTANT, Node, Out, Params, constant_value
from exprgraph.ops.table import ROWS
from exprgraph.patterns import Fixed, Form, Match, Wild, scalar, sort
from exprgraph.readers import Readers

CARRIERS = ("broadcast_to", "dimshuffle", "reshape")
DEEPEST = 64
"""Views of views that are looked through."""
WHOLE_IN_ALL = 256
"""Whole numbers up to this one are themselves in all dtypes that can hold them."""


class Matcher:
    """Finds patterns as they are written; remembers which constants have one value."""

    def __init__(self, readers: Readers | None = None) -> None:
        self._uniform: dict[Node, Any] = {}
        self._value_words: dict[Node, str] = {}
        self.readers = readers

    def find(self, tree: Any, out: Out) -> Iterator[Match]:
        """The ways in which the pattern matches at this tensor."""
        for bound, nodes in self._all((tree,), (out,), {}, (), False):
            yield Match(out, bound, nodes, None, self.readers)

    def value(self, out: Out) -> Any:
        """The value of a constant whose elements are all equal, behind broadcasts too; else None."""
        node = shown(out.node)
        if node.op is not CONSTANT:
            return None
        if node not in self._uniform:
            array = constant_value(Out(node))
            self._uniform[node] = scalar(array) if array is not None and array.size and _all_equal(array) else None
        return self._uniform[node]

    def word(self, out: Out) -> str:
        """The word that patterns may ask for in the place of a constant, for its value."""
        found = self._value_words.get(out.node)
        if found is None:
            found = self._value_words[out.node] = _value_word(self.value(out))
        return found

    def _binds(self, name: str, out: Out, bound: Mapping[str, Any]) -> bool:
        if name in bound:
            return same(bound[name], out)
        wanted = sort(name)
        return not ((wanted == "condition" and out.dtype != "bool") or (wanted == "constant" and self.value(out) is None))

    def _form(self, tree: Form, out: Out, bound: dict[str, Any], nodes: tuple[Node, ...], through: bool) -> Iterator[Any]:
        node = out.node
        if through and node.op is ROWS["broadcast_to"] and tree.op is not node.op:
            node = node.inputs[0].node
        if node.op is not tree.op:
            return
        fitted = fit(tree, node.params, node.inputs, bound)
        if fitted is None:
            return
        bound, parts, inputs = fitted
        yield from self._all(parts, inputs, bound, (*nodes, node), node.op.kind == "elementwise")
        if "commutative" in node.op.flags and not same(inputs[0], inputs[1]):
            yield from self._all(parts, inputs[::-1], bound, (*nodes, node), node.op.kind == "elementwise")

    def _all(self, parts: Sequence[Any], inputs: Sequence[Out], bound: dict[str, Any], nodes: tuple[Node, ...],
             through: bool) -> Iterator[Any]:
        for n, (part, given) in enumerate(zip(parts, inputs)):
            if isinstance(part, Form):
                for first, covered in self._form(part, given, bound, nodes, through):
                    yield from self._all(parts[n + 1:], inputs[n + 1:], first, covered, through)
                return
            if isinstance(part, Fixed):
                if not equal(part.value, self.value(given)):
                    return
            elif self._binds(part.name, given, bound):
                bound = {**bound, part.name: given}
            else:
                return
        yield bound, nodes


Fitted = tuple[dict[str, Any], tuple[Any, ...], tuple[Out, ...]]


def fit(tree: Form, params: Params, inputs: tuple[Out, ...], bound: Mapping[str, Any]) -> Fitted | None:
    """Parameters and further inputs bound to the arguments that stand for them, and the parts that are left for the inputs that are left.

    None where parameters are others or there are not as many inputs as parts.
    """
    bound, parts = dict(bound), tree.parts
    if isinstance(tree.params, str):
        if bound.setdefault(tree.params, params) != params:
            return None
    elif tree.params != params:
        return None
    if parts and isinstance(parts[-1], Wild) and sort(parts[-1].name) == "rest":
        parts = parts[:-1]
        bound[tree.parts[-1].name], inputs = inputs[len(parts):], inputs[:len(parts)]
    return (bound, parts, inputs) if len(parts) == len(inputs) else None


def arguments_alone(tree: Any) -> tuple[str, ...] | None:
    """The names in a pattern that is a row applied to nothing but tensors, which then match in one way at most; else None."""
    if not isinstance(tree, Form) or isinstance(tree.params, str) or not all(
            isinstance(p, Wild) and sort(p.name) == "tensor" for p in tree.parts):
        return None
    names = tuple(p.name for p in tree.parts)
    return None if "commutative" in tree.op.flags and len(set(names)) > 1 else names


def at_once(tree: Form, names: tuple[str, ...], out: Out, matcher: Matcher) -> list[Match]:
    """What `Matcher.find` finds for such a pattern, without a search."""
    node = out.node
    if node.params != tree.params or len(node.inputs) != len(names):
        return []
    bound = dict(zip(names, node.inputs))
    if len(bound) < len(names) and not all(same(bound[n], i) for n, i in zip(names, node.inputs)):
        return []
    return [Match(out, bound, (node,), None, matcher.readers)]


@cache
def kind_of(dtype: str) -> str:
    """The kind of a dtype, as NumPy has it."""
    return np.dtype(dtype).kind


def same(a: Any, b: Any) -> bool:
    """Whether two tensors are the same output of one node, or equal constants."""
    if a.node is b.node:
        return bool(a.index == b.index)
    return a.node.op is CONSTANT and b.node.op is CONSTANT and a.node.params == b.node.params


def _all_equal(array: np.ndarray[Any, Any]) -> bool:
    return array.size == 1 or (bool((array == scalar(array)).all()) and not (array.dtype.kind == "f" and not scalar(array)
                                                                              and np.signbit(array).any() != np.signbit(array).all()))


def equal(wanted: Any, found: Any) -> bool:
    """Whether a constant has the value that a pattern asks for, rounded to the constant's dtype; the sign of zero counts."""
    if found is None or found.dtype.kind not in "biuf":
        return False
    if found.dtype.kind != "f":
        return bool(float(wanted) == int(found)) and not (wanted == 0 and math.copysign(1, wanted) < 0)
    with np.errstate(over="ignore"):
        value = np.asarray(wanted, found.dtype)
    return bool(value == found and np.signbit(value) == np.signbit(found))


def words(node: Node, matcher: Matcher) -> Iterator[str]:
    """What patterns may ask of the inputs of a node: their rows, also behind a broadcast, whether one may be a constant, and of which value."""
    for i in node.inputs:
        yield i.node.op.name
        if i.node.op.kind == "view" and i.node.op.name in CARRIERS:
            yield i.node.inputs[0].node.op.name
        if shown(i.node).op is CONSTANT:
            yield CONSTANT.name
            yield matcher.word(i)


def _value_word(value: Any) -> str:
    """The word for a constant of one value; nothing where a constant of another dtype may match it after rounding."""
    if value is None or np.asarray(value).dtype.kind not in "biuf" or not abs(number := float(value)) <= WHOLE_IN_ALL or number % 1:
        return ""
    return f"={number!r}"


def shown(node: Node) -> Node:
    """What a node shows through up to DEEPEST views."""
    for _ in range(DEEPEST):
        if node.op.kind != "view" or node.op.name not in CARRIERS:
            break
        node = node.inputs[0].node
    return node


def asked(tree: Any) -> Iterator[str]:
    """What a pattern asks of the inputs of the node at its root, in the words of `words`."""
    for part in tree.parts if tree is not None else ():
        if isinstance(part, Form):
            yield part.op.name
        elif isinstance(part, Fixed):
            yield CONSTANT.name
            if word := _value_word(part.value):
                yield word
        elif sort(part.name) == "constant":
            yield CONSTANT.name
