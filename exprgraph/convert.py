"""Graphs for other programs: networkx, sympy and LaTeX, each imported when a function here is called."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes
from exprgraph.errors import UseError, at, here
from exprgraph.graph import order
from exprgraph.labels import named, roots
from exprgraph.node import Node, Out, as_symbol
from exprgraph.sympy_read import from_sympy as from_sympy
from exprgraph.sympy_write import to_sympy as to_sympy
from exprgraph.sympy_write import translate

WRITTEN_OUT = 5_000
"""Terms of a LaTeX text, where every shared part counts as often as it is read."""
FOLDS = {"sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min", "any": r"\bigvee", "all": r"\bigwedge",
         "argmax": r"\operatorname{argmax}", "argmin": r"\operatorname{argmin}"}
ESCAPES = {"\\": r"\backslash ", "{": r"\{", "}": r"\}", "$": r"\$", "%": r"\%", "#": r"\#", "&": r"\&", "_": r"\_", "^": r"\hat{}",
           "~": r"\tilde{}", " ": r"\ "}


def to_networkx(obj: Any) -> Any:
    """The graph as a networkx.MultiDiGraph.

    obj: a symbol, a list of symbols, a graph or a compiled function.  Nodes are numbered in the order of evaluation and have the
    attributes op, name, type (a list where a node has several outputs), params (a dict) and source (file:line).  Edges run from operand
    to reader; their attribute position is that of the argument, output that of the operand's output.  The attributes inputs and outputs
    of the graph itself list the numbers of its leaves and of its results.
    """
    import networkx
    outputs = roots(obj)
    nodes = order(outputs)
    numbers, outs = {n: k for k, n in enumerate(nodes)}, named(outputs, nodes)
    made = networkx.MultiDiGraph(inputs=[numbers[n] for n in nodes if n.op.name in ("input", "shared")],
                                 outputs=[numbers[o.node] for o in outputs])
    for node, k in numbers.items():
        types = [str(t) for t in node.outs]
        made.add_node(k, op=node.op.name, name=outs[node].name, type=types[0] if len(types) == 1 else types, params=dict(node.params),
                      source=str(node.source) if node.source else None)
        for position, i in enumerate(node.inputs):
            made.add_edge(numbers[i.node], k, position=position, output=i.index)
    return made


def _escaped(name: str) -> str:
    """A name as LaTeX in math mode that cannot leave its place."""
    plain = name if name.isprintable() else ascii(name)[1:-1]
    return r"\mathtt{" + "".join(ESCAPES.get(c, c) for c in plain[:60]) + "}"


def _fold(node: Node, text: str) -> str:
    axes = node.param("axis")
    below = "" if len(axes) == node.inputs[0].ndim else "_{" + ",".join(map(str, axes)) + "}"
    return FOLDS[node.op.name] + below + rf" \left({text}\right)"


def _axes(node: Node, text: str) -> str:
    """Inserted and dropped axes are left to the reader; exchanged ones are a transposition."""
    kept = [p for p in node.param("pattern") if p >= 0]
    return text if kept == sorted(kept) else rf"{{{text}}}^{{\top}}" if len(kept) == 2 else rf"{{{text}}}^{{{tuple(kept)}}}"


SPECIAL: dict[str, Callable[[Node, Sequence[str]], str]] = {
    **{name: lambda node, parts: _fold(node, parts[0]) for name in FOLDS},
    "matmul": lambda node, parts: " ".join(parts), "dimshuffle": lambda node, parts: _axes(node, parts[0]),
    "size": lambda node, parts: rf"\left|{parts[0]}\right|_{{{node.param('axis')}}}"}


def _call(node: Node, parts: Sequence[str]) -> str:
    return rf"\operatorname{{{_escaped(node.op.name)[8:-1]}}}\left({', '.join(parts)}\right)"


class _Latex:
    """Sympy writes what is elementwise; everything else is a symbol of its own whose name is the LaTeX of that part."""

    def __init__(self, sympy: Any) -> None:
        self.sympy, self.names = sympy, dict[Any, str]()

    def text(self, value: Any, closed: bool = False) -> str:
        """The LaTeX of a sympy expression, in parentheses where it must be one factor."""
        text: str = self.sympy.latex(value, symbol_names=self.names)
        return rf"\left({text}\right)" if closed and not (value.is_Atom or value.is_Function) else text

    def other(self, node: Node, parts: Sequence[Any]) -> Any:
        """A symbol for a node that sympy has no counterpart of."""
        symbol = self.sympy.Dummy(node.op.name)
        closed = node.op.name in ("matmul", "dimshuffle")
        self.names[symbol] = SPECIAL.get(node.op.name, _call)(node, [self.text(p, closed) for p in parts])
        return symbol


def _check_size(expr: Out) -> None:
    terms: dict[Node, int] = {}
    for node in order([expr]):
        terms[node] = 1 + sum(terms[i.node] for i in node.inputs)
        if terms[node] > WRITTEN_OUT:
            raise UseError(f"latex: the expression has more than {WRITTEN_OUT} terms when written out: take a part of it{at(here())}")


def latex(expr: Any) -> str:
    """The expression as LaTeX for math mode, elementwise parts as sympy writes them.

    expr: a symbol or what becomes one, a list of symbols, a graph or a compiled function; several outputs give a line each.  Reductions
    are written with their axes below, products of matrices side by side, all other ops as functions.  UseError where the text of an
    output would have more than 5,000 terms.
    """
    plain = dtypes.is_weak(expr) or isinstance(expr, np.ndarray | np.generic)
    return "\n".join(_line(o) for o in roots(as_symbol(expr) if plain else expr))


def _line(out: Out) -> str:
    import sympy
    _check_size(out)
    writer = _Latex(sympy)
    nodes = order([out])
    odd = [o for n, o in named([out], nodes).items() if n.op.name in ("input", "shared") and o.name and not o.name.isidentifier()]
    symbols = {o: sympy.Dummy(o.node.op.name) for o in odd}
    writer.names.update({s: _escaped(o.name or "") for o, s in symbols.items()})
    value = translate(sympy, out, symbols, writer.other)
    try:
        return writer.text(value)
    except RecursionError:
        raise UseError(f"latex: the expression is nested too deeply for sympy, which works by recursion{at(here())}") from None
