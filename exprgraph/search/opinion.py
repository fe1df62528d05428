"""sympy's opinion on the scalar expressions of a region: what it makes of one is one more term of its class."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from exprgraph.errors import OptionError, Source, at, here
from exprgraph.graph import order
from exprgraph.node import CONSTANT, INPUT, Node, Out, constant_value, leaf
from exprgraph.ops.table import ROWS
from exprgraph.patterns import Rule
from exprgraph.search.egraph import EGraph
from exprgraph.search.region_graph import Read
from exprgraph.search.regions import Region
from exprgraph.search.sums import exponent_of, raised
from exprgraph.sympy_read import from_sympy
from exprgraph.sympy_write import translate

LARGEST = 60
"""Operations of an expression, as sympy counts them, beyond which it is not asked: it may take seconds."""


def version() -> str:
    """The version of sympy, which is part of the keys of what it had a say in; OptionError where it is not installed."""
    try:
        import sympy
    except ImportError:
        raise OptionError(f'simplify="sympy": sympy is not installed: pip install sympy{at(here())}') from None
    return str(sympy.__version__)


def proposed(found: Read, region: Region, rule: Rule) -> None:
    """Ask sympy about each float that others read of a region, and about what they have in common."""
    import sympy
    floats = [n for n in region.roots if n.outs[0].dtype in ("float32", "float64")]
    for dtype in sorted({n.outs[0].dtype for n in floats}):
        roots = [n for n in floats if n.outs[0].dtype == dtype]
        names = _Names(sympy, found, region, dtype)
        asked = [(n, e) for n in roots if 2 < (e := translate(sympy, Out(n), names.symbols, names.other)).count_ops() <= LARGEST]
        for node, expression in asked:
            for made in _forms(sympy, expression):
                _add(found.graph, found.numbers[node, 0], made, names, rule)
        _common(sympy, found, asked, names, rule)
    found.graph.restore()


class _Names:
    """Symbols for what a region reads, and for what sympy has no counterpart of."""

    def __init__(self, sympy: Any, found: Read, region: Region, dtype: str) -> None:
        self.sympy, self.found, self.dtype = sympy, found, dtype
        self.inner = frozenset(region.nodes)
        self.classes: dict[str, int] = {}
        self.symbols: dict[Out, Any] = {o: self._symbol(n) for n, o in found.leaves.items() if o.node.op is not CONSTANT or o.ndim}

    def _symbol(self, number: int) -> Any:
        name = f"v{number}"
        self.classes[name] = number
        return self.sympy.Symbol(name, real=True)

    def other(self, node: Node, parts: Sequence[Any]) -> Any:
        """What stands for a node that sympy does not know."""
        return self._symbol(self.found.numbers[node, 0])


def _forms(sympy: Any, expression: Any) -> Iterator[Any]:
    """What sympy makes of an expression, one function after the other; one that fails is left out."""
    def polynomial(way: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda e: way(e) if e.is_polynomial() else e
    ways = (sympy.simplify, polynomial(sympy.horner), polynomial(sympy.factor), sympy.powsimp, sympy.factor_terms, sympy.together)
    for way in ways:
        try:
            made = way(expression)
        except Exception:  # whatever sympy stumbles over, the expression is there as it was
            continue
        if made != expression:
            yield made


def _common(sympy: Any, found: Read, asked: Sequence[tuple[Node, Any]], names: _Names, rule: Rule) -> None:
    """What several expressions have in common after sympy has taken it out of each."""
    parts, wholes = sympy.cse([e for _, e in asked], order="canonical")
    for (node, _), whole in zip(asked, wholes):
        for symbol, part in reversed(parts):
            whole = whole.xreplace({symbol: part})
        _add(found.graph, found.numbers[node, 0], whole, names, rule)


def _add(graph: EGraph, number: int, expression: Any, names: _Names, rule: Rule) -> None:
    """One more term of a class."""
    known = sorted(str(s) for s in expression.free_symbols)
    places = {n: Out(leaf(INPUT, names.dtype, (), n)) for n in known}
    if not all(graph.types[graph.find(names.classes[n])].dtype == names.dtype for n in known):
        return
    try:
        made = from_sympy(expression, {names.sympy.Symbol(n, real=True): places[n] for n in known})
    except (ValueError, TypeError, OverflowError):  # a function or a number that has no counterpart here
        return
    found = _written(graph, made, {places[n].node: names.classes[n] for n in known}, rule, number)
    if found is not None:
        graph.union(number, found, rule)


def _written(graph: EGraph, made: Out, places: Mapping[Node, int], rule: Rule, number: int) -> int | None:
    done: dict[Node, int] = {n: graph.find(c) for n, c in places.items()}
    for node in order([made]):
        if node in done:
            continue
        value = constant_value(Out(node))
        if value is not None:
            done[node] = graph.constant(value, node.outs[0].dtype)
            continue
        found = _row(graph, node, [done[i.node] for i in node.inputs], rule, graph.lines[graph.find(number)])
        if found is None:
            return None
        done[node] = found
    return done[made.node]


def _row(graph: EGraph, node: Node, parts: Sequence[int], rule: Rule, lines: frozenset[Source]) -> int | None:
    """One operation; a whole power as products."""
    whole = exponent_of(graph, parts[1]) if node.op.name == "pow" else None
    if whole is not None and whole > 1:
        return raised(lambda row, *p: graph.add(ROWS[row], p, rule, lines), parts[0], whole)
    return None if node.params else graph.add(node.op, parts, rule, lines)
