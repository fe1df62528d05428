"""Roots: which values have to exist as wholes, in memory or at least in their own right; everything else is inlined where it is read."""
from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Iterator, Sequence

from codegen.affine import affine
from codegen.inline import Index, Inliner, aligned, is_array_constant
from codegen.keeping import Work, cut, is_gather, kept
from codegen.kernel import Builder, Expr
from codegen.products import is_call
from codegen.scattering import by_atomics
from codegen.target import Target
from exprgraph.graph import order
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, INPUT, SHARED, Node, Out, no_refusal
from exprgraph.own.op import OwnOp

VIEWS = ("dimshuffle", "subtensor", "broadcast_to", "reshape", "specify_shape", "barrier")
WHOLE = ("reduce", "partial", "scan", "contract", "scatter", "composite")
"""What is never inlined."""


class Roots(NamedTuple):
    """The roots in order; what each node costs (operations inlined into it), whether it is heavy, which arrays it reads, and for nodes
    that read through barriers the roots that these wait for.  read: what tasks read, as `codegen.fuse` has found it, in terms of
    expressions of `b`: a graph is fused several times."""
    nodes: tuple[Node, ...]
    cost: dict[Node, int]
    heavy: set[Node]
    arrays: dict[Node, frozenset[Node]]
    after: dict[Node, frozenset[Node]]
    read: dict[Hashable, set[tuple[Node, Index]]]
    b: Builder


def find_roots(outputs: Sequence[Out], target: Target) -> Roots:
    """Walk the graph once and decide for each node whether it is a root."""
    nodes = order(outputs)
    readers = _readers(nodes)
    forced = {o.node for o in outputs} | _forced(nodes, readers, target)
    found = Roots((), {}, set(), {}, {}, {}, Builder())
    roots, gathers = dict[Node, None](), set[Node]()
    parts = cut(nodes, readers, forced.union(n for n in nodes if n.op.kind in WHOLE))
    for node in nodes:
        if _in_memory(node):
            found.cost[node] = 0
            found.arrays[node] = frozenset((node,) if node.op in (INPUT, SHARED) or is_array_constant(node) else ())
            continue
        below = {i.node for i in (node.inputs[:1] if node.op.name == "barrier" else node.inputs)}
        _note_order(node, below, found, roots)
        inside = [n for n in below if n not in roots]
        found.cost[node] = 1 + sum(found.cost[n] for n in inside)
        read = [frozenset((n,)) if n in roots else found.arrays[n] for n in below]
        found.arrays[node] = read[0] if len(read) == 1 else frozenset().union(*read)
        if "expensive" in node.op.flags or not found.heavy.isdisjoint(inside):
            found.heavy.add(node)
        if is_gather(node) or not gathers.isdisjoint(inside):
            gathers.add(node)
        work = Work(found.cost[node], node in found.heavy, node in gathers)
        if node in forced or node.op.kind in WHOLE or kept(node, work, readers[node], len(found.arrays[node]), node in parts, target):
            roots[node] = None
    return found._replace(nodes=tuple(roots))


def _note_order(node: Node, below: set[Node], found: Roots, roots: Container[Node]) -> None:
    """Note which roots have to be there before a node is computed though it does not read them: what barriers on its way wait for."""
    waits = [i.node for i in node.inputs[1:]] if node.op.name == "barrier" else []
    late = [frozenset((n,)) if n in roots else found.arrays[n] | found.after.get(n, frozenset()) for n in waits]
    late += [found.after[n] for n in below if n in found.after and n not in roots]
    if late:
        found.after[node] = frozenset(n for n in frozenset().union(*late) if n in roots)


def _readers(nodes: Sequence[Node]) -> dict[Node, list[Node]]:
    found: dict[Node, dict[Node, None]] = {n: {} for n in nodes}
    for node in nodes:
        for i in node.inputs:
            found[i.node][node] = None
    return {n: list(r) for n, r in found.items()}


def _in_memory(node: Node) -> bool:
    return node.op.kind == "leaf" or (node.op.kind == "source" and node.op.name in ("size", "bcast_size"))


def _forced(nodes: Sequence[Node], readers: dict[Node, list[Node]], target: Target) -> set[Node]:
    """The operands of opaque steps that are neither read through views nor computed by the step itself: kernels for products on a CPU
    read each element once, while packing, and atomic scatters ask for each value once."""
    found: set[Node] = set()
    plain = _plain(nodes) if target.schedule == "cpu" else set[Node]()
    for node in nodes:
        if node.op.kind == "contract":
            call = is_call(node, target)
            for i in node.inputs:
                base = view_base(i, call)
                if base is not None or call or i.node not in plain or len(readers[i.node]) > 1:
                    found |= {base if base is not None else i.node}
        elif node.op.kind == "scatter":
            found |= {i.node for i in (node.inputs[:1] if by_atomics(node, target) else node.inputs) if i.ndim}
        elif isinstance(node.op, OwnOp):
            found |= {i.node for i in node.inputs[:node.op.own.arity]}
        elif node.op.kind == "composite":
            found |= {view_base(i, True) or i.node for i in node.inputs if i.ndim}
    return {n for n in found if not _in_memory(n)}


def _plain(nodes: Sequence[Node]) -> set[Node]:
    """The values that are maps and views of memory, without gathers."""
    found: set[Node] = set()
    for node in nodes:
        reads = node.op.kind == "elementwise" or node.op.name in VIEWS
        if _in_memory(node) or node.op.kind in WHOLE or (reads and all(i.node in found for i in node.inputs)):
            found.add(node)
    return found


def view_base(out: Out, strided: bool) -> Node | None:
    """What a chain of views looks at, where a product can read the chain in place: strided if NumPy is to read it.  None if it cannot."""
    base = out.node
    while base.op.kind == "view" and base.op.name in VIEWS:
        base = base.inputs[0].node
    if base.op.kind == "view" or (base.op is CONSTANT and not is_array_constant(base)) or _in_memory(base) != (base.op.kind == "leaf"):
        return None
    return base if not strided or all(affine(e, v) is not None for e, v in _strides(out, base)) else None


def in_place(out: Out, roots: Container[Node]) -> bool:
    """Whether NumPy can read an operand of a product where it lies."""
    base = view_base(out, True)
    return base is not None and (base in roots or _in_memory(base))


def meet(inliner: Inliner, wanted: Iterable[tuple[Out, Index]]) -> None:
    """Let the memory of an inliner meet all that these elements rest on.  Values of elementwise rows are not made for that: no index rests
    on them, but where something else is in between."""
    b, todo, seen = inliner.b, [(o.node, index) for o, index in wanted], set[tuple[Node, Index]]()
    while todo:
        top = node, index = todo.pop()
        if top in seen:
            continue
        seen.add(top)
        if node.op.kind == "elementwise" and node.op.refuses is no_refusal:
            if inliner.memory(node, index) is None:
                shape = node.outs[0].shape
                todo += [(i.node, aligned(b, index, shape, i.type.shape)) for i in node.inputs]
        else:
            inliner.value(Out(node), index)


def _strides(out: Out, base: Node) -> Iterator[tuple[Expr, Index]]:
    b = Builder()
    index = tuple(b.var(f"i{k}") for k in range(out.ndim))
    seen: list[Index] = []

    def memory(node: Node, at: Index) -> Expr | None:
        if node is base:
            seen.append(at)
            return b.var("base", out.dtype)
        return None
    Inliner(b, memory).value(out, index)
    return ((e, index) for e in seen[-1])
