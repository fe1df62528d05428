"""Spellings of an expression, generated: the same real function, written in other ways."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import exprgraph as eg
from exprgraph.graph import rebuild, transform
from exprgraph.node import Node, Out
from exprgraph.ops.shape import dim_node
from exprgraph.types import cast_to

Way = Callable[[Node, tuple[Out, ...], np.random.Generator], Any]
FLOATS = ("float32", "float64")


def commuted(node: Node, inputs: tuple[Out, ...], rng: np.random.Generator) -> Any:
    """The operands of a commutative row in the other order."""
    return rebuild(node, inputs[::-1]) if "commutative" in node.op.flags else None


def signed(node: Node, inputs: tuple[Out, ...], rng: np.random.Generator) -> Any:
    """A sum, a difference, a product, a quotient or a sign with signs moved."""
    name, a, b = node.op.name, inputs[0], inputs[-1]
    forms: dict[str, tuple[Callable[[], Any], ...]] = {
        "sub": (lambda: a + -b, lambda: -(b - a), lambda: -b + a, lambda: a + -1 * b),
        "add": (lambda: a - -b, lambda: -(-a - b), lambda: b - -a), "mul": (lambda: -(-a * b), lambda: -a * -b, lambda: a * -b * -1),
        "true_div": (lambda: -(a / -b), lambda: -a / -b, lambda: -(-a / b)), "neg": (lambda: a * -1, lambda: -1 * a, lambda: -0.0 - a)}
    return rng.choice(np.array(forms[name], object))() if name in forms else None


def regrouped(node: Node, inputs: tuple[Out, ...], rng: np.random.Generator) -> Any:
    """A product of three or a quotient of a product with its factors grouped in another way."""
    (a, b), inner = (inputs if len(inputs) == 2 else (None, None)), node.op.name
    if inner not in ("mul", "true_div") or a is None or b is None:
        return None
    left, right = (n.node.op.name for n in (a, b))
    if inner == "mul" and left in ("mul", "true_div"):
        u, v = a.node.inputs
        return u * (v * b) if left == "mul" else rng.choice(np.array([lambda: u * (b / v), lambda: u * b / v], object))()
    if inner == "mul" and right == "mul":
        u, v = b.node.inputs
        return a * u * v
    if inner == "true_div" and left in ("mul", "true_div"):
        u, v = a.node.inputs
        return u * (v / b) if left == "mul" else u / (v * b)
    return a * (1 / b) if inner == "true_div" else None


def widened(node: Node, inputs: tuple[Out, ...], rng: np.random.Generator) -> Any:
    """A float32 computed in float64 from here on."""
    made = rebuild(node, inputs)
    return cast_to(made, "float64") if made.dtype == "float32" else None


def viewed(node: Node, inputs: tuple[Out, ...], rng: np.random.Generator) -> Any:
    """An elementwise row on turned, reshaped or deepened operands, and back."""
    shape = node.outs[0].shape
    same = all(i.type.shape == shape for i in inputs)
    if node.op.kind != "elementwise" or not same or not shape:
        return None
    sizes = [dim_node(d) for d in shape]
    ways: list[tuple[Callable[[Out], Out], Callable[[Out], Out]]] = [
        (lambda x: x.reshape((-1,)), lambda x: x.reshape(sizes)), (lambda x: x.reshape((*sizes, 1)), lambda x: x.reshape(sizes)),
        (lambda x: x.dimshuffle("x", *range(x.ndim)), lambda x: x.reshape(sizes)), (lambda x: x.T, lambda x: x.T)]
    there, back = ways[rng.integers(len(ways))]
    return back(node.op.apply(tuple(map(there, inputs)), node.params))


def stretched(node: Node, inputs: tuple[Out, ...], rng: np.random.Generator) -> Any:
    """An elementwise row on operands that are broadcast to its shape before."""
    sizes = [dim_node(d) for d in node.outs[0].shape]
    return node.op.apply(tuple(eg.broadcast_to(i, sizes) for i in inputs), node.params) if node.op.kind == "elementwise" and sizes else None


def printed(node: Node, inputs: tuple[Out, ...], rng: np.random.Generator) -> Any:
    """A value that is shown when it is computed."""
    return eg.Print(global_fn=lambda printer, value: None)(rebuild(node, inputs))


WAYS: dict[str, Way] = {w.__name__: w for w in (commuted, signed, regrouped, widened, viewed, stretched, printed)}


def respelled(out: Out, rng: np.random.Generator, ways: Sequence[str] = tuple(WAYS), share: float = 0.4) -> Out:
    """The expression with a share of its nodes written in another way; of the same dtype and shape."""
    def change(node: Node, inputs: tuple[Out, ...]) -> Out:
        if node.op.kind not in ("elementwise", "reduce") or node.outs[0].dtype not in FLOATS:
            return rebuild(node, inputs)
        if rng.random() < share and [i.dtype for i in inputs] == [i.dtype for i in node.inputs]:
            made = WAYS[str(rng.choice(np.array(ways)))](node, inputs, rng)
            if made is not None:
                return made  # type: ignore[no-any-return]
        return made_of(node, inputs)
    changed, = transform([out], change)
    return cast_to(changed, out.dtype)


def made_of(node: Node, inputs: tuple[Out, ...]) -> Out:
    """The node on other inputs, of wider dtypes perhaps."""
    if [i.dtype for i in inputs] == [i.dtype for i in node.inputs]:
        return rebuild(node, inputs)
    wide = "float64"
    return node.op.apply(tuple(cast_to(i, wide) if i.dtype in FLOATS else i for i in inputs), node.params)
