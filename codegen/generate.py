"""Generation on one screen: graph -> (resolve, rules) -> clusters -> trees -> schedules -> the steps of a plan."""
from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from codegen.describe import Counted, describe
from codegen.expansions import expanded
from codegen.forms import Form, forms
from codegen.fuse import Cluster, Fused, Fusions, make_task
from codegen.growth import more
from codegen.kernel import Builder, Kernel, Stmt
from codegen.lower.mapreduce import Lowering, map_reduce
from codegen.lower.prefix import variants as scan_variants
from codegen.lower.product import contraction_kernels, host_call
from codegen.lower.rowsums import row_sums
from codegen.lower.scan import scan_of
from codegen.lower.scatter import scatter_atomic, scatter_owned, scatter_starts
from codegen.memory import Memory
from codegen.notes import Notes
from codegen.onto import onto
from codegen.own_call import own_call
from codegen.placing import Placing, Told
from codegen.plan import Branch, Buffer, Check, Commit, Later, Launch, More, Operand, Plan, Site, Step
from codegen.products import could_be_call, is_call, is_kernel
from codegen.roots import in_place
from codegen.rows import template_of
from codegen.scattering import by_atomics
from codegen.schedule.common import used
from codegen.schedule.estimate import PREFIX, product_work
from codegen.siblings import Siblings, apart_later, told
from codegen.target import Target
from codegen.variants import Made, Piece, as_it_is, made_later, made_now, map_forms, row_forms
from exprgraph import passes
from exprgraph.collecting import fewer_collections
from exprgraph.dims import RESULTS, Dim, constant, maximum, minimum, product
from exprgraph.errors import DeviceError, GraphError, at
from exprgraph.graph import ORDERS, order
from exprgraph.named import NamedTuple
from exprgraph.narrow import widened
from exprgraph.node import Graph, Node, Out
from exprgraph.ops.table import ROWS
from exprgraph.own.op import OwnOp, call_of
from exprgraph.own.reduction import FoldOp
from exprgraph.pairs import facts
from exprgraph.requires import requirements as requirements
from exprgraph.requires import uncertain as uncertain
from exprgraph.requires import uncertain_again

LARGE = 1000
"""Nodes of a graph from which on its plan has the first variant of each branch only, its forms among them, and others when calls take them:
those are most of the text and of the time, and calls take few."""
SMALL = 16384
"""Elements below which a reduction over everything is left to one work-item or group, in one kernel with what follows it."""


def generate(graph: Graph, leaves: Sequence[Node], outcomes: tuple[str, ...] | None, layouts: Sequence[str], wide: bool, target: Target,
             name: str = "", options: Mapping[str, Any] | None = None) -> Plan:
    """The plan for one key.

    outcomes: how each pair of `uncertain(graph)` relates, None for the general plan.  layouts: by leaf "C" (no gaps), "S" (innermost
    stride 1) or "T" (any strides).  wide: 64-bit indices.  DeviceError for float64 on a device without it.
    """
    with fewer_collections(), RESULTS.meanwhile(), ORDERS.meanwhile():
        return _plan(graph, leaves, outcomes, layouts, wide, target, options or {})


def _plan(graph: Graph, leaves: Sequence[Node], outcomes: tuple[str, ...] | None, layouts: Sequence[str], wide: bool, target: Target,
          options: Mapping[str, Any]) -> Plan:
    known = facts(uncertain_again(graph), outcomes) if outcomes is not None else {}
    resolved = passes.run_plan(Graph(tuple(Out(n) for n in leaves), graph.outputs), known, dict(options))
    resolved = Graph(resolved.inputs, widened(_tested(resolved.outputs, options)))
    check_doubles(resolved, target)
    check_rows(resolved)
    resolved = resolved._replace(outputs=onto(expanded(resolved.outputs, target, wide), target))
    layout = {i.node.uid: known for i, known in zip(resolved.inputs, layouts)}
    fusions = Fusions()
    large = len(order(resolved.outputs)) >= LARGE
    pick, found = forms(resolved.outputs, layout, target, options.get("optimizer") == "fast_compile", fusions, large)
    shared = _shared(fusions, target, large and options.get("trace") is None)
    each = list[_Generator]()

    def made(form: Form) -> list[Step]:
        each.append(_Generator(resolved, form.outputs, layouts, wide, form.target, shared))
        return each[-1].steps()
    steps = [tuple(made(found[0])), *(shared.put(partial(made, form)) for form in found[1:])]
    if options.get("trace") is not None:
        options["trace"].places = {name: Out(node) for g in reversed(each) for node, name in g.memory.names.items()}
    return each[0].plan(steps[0] if len(steps) == 1 else (Branch(pick, tuple(steps), free=True),))


