"""What tests of pickles find by name in other processes: functions for pools, and ops of a user's own."""
from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np

import exprgraph as eg


@eg.as_op([eg.fvector, eg.fvector], [eg.fvector], infer_shape=lambda node, shapes: [shapes[0]])
def rolled(a: Any, b: Any) -> Any:
    """Found by its name."""
    return np.roll(a, 1) + b


@eg.as_op([eg.fvector], [eg.fvector])
def positive(a: Any) -> Any:
    """Its results have sizes that only a call tells."""
    return a[a > 0]


def called(f: Any, *args: Any) -> Any:
    """f(*args), in whatever process."""
    return f(*args)


def executables() -> int:
    """How many functions this process has compiled."""
    from exprgraph import pickled
    return len(pickled._latest)


def shared_by_two(functions: Any) -> Any:
    """The second function after the first has updated."""
    first, second, argument = functions
    first(argument)
    return second()


def doubled(a: Any) -> Any:
    """The NumPy meaning of a kernel."""
    return 2 * a


def printed(printer: Any, value: Any) -> None:
    """What a Print calls."""
    print("seen", printer.message, value)


def main(given: str, found: str) -> None:
    """Call what is pickled in one file, twice each; the results go to another."""
    with open(given, "rb") as file:
        cases = pickle.load(file)
    results = {name: [f(*args), f(*args)] for name, (f, args) in cases.items()}
    with open(found, "wb") as file:
        pickle.dump(results, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
