"""Arrays and the evaluation of movements, with a check of the symbolic shape and of the adjoint."""

import numpy as np

import exprgraph as eg
from exprgraph import graph
from exprgraph.dims import Size, atoms
from exprgraph.node import Graph, Out
from exprgraph.reference import evaluate, sizes
from exprgraph.size_program import program


def numbers(*shape, dtype="float64"):
    return (np.arange(np.prod(shape, dtype=int)).reshape(shape) * 7 % 23 - 5).astype(dtype)


def values_of(out, values):
    """The arrays of the leaves, given by name."""
    return {n: np.asarray(values[n.name], n.outs[0].dtype) for n in graph.leaves([out])}


def run(out, **values):
    """Evaluate, and check that the type tells the truth about dtype and sizes."""
    given_values = values_of(out, values)
    sizes(Graph(tuple(Out(n) for n in given_values), (out,))).check(given_values)
    (got,) = evaluate([out], given_values)
    leaves = atoms(out.type.shape)
    known = [given_values[a.source].shape[a.axis] if isinstance(a, Size) else int(given_values[a.source]) for a in leaves]
    assert program(out.type.shape, leaves)(known) == got.shape
    assert got.dtype == out.dtype
    return got


def same(got, want):
    assert got.shape == np.shape(want)
    np.testing.assert_array_equal(got, want)


def symbol(name, rank, dtype="float64"):
    return eg.tensor(name, dtype, (None,) * rank)


X = numbers(3, 4)
CUBE = numbers(2, 3, 4)


def check_adjoint(out, x, value):
    """These functions are linear: <g, f(e)> = <f*(g), e>, and the adjoint of the adjoint is the function again."""
    if x.node not in graph.leaves([out]):
        return
    shape = evaluate([out], {x.node: value})[0].shape
    g, e = symbol("g", len(shape)), np.random.default_rng(1).normal(size=value.shape)
    weight = np.random.default_rng(2).normal(size=shape)
    base = evaluate([out], {x.node: value * 0})[0]
    back = eg.grad((out * g).sum(), x, disconnected_inputs="ignore")
    got = run(back, x=value, g=weight)
    assert got.shape == value.shape
    np.testing.assert_allclose((got * e).sum(), ((evaluate([out], {x.node: e})[0] - base) * weight).sum(), rtol=1e-9, atol=1e-9)
    if g.node in graph.leaves([back]):
        again = eg.grad((back * symbol("e", value.ndim)).sum(), g)
        np.testing.assert_allclose(run(again, x=value, g=weight, e=e), evaluate([out], {x.node: e})[0] - base, rtol=1e-9, atol=1e-9)