def _tested(outputs: tuple[Out, ...], options: Mapping[str, Any]) -> tuple[Out, ...]:
    """The outputs with the tests of NanGuardMode."""
    mode = options.get("mode")
    if mode is None or mode.guard is None:
        return outputs
    from exprgraph.guards import guarded  # rarely needed
    return guarded(outputs, mode.guard)


def check_doubles(graph: Graph, target: Target) -> None:
    """Refuse float64 on a device that has none, before anything runs."""
    for node in order(graph.outputs) if not target.fp64 else ():
        if any(t.dtype == "float64" for t in (*node.outs, *(i.type for i in node.inputs))):
            raise DeviceError(f"{target.name} has no float64, which {node.op.name} needs: use float32, another device, or "
                              f'missing_float64="downcast"{at(node.source)}')


def check_rows(graph: Graph) -> None:
    """Refuse rows of the user's that no kernel can compute: those that are not elementwise, and those without a C spelling."""
    for node in order(graph.outputs):
        own = node.op.kind != "leaf" and ROWS.get(node.op.name) is not node.op and not isinstance(node.op, OwnOp | FoldOp)
        if own and node.op.kind != "elementwise":
            raise GraphError(f"{node.op.name} is a row of your own of the kind {node.op.kind!r}; kernels are generated for elementwise "
                             f'rows only: use device="numpy"{at(node.source)}')
        if own and template_of(node.op, node.inputs[-1].dtype) is None:
            raise GraphError(f"{node.op.name} has no C spelling for {node.inputs[-1].dtype}: give its row one, as in "
                             f'row(..., c="...", ...), or use device="numpy"{at(node.source)}')


def written(outputs: Sequence[Out]) -> tuple[Out, ...]:
    """What the kernels and calls write for each output: the product itself where the output only names its axes otherwise."""
    taken = {o.node for o in outputs}
    found = []
    for out in outputs:
        base = out.node
        while _same_order(base):
            base = base.inputs[0].node
        own = base if base.op.kind == "contract" and base not in taken else out.node
        taken.add(own)
        found.append(Out(own))
    return tuple(found)


def _same_order(node: Node) -> bool:
    """Whether a view has the elements of its operand in the same order."""
    if node.op.name == "dimshuffle":
        kept = [a for a in node.param("pattern") if a >= 0]
        return kept == sorted(kept)
    return node.op.name in ("reshape", "specify_shape")


class Shared(NamedTuple):
    """What the forms of a plan have in common: buffers by name, fault sites by number, notes, what was made of kernels, and
    what their operations count; how graphs are fused; and whether variants but the first are made later."""
    buffers: dict[str, Buffer]
    sites: dict[Site, int]
    notes: Notes
    made: Made
    counted: Counted
    fusions: Fusions
    siblings: Siblings
    later: bool

    def put(self, make: Callable[[], Sequence[Step]]) -> tuple[Step, ...]:
        """The steps of a variant, or one that stands for them until they are made."""
        return (Later(partial(self._more, make)),) if self.later else tuple(make())

    def _more(self, make: Callable[[], Sequence[Step]]) -> More:
        with fewer_collections(), RESULTS.meanwhile():
            steps = tuple(make())
            return more(steps, self.buffers, told(steps, self.notes), self.sites)


def _shared(fusions: Fusions, target: Target, later: bool) -> Shared:
    """What forms share before anything is made; later: whether variants but the first are made later."""
    notes: Notes = {}
    siblings = Siblings(target, partial(apart_later, notes=notes)) if later else Siblings(target)
    return Shared({}, {}, notes, Made(made_later if later else made_now), {}, fusions, siblings, later)


