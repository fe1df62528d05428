"""The forms of a graph that a plan chooses between by the sizes of a call: what is left to NumPy, what is summed where rows are made."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from codegen.fuse import Cluster, fed, fuse
from codegen.partial import in_two_steps, parts, unsuited
from codegen.roots import find_roots
from codegen.target import Target
from codegen.vector_products import largest_matrix, sums_for_products
from exprgraph.dims import Dim, constant, minimum
from exprgraph.graph import rebuild, transform
from exprgraph.node import CONSTANT, INPUT, SHARED, Node, Out
from exprgraph.ops.table import ROWS

LARGE = 1 << 22
"""Elements from which on a matrix is read at the speed of memory, to which BLAS adds nothing."""
SMALL = 1 << 19
"""Elements below which a matrix lies in the caches next to the cores, where helpers come sooner than the threads of BLAS, and a kernel
sooner than a call of NumPy's."""


class Forms(NamedTuple):
    """The outputs in each form; pick: which one a call takes."""
    pick: Dim
    outputs: tuple[tuple[Out, ...], ...]


def forms(outputs: Sequence[Out], layout: dict[int, str], target: Target) -> Forms:
    """One form or two.  layout: that of each leaf by uid."""
    plain = own_outputs(sums_for_products(outputs, layout, target))
    if target.schedule != "cpu":
        return Forms(constant(0), (plain,))
    largest = largest_matrix(plain, layout) if target.host_products else constant(0)
    sums = plain if largest.const == 0 else own_outputs(sums_for_products(outputs, layout, target, floats=True))
    merged = _merged(sums, target)
    if merged is not None:
        return Forms(merged[1], (merged[0], plain)) if merged[1].const != 0 else Forms(merged[1], (merged[0],))
    if largest.const == 0:
        return Forms(constant(0), (plain,))
    by_blas = minimum(largest // SMALL, 1) * (1 - minimum(largest // LARGE, 1))
    return Forms(by_blas, (sums, plain)) if by_blas.const is None else Forms(constant(0), ((sums, plain)[by_blas.const],))


def _merged(outputs: tuple[Out, ...], target: Target) -> tuple[tuple[Out, ...], Dim] | None:
    """The outputs with sums over rows that are made by the kernels that make what they sum, and where that is unsuited."""
    found = fed(outputs, find_roots(outputs, target), target)
    if not found:
        return None
    counts = {n: parts(c, target) for n, c in found.items()}
    made = transform(outputs, lambda n, i: in_two_steps(n, i, counts) if n in counts else rebuild(n, i))
    homes = [c for c in fuse(made, find_roots(made, target), target).clusters if any(t.kind == "partial" for t in c.tasks)]
    return (made, unsuited(homes)) if all(map(_made_in_place, homes)) else None


def _made_in_place(cluster: Cluster) -> bool:
    """Whether the cluster's partial sums are made where rows are, not by a kernel of their own."""
    return bool(cluster.inner) and any(t.kind != "partial" for t in cluster.tasks)


def own_outputs(outputs: Sequence[Out]) -> tuple[Out, ...]:
    """The outputs with a copy made of each that is a leaf, a constant or the same as an earlier one: results never share memory."""
    seen: set[Node] = set()
    found = []
    for out in outputs:
        own = Out(out.node)
        if out.node in seen or out.node.op in (INPUT, SHARED, CONSTANT) or out.node.op.kind == "source":
            own = ROWS["identity"].apply((own,), (), out.node.sources)
        seen.add(own.node)
        found.append(own)
    return tuple(found)
