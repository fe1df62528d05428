"""Kernels that differ only in whose sizes they speak of, as those of equal layers: what is made of one is made of all."""
from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from codegen.kernel import Builder, Expr, If, Kernel, Loop, Param, Stmt, exprs_of, walk
from codegen.order import postorder
from exprgraph.dims import Atom, Call, Dim, Value, atoms, calls, constant, of_atom, product
from exprgraph.named import NamedTuple

_LEAF = re.compile(r"\b[stv]\d+(?:\.\d+)?")


class Pattern(NamedTuple):
    """What a kernel is but for the atoms that its Dims rest on: equal for kernels that are alike; and these atoms, in order."""
    key: Hashable
    leaves: tuple[Atom, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The leaves as text."""
        return tuple(a.text for a in self.leaves)


class Speaker:
    """Tells patterns; remembers which atoms a Dim rests on, since few Dims stand in many kernels."""

    def __init__(self) -> None:
        self.atoms: dict[str, Atom] = {}
        self.known: set[str] = set()

    def pattern(self, kernel: Kernel) -> Pattern:
        """The pattern of a kernel."""
        leaves: dict[str, str] = {}
        numbers: dict[Expr, int] = {}
        rows: list[Hashable] = [kernel.wide]

        def said(dim: Dim) -> str:
            if dim.text not in self.known:
                self.known.add(dim.text)
                self.atoms.update((a.text, a) for a in atoms([dim]))
            return _LEAF.sub(lambda found: leaves.setdefault(found[0], f"{self._kind(found[0])}{len(leaves)}"), dim.text)

        for param in kernel.params:
            rows.append((*param[:3], said(param.size)))
        for stmt in walk(kernel.body):
            for expr in postorder(exprs_of(stmt), numbers):
                if expr not in numbers:
                    numbers[expr] = len(numbers)
                    value = said(expr.value) if expr.kind == "dim" else expr.key[3]
                    rows.append((expr.kind, expr.dtype, tuple([numbers[a] for a in expr.args]), value))
            rows.append(_shell(stmt, numbers))
        return Pattern(tuple(rows), tuple(self.atoms[text] for text in leaves))

    def _kind(self, text: str) -> str:
        atom = self.atoms[text]
        return f"v>={atom.least}:" if isinstance(atom, Value) else text[0]


def _shell(stmt: Stmt, numbers: Mapping[Expr, int]) -> Hashable:
    """A statement with numbers in place of its expressions, and in place of statements inside how many these are."""
    def plain(part: Any) -> Hashable:
        if isinstance(part, Expr):
            return ("e", numbers[part])
        if isinstance(part, tuple):
            return len(part) if part and not isinstance(part[0], Expr | str) else tuple(map(plain, part))
        return part  # type: ignore[no-any-return]
    return (type(stmt).__name__, *map(plain, stmt))


class Renaming:
    """Dims in terms of other atoms."""

    def __init__(self, old: Sequence[Atom], new: Sequence[Atom]) -> None:
        self.atoms = {a.text: of_atom(b) for a, b in zip(old, new)}
        self.dims: dict[str, Dim] = {}

    def __call__(self, dim: Dim) -> Dim:
        """The Dim that says of the new atoms what this one says of the old ones."""
        if dim.const is not None:
            return dim
        found = self.dims.get(dim.text)
        if found is None:
            for call in calls([dim], self.atoms):
                self.atoms[call.text] = of_atom(Call(call.kind, self._polynomial(call.left), self._polynomial(call.right)))
            found = self.dims[dim.text] = self._polynomial(dim)
        return found

    def _polynomial(self, dim: Dim) -> Dim:
        total = constant(0)
        for monomial, coefficient in dim.terms:
            total = total + product(self.atoms[a.text] for a in monomial) * coefficient
        return total


class Alike:
    """A kernel as another one is, in terms of other atoms; its tree is made when somebody looks at it."""
    __slots__ = ("like", "renaming", "_made")

    def __init__(self, like: Kernel, renaming: Renaming) -> None:
        self.like, self.renaming = like, renaming
        self._made: Kernel | None = None

    @property
    def kernel(self) -> Kernel:
        """The tree."""
        if self._made is None:
            self._made = renamed(self.like, self.renaming)
        return self._made

    @property
    def name(self) -> str:
        """The name that the text gives it, which is the other's."""
        return self.like.name

    @property
    def params(self) -> tuple[Param, ...]:
        """The buffers, with their sizes."""
        return self.kernel.params

    @property
    def body(self) -> tuple[Stmt, ...]:
        """The statements."""
        return self.kernel.body

    @property
    def wide(self) -> bool:
        """Whether indices are 64-bit."""
        return self.like.wide

    @property
    def flags(self) -> bool:
        """Whether it can report faults."""
        return self.like.flags


def renamed(kernel: Kernel, renaming: Renaming) -> Kernel:
    """The kernel in terms of other atoms."""
    b, new = Builder(), dict[int, Expr]()

    def change(part: Any) -> Any:
        if isinstance(part, Expr):
            return new[id(part)]
        return tuple(map(change, part)) if isinstance(part, tuple) and part and isinstance(part[0], Expr) else part

    def block(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for stmt in body:
            for e in postorder(exprs_of(stmt)):
                if id(e) not in new:
                    value = renaming(e.value) if e.kind == "dim" else e.value
                    new[id(e)] = b.make(e.kind, e.dtype, tuple(new[id(a)] for a in e.args), value)
            made = type(stmt)._make(map(change, stmt))
            if isinstance(made, Loop):
                made = made._replace(body=block(made.body))
            elif isinstance(made, If):
                made = made._replace(then=block(made.then), orelse=block(made.orelse))
            out.append(made)
        return tuple(out)
    return kernel._replace(params=tuple(p._replace(size=renaming(p.size)) for p in kernel.params), body=block(kernel.body))
