"""Kernels and calls per expression: ours for small and large sizes, the fewest that could do, and what XLA makes of it in JAX on a CPU.

Of JAX the instructions of the entry computation count that compute or move elements: fusions, products, reductions, loops, calls.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tests.kernel_counts import CASES, LARGE, SMALL, Case, arguments, counts

FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?\S+ = (?:\([^=]*?\)|\S+) ([\w-]+)\(", re.MULTILINE)


class Theirs:
    """What cases say in JAX."""

    def __getattr__(self, name: str) -> Any:
        for place in (jnp, jax.nn, jax.scipy.special):
            if hasattr(place, name):
                return getattr(place, name)
        raise AttributeError(name)

    def with_gradient(self, cost: Callable[..., Any], *wrt: Any) -> list[Any]:
        """The cost and its gradients."""
        value, slopes = jax.value_and_grad(cost, tuple(range(len(wrt))))(*wrt)
        return [value, *slopes]


def theirs(case: Case) -> int:
    """The steps of the compiled program."""
    made = jax.jit(lambda *xs: tuple(case.make(Theirs(), *xs))).lower(*map(jnp.asarray, arguments(case, LARGE))).compile()
    text = made.as_text()
    return sum(kind not in FREE for kind in INSTRUCTION.findall(text[text.index("\nENTRY"):]))


def main() -> None:
    """Print the table."""
    jax.config.update("jax_platforms", "cpu")
    print("| expression | ours, small | ours, large | ideal | JAX |\n|---|---|---|---|---|")
    for case in CASES:
        small, large = counts(case, SMALL, LARGE)
        print(f"| {case.name} | {small} | {large} | {case.ideal} | {theirs(case)} |")


if __name__ == "__main__":
    main()
