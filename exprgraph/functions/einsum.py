"""einsum: sums of products over labelled axes, as matrix products, batched products and elementwise products in a cheap order."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from exprgraph import dtypes
from exprgraph.dims import Dim
from exprgraph.errors import ShapeError, UseError, at, here, shortly
from exprgraph.functions.einsum_labels import Labels, is_dots, read
from exprgraph.functions.einsum_order import SEARCHES, Lengths, Pair, Step, estimate, find, steps
from exprgraph.functions.indexing import diagonal
from exprgraph.functions.linear import contracted
from exprgraph.named import NamedTuple
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import mul
from exprgraph.ops.reduce import any_, sum_
from exprgraph.ops.shape import declared, dimshuffle
from exprgraph.types import cast_to, promoted


class Term(NamedTuple):
    """A tensor and the labels of its axes, each once."""
    out: Out
    labels: Labels


class Problem(NamedTuple):
    """Operands with the diagonals taken and what only they have summed, the labels of the result, and the estimated lengths."""
    terms: list[Term]
    result: Labels
    lengths: Lengths


def einsum(*args: Any, optimize: Any = True) -> Out:
    """NumPy's einsum: `einsum("ij,jk->ik", a, b)` or `einsum(a, [0, 1], b, [1, 2], [0, 2])`.

    A label stands for an axis; labels that the result does not name are summed, a label that an operand has twice takes its diagonal.
    Without an arrow the result has the labels that occur once, in the order of the alphabet.  Axes under an ellipsis broadcast, and so
    do axes known to have length 1; other axes of one label must have one length, else ShapeError at once or at the call.

    The operands are multiplied two at a time.  optimize: True for the cheapest order, as far as it can be searched for; "optimal",
    "greedy", False for the order in which they stand, or a path as `einsum_path` gives it.  The result has the common dtype.
    """
    problem = _problem(args)
    terms = list(problem.terms)
    for i, j in _path(problem, optimize):
        needed = set(problem.result).union(*(t.labels for k, t in enumerate(terms) if k not in (i, j)))
        made = _multiplied(terms[i], terms[j], needed)
        terms = [t for k, t in enumerate(terms) if k not in (i, j)] + [made]
    return _ordered(terms[0], problem.result)


def einsum_path(*args: Any, optimize: Any = True) -> tuple[list[Any], str]:
    """How einsum multiplies these operands: NumPy's path, `["einsum_path", (0, 1), ...]`, and a text.

    Each pair is taken out of the list of operands, and its product is put at the end.  The text has a line for each step, with the
    number of multiplications and moved elements that it counts as; sizes not known yet count as `einsum_order.ESTIMATE`.
    """
    problem = _problem(args)
    path = _path(problem, optimize)
    done = steps([t.labels for t in problem.terms], problem.result, problem.lengths, path)
    lines = [f"{pair}  {_words(step)}  {step.cost:g}" for pair, step in zip(path, done)]
    shown: list[Any] = ["einsum_path", *path] if path else ["einsum_path", (0,)]
    return shown, "\n".join([*lines, f"cost {sum(s.cost for s in done):g}"])


def _words(step: Step) -> str:
    left, right, kept = ("".join(sorted(labels)) for labels in (step.left, step.right, step.kept))
    return f"{left},{right}->{kept}"


def _problem(args: Sequence[Any]) -> Problem:
    expression = read(args)
    common = promoted([o if dtypes.is_weak(o) else as_symbol(o) for o in expression.operands])
    terms = [Term(cast_to(o, common), labels) for o, labels in zip(expression.operands, expression.terms)]
    lengths = _lengths(terms)
    terms = [_diagonals(_fitted(t, lengths)) for t in terms]
    times = Counter(label for t in terms for label in t.labels)
    terms = [_summed(t, {label for label in t.labels if times[label] > 1 or label in expression.result}) for t in terms]
    return Problem(terms, expression.result, Lengths({label: estimate(d) for label, d in lengths.items()}))


def _lengths(terms: Sequence[Term]) -> dict[str, Dim]:
    """The length of each label: a known one where there is one, and no 1 where others may differ from it."""
    found: dict[str, Dim] = {}
    for term in terms:
        for label, dim in zip(term.labels, term.out.type.shape):
            known = found.get(label)
            if known is None or known.const == 1 or (known.const is None and dim.const not in (None, 1)):
                found[label] = dim
    return found


def _fitted(term: Term, lengths: dict[str, Dim]) -> Term:
    """Named axes declared to have the lengths of their labels; those known to be 1 where others are not are dropped."""
    wrong = {axis: (lengths[label], f"einsum: the axes labelled {shortly(label)} have {{right}} and {{left}} elements")
             for axis, (label, dim) in enumerate(zip(term.labels, term.out.type.shape))
             if not is_dots(label) and (dim.const != 1 or term.labels.count(label) > 1)}
    kept = [k for k, (label, dim) in enumerate(zip(term.labels, term.out.type.shape)) if k in wrong or dim == lengths[label] or
            is_dots(label)]
    return _picked(Term(declared(term.out, wrong), term.labels), kept)


def _picked(term: Term, axes: Sequence[int]) -> Term:
    """The axes in this order, the others being of length 1."""
    if list(axes) == list(range(term.out.ndim)):
        return term
    return Term(dimshuffle(term.out, pattern=axes), tuple(term.labels[k] for k in axes))


def _diagonals(term: Term) -> Term:
    """Axes of one label replaced by their diagonal, which comes last."""
    out, labels = term
    while twice := [label for label, n in Counter(labels).items() if n > 1]:
        first = labels.index(twice[0])
        second = labels.index(twice[0], first + 1)
        out = diagonal(out, 0, first, second)
        labels = (*(label for k, label in enumerate(labels) if k not in (first, second)), twice[0])
    return Term(out, labels)


def _summed(term: Term, kept: set[str]) -> Term:
    """The labels that nobody else needs are summed."""
    gone = tuple(k for k, label in enumerate(term.labels) if label not in kept)
    return Term(_total(term.out, gone), tuple(label for label in term.labels if label in kept)) if gone else term


def _total(out: Out, axes: tuple[int, ...]) -> Out:
    return any_(out, axis=axes) if out.dtype == "bool" else sum_(out, axis=axes, dtype=out.dtype)


def _path(problem: Problem, optimize: Any) -> list[Pair]:
    if isinstance(optimize, list | tuple):
        return _pairs(optimize, len(problem.terms))
    if not isinstance(optimize, bool) and optimize not in SEARCHES:
        raise UseError(f"einsum: optimize is True, False, \"optimal\", \"greedy\" or a path, not {shortly(optimize)}{at(here())}")
    return find([t.labels for t in problem.terms], problem.result, problem.lengths, optimize)


def _pairs(path: Sequence[Any], count: int) -> list[Pair]:
    """A path as pairs: a step with more places multiplies them one after the other."""
    found, left = list[Pair](), count
    for places in path[1:] if path and path[0] == "einsum_path" else path:
        todo = sorted(places) if isinstance(places, tuple | list) else []
        if not todo or todo[0] < 0 or todo[-1] >= left or len(set(todo)) != len(todo) or (len(todo) == 1 and left > 1):
            raise ShapeError(f"einsum: the path takes {shortly(places)} out of {left} operands{at(here())}")
        while len(todo) > 1:
            found.append((todo[0], todo[1]))
            left -= 1
            todo = [*(p - 2 for p in todo[2:]), left - 1]
    if left != 1:
        raise ShapeError(f"einsum: the path leaves {left} operands, not one{at(here())}")
    return found


def _multiplied(a: Term, b: Term, needed: set[str]) -> Term:
    """The product of two terms, what nobody needs any more being summed."""
    shared = [label for label in a.labels if label in b.labels]
    batch = [label for label in shared if label in needed]
    inner = [label for label in shared if label not in needed]
    rows, columns = ([label for label in labels if label not in shared] for labels in (a.labels, b.labels))
    if inner and (rows or columns):
        return _matrices(a, b, batch, rows, inner, columns)
    labels = (*batch, *inner, *rows, *columns)
    product = mul(*(_aligned(t, labels) for t in (a, b)))
    return _summed(Term(product, labels), needed)


def _matrices(a: Term, b: Term, batch: list[str], rows: list[str], inner: list[str], columns: list[str]) -> Term:
    x, y = _turned(a, [*batch, *rows, *inner]), _turned(b, [*batch, *inner, *columns])
    lead, start = len(batch), len(batch) + len(rows)
    pairs = tuple(range(start, start + len(inner))), tuple(range(lead, lead + len(inner)))
    return Term(contracted(x, y, pairs, lead, x.dtype), (*batch, *rows, *columns))


def _turned(term: Term, labels: Sequence[str]) -> Out:
    return _picked(term, [term.labels.index(label) for label in labels]).out


def _aligned(term: Term, labels: Sequence[str]) -> Out:
    """The axes in the order of the labels, of length 1 where the term has no such axis; missing leading ones need not be there."""
    pattern = [term.labels.index(label) if label in term.labels else -1 for label in labels]
    while pattern and pattern[0] < 0:
        del pattern[0]
    return term.out if pattern == list(range(term.out.ndim)) else dimshuffle(term.out, pattern=pattern)


def _ordered(term: Term, result: Labels) -> Out:
    return _picked(term, [term.labels.index(label) for label in result]).out
