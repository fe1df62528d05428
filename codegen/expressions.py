"""C text for expression DAGs: what is written in place, what becomes a named constant, and how long such a name is good for.

An expression that is used more than once, or that nests deeply, is named just before the first statement that needs it.  A named
value that rests on a load is forgotten as soon as that memory may have changed.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from codegen.kernel import INDEX, Alloc, Expr, Kernel, dims_of, walk
from codegen.order import postorder
from codegen.spelling import C_TYPES, Spelling, check_names, literal, spelling
from exprgraph.named import NamedTuple

DEEPEST = 6
Names = dict[Expr, str]
_WHOLE = ("{0}", "{1}", "{2}")
_ARGUMENT = re.compile(r"(?<=[(,])( ?)\{(\d)\}(?=[,)])")


class Text(NamedTuple):
    """C text of an expression: whether it needs no parentheses, and how deeply it nests."""
    text: str
    atom: bool
    depth: int

    @property
    def operand(self) -> str:
        """The text as an operand of an operator."""
        return self.text if self.atom else f"({self.text})"


class Expressions:
    """The lines of a kernel so far, what names stand for, and which memory each expression reads."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.depth = kernel, 1
        self.lines: list[str] = []
        self.index = "long" if kernel.wide else "int"
        self.allocs = {s.name: s for s in walk(kernel.body) if isinstance(s, Alloc)}
        self.dims = {d.text: f"d{i}" for i, d in enumerate(dims_of(kernel.body))}
        self.shared = {p.name for p in kernel.params if p.access != "r"} | {n for n, a in self.allocs.items() if a.space == "local"}
        self.reads: dict[Expr, frozenset[str]] = {}
        self.readers: dict[str, list[Expr]] = {}
        self.fresh, self.taken = 0, check_names(kernel)

    def emit(self, line: str) -> None:
        """One more line at the present indentation."""
        self.lines.append("    " * self.depth + line)

    def c_type(self, dtype: str) -> str:
        """The C type of a value."""
        return self.index if dtype == INDEX else C_TYPES[dtype]

    def read_by(self, expr: Expr) -> frozenset[str]:
        """The buffers and arrays that an expression reads; its operands have been asked before."""
        found = self.reads.get(expr)
        if found is None:
            own = frozenset((expr.value,)) if expr.kind == "load" or (expr.kind == "var" and expr.value in self.allocs) else frozenset()
            found = self.reads[expr] = own.union(*(self.reads[a] for a in expr.args))
        return found

    def operands(self, expr: Expr) -> Spelling | None:
        """The spelling of an op."""
        return spelling(expr.value, tuple(a.dtype for a in expr.args), expr.dtype, self.index) if expr.kind == "op" else None

    def count(self, roots: Sequence[Expr]) -> Counter[Expr]:
        """How often the text of each expression would be written in this block."""
        uses: Counter[Expr] = Counter(roots)
        for expr in postorder(roots):
            spelled = self.operands(expr)
            for arg, times in zip(expr.args, spelled.uses if spelled else (1,)):
                uses[arg] += times
        return uses

    def texts(self, roots: Sequence[Expr], names: Names, uses: Counter[Expr], named: bool = False,
              plain: Expr | None = None) -> list[str]:
        """The C text of each root; shared and deep parts (with `named` the roots too, but never `plain`) become constants in front."""
        known: dict[Expr, Text] = {}
        force = set(roots) if named else set()
        for expr in postorder(roots, names):
            reads = self.read_by(expr)
            if expr in names:
                known[expr] = Text(names[expr], True, 0)
                continue
            text = self.text(expr, known)
            often = expr.args and (uses[expr] > 1 or text.depth > DEEPEST)
            if (often and expr is not plain) or (expr in force and (expr.args or reads)):
                text = Text(self.name(expr, text.text, names), True, 0)
            known[expr] = text
        return [known[r].text for r in roots]

    def unique(self, name: str) -> str:
        """A name of our own that the tree does not use."""
        while name in self.taken:
            name += "_"
        return name

    def name(self, expr: Expr, text: str, names: Names) -> str:
        """Print a constant that holds the expression, and remember it where that helps."""
        while (made := f"v{self.fresh}") in self.taken:
            self.fresh += 1
        self.fresh += 1
        self.emit(f"const {self.c_type(expr.dtype)} {made} = {text};")
        self.remember(expr, made, names)
        return made

    def remember(self, expr: Expr, name: str, names: Names) -> None:
        """From here on the name stands for the expression, until what it reads may have changed."""
        if expr.args and expr not in names:
            names[expr] = name
            for buffer in self.reads[expr]:
                self.readers.setdefault(buffer, []).append(expr)

    def text(self, expr: Expr, known: dict[Expr, Text]) -> Text:
        """The text of an expression whose operands have theirs."""
        if expr.kind == "lit":
            return Text(literal(expr.value, expr.dtype), True, 0)
        if expr.kind == "var":
            return Text(expr.value, True, 0)
        if expr.kind == "dim":
            return Text(self.dims[expr.value.text], True, 0)
        depth = 1 + max(known[a].depth for a in expr.args)
        if expr.kind == "load":
            return Text(self.place(expr.value, known[expr.args[0]].text), True, depth)
        spelled = self.operands(expr)
        assert spelled is not None
        template = _ARGUMENT.sub(lambda m: m[1] + known[expr.args[int(m[2])]].text, spelled.template)
        if template in _WHOLE:
            return known[expr.args[_WHOLE.index(template)]]
        return Text(template.format(*(known[a].operand for a in expr.args)), spelled.call, depth)

    def place(self, buffer: str, at: str) -> str:
        """An element as C names it."""
        alloc = self.allocs.get(buffer)
        return buffer if alloc is not None and alloc.size == 1 and alloc.space == "private" else f"{buffer}[{at}]"

    def forget(self, names: Names, changed: Iterable[str]) -> None:
        """Drop the names of values that rest on memory which may have changed."""
        for buffer in changed:
            for expr in self.readers.get(buffer, ()):
                names.pop(expr, None)
