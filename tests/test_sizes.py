"""Sizes as formulas: equal ones, what they mean, and how deep they may be."""
import inspect
import random
import sys

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import dims, graph
from exprgraph.dims import Size, Value, as_dim, atoms, bounds, of_atom
from exprgraph.functions import creation as C
from exprgraph.functions import indexing as I
from exprgraph.functions import joining as J
from exprgraph.node import Out
from exprgraph.ops.shape import bcast_size, dim_node
from exprgraph.reference import evaluate
from exprgraph.size_program import program
from exprgraph.substituting import substitute
from exprgraph.types import dim_of
from tests.movement_cases import numbers, run, same, symbol

EQUAL = [
    lambda x, i: (x[1:], x[:-1]), lambda x, i: (x[2:], x[1:-1]), lambda x, i: (x[:3], x[-3:]), lambda x, i: (x[::-1], x),
    lambda x, i: (x[1:][1:], x[:-1][:-1]), lambda x, i: (x[::2][::2], x[::4]), lambda x, i: (x[-2::-1], x[1:]),
    lambda x, i: (x[i:i + 4], x[i:i + 4] * 2), lambda x, i: (J.concatenate([x[:0], x]), x), lambda x, i: (x.reshape((-1, 1))[:, 0], x),
    lambda x, i: (J.repeat(x, 2)[::2], x), lambda x, i: (I.roll(x, i), x), lambda x, i: (C.arange(x.shape[0]), x),
]


@pytest.mark.parametrize("case", range(len(EQUAL)))
def test_provably_equal_sizes(case):
    """Slices that are equally long have equal Dims: nothing has to be decided when the function is called."""
    left, right = EQUAL[case](symbol("x", 1), eg.lscalar("i"))
    assert left.type.shape == right.type.shape


LEAVES = [Out(symbol("x", 2).node), eg.lscalar("i")]
SIZES = [Size(LEAVES[0].node, 0), Size(LEAVES[0].node, 1), Value(LEAVES[1].node)]


def random_dim(rng, depth):
    """A Dim and the same thing computed with plain integers."""
    if not depth or rng.random() < 0.2:
        i, n = rng.randrange(3), rng.randint(-5, 5)
        return (of_atom(SIZES[i]), lambda v: v[i]) if rng.random() < 0.6 else (as_dim(n), lambda v: n)
    (x, f), (y, g) = random_dim(rng, depth - 1), random_dim(rng, depth - 1)
    n = rng.choice([1, 2, 3, 4, -2])
    return rng.choice([
        lambda: (x + y, lambda v: f(v) + g(v)), lambda: (x - y, lambda v: f(v) - g(v)), lambda: (x * y, lambda v: f(v) * g(v)),
        lambda: (x // n, lambda v: f(v) // n), lambda: (x % n, lambda v: f(v) % n),
        lambda: (dims.minimum(x, y), lambda v: min(f(v), g(v))), lambda: (dims.maximum(x, y), lambda v: max(f(v), g(v)))])()


@pytest.mark.parametrize("seed", range(300))
def test_dims_mean_what_they_say(seed):
    """The normal form and its bounds agree with plain integers, and a Dim survives the way to a node and back."""
    rng = random.Random(seed)
    dim, plain = random_dim(rng, rng.choice([1, 2, 3]))
    low, high = bounds(dim)
    node = dim_node(dim)
    assert dim_of(node) == dim
    for _ in range(6):
        v = [rng.randint(0, 9), rng.randint(0, 9), rng.randint(-9, 9)]
        want = plain(v)
        assert program([dim], SIZES)(v) == (want,)
        assert low <= want <= high
    known = {n: np.zeros(v[:2]) if n.outs[0].ndim else np.asarray(v[2]) for n in graph.leaves([node])}
    assert evaluate([node], known)[0] == want


@pytest.fixture
def shallow():
    """Python may go 150 calls deeper than here, so that a hundred things one in the other are many; sizes take time by the square of it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 150)
    yield
    sys.setrecursionlimit(before)


def test_asking_for_a_shape_computes_only_sizes():
    """The shape of a result rests on the sizes of the inputs, not on the result."""
    x, y = symbol("x", 2), symbol("y", 1)
    out = J.concatenate([eg.exp(x) + y, x[1:]], 0)
    needed = {n.op.name for s in out.shape for n in graph.order([s])}
    assert needed <= {"input", "constant", "size", "bcast_size", "add", "mul", "maximum"}
    assert dim_of(bcast_size(x.shape[0], y.shape[0])) == dims.bcast(x.type.shape[0], y.type.shape[0])
    assert x.shape[0] is x.shape[0]


def test_long_chains():
    """B4: slices and concatenations one after the other, deeper than Python's stack."""
    y = symbol("x", 1)
    for _ in range(1000):
        y = J.concatenate([y[1:], y[:1]])
    same(run(y, x=numbers(7)), np.roll(numbers(7), -1000))


def test_deep_sizes(shallow):
    """B3: a size that comes of more broadcasts than Python may recurse."""
    xs = eg.vectors(300)
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    (length,) = total.type.shape
    leaves = atoms([length])
    assert program([length], leaves)([1] * 170 + [5] + [1] * 129) == (5,)
    facts = {leaf.text: as_dim(4) for leaf in leaves}
    assert substitute(length, facts) == 4
    assert bounds(length)[0] == 0
    assert dim_of(dim_node(length)) == length


@pytest.mark.parametrize("wrap", [eg.identity, eg.disconnected_grad, eg.zero_grad, eg.Print("n")],
                         ids=["identity", "disconnected", "zero", "Print"])
@pytest.mark.parametrize("device", ["numpy", "pocl"])
def test_a_size_behind_a_marker(device: str, wrap) -> None:
    """What is read turns out to be a size of an input once the marker is gone."""
    x = eg.vector("x")
    assert eg.compile([x], eg.arange(wrap(x.shape[0])), device=device)(np.zeros(3, "float32")).tolist() == [0, 1, 2]
