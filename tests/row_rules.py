"""How the rules with parameters are tried: reductions over rows of four, kept as an axis of length 1 or dropped."""
from __future__ import annotations

from typing import Any

from exprgraph.patterns import some

KEPT, DROPPED = (("axis", (1,)), ("keepdims", True)), (("axis", (1,)), ("keepdims", False))
BACK = (("pattern", (0, -1)),)


def back(x: Any) -> Any:
    """A dropped axis of rows, put back with length 1."""
    return some("dimshuffle", BACK, x)


def as_it_is(x: Any) -> Any:
    """No view at all."""
    return x


ROWS: list[tuple[str, dict[str, Any]]] = [  # the rule, its parameters, and what follows the number of rows in the shape of each tensor
    ("log(sum(exp(x)))", {"x": (4,), "p": KEPT, "around": as_it_is}), ("log(sum(exp(x)))", {"x": (4,), "p": DROPPED, "around": as_it_is}),
    ("log(sum(exp(x)))", {"x": (4,), "p": DROPPED, "around": back}),
    ("exp(x) / sum(exp(x))", {"x": (4,), "p": KEPT, "around": as_it_is}),
    ("exp(x) / sum(exp(x))", {"x": (4,), "p": DROPPED, "around": back}),
    ("sum(z / sum(exp(x))) * exp(x)", {"x": (4,), "z": (4,), "p": KEPT, "around": as_it_is}),
    ("(y / sum(exp(x)) + sum(z / sum(exp(x)))) * exp(x)", {"x": (4,), "y": (4,), "z": (4,), "p": KEPT, "around": as_it_is}),
    ("-max(-x)", {"x": (4,), "p": DROPPED}), ("-min(-x)", {"x": (4,), "p": KEPT}),
    ("sum(-x)", {"x": (4,), "p": DROPPED}), ("sum(x * k)", {"x": (4,), "k": 2.5, "p": DROPPED}),
]
