"""How the rules with parameters are tried: reductions over rows of four, kept as an axis of length 1 or dropped."""
from __future__ import annotations

from typing import Any

KEPT, DROPPED = (("axis", (1,)), ("keepdims", True)), (("axis", (1,)), ("keepdims", False))
BACK = (("pattern", (0, -1)),)
ROWS: list[tuple[str, dict[str, Any]]] = [  # the rule, its parameters, and what follows the number of rows in the shape of each tensor
    ("log(sum(exp(x)))", {"x": (4,), "p": KEPT}), ("log(sum(exp(x)))", {"x": (4,), "p": DROPPED}),
    ("log(dimshuffle(sum(exp(x))))", {"x": (4,), "p": DROPPED, "q": BACK}),
    ("exp(x) / sum(exp(x))", {"x": (4,), "p": KEPT}),
    ("exp(x) / dimshuffle(sum(exp(x)))", {"x": (4,), "p": DROPPED, "q": BACK}),
    ("y / sum(exp(x)) * exp(x)", {"x": (4,), "y": (1,), "p": KEPT}),
    ("dimshuffle(y / sum(exp(x))) * exp(x)", {"x": (4,), "y": None, "p": DROPPED, "q": BACK}),
    ("sum(-(z / sum(exp(x)))) * exp(x)", {"x": (4,), "z": (4,), "p": KEPT}),
    ("(y / sum(exp(x)) + sum(-(z / sum(exp(x))))) * exp(x)", {"x": (4,), "y": (4,), "z": (4,), "p": KEPT}),
    ("-max(-x)", {"x": (4,), "p": DROPPED}), ("-min(-x)", {"x": (4,), "p": KEPT}),
    ("sum(-x)", {"x": (4,), "p": DROPPED}), ("sum(x * k)", {"x": (4,), "k": 2.5, "p": DROPPED}),
]
"""None stands for a single number in place of rows."""