class _Generator:
    """The state of generating one form of a plan; `results` are the outputs as the caller sees them, `outputs` what is written for
    them."""

    def __init__(self, graph: Graph, outputs: tuple[Out, ...], layouts: Sequence[str], wide: bool, target: Target, shared: Shared) -> None:
        self.results, self.outputs, self.wide, self.target, self.b = outputs, written(outputs), wide, target, Builder()
        outputs = self.outputs
        self.found = shared.fusions.roots(outputs, target)
        self.roots = frozenset(self.found.nodes)
        self.memory = memory = Memory([i.node for i in graph.inputs], layouts, outputs, set(), shared.buffers, shared.sites)
        self.shared, self.called, self.done = shared, set[Hashable](), dict[Hashable, list[Step]]()
        self.placing = Placing(shared.buffers, shared.notes)
        self.env = Lowering(self.b, lambda n, i: memory.load(self.b, n, i), lambda n, i: memory.address(self.b, n, i), memory.store,
                            memory.site, lambda n: memory.name(n) is not None, memory.lend, memory.release, self.found.heavy)

    def plan(self, steps: Sequence[Step]) -> Plan:
        """The steps, then the check of faults, then the commit."""
        check = (Check(tuple(self.memory.sites)),) if self.memory.sites else ()
        results = tuple(Operand(self.memory.names[w.node], constant(0), o.type.shape, self.memory.strides(o.node))
                        for w, o in zip(self.outputs, self.results))
        return Plan(tuple(self.memory.buffers.values()), (*steps, *check, Commit()), results, told(steps, self.shared.notes))

    def steps(self) -> list[Step]:
        """The kernels; where reductions over everything were kept apart, small sizes branch to fewer and larger kernels."""
        apart = self.shared.fusions.clusters(self.outputs, self.target)
        if not apart.apart:
            return self._run(apart)
        small = self._run(self.shared.fusions.clusters(self.outputs, self.target, together=True))
        largest = constant(0)
        for size in apart.apart:
            largest = maximum(largest, size)
        return [Branch(minimum(largest // SMALL, 1), (tuple(small), self.shared.put(partial(self._run, apart))))]

    def _run(self, fused: Fused) -> list[Step]:
        self.memory.begin(fused.crossing)
        self.called.clear()
        levels = groupby(fused.clusters, lambda c: c.level)
        return [s for _, level in levels for s in self.shared.siblings.together([self._once(c) for c in level])]

    def _once(self, cluster: Cluster) -> list[Step]:
        """The steps of a cluster, made once where a graph that is fused for small sizes and for large ones has the cluster in both."""
        nodes = tuple(t.node for t in cluster.tasks)
        if any(isinstance(n.op, OwnOp) for n in nodes):
            return self._steps(cluster)
        key = (cluster.kind, cluster.space, cluster.inner, nodes, tuple(n in self.memory.crossing for n in nodes))
        if key not in self.done:
            self.done[key] = self._steps(cluster)
        return self.done[key]

    def _steps(self, cluster: Cluster) -> list[Step]:
        node = self.memory.current = cluster.tasks[0].node
        if cluster.kind == "contract":
            return self._product(cluster, node)
        if isinstance(node.op, OwnOp):
            return self._own_call(node)
        if cluster.kind == "composite":
            return [host_call(node, self.env, self.memory)]
        if cluster.kind == "scatter":
            return self._scatter(cluster, node)
        if cluster.kind == "scan":
            return self._scan(cluster)
        if any(t.kind == "partial" for t in cluster.tasks):
            return [self._row_sums(cluster)]
        return self._variants(cluster, map_reduce(cluster, self.env))

    def _own_call(self, node: Node) -> list[Step]:
        """The one call for all nodes that are its outputs."""
        key = call_of(node)
        if key in self.called:
            return []
        self.called.add(key)
        alike = [n for n in self.found.nodes if isinstance(n.op, OwnOp) and call_of(n) == key]
        return [own_call(alike, self.memory)]

    def _row_sums(self, cluster: Cluster) -> Launch:
        body, scratch, work = row_sums(cluster, self.env, self.target)
        params, buffers = self.memory.take()
        names = tuple(self.memory.temporary(p) for p in scratch)
        kernel = Kernel("k", (*params, *scratch), body, self.wide)
        both = dict(zip((p.name for p in kernel.params), (*buffers, *names)))
        return self.placing.launch(self._told(cluster), self._alone(kernel, work), both)

    def _product(self, cluster: Cluster, node: Node) -> list[Step]:
        """A call of NumPy, kernels, or either."""
        computed = [i.node for i in node.inputs if not in_place(i, self.roots)]
        if is_call(node, self.target):
            return [host_call(node, self.env, self.memory)]
        pick = is_kernel(node, self.target)
        call = self._by_call(cluster, node, computed) if could_be_call(node, self.target) and pick.const is None else None
        best, found = contraction_kernels(cluster, self.env, self.target)
        packing, work = product_work(node)
        forms = self._with_scratch(cluster, found, (packing if self.target.schedule == "cpu" else work, work))
        own = forms[0] if len(forms) == 1 else (Branch(best, tuple(forms)),)
        return list(own) if call is None else [Branch(pick, (call, own))]

    def _by_call(self, cluster: Cluster, node: Node, computed: Sequence[Node]) -> tuple[Step, ...]:
        """The call, and kernels of their own for the maps before and after it."""
        steps: list[Step] = []
        with self.memory.holding((*computed, *(t.node for t in cluster.tasks[:1]))):
            for operand in computed:
                task = make_task(operand, self.found.cost[operand])
                before = Cluster(cluster.level, task.space, (), "map", [task], task.cost, reads={operand: ()})
                steps += self._variants(before, map_reduce(before, self.env))
            steps.append(host_call(node, self.env, self.memory))
            if len(cluster.tasks) > 1:
                reads = {n: tuple(r for r in read if r is not node) for n, read in cluster.reads.items()}
                after = Cluster(cluster.level, cluster.space, (), "map", cluster.tasks[1:], cluster.cost, reads=reads)
                steps += self._variants(after, map_reduce(after, self.env))
        return tuple(steps)

    def _scan(self, cluster: Cluster) -> list[Step]:
        pick, found = scan_variants("k", scan_of(cluster, self.env), self.target)
        work = product(cluster.space) * PREFIX
        steps = self._with_scratch(cluster, found, (work, work))
        return list(steps[0]) if pick is None else [Branch(pick, tuple(steps))]

    def _with_scratch(self, cluster: Cluster, found: Sequence[Sequence[Kernel]], work: Sequence[Dim]) -> list[tuple[Step, ...]]:
        """The launches of variants of one or several kernels, of which the params are scratch memory that they share."""
        params, buffers = self.memory.take()
        names = dict(zip((p.name for p in params), buffers))
        for p in (p for kernels in found for k in kernels for p in k.params if p.name not in names):
            names[p.name] = self.memory.temporary(p)
        told = self._told(cluster)
        return [tuple(self.placing.launch(told, one._replace(counts=k is kernels[-1]), names) for k, w in zip(kernels, work)
                      for one in (self._alone(k._replace(params=(*used(params, k.body), *k.params)), w),)) for kernels in found]

    def _scatter(self, cluster: Cluster, node: Node) -> list[Step]:
        if not by_atomics(node, self.target):
            return self._variants(cluster, scatter_owned(node, self.env, self.target.units))
        starts = self._variants(cluster, scatter_starts(node, self.env))
        return starts + self._variants(cluster, scatter_atomic(node, self.env))

    def _variants(self, cluster: Cluster, body: tuple[Stmt, ...]) -> list[Step]:
        """The kernel as it is, and in other forms for rows and columns that are short or long, or for results that are large."""
        params, buffers = self.memory.take()
        parts = self.shared.made.parts(Kernel("k", params, body, self.wide), self.target, row_forms if cluster.inner else map_forms)
        return self.placing.steps(self._told(cluster), parts, dict(zip((p.name for p in params), buffers)))

    def _alone(self, kernel: Kernel, work: Dim) -> Piece:
        """The launch of a scheduled kernel."""
        made, = self.shared.made.parts(kernel._replace(wide=self.wide), self.target, as_it_is)
        assert isinstance(made, Piece)
        return made._replace(work=work)

    def _told(self, cluster: Cluster) -> Told:
        """What is told of the launches of a cluster."""
        shapes = {self.memory.names[t.node]: t.node.outs[0].shape for t in cluster.tasks if t.node in self.memory.names}
        return Told(*describe(cluster, self.roots, self.shared.counted), shapes, self.memory.working())
