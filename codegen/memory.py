"""The memory of one plan: which buffer holds which node, how it is addressed, and what a kernel touches while it is lowered."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from codegen.inline import Index, is_array_constant, linear
from codegen.kernel import Builder, Expr, Param
from codegen.plan import Buffer, Meaning, Site
from exprgraph.dims import Dim, Stride, constant, of_atom, product
from exprgraph.graph import names
from exprgraph.node import INPUT, SHARED, Node, Out, constant_value

INNER_UNIT, ANY_STRIDES, CONTIGUOUS = "S", "T", "C"
"""Layouts of an argument: innermost stride 1, any strides, C order without gaps."""


def scratch(buffers: dict[str, Buffer], param: Param, about: Meaning | None) -> str:
    """Memory to work in, for what `about` tells of."""
    return _temporary(buffers, param, None if about is None else about._replace(shape=(param.size,), scratch=True))


def _temporary(buffers: dict[str, Buffer], param: Param, about: Meaning | None) -> str:
    name = f"s{len(buffers)}"
    buffers[name] = Buffer(name, "temp", 0, param.dtype, param.size, about=about)
    return name


class Memory:
    """Buffers by node, fault sites by number, and the parameters that the kernel being lowered has used so far."""

    def __init__(self, leaves: Sequence[Node], layouts: Sequence[str], outputs: Sequence[Out], crossing: set[Node],
                 buffers: dict[str, Buffer], sites: dict[Site, int]) -> None:
        self.buffers, self.sites = buffers, sites
        self.names: dict[Node, str] = {}
        self.layout: dict[int, str] = {}
        self.used: dict[str, Param] = {}
        self.crossing = crossing
        self.lent: dict[Node, str] = {}
        self.rows: list[tuple[str, str, int]] = []
        self.spoken = names(outputs)
        self.current: Node | None = None
        for k, (node, layout) in enumerate(zip(leaves, layouts)):
            self.layout[node.uid] = layout
            self._add(node, Buffer(f"in{k}", "leaf", k, node.outs[0].dtype, self.extent(node)))
        for k, out in enumerate(outputs):
            self._add(out.node, Buffer(f"out{k}", "output", k, out.dtype, product(out.type.shape)))

    def _add(self, node: Node, buffer: Buffer) -> str:
        self.buffers[buffer.name] = buffer
        self.names[node] = buffer.name
        return buffer.name

    def strides(self, node: Node) -> tuple[Dim, ...]:
        """Element strides by axis."""
        shape = node.outs[0].shape
        layout = self.layout.get(node.uid, CONTIGUOUS) if node.op in (INPUT, SHARED) else CONTIGUOUS
        if layout == CONTIGUOUS:
            return tuple(product(shape[k + 1:]) for k in range(len(shape)))
        strides = [of_atom(Stride(node, k)) for k in range(len(shape))]
        if layout == INNER_UNIT:
            strides[-1] = constant(1)
        return tuple(strides)

    def extent(self, node: Node) -> Dim:
        """How many elements a leaf's memory spans."""
        shape = node.outs[0].shape
        if self.layout[node.uid] == CONTIGUOUS:
            return product(shape)
        total = constant(1)
        for dim, stride in zip(shape, self.strides(node)):
            total = total + (dim - 1) * stride
        return total

    def name(self, node: Node) -> str | None:
        """The buffer of a node that lies in memory; temporaries and constants get theirs when first asked for."""
        found = self.names.get(node) or self.lent.get(node)
        if found is not None:
            return found
        kind = node.outs[0]
        if is_array_constant(node):
            value = constant_value(Out(node))
            return self._add(node, Buffer(f"c{node.uid}", "constant", 0, kind.dtype, product(kind.shape), value))
        if node in self.crossing:
            return self._add(node, Buffer(f"t{len(self.buffers)}", "temp", 0, kind.dtype, product(kind.shape), about=self.about(node)))
        return None

    def about(self, node: Node) -> Meaning:
        """What is to be said of a node's memory."""
        return Meaning(self.spoken.get(node), node.op.name, node.outs[0].shape, node.source)

    def working(self) -> Meaning | None:
        """What is to be said of what is computed now."""
        return None if self.current is None else self.about(self.current)

    def lend(self, node: Node, lender: Node | None, first: int, last: int) -> None:
        """Memory for a map from pass `first` to pass `last` of its kernel: that of `lender`, or a row buffer that is free by then."""
        kind = node.outs[0]
        if lender is not None:
            self.lent[node] = self.names[lender]
            return
        free = next((r for r in self.rows if r[1] == kind.dtype and r[2] < first), None)
        if free is not None:
            self.rows.remove(free)
        name = free[0] if free is not None else self.temporary(Param("row", kind.dtype, "rw", product(kind.shape)), node)
        self.rows.append((name, kind.dtype, last))
        self.lent[node] = name

    def release(self) -> None:
        """The kernel that was lent memory is complete."""
        self.lent, self.rows = {}, []

    def begin(self, crossing: set[Node]) -> None:
        """A fusion begins, between whose clusters these nodes cross; whatever an interrupt may have left of another one goes."""
        self.crossing, self.used = crossing, {}
        self.release()

    @contextmanager
    def holding(self, nodes: Iterable[Node]) -> Iterator[None]:
        """Gives nodes that lie nowhere memory for the time being."""
        given = [n for n in nodes if self.name(n) is None]
        for node in given:
            self.names[node] = self.temporary(Param("held", node.outs[0].dtype, "rw", product(node.outs[0].shape)), node)
        try:
            yield
        finally:
            for node in given:
                del self.names[node]

    def temporary(self, param: Param, node: Node | None = None) -> str:
        """Memory that a schedule asks for on its own account, for a node or for scratch work on the current one; its name in the plan."""
        if node is not None:
            return _temporary(self.buffers, param, self.about(node))
        return scratch(self.buffers, param, self.working())

    def touch(self, name: str, access: str) -> str:
        """The name by which the kernel being lowered knows a buffer that it reads ("r") or writes ("w").

        Kernels name their buffers by order of use, so that equal kernels have equal texts whatever plan they stand in.
        """
        buffer = self.buffers[name]
        before = self.used.get(name)
        if before is None:
            before = Param(f"{'x' if access == 'r' else 'y'}{len(self.used)}", buffer.dtype, access, buffer.size)
        self.used[name] = before if before.access == access else before._replace(access="rw")
        return before.name

    def address(self, b: Builder, node: Node, index: Index) -> Expr:
        """The position in a node's buffer of the element at an index."""
        shape = node.outs[0].shape
        if node.op not in (INPUT, SHARED) or self.layout[node.uid] == CONTIGUOUS:
            return linear(b, index, shape)
        total = b.index(0)
        for i, stride in zip(index, self.strides(node)):
            total = b.add(total, b.mul(i, b.index(stride)))
        return total

    def load(self, b: Builder, node: Node, index: Index) -> Expr | None:
        """The element of a node that lies in memory, None for one that does not."""
        name = self.name(node)
        if name is None:
            return None
        return b.load(self.touch(name, "r"), node.outs[0].dtype, self.address(b, node, index))

    def store(self, node: Node) -> str | None:
        """The kernel's name of the buffer that a node's value is written to, None where nobody else reads it."""
        name = self.name(node)
        return None if name is None else self.touch(name, "w")

    def site(self, site: Site) -> int:
        """The number of a fault site."""
        return self.sites.setdefault(site, len(self.sites))

    def take(self) -> tuple[tuple[Param, ...], tuple[str, ...]]:
        """The parameters used since the last call, and the plan's names of their buffers."""
        used, self.used = self.used, {}
        return tuple(used.values()), tuple(used)
