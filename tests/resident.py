"""A process that compiles or calls many times and prints its resident memory in KiB: `python -m tests.resident calls 10000 500`."""
from __future__ import annotations

import gc
import random
import sys
from typing import Any

import numpy as np

import exprgraph as eg

F = "float32"


def resident() -> int:
    """The resident memory of this process in KiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def compiled(number: int, options: dict[str, Any]) -> Any:
    """A function with an update, of a graph that no other number has."""
    rng, x, y, w = random.Random(number), eg.matrix("x"), eg.vector("y"), eg.shared(np.ones((4, 4), F), "w")
    value = x
    for k in range(3):
        c = float(number * 3 + k + 2)
        value = rng.choice([lambda v, c: eg.tanh(v * c), lambda v, c: v + c, lambda v, c: eg.exp(-v * v / c),
                            lambda v, c: eg.sqrt(v * v + c)])(value, c)
    return eg.compile([x, y], [value.sum(axis=0) + y, value], updates={w: w + value.sum() / c}, **options)


def compiles(number: int, options: dict[str, Any]) -> None:
    """One compile, two calls."""
    f = compiled(number, options)
    f(np.ones((5, 4), F), np.ones(4, F))
    f(np.ones((7, 4), F), np.ones(4, F))


class Calls:
    """Calls of one function with arguments of random sizes."""

    def __init__(self, options: dict[str, Any]) -> None:
        x, y, w = eg.matrix("x"), eg.vector("y"), eg.shared(np.zeros(100, F), "w")
        outputs = [eg.softmax(x @ x.T, axis=1).sum(axis=0), (x * y).sum(axis=0), x + 1]
        self.f, self.rng = eg.compile([x, y], outputs, updates={w: w + x.sum()}, **options), random.Random(1)

    def __call__(self, number: int, options: dict[str, Any]) -> None:
        rows, columns = self.rng.randint(1, 150), self.rng.randint(1, 150)
        self.f(np.ones((rows, columns), F), np.ones(columns, F))


def main(what: str, count: int, every: int, schedule: str = "cpu") -> None:
    """Do it `count` times."""
    options = {"device": "pocl", "schedule": schedule}
    one = Calls(options) if what == "calls" else compiles
    for number in range(count + 1):
        if number % every == 0:
            gc.collect()
            print(number, resident(), len(gc.get_objects()), flush=True)
        one(number, options)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
