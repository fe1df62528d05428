"""Batches, generic over the table of rows: every row, every choice of mapped operands, every axis, values and gradients twice."""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, product
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import dtypes
from exprgraph.errors import GraphError
from exprgraph.graph import order
from exprgraph.ops.table import ROWS
from exprgraph.reference import evaluate
from tests.batch_cases import CASES, FIXED, Case

BY_ROW = {name: list(cases) for name, cases in groupby(sorted(CASES, key=lambda c: c.name), key=lambda c: c.name)}
Axes = tuple[int | None, ...]


def test_every_row_is_tried() -> None:
    """A new row has to stand in the table, and with every operand mapped or named with a reason."""
    assert set(BY_ROW) == set(ROWS)
    for name, cases in BY_ROW.items():
        used = {k for c in cases for axes in choices(c) for k, a in enumerate(axes) if a is not None}
        refused = {k for n, k in FIXED if n == name}
        assert used | refused == set(range(max(len(c.draws) for c in cases))), name


def choices(case: Case) -> list[Axes]:
    """Axes for the operands: every choice of mapped ones along the first axis, and all of them along every axis."""
    rng = np.random.default_rng(0)
    ranks = [np.ndim(d(rng)) for d in case.draws]
    free = [k for k in range(len(ranks)) if (case.name, k) not in FIXED]
    found: list[Axes] = [a for a in product(*((None, 0) if k in free else (None,) for k in range(len(ranks)))) if any(x == 0 for x in a)]
    for axis in (*range(1, max(ranks) + 1), -1):
        found.append(tuple(min(axis, r) if k in free else None for k, r in enumerate(ranks)))
    return [*dict.fromkeys(found)]


def results_of(case: Case, twice: bool) -> Any:
    """The row's value, and its first and, where it is asked for, second gradient with respect to the float operands, where it has them."""
    def call(*operands: Any) -> list[Any]:
        out = case.call(*operands)
        found = [out]
        inner = [x for x in operands if dtypes.has_gradient(x.dtype)]
        if not inner or not dtypes.has_gradient(out.dtype) or ROWS[case.name].grad is None or (
                case.name == "undefined_grad"):
            return found
        first = eg.grad(cost_of([out]), inner, disconnected_inputs="ignore")
        return [*found, *first, *(eg.grad(cost_of(first), inner, disconnected_inputs="ignore") if twice else [])]
    return call


def cost_of(tensors: Sequence[Any]) -> Any:
    """A float64 scalar with a slope that is different everywhere."""
    total: Any = eg.constant(0.0, dtype="float64")
    for t in tensors:
        for part in (eg.real(t), eg.imag(t)) if dtypes.is_complex(t.dtype) else (t,):
            total = total + (eg.cast(part, "float64") ** 2 * 0.5 + part * 0.7).sum()
    return total


def symbols_of(values: Sequence[Any], extra: Axes) -> list[eg.Out]:
    return [eg.tensor(f"x{k}", np.asarray(v[0]).dtype.name, (None,) * (np.ndim(v[0]) + (axis is not None)))
            for k, (v, axis) in enumerate(zip(values, extra))]


@lru_cache(maxsize=8)
def graph_of(case: Case, twice: bool) -> tuple[list[eg.Out], list[eg.Out]]:
    """Symbols for one lane, and the results: which operands are mapped is nothing to them."""
    single = symbols_of(case.values(np.random.default_rng(4), 1), (None,) * len(case.draws))
    outputs = results_of(case, twice)(*single)
    assert any(n.op is ROWS[case.name] for n in order(outputs))
    return single, outputs


def looped(case: Case, values: Sequence[Sequence[Any]], lanes: int, twice: bool = True) -> list[np.ndarray]:
    """The results lane by lane, stacked."""
    single, outputs = graph_of(case, twice)
    each = [evaluate(outputs, {s.node: np.asarray(v[i]) for s, v in zip(single, values)}) for i in range(lanes)]
    return [np.stack(parts) for parts in zip(*each)]


def compared(case: Case, axes: Axes, lanes: int, twice: bool = True) -> None:
    values = case.values(np.random.default_rng(4), lanes)
    values = [v if axis is not None else [v[0]] * lanes for v, axis in zip(values, axes)]
    wanted = looped(case, values, lanes, twice)
    symbols = symbols_of(values, axes)
    got = eg.vmap(results_of(case, twice), in_axes=axes)(*symbols)
    given = [v[0] if axis is None else np.moveaxis(np.stack(v), 0, axis) for v, axis in zip(values, axes)]
    found = evaluate(got, {s.node: v for s, v in zip(symbols, given)})
    for k, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=f"result {k} along {axes}")


@pytest.mark.parametrize("name", BY_ROW)
def test_every_row(name: str) -> None:
    """A batch gives what a loop over its lanes gives.  Values and gradients for every choice of axes; second gradients, which are made of
    other rows, for the last choice and every third before it: each operand is mapped in some of them, along the last axis in one."""
    for case in BY_ROW[name]:
        for left, axes in enumerate(reversed(choices(case))):
            compared(case, axes, 3, left % 3 == 0)


@pytest.mark.parametrize("name", BY_ROW)
def test_one_lane_and_none(name: str) -> None:
    """A batch of one does not broadcast, and one of none has results of none."""
    for case in BY_ROW[name]:
        axes = choices(case)[-2]
        compared(case, axes, 1)
        values = case.values(np.random.default_rng(4), 1)
        symbols = symbols_of(values, axes)
        got = eg.vmap(results_of(case, True), in_axes=axes)(*symbols)
        given = [v[0] if axis is None else np.delete(np.stack(v, axis), 0, axis) for v, axis in zip(values, axes)]
        for a, b in zip(evaluate(got, {s.node: v for s, v in zip(symbols, given)}), looped(case, values, 1), strict=True):
            assert a.shape == (0, *b.shape[1:])


@pytest.mark.parametrize("name, k", FIXED)
def test_refused_operands(name: str, k: int) -> None:
    case, = BY_ROW[name]
    symbols = symbols_of(case.values(np.random.default_rng(4), 1), (0,) * len(case.draws))
    with pytest.raises(GraphError, match=r"(?s)differs from lane to lane.*batch_cases\.py"):
        eg.vmap(case.call)(*symbols)
