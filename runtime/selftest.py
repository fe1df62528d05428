"""The self-test of a device: a small kernel of each family against the NumPy backend, in a process of its own, since drivers end those.

That process prints a line of JSON before and after each step, so that whoever started it knows how far it came.
"""
from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import exprgraph as eg
from exprgraph.errors import AllocationError, DeviceError
from exprgraph.node import Out
from runtime.device import choose

ALL = "all families together"
REACH = 1e-4
"""Relative to 1 plus the value: far more than rounding explains, far less than a wrong kernel gives."""


def inputs() -> tuple[list[Out], list[np.ndarray[Any, Any]]]:
    """The symbols of the test and their values."""
    draw = np.random.default_rng(12345)
    values = [draw.uniform(-2, 2, (37, 53)).astype("f4"), draw.uniform(-2, 2, (53, 41)).astype("f4"),
              draw.integers(-90, 90, 203).astype("i4"), draw.integers(-7, 8, 203).astype("i4"), draw.integers(0, 37, 64).astype("i8")]
    names = "xwnki"
    return [eg.tensor(name, v.dtype.name, (None,) * v.ndim) for name, v in zip(names, values)], values


def _mathlib(x: Out) -> Out:
    found: Out = eg.exp(x) + eg.log(x * x + 1) + eg.sin(x) * eg.tanh(x) + eg.erf(x) + eg.sqrt(abs(x))
    return found


FAMILIES: dict[str, Callable[..., Sequence[Out]]] = {
    "maps": lambda x, w, n, k, i: [x * 2.5 + x[:, ::-1], eg.where(x > 0, x, -x / 3)],
    "functions": lambda x, w, n, k, i: [_mathlib(x)],
    "integers": lambda x, w, n, k, i: [n // k, n % k, n * 65537 << 3],
    "reductions": lambda x, w, n, k, i: [x.sum(), x.max(axis=0), x.argmax(axis=1), (n * n).sum()],
    "rows": lambda x, w, n, k, i: [eg.softmax(x, axis=1)],
    "scans": lambda x, w, n, k, i: [eg.cumsum(x, axis=1)],
    "products": lambda x, w, n, k, i: [eg.tanh(x @ w + 1)],
    "gathers": lambda x, w, n, k, i: [x[i]],
    "scatters": lambda x, w, n, k, i: [eg.inc_subtensor(eg.zeros_like(x)[i], x[i] * 2)],
    "float64": lambda x, w, n, k, i: [(eg.exp(x.astype("float64")) / 3).sum(axis=1)],
}


def check(names: Sequence[str], spec: str) -> str | None:
    """What is wrong with the results of these families on a device; None where nothing is."""
    symbols, values = inputs()
    wanted = [(name, out) for name in names for out in FAMILIES[name](*symbols)]
    outputs = [out for _, out in wanted]
    found, expected = [eg.compile(symbols, outputs, device=where, on_unused_input="ignore")(*values) for where in (spec, "numpy")]
    wrong = [f"{name}: {problem}" for (name, _), f, e in zip(wanted, found, expected) if (problem := difference(f, e))]
    return "; ".join(wrong) or None


def difference(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> str | None:
    """How a result differs from what it should be by more than rounding explains."""
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return f"{found.dtype} of shape {found.shape} instead of {expected.dtype} of shape {expected.shape}"
    reach = REACH * (1 + abs(expected.astype("f8"))) if expected.dtype.kind == "f" else 0
    with np.errstate(all="ignore"):
        bad = ~(abs(found.astype("f8") - expected.astype("f8")) <= reach)
    if not bad.any():
        return None
    at = tuple(int(k) for k in np.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size} elements are wrong, the first {found[at]} instead of {expected[at]}"


def families(fp64: bool) -> list[str]:
    """What a device is tested with."""
    return [name for name in FAMILIES if fp64 or name != "float64"]


def run(spec: str, each: bool, tell: Callable[[Mapping[str, Any]], None]) -> None:
    """Test all families in one program, or each for itself."""
    device = choose(spec)
    tell({"device": device.name})
    names = families(device.target.fp64)
    for some in [[n] for n in names] if each else [names]:
        label = some[0] if each else ALL
        tell({"trying": label})
        try:
            problem = check(some, spec)
        except (DeviceError, AllocationError) as error:
            problem = _short(str(error))
        except Exception as error:  # nothing that a driver is to blame for
            tell({"ours": f"{type(error).__name__}: {_short(str(error))}"})
            return
        tell({"tried": label, "problem": problem})
    tell({"done": True})


def _short(text: str) -> str:
    """The first line and the last one of a long message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ... ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))[:300]


def main(arguments: Sequence[str]) -> None:
    """Run as a process: a device and "each" or "all"; lines of JSON."""
    spec, how = arguments
    run(spec, how == "each", lambda said: print(json.dumps(said), flush=True))


if __name__ == "__main__":
    main(sys.argv[1:])
