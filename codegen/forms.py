"""The forms of a graph that a plan chooses between by the sizes of a call: what is left to NumPy, what is summed where rows are made."""
from __future__ import annotations

from collections.abc import Sequence

from codegen.fuse import Cluster, Fusions, fed
from codegen.partial import in_two_steps, parts, unsuited
from codegen.products import could_be_call, disturbs, suits
from codegen.roots import in_place
from codegen.target import Target
from codegen.vector_products import largest_matrix, sums_for_products
from exprgraph.dims import Dim, constant, maximum, minimum
from exprgraph.graph import order, rebuild, transform
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, INPUT, SHARED, Node, Out
from exprgraph.ops.table import ROWS

LARGE = 1 << 22
"""Elements from which on a matrix is read at the speed of memory, to which BLAS adds nothing."""
SMALL = 1 << 19
"""Elements below which a matrix lies in the caches next to the cores, where helpers come sooner than the threads of BLAS, and a kernel
sooner than a call of NumPy's."""


class Form(NamedTuple):
    """The outputs, and the target that says how they are made."""
    outputs: tuple[Out, ...]
    target: Target


class Forms(NamedTuple):
    """Several forms; pick: which one a call takes."""
    pick: Dim
    forms: tuple[Form, ...]


def forms(outputs: Sequence[Out], layout: dict[int, str], target: Target, soon: bool = False,
          fusions: Fusions | None = None, large: bool = False) -> Forms:
    """One form or several.  layout: that of each leaf by uid.  soon: one, which serves all sizes, so that it is made sooner.  fusions:
    where what is found on the way is kept for whoever makes the forms.  large: the one for large matrices first, since others are made
    when calls take them; else the one for small matrices, with which functions are tried."""
    fusions = fusions or Fusions()
    if soon:
        return Forms(constant(0), (Form(own_outputs(sums_for_products(outputs, layout, target)), target),))
    pick, found = _plain(outputs, layout, target, fusions)
    own = _with_products(found[0], target, fusions)
    made = tuple(Form(f, target) for f in found)
    if own is None:
        return Forms(pick, made)
    form, best = own
    if best.const is not None:
        return Forms(constant(0), (form,))
    if large:
        return Forms((1 - best) * (1 + pick), (form, *made))
    return Forms(best * len(made) + (1 - best) * pick, (*made, form))


def _with_products(outputs: tuple[Out, ...], target: Target, fusions: Fusions) -> tuple[Form, Dim] | None:
    """The form in which maps join products, where any does, and for which sizes it is the better one."""
    own = target._replace(fused_products=True)
    products = [n for n in order(outputs) if n.op.kind == "contract" and could_be_call(n, own)]
    if not products:
        return None
    roots, clusters = fusions.roots(outputs, own), fusions.clusters(outputs, own).clusters
    best = constant(0)
    for cluster in (c for c in clusters if c.kind == "contract"):
        node = cluster.tasks[0].node
        if could_be_call(node, own):
            around = len(cluster.tasks) > 1 or not all(in_place(i, roots.nodes) for i in node.inputs)
            best = maximum(best, suits(node, own, around))
    for node in products:
        best = minimum(best, 1 - disturbs(node, own))
    return (Form(outputs, own), best) if best.const != 0 and _homes(outputs, own, fusions) is not None else None


class _Outputs(NamedTuple):
    pick: Dim
    outputs: tuple[tuple[Out, ...], ...]


def _plain(outputs: Sequence[Out], layout: dict[int, str], target: Target, fusions: Fusions) -> _Outputs:
    """The outputs in one form or two, in which products of floats are calls or sums."""
    plain = own_outputs(sums_for_products(outputs, layout, target))
    if target.schedule != "cpu":
        return _Outputs(constant(0), (plain,))
    largest = largest_matrix(plain, layout) if target.host_calls else constant(0)
    sums = plain if largest.const == 0 else own_outputs(sums_for_products(outputs, layout, target, floats=True))
    merged = _merged(sums, target, fusions)
    if merged is not None:
        return _Outputs(merged[1], (merged[0], plain)) if merged[1].const != 0 else _Outputs(merged[1], (merged[0],))
    if largest.const == 0:
        return _Outputs(constant(0), (plain,))
    by_blas = minimum(largest // SMALL, 1) * (1 - minimum(largest // LARGE, 1))
    return _Outputs(by_blas, (sums, plain)) if by_blas.const is None else _Outputs(constant(0), ((sums, plain)[by_blas.const],))


def _merged(outputs: tuple[Out, ...], target: Target, fusions: Fusions) -> tuple[tuple[Out, ...], Dim] | None:
    """The outputs with sums over rows that are made by the kernels that make what they sum, and where that is unsuited."""
    found = fed(outputs, target, fusions)
    if not found:
        return None
    counts = {n: parts(c, target) for n, c in found.items()}
    made = transform(outputs, lambda n, i: in_two_steps(n, i, counts) if n in counts else rebuild(n, i))
    homes = _homes(made, target, fusions)
    return (made, unsuited(homes)) if homes is not None else None


def _homes(outputs: Sequence[Out], target: Target, fusions: Fusions) -> list[Cluster] | None:
    """The clusters that make partial sums; None where one of them makes nothing else, as the graph is fused for large sizes or for small
    ones: such sums are no better than ordinary ones."""
    large, small = ([c for c in fusions.clusters(outputs, target, together).clusters if any(t.kind == "partial" for t in c.tasks)]
                    for together in (False, True))
    beside = all(c.inner and any(t.kind != "partial" for t in c.tasks) for c in (*large, *small))
    return large if beside else None


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
