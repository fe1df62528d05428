"""Looking at graphs: an indented tree, DOT text for pictures, and infix text."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from exprgraph.errors import UseError, at, here, shortly
from exprgraph.graph import consumers, order
from exprgraph.infix import pp as pp
from exprgraph.labels import COUNTED, Shown, leaf_text, name_text, named, op_text, roots, short, shown, value_text
from exprgraph.named import NamedTuple
from exprgraph.node import Node, Out
from exprgraph.shared import SharedNode, host

LENGTH = 100_000
"""Characters of a tree."""
PICTURED = 2_000
"""Nodes of a picture."""
PICTURES = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".gif", ".ps", ".eps")
STYLES = {"input": "box", "shared": "box3d", "constant": "plaintext", "reduce": "invtrapezium", "contract": "hexagon"}


def _letters(number: int) -> str:
    text = ""
    while number >= 0:
        text = chr(ord("A") + number % 26) + text
        number = number // 26 - 1
    return text


IDS: dict[str, Callable[[int, Node], str]] = {
    "CHAR": lambda k, node: f" [id {_letters(k)}]", "int": lambda k, node: f" [id {k}]", "id": lambda k, node: f" [id {node.uid}]",
    "": lambda k, node: ""}


class Notes(NamedTuple):
    """What is written behind nodes: their place in the order of evaluation, the values of leaves, who reads them."""
    places: Mapping[Node, int]
    values: Mapping[Node, str]
    clients: Mapping[Node, str]


class _Tree:
    """The lines of an indented tree; what is below a node is written once.  seen: the numbers of the nodes that have been written."""

    def __init__(self, depth: int, print_type: bool, ids: str, stop_on_name: bool, seen: dict[Node, int], notes: Notes) -> None:
        self.depth, self.print_type, self.ids, self.stop_on_name, self.notes = depth, print_type, IDS[ids], stop_on_name, notes
        self.seen = seen

    def lines(self, outputs: tuple[Out, ...]) -> Iterator[str]:
        """One line per use of a tensor, depth first, without recursion."""
        todo = [(o, "", "", 1) for o in reversed(outputs)]
        while todo:
            out, lead, bars, level = todo.pop()
            inputs, again = out.node.inputs, out.node in self.seen
            self.seen.setdefault(out.node, len(self.seen))
            yield lead + self.label(out) + (" ..." if again and inputs else "")
            if not (again or level == self.depth or (self.stop_on_name and out.name)):
                todo += [(i, bars + " |", bars + (" |" if left else "  "), level + 1) for left, i in enumerate(reversed(inputs))]

    def label(self, out: Out) -> str:
        """Op, id, name, type, and in a compiled function the place in the order of evaluation."""
        node, leaf = out.node, out.node.op.kind == "leaf"
        text = (leaf_text(out) if leaf else op_text(node)) + (f".{out.index}" if len(node.outs) > 1 else "")
        text += self.ids(self.seen[node], node)
        text += f" {name_text(out.name)}" if out.name and not leaf else ""
        text += f" <{out.type}>" if self.print_type else ""
        text += f" = {self.notes.values[node]}" if node in self.notes.values else ""
        text += f" clients: [{self.notes.clients[node]}]" if node in self.notes.clients else ""
        return text + (f"   {self.notes.places[node]}" if node in self.notes.places and not leaf else "")


def _places(thing: Any) -> dict[Node, int]:
    """For a compiled function, of a size that is printed whole, the place of each node in the order of evaluation."""
    outputs = roots(thing)
    if not callable(thing) or shown(outputs, 0).total > COUNTED:
        return {}
    computed = [n for n in order(outputs) if n.op.kind != "leaf"]
    return {n: k for k, n in enumerate(computed)}


def _values(thing: Any) -> dict[Node, str]:
    """The present values of shared variables, and of the inputs of a compiled function that have a default."""
    cells = {n: n for n in shown(roots(thing), COUNTED).nodes if isinstance(n, SharedNode)}
    cells.update(thing.container.cells() if hasattr(thing, "container") else {})
    return {n: value_text(host(c.version)) for n, c in cells.items()}


def _clients(outputs: tuple[Out, ...]) -> dict[Node, str]:
    """For each node, in a graph that is printed whole, what reads it."""
    if shown(outputs, 0).total > COUNTED:
        return {}
    ends = {o.node for o in outputs}
    return {n: short(", ".join([r.op.name for r in readers] + ["output"] * (n in ends))) for n, readers in consumers(outputs).items()}


def _tree_text(thing: Any, tree: _Tree, limit: int) -> str:
    outputs, found, length = roots(thing), [], 0
    for line in tree.lines(outputs):
        found.append(line)
        length += len(line) + 1
        if length > limit:
            total = shown(outputs, 0).total
            found.append(f"... {Shown(list(tree.seen), total)}; a depth, stop_on_name=True or a limit shows another part")
            break
    return "\n".join(found) + "\n"


def debugprint(obj: Any, depth: int = -1, print_type: bool = False, file: TextIO | str | None = None, ids: str = "CHAR",
               stop_on_name: bool = False, done: dict[Node, int] | None = None, print_storage: bool = False, print_clients: bool = False,
               limit: int = LENGTH) -> str | None:
    """Print a graph as an indented tree: one line per use of a tensor, what is shared in full once and then with "...".

    obj: a symbol, a list of symbols, a graph, or a compiled function (whose lines end in the place in the order of evaluation).  depth:
    levels to print, -1 for all.  print_type: dtype and shape too.  file: where to print, standard output by default; with "str" the text
    is returned instead.  ids: "CHAR", "int", "id" (the same in all printings of this process) or "" for none.  stop_on_name: nothing
    below tensors that have a name.  done: a dict, filled with the nodes that are printed: what one call has printed the next one with
    the same dict only names.  print_storage: the values of shared variables and of defaults too.  print_clients: what reads each node.
    The text ends after `limit` characters with a count of nodes.
    """
    if not isinstance(ids, str) or ids not in IDS:
        raise UseError(f"debugprint: ids={shortly(ids)}: expected one of {', '.join(map(repr, IDS))}{at(here())}")
    notes = Notes(_places(obj), _values(obj) if print_storage else {}, _clients(roots(obj)) if print_clients else {})
    text = _tree_text(obj, _Tree(depth, print_type, ids, stop_on_name, {} if done is None else done, notes), limit)
    if file == "str":
        return text
    if isinstance(file, str):
        raise UseError(f'debugprint: file={shortly(file)}: expected an open file, or "str" for the text itself{at(here())}')
    print(text, end="", file=file or sys.stdout)
    return None


def _quoted(*lines: str) -> str:
    """A quoted string of DOT with these lines; they hold printable characters only."""
    return '"' + r"\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines) + '"'


def _vertex(out: Out) -> str:
    node = out.node
    leaf = node.op.kind == "leaf"
    style = STYLES.get(node.op.name if leaf else node.op.kind, "ellipse")
    first = leaf_text(out) if leaf else op_text(node)
    name = [name_text(out.name)] if out.name and not leaf else []
    return f"[shape={style}, label={_quoted(first, *name, *map(str, node.outs))}]"


def _edges(node: Node, numbers: Mapping[Node, int]) -> Iterator[str]:
    for position, i in enumerate(node.inputs):
        start = f"n{numbers[i.node]}" if i.node in numbers else "rest"
        label = f' [label="{position}"]' if len(node.inputs) > 1 else ""
        yield f"  {start} -> n{numbers[node]}{label};"


def to_dot(obj: Any, limit: int = PICTURED) -> str:
    """The graph as DOT text, which Graphviz draws: one vertex per node, edges labelled with the position of the argument.

    obj: as for `debugprint`.  Of a graph of more than `limit` nodes, those farthest from the outputs are one vertex with a count.
    """
    outputs = roots(obj)
    part = shown(outputs, limit)
    numbers, outs = {n: k for k, n in enumerate(part.nodes)}, named(outputs, part.nodes)
    lines = ["digraph exprgraph {"]
    if part.cut:
        lines.append(f'  rest [shape=note, label="... {part} are shown"];')
    for node, k in numbers.items():
        lines += [f"  n{k} {_vertex(outs[node])};", *_edges(node, numbers)]
    for k, o in enumerate(outputs):
        start = f"n{numbers[o.node]}" if o.node in numbers else "rest"
        lines += [f'  out{k} [shape=none, label="output {k}"];', f"  {start} -> out{k};"]
    return "\n".join([*lines, "}"]) + "\n"


def pydotprint(obj: Any, outfile: str | os.PathLike[str], limit: int = PICTURED) -> None:
    """Write the DOT text of a graph to a file.  UseError for a picture file: drawing is Graphviz's part."""
    path = os.fspath(outfile)
    stem, ending = os.path.splitext(path)
    if ending.lower() in PICTURES:
        raise UseError(f"pydotprint writes DOT text, not {ending} pictures: write {stem}.dot, then run "
                       f"dot -T{ending[1:].lower()} {stem}.dot -o {path}{at(here())}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(to_dot(obj, limit))
