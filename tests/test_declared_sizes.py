"""Sizes that must agree axis by axis, found by the call: every pair is checked by itself, and the message holds both sizes."""
from __future__ import annotations

import numpy as np
import pytest

import exprgraph as eg
from exprgraph.close import close
from exprgraph.errors import ShapeError
from exprgraph.testing import check_grads
from tests.plan_runner import CPU, GPU, interpret

BACKENDS = [{"device": "numpy"}, {"device": "pocl"}]
ARRAYS = ["A", "B", "C"]


def symbols(*shapes: tuple[int, ...]) -> list[eg.Out]:
    """Tensors of unknown sizes, of the ranks of these shapes."""
    return [eg.tensor(name, "float64", (None,) * len(s)) for name, s in zip(ARRAYS, shapes)]


MISFITS = {
    "tensordot turned": ([(2, 3), (3, 2)], lambda a, b: eg.tensordot(a, b, 2),
                         "axis 0 of the left has 2 elements, axis 0 of the right has 3"),
    "tensordot second pair": ([(2, 3, 5), (2, 5, 3)], lambda a, b: eg.tensordot(a, b, ((0, 1), (0, 1))),
                              "axis 1 of the left has 3 elements, axis 1 of the right has 5"),
    "tensordot crossed": ([(2, 3), (2, 3)], lambda a, b: eg.tensordot(a, b, ((0, 1), (1, 0))),
                          "axis 1 of the left has 3 elements, axis 0 of the right has 2"),
    "tensordot of one element": ([(2, 1), (1, 2)], lambda a, b: eg.tensordot(a, b, 2), "axis 0 of the left has 2 elements, axis 0"),
    "tensordot empty": ([(0, 3), (0, 2)], lambda a, b: eg.tensordot(a, b, 2),
                        "axis 1 of the left has 3 elements, axis 1 of the right has 2"),
    "batched_tensordot": ([(4, 2, 3), (4, 3, 2)], lambda a, b: eg.batched_tensordot(a, b, 2), "axis 1 of the left has 2 elements"),
    "dot of vectors": ([(3,), (1,)], lambda a, b: eg.dot(a, b), r"the vector B \(\?,\) has 1 elements, the other has 3"),
    "specify_shape": ([(2, 3)], lambda a: eg.specify_shape(a, (3, 2)), r"axis 0 of A \(\?, \?\) has 2 elements, not 3"),
    "specify_shape last": ([(2, 3)], lambda a: eg.specify_shape(a, (None, 2)), r"axis 1 of A \(\?, \?\) has 3 elements, not 2"),
    "specify_shape empty": ([(0, 3)], lambda a: eg.specify_shape(a, (0, 7)), r"axis 1 of A \(\?, \?\) has 3 elements, not 7"),
    "specify_shape of another": ([(2, 3), (3, 2)], lambda a, b: eg.specify_shape(a, b.shape), "axis 0 of A .* has 2 elements, not 3"),
    "split": ([(5, 0)], lambda a: eg.split(a, [2, 2], 2, 0)[0], "the sizes add up to 4, axis 0 has 5 elements"),
    "split by another": ([(5,), (2,)], lambda a, b: eg.split(a, [b.shape[0], b.shape[0]], 2, 0)[1], "add up to 4, axis 0 has 5"),
    "split equally": ([(5, 0)], lambda a: eg.split(a, 2, axis=0)[0],
                      "the sizes add up to 4, axis 0 has 5|axis 0 of 5 elements does not split into 2"),
}


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("where", BACKENDS, ids=lambda w: w["device"])
def test_sizes_that_do_not_fit(where: dict, name: str) -> None:
    shapes, call, message = MISFITS[name]
    inputs = symbols(*shapes)
    f = eg.compile(inputs, call(*inputs), on_unused_input="ignore", **where)
    with pytest.raises(ShapeError, match=message) as caught:
        f(*[np.ones(s) for s in shapes])
    assert "test_declared_sizes.py" in str(caught.value)


@pytest.mark.parametrize("name", MISFITS)
def test_known_sizes_that_do_not_fit(name: str) -> None:
    shapes, call, message = MISFITS[name]
    inputs = [eg.tensor(n, "float64", s) for n, s in zip(ARRAYS, shapes)]
    with pytest.raises(ShapeError, match=message.replace(r"\?", r"\d")):
        call(*inputs)


@pytest.mark.parametrize("where", BACKENDS, ids=lambda w: w["device"])
def test_a_negative_part_of_a_split(where: dict) -> None:
    x, n = eg.dvector("x"), eg.lscalar("n")
    f = eg.compile([x, n], eg.split(x, [n, 5 - n], 2, 0), **where)
    assert [len(p) for p in f(np.arange(5.0), 2)] == [2, 3]
    for bad in (-1, 6):
        with pytest.raises(ShapeError, match="a part of axis 0 of .* would have -1 elements"):
            f(np.arange(5.0), bad)


FITS = {
    "tensordot": ([(2, 3, 4), (4, 3, 5)], lambda a, b: eg.tensordot(a, b, ((1, 2), (1, 0)))),
    "tensordot to a scalar": ([(2, 3), (2, 3)], lambda a, b: eg.tensordot(a, b, 2)),
    "batched_tensordot": ([(4, 2, 3), (4, 2, 3)], lambda a, b: eg.batched_tensordot(a, b, 2)),
    "dot": ([(3,), (3,)], lambda a, b: eg.dot(a, b)),
    "specify_shape": ([(2, 3)], lambda a: eg.exp(eg.specify_shape(a, (2, None))) * 2),
    "specify_shape of another": ([(2, 3), (2, 3)], lambda a, b: eg.specify_shape(a, b.shape) * b + a),
    "split": ([(5, 2), (2,)], lambda a, b: eg.split(a, [b.shape[0], 5 - b.shape[0]], 2, 0)[1] * 2),
}


@pytest.mark.parametrize("name", FITS)
def test_sizes_that_fit(name: str, rng) -> None:
    shapes, call = FITS[name]
    inputs = symbols(*shapes)
    out, values = call(*inputs), [rng.normal(size=s) for s in shapes]
    graph = eg.Graph(tuple(inputs), (out, eg.grad((out * out).sum(), inputs[0])))
    for target in (CPU, GPU):
        for general in (False, True):
            got = interpret(graph, [i.node for i in inputs], values, target, general)
            close(got, graph, {i.node: v for i, v in zip(inputs, values)})
    check_grads(call, values)


def test_a_fitting_declaration_costs_nothing() -> None:
    a, b = symbols((2, 3), (2, 3))
    f = eg.compile([a, b], eg.specify_shape(a, b.shape) * 2 + b, device="pocl")
    plain = eg.compile([a, b], a * 2 + b, device="pocl")
    texts = [[line for line in g.source().splitlines() if "[i" in line and "//" not in line] for g in (f, plain)]
    assert texts[0] and texts[0] == texts[1]
