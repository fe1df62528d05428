"""C text for expression DAGs: what is written in place, what becomes a named constant, and how long such a name is good for.

An expression that is used more than once, or that nests deeply, is named just before the first statement that needs it.  A named
value that rests on a load is forgotten as soon as that memory may have changed.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from codegen.kernel import INDEX, Alloc, Expr, Kernel, walk
from codegen.order import postorder
from codegen.spelling import C_TYPES, Spelling, check_names, literal, spelling
from exprgraph.dims import Dim

DEEPEST = 6
Names = dict[Expr, str]
Uses = dict[Expr, int]
NOTHING = frozenset[str]()


Text = tuple[str, bool, int]
"""C text of an expression, whether it needs no parentheses, and how deeply it nests; there are too many for records."""


def operand(text: Text) -> str:
    """The text as an operand of an operator."""
    return text[0] if text[1] else f"({text[0]})"


def index_type(kernel: Kernel) -> str:
    """The C type of the kernel's indices."""
    return "long" if kernel.wide else "int"


class Expressions:
    """The lines of a kernel so far, what names stand for, and which memory each expression reads."""

    def __init__(self, kernel: Kernel, dims: Sequence[Dim]) -> None:
        self.kernel, self.inside, self.depth = kernel, walk(kernel.body), 1
        self.lines: list[str] = []
        self.index = index_type(kernel)
        self.allocs = {s.name: s for s in self.inside if isinstance(s, Alloc)}
        self.dims = {d.text: f"d{i}" for i, d in enumerate(dims)}
        self.shared = {p.name for p in kernel.params if p.access != "r"} | {n for n, a in self.allocs.items() if a.space == "local"}
        self.reads: dict[Expr, frozenset[str]] = {}
        self.readers: dict[str, list[Expr]] = {}
        self.spelled, self.leaves = dict[Expr, Spelling](), dict[Expr, Text]()
        self.fresh, self.taken = 0, check_names(kernel, self.inside)

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
            found = NOTHING
            for arg in expr.args:
                found = self.reads[arg] if found is NOTHING else found | self.reads[arg]
            if expr.kind == "load" or (expr.kind == "var" and expr.value in self.allocs):
                found = found | {expr.value}
            self.reads[expr] = found
        return found

    def operands(self, expr: Expr) -> Spelling:
        """The spelling of an op."""
        found = self.spelled.get(expr)
        if found is None:
            dtypes = tuple(a.dtype for a in expr.args)
            found = self.spelled[expr] = spelling(expr.value, dtypes, expr.dtype, self.index)
        return found

    def count(self, roots: Sequence[Expr]) -> Uses:
        """How often the text of each expression would be written in this block."""
        uses: Uses = {}
        for expr in roots:
            uses[expr] = uses.get(expr, 0) + 1
        for expr in postorder(roots):
            if expr.kind == "load":
                at = expr.args[0]
                uses[at] = uses.get(at, 0) + 1
            elif expr.args:
                for arg, times in zip(expr.args, self.operands(expr).uses):
                    uses[arg] = uses.get(arg, 0) + times
        return uses

    def texts(self, roots: Sequence[Expr], names: Names, uses: Uses, named: bool = False, plain: Expr | None = None) -> list[str]:
        """The C text of each root; shared and deep parts (with `named` the roots too, but never `plain`) become constants in front."""
        known: dict[Expr, Text] = {}
        for expr in postorder(roots, names):
            reads = self.read_by(expr)
            if not expr.args:
                text = self.leaves.get(expr) or self.leaves.setdefault(expr, self.leaf(expr))
            elif expr in names:
                text = names[expr], True, 0
            else:
                text = self.text(expr, known)
                if expr is not plain and (text[2] > DEEPEST or uses.get(expr, 0) > 1):
                    text = self.name(expr, text[0], names), True, 0
            if named and expr not in names and (expr.args or reads) and expr in roots:
                text = self.name(expr, text[0], names), True, 0
            known[expr] = text
        return [known[r][0] for r in roots]

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

    def leaf(self, expr: Expr) -> Text:
        """The text of a literal, variable or size."""
        own = expr.value if expr.kind == "var" else literal(expr.value, expr.dtype) if expr.kind == "lit" else self.dims[expr.value.text]
        return own, True, 0

    def text(self, expr: Expr, known: dict[Expr, Text]) -> Text:
        """The text of an expression whose operands have theirs."""
        args = [known[a] for a in expr.args]
        depth = 1 + max([a[2] for a in args])
        if expr.kind == "load":
            return self.place(expr.value, args[0][0]), True, depth
        spelled = self.operands(expr)
        if spelled.whole:
            return args[spelled.parts[0][1]]
        found = ""
        for before, number, bare in spelled.parts:
            text, atom, _ = args[number]
            found += before + (text if bare or atom else f"({text})")
        return found + spelled.after, spelled.call, depth

    def place(self, buffer: str, at: str) -> str:
        """An element as C names it."""
        alloc = self.allocs.get(buffer)
        return buffer if alloc is not None and alloc.size == 1 and alloc.space == "private" else f"{buffer}[{at}]"

    def forget(self, names: Names, changed: Iterable[str]) -> None:
        """Drop the names of values that rest on memory which may have changed."""
        for buffer in changed:
            for expr in self.readers.get(buffer, ()):
                names.pop(expr, None)
