"""Values for which an op has no result: the call raises, with the user's line, and has changed nothing."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.errors import ValueFault
from tests.plan_runner import CPU, GPU, interpret

BACKENDS = [{"device": "numpy"}, {"device": "pocl", "schedule": "cpu"}, {"device": "pocl", "schedule": "gpu"}]
GOOD, BAD = np.array([0, 1, 3], "int32"), np.array([2, -2, 1], "int32")
EXPRESSIONS = {
    "map": lambda a, b: a ** b, "fused": lambda a, b: eg.exp(a ** b) + 1, "sum": lambda a, b: (a ** b).sum(),
    "row": lambda a, b: (a[:, None] ** b).sum(axis=1), "broadcast": lambda a, b: a[:, None] ** b[None, :],
    "section": lambda a, b: (a ** b)[1:], "joined": lambda a, b: eg.concatenate([a, a ** b]),
    "gathered": lambda a, b: eg.take(a ** b, np.array([1, 0]))}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("where", BACKENDS, ids=lambda w: "-".join(w.values()))
def test_integer_to_a_negative_power_A19(where: dict, name: str) -> None:
    a, b = eg.ivector("a"), eg.ivector("b")
    out = EXPRESSIONS[name](a, b)
    f = eg.compile([a, b], out, **where)
    base = np.array([2, 3, -4], "int32")
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(f(base, GOOD), eg.compile([a, b], out, device="numpy")(base, GOOD), rtol=1e-5)
    with pytest.raises(ValueError, match="negative integer powers are not allowed") as caught:
        f(base, BAD)
    assert type(caught.value) is ValueFault and "test_refusals.py" in str(caught.value)
    f(base, GOOD)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("shapes", [((3,), (3,)), ((3, 1), (4,)), ((), (2,)), ((2,), ()), ((0,), (1,))])
def test_the_fault_in_the_interpreter_A19(shapes, target, dtype: str) -> None:
    a, b = (eg.tensor(n, dtype, (None,) * len(s)) for n, s in zip("ab", shapes))
    out, base = a ** b, np.full(shapes[0], 3, dtype)
    graph, leaves = eg.Graph((a, b), (out,)), [a.node, b.node]
    for general in (False, True):
        got, = interpret(graph, leaves, [base, np.full(shapes[1], 2, dtype)], target, general)
        np.testing.assert_array_equal(got, np.broadcast_to(np.array(9, dtype), got.shape))
        exponent = np.full(shapes[1], 2, dtype)
        exponent[(-1,) * exponent.ndim] = -7
        if 0 in shapes[0]:
            assert interpret(graph, leaves, [base, exponent], target, general)[0].size == 0
            continue
        with pytest.raises(ValueFault, match=rf"{dtype} \*\* -7; cast the base to a float\n  at .*test_refusals.py"):
            interpret(graph, leaves, [base, exponent], target, general)


@pytest.mark.parametrize("where", BACKENDS, ids=lambda w: "-".join(w.values()))
def test_a_refused_call_changes_nothing_A19(where: dict) -> None:
    n, total = eg.iscalar("n"), eg.shared(np.int32(5), name="total")
    f = eg.compile([n], 2 ** n, updates={total: total + 2 ** n}, **where)
    f(3)
    with pytest.raises(ValueError, match="negative integer powers"):
        f(-1)
    assert total.get_value() == 13 and f(0) == 1 and total.get_value() == 14


@pytest.mark.parametrize("make", [lambda a: a ** 3, lambda a: a ** np.array([1, 2, 0], "int32"), lambda a: a ** eg.cast(a, "uint8"),
                                  lambda a: eg.cast(a, "float32") ** a])
def test_powers_that_cannot_fail_carry_no_check(make) -> None:
    a = eg.ivector("a")
    f = eg.compile([a], make(a), device="pocl")
    assert ("flags" in f.source()) == (make(a).dtype == "int32" and make(a).node.inputs[1].owner is not None)
