"""The algebra of sizes against plain integers: whatever is simplified, bounded, substituted or compiled keeps its value."""
from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exprgraph import dims
from exprgraph.atoms import INTEGER
from exprgraph.dims import Dim, Size, Value, as_dim, atoms, bounds, constant, of_atom
from exprgraph.size_program import program
from exprgraph.substituting import Substitution, substitute


class Leaf(NamedTuple):
    """What sizes belong to: something with a number."""
    uid: int


ATOMS: list[Any] = [Size(Leaf(1), 0), Size(Leaf(1), 1), Size(Leaf(2), 0), Value(Leaf(3))]
BUILD = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "floordiv": lambda a, b: a // b,
         "mod": lambda a, b: a % b, "min": dims.minimum, "max": dims.maximum}
PLAIN = {**INTEGER, "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b}

leaves = st.integers(-4, 9) | st.sampled_from(ATOMS)
trees = st.recursive(leaves, lambda inner: st.tuples(st.sampled_from(sorted(BUILD)), inner, inner), max_leaves=7)
values = st.tuples(*[st.integers(0, 12)] * 3, st.integers(-12, 12)).map(lambda v: dict(zip(ATOMS, v)))


def symbolic(tree: Any) -> Dim:
    """The tree as a Dim."""
    if isinstance(tree, int):
        return constant(tree)
    return BUILD[tree[0]](symbolic(tree[1]), symbolic(tree[2])) if isinstance(tree[0], str) else of_atom(tree)


def plain(tree: Any, at: dict[Any, int]) -> int:
    """The tree on integers, nothing simplified.  Divisors of 0 are left out: n * m // m is n in the algebra, whatever m."""
    if isinstance(tree, int):
        return tree
    if not isinstance(tree[0], str):
        return at[tree]
    left, right = plain(tree[1], at), plain(tree[2], at)
    assume(right or tree[0] not in ("floordiv", "mod"))
    return PLAIN[tree[0]](left, right)


def run(found: list[Dim], at: dict[Any, int]) -> tuple[int, ...]:
    """The Dims by the compiled program."""
    needed = atoms(found)
    return program(found, needed)([at[a] for a in needed])


@given(trees, values)
def test_value_is_kept(tree: Any, at: dict[Any, int]) -> None:
    assert run([symbolic(tree)], at) == (plain(tree, at),)


@given(trees, trees, values)
def test_equality_is_proof(left: Any, right: Any, at: dict[Any, int]) -> None:
    if symbolic(left) == symbolic(right):
        assert plain(left, at) == plain(right, at)
    if (symbolic(left) - symbolic(right)).const == 0:
        assert plain(left, at) == plain(right, at)


@given(trees, values)
def test_bounds_hold(tree: Any, at: dict[Any, int]) -> None:
    low, high = bounds(symbolic(tree))
    assert low <= plain(tree, at) <= high


@given(trees, values, st.integers(0, 12), st.sampled_from(ATOMS))
def test_substitution(tree: Any, at: dict[Any, int], number: int, atom: Any) -> None:
    replaced = substitute(symbolic(tree), {atom.text: constant(number)})
    assert atom.text not in {a.text for a in atoms([replaced])}
    assert run([replaced], at) == (plain(tree, {**at, atom: number}),)


@given(st.lists(trees, max_size=4), values)
def test_program_of_several(found: list[Any], at: dict[Any, int]) -> None:
    assert run([symbolic(t) for t in found], at) == tuple(plain(t, at) for t in found)


@given(trees, st.integers(1, 9), values)
def test_ceildiv_and_is_one(tree: Any, divisor: int, at: dict[Any, int]) -> None:
    value = plain(tree, at)
    assert run([dims.ceildiv(symbolic(tree), divisor)], at) == (-(-value // divisor),)
    size = dims.maximum(symbolic(tree), 0)
    assert run([dims.is_one(size)], at) == (int(max(value, 0) <= 1),)


n, m, k = (of_atom(a) for a in ATOMS[:3])
SAME = [
    ((n + 1) * (n - 1), n * n - 1), (n * m // m, n), ((4 * n + 8) // 4, n + 2), (n // 2 // 3, n // 6), (n * m % m, as_dim(0)),
    ((n + 7) % 7, n % 7), (dims.minimum(n, n + 1), n), (dims.maximum(n, 0), n), (dims.maximum(n - 1, 0) - n, dims.maximum(0, n - 1) - n),
    (dims.bcast(n, 1), n), (dims.bcast(n, dims.bcast(m, n)), dims.bcast(m, n)), (dims.minimum(n, m) - dims.minimum(m, n), as_dim(0))]


@pytest.mark.parametrize(("left", "right"), SAME, ids=[str(r) for _, r in SAME])
def test_normal_form(left: Dim, right: Dim) -> None:
    assert left == right and hash(left) == hash(right)


def test_division_by_zero() -> None:
    assert run([n // 0, n % 0, constant(5) // 0, (n + 1) // m, (n + 1) % m], dict(zip(ATOMS, (3, 0, 0, 0)))) == (0, 0, 0, 0, 0)


@given(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)))
def test_broadcast_sizes(sizes: tuple[int, int, int]) -> None:
    """bcast is evaluated only for sizes that fit: equal or 1."""
    a, b, c = sizes
    if len({s for s in sizes if s != 1}) > 1:
        return
    at = dict(zip(ATOMS, (a, b, c)))
    want = next((s for s in sizes if s != 1), 1)
    assert run([dims.bcast(dims.bcast(n, m), k), dims.bcast(n, dims.bcast(m, k))], at) == (want, want)


@given(st.lists(trees, min_size=1, max_size=6), st.lists(trees, min_size=1, max_size=2))
def test_what_a_substitution_remembers_is_what_it_would_find(several: list[Any], facts: list[Any]) -> None:
    known = {symbolic(tree).text: constant(k + 2) for k, tree in enumerate(facts)}
    together = Substitution(known)
    for tree in (*several, *several[::-1]):
        assert together(symbolic(tree)) == substitute(symbolic(tree), known)
