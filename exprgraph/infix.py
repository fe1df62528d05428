"""Expressions as infix text, with the fewest parentheses, on one line, or a few where parts are shared."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from exprgraph.labels import leaf_text, name_text, named, param_text, roots, shown
from exprgraph.named import NamedTuple
from exprgraph.node import Node, Out
from exprgraph.slice_text import bracketed, items, shuffled

LIMIT = 400
"""Nodes in one text."""
SHARED_LENGTH = 20
"""What is read more than once and longer than this gets a line of its own."""
COMPARE, OR, XOR, AND, SHIFT, SUM, PRODUCT, UNARY, POWER, ATOM = range(10)


class Text(NamedTuple):
    """A part of an expression and how tightly it binds."""
    text: str
    level: int

    def within(self, level: int) -> str:
        """The text, in parentheses where something that binds at least as tightly as `level` is needed."""
        return self.text if self.level >= level else f"({self.text})"


class Sign(NamedTuple):
    """An operator: how it is written, how tightly it binds, and what its operands must bind like."""
    text: str
    level: int
    left: int
    right: int


def _binary(level: int, **signs: str) -> dict[str, Sign]:
    return {name: Sign(text, level, level, level + 1) for name, text in signs.items()}


SIGNS: dict[str, Sign] = {
    **{name: Sign(text, COMPARE, OR, OR) for name, text in
       {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "neq": "!="}.items()},
    **_binary(OR, or_="|"), **_binary(XOR, xor="^"), **_binary(AND, and_="&"), **_binary(SHIFT, left_shift="<<", right_shift=">>"),
    **_binary(SUM, add="+", sub="-"), **_binary(PRODUCT, mul="*", true_div="/", int_div="//", mod="%", matmul="@"),
    "pow": Sign("**", POWER, ATOM, UNARY)}
"""The precedence table: that of Python, comparisons being one level that does not chain."""
PREFIXES = {"neg": "-", "invert": "~"}


def _size(node: Node, parts: Sequence[Text]) -> str:
    return f"{parts[0].within(ATOM)}.shape[{node.param('axis')}]"


def _axes(node: Node, parts: Sequence[Text]) -> str:
    pattern = node.param("pattern")
    if len(pattern) > 1 and pattern == tuple(range(len(pattern)))[::-1] and node.inputs[0].ndim == len(pattern):
        return f"{parts[0].within(ATOM)}.T"
    return _call("dimshuffle", [parts[0].text, *("'x'" if p < 0 else str(p) for p in pattern)])


def _picked(node: Node, parts: Sequence[Text]) -> str:
    return parts[0].within(ATOM) + bracketed([":"] * node.param("axis") + [parts[1].text])


POSTFIXES: dict[str, Callable[[Node, Sequence[Text]], str]] = {"size": _size, "dimshuffle": _axes, "take": _picked}


def _call(name: str, parts: Sequence[str]) -> str:
    return f"{name}({', '.join(parts)})"


def _params(node: Node) -> Iterator[str]:
    """The parameters that say something: not keepdims=False, nor an axis that names all of them."""
    for name, value in node.params:
        if node.op.kind == "reduce" and name == "axis":
            if value == tuple(range(node.inputs[0].ndim)):
                continue
            value = value[0] if len(value) == 1 else value
        if not (name == "keepdims" and value is False):
            yield f"{name}={param_text(value)}"


def _applied(node: Node, parts: Sequence[Text]) -> Text:
    name = node.op.name
    if name in SIGNS:
        sign = SIGNS[name]
        return Text(f"{parts[0].within(sign.left)} {sign.text} {parts[1].within(sign.right)}", sign.level)
    if name in PREFIXES:
        return Text(PREFIXES[name] + parts[0].within(UNARY), UNARY)
    if name in POSTFIXES:
        return Text(POSTFIXES[name](node, parts), ATOM)
    return Text(_call(name, [p.text for p in parts] + list(_params(node))), ATOM)


class _Writer:
    """Writes the nodes that are shown, inputs before consumers."""

    def __init__(self, nodes: Sequence[Node], outputs: Sequence[Out]) -> None:
        self.texts: dict[Node, Text] = {}
        self.lines: list[str] = []
        self.slices = {n: found for n in nodes if n.op.name == "subtensor" and (found := items(n))}
        self.readers = self.counted(nodes, outputs)
        self.outs = named(outputs, nodes)
        taken = {o.name for o in self.outs.values()}
        self.names = (name for k in count(1) if (name := f"t{k}") not in taken)
        for node in nodes:
            self.texts[node] = self.bound(node, self.written(node))

    def counted(self, nodes: Sequence[Node], outputs: Sequence[Out]) -> Counter[Node]:
        """How often each node is read by what is written: the bounds of slices are not."""
        readers = Counter(o.node for o in outputs)
        for node in reversed(nodes):
            if node in readers:
                readers.update(i.node for i in (node.inputs[:1] if node in self.slices else node.inputs))
        return readers

    def operand(self, out: Out) -> Text:
        """The text of an input; "..." for what is left out."""
        text = self.texts.get(out.node)
        if text is None:
            return Text("...", ATOM)
        return text if len(out.node.outs) == 1 else Text(f"{text.within(ATOM)}[{out.index}]", ATOM)

    def written(self, node: Node) -> Text:
        """The text of a node over the texts of its inputs."""
        if node.op.kind == "leaf":
            text = leaf_text(self.outs[node])
            return Text(text, UNARY if text.startswith("-") else ATOM)
        return self.indexed(node) or _applied(node, [self.operand(i) for i in node.inputs])

    def indexed(self, node: Node) -> Text | None:
        """A subtensor, with the axes that a dimshuffle of it drops and inserts, as base[index]."""
        part = node if node in self.slices else node.inputs[0].node if node.op.name == "dimshuffle" else None
        if part not in self.slices:
            return None
        index = [i.kept for i in self.slices[part]] if part is node else shuffled(self.slices[part], node.param("pattern"))
        return Text(self.operand(part.inputs[0]).within(ATOM) + bracketed(index), ATOM) if index else None

    def bound(self, node: Node, text: Text) -> Text:
        """The text, or where it is long and read more than once a name that stands for it."""
        if self.readers[node] < 2 or node.op.kind == "leaf" or len(text.text) <= SHARED_LENGTH:
            return text
        self.slices.pop(node, None)
        own = self.outs[node].name
        name = name_text(own) if own else next(self.names)
        self.lines.append(f"{name} = {text.text}")
        return Text(name, ATOM)


def pp(expr: Any, limit: int = LIMIT) -> str:
    """The expression as one line of text in Python's operators, such as `log(1 + exp(-x))`.

    expr: a symbol, a list of symbols, a graph or a compiled function; several outputs give a line each.  Long parts that are read more
    than once come first, as lines `t1 = ...`.  Of a graph of more than `limit` nodes, those farthest from the outputs are left out: the
    text has "..." in their place and ends in a count.
    """
    outputs = roots(expr)
    part = shown(outputs, limit)
    writer = _Writer(part.nodes, outputs)
    text = "\n".join([*writer.lines, *(writer.operand(o).text for o in outputs)])
    return f"{text}  # {part}" if part.cut else text
