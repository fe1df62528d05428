"""What a random graph is drawn from: leaves with their values, and the tensors made so far with their shapes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import exprgraph as eg
from exprgraph.node import Node, Out
from exprgraph.reference import evaluate
from tests.drawing import between, one_of

LARGEST = 80
"""Elements of a tensor beyond which it is not kept, so that one example costs tens of milliseconds."""
LAYOUTS = ("plain", "plain", "plain", "transposed", "every second", "first half of the rows", "one element")


class Pool:
    """Leaves and tensors; `draw` is hypothesis's, `dtype` the float dtype of the leaves, `sizes` the sizes that shapes are made of."""

    def __init__(self, draw: Callable[[Any], Any], dtype: str, sizes: Sequence[int]) -> None:
        self.draw, self.dtype, self.sizes = draw, dtype, sizes
        self.inputs: list[Out] = []
        self.values: list[np.ndarray] = []
        self.shared: list[Any] = []
        self.known: dict[Node, np.ndarray] = {}
        self.made: dict[Node, np.ndarray] = {}
        self.shapes: dict[Node, tuple[int, ...]] = {}
        self.items: list[Out] = []

    def one_of(self, *choices: Any) -> Any:
        """One of the choices."""
        return one_of(self.draw, choices)

    def number(self, low: int, high: int) -> int:
        """An integer between the two, both included."""
        return self.draw(between(low, high))

    def leaf(self, dtype: str, shape: Sequence[int], low: int = -3, high: int = 3) -> Out:
        """A new input or shared variable; integers lie in low .. high."""
        value = self._value(dtype, tuple(shape), low, high)
        name = f"x{len(self.known)}"
        if self.number(0, 5) == 0:
            made = eg.shared(value, name=name)
            self.shared.append(made)
        else:
            made = eg.tensor(name, dtype, (None,) * value.ndim)
            self.inputs.append(made)
            self.values.append(value)
        self.known[made.node] = value
        self.shapes[made.node] = value.shape
        return made

    def scalar(self, low: int, high: int) -> Out:
        """An integer scalar input, as which sizes and positions may be given at a call."""
        made = eg.lscalar(f"x{len(self.known)}")
        self.inputs.append(made)
        self.values.append(np.array(self.number(low, high), "int64"))
        self.known[made.node] = self.values[-1]
        self.shapes[made.node] = ()
        return made

    def _value(self, dtype: str, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        rng = np.random.default_rng(self.number(0, 2**16))
        layout = self.one_of(*LAYOUTS) if shape else "plain"
        if layout == "one element":
            return np.broadcast_to(_random(rng, dtype, (1,) * len(shape), low, high), shape)
        if layout == "transposed":
            return _random(rng, dtype, shape[::-1], low, high).T
        if layout == "every second":
            return _random(rng, dtype, (*shape[:-1], 2 * shape[-1]), low, high)[..., ::2]
        if layout == "first half of the rows":
            return _random(rng, dtype, (*shape[:-1], 2 * shape[-1]), low, high)[..., :shape[-1]]
        return _random(rng, dtype, shape, low, high)

    def add(self, made: Out | None) -> None:
        """Keep a tensor, unless it has grown too large."""
        if made is None:
            return
        value, = evaluate([made], self.known | self.made)
        self.made[made.node], shape = value, value.shape
        if np.prod(shape, dtype=int) <= LARGEST and len(shape) <= 4:
            self.shapes[made.node] = shape
            self.items.append(made)

    def shape(self, x: Out) -> tuple[int, ...]:
        """The sizes that a tensor has in this call."""
        return self.shapes[x.node]

    def pick(self, fits: Callable[[Out], bool] = lambda x: True) -> Out | None:
        """A tensor that fits, None where there is none."""
        found = [x for x in self.items if fits(x)]
        return one_of(self.draw, found) if found else None

    def number_like(self, fits: Callable[[Out], bool] = lambda x: True) -> Out | None:
        """A tensor of floats or integers."""
        return self.pick(lambda x: x.dtype != "bool" and fits(x))

    def float_like(self, fits: Callable[[Out], bool] = lambda x: True) -> Out | None:
        """A tensor of floats."""
        return self.pick(lambda x: x.dtype.startswith("float") and fits(x))

    def partner(self, x: Out, fits: Callable[[Out], bool] = lambda x: True) -> Out:
        """A tensor that broadcasts with another one; that one itself where there is no other."""
        found = self.pick(lambda y: fits(y) and _broadcast(self.shape(x), self.shape(y)))
        return x if found is None else found


def _random(rng: np.random.Generator, dtype: str, shape: Sequence[int], low: int, high: int) -> np.ndarray:
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.normal(size=shape).astype(dtype) if dtype.startswith("float") else rng.integers(low, high + 1, shape).astype(dtype)


def _broadcast(one: Sequence[int], other: Sequence[int]) -> bool:
    return all(a == b or 1 in (a, b) for a, b in zip(reversed(one), reversed(other)))
