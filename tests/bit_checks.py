"""EXACT rules as theorems about bit vectors, truths and floats, which z3 proves for every value at once."""
from __future__ import annotations

from typing import Any

import numpy as np

from exprgraph.node import INPUT, Node, Out, leaf, make_constant
from exprgraph.patterns import Rule, arguments, sort
from tests.rule_cases import Case, both_sides, meaning
from tests.rule_meanings import Table, float_sort, floats, truths, vector, vectors

PATIENCE = 100_000_000
"""Steps of z3 for one proof, which are the same on every machine."""


def counterexample(rule: Rule, dtype: str) -> Any:
    """None where both sides of a rule are the same for all values of a dtype, else values where they differ, or "unknown"."""
    import z3
    case = _scalars(rule, dtype)
    left, right = both_sides(rule, case) or (None, None)
    assert left is not None and right is not None
    table = _table(dtype)
    leaves = {n: _free(n) for n in case[1]}
    written, made = (meaning(side, leaves, table, vector(dtype))[side.node].item() for side in (left, right))
    solver = z3.Solver()
    solver.set("rlimit", PATIENCE)
    solver.add(z3.Distinct(written, made))  # NaN is one value, and -0.0 another than 0.0
    found = solver.check()
    return None if found == z3.unsat else solver.model() if found == z3.sat else "unknown"


def _table(dtype: str) -> Table:
    return truths() if dtype == "bool" else floats() if dtype.startswith("float") else vectors(dtype.startswith("int"))


def _scalars(rule: Rule, dtype: str) -> Case:
    symbols = [make_constant(0.25, dtype) if sort(n) == "constant" else Out(leaf(INPUT, "bool" if sort(n) == "condition" else dtype, (), n))
               for n in arguments(rule)]
    return list(symbols), {s.node: np.zeros((), s.dtype) for s in symbols if s.node.op is INPUT}


def _free(node: Node) -> Any:
    """z3's unknown for an argument."""
    import z3
    dtype = node.outs[0].dtype
    found = np.empty((), object)
    if dtype.startswith("float"):
        found[()] = z3.FP(node.name, float_sort(dtype))
    else:
        found[()] = z3.Bool(node.name) if dtype == "bool" else z3.BitVec(node.name, np.dtype(dtype).itemsize * 8)
    return found


def computed(op: Any, values: list[Any], dtype: str) -> Any:
    """What z3 makes of an elementwise row on known values of a dtype, as a Python number."""
    import z3
    table = _table(dtype)
    found = z3.simplify(table[op.name](*(vector(dtype)(v) for v in values)))
    if z3.is_bool(found):
        return z3.is_true(found)
    if dtype.startswith("float"):
        return np.nan if z3.is_true(z3.simplify(z3.fpIsNaN(found))) else _float(found, dtype)
    return found.as_signed_long() if dtype.startswith("int") else found.as_long()


def _float(found: Any, dtype: str) -> float:
    """One of z3's floats, by its bits."""
    import z3
    pattern = z3.simplify(z3.fpToIEEEBV(found)).as_long()
    return float(np.array(pattern, f"uint{np.finfo(dtype).bits}").view(dtype))
