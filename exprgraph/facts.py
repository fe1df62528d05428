"""What is known of the values of tensors: `of(x)` as a record, and `known("x", ...)` as a condition of rules."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from exprgraph.dtypes import COMPLEX
from exprgraph.known import arithmetic, functions, matrices, movement
from exprgraph.known.record import ELEMENTS, NONE, implies, meet, of_array, of_dtype
from exprgraph.known.record import Facts as Facts
from exprgraph.known.words import WORDS as WORDS
from exprgraph.known.words import Wanted, checked, facts
from exprgraph.named import NamedTuple
from exprgraph.node import CONSTANT, Node, Op, Out, Params, as_symbol
from exprgraph.ops.markers import assume
from exprgraph.patterns import Match

CARRIES: Mapping[Op, arithmetic.Carry] = {**arithmetic.TABLE, **functions.TABLE, **movement.TABLE}
"""What each row says of its result; of others their dtype says all."""
_KEPT: dict[tuple[Any, ...], Facts] = {}
MANY = 4096
"""So many results of elementwise rows are remembered, by the facts of their operands: most operands have the same few."""


def of(x: Any) -> Facts:
    """What is known of the values of a tensor: a record with `low`, `high` and the words that hold.

    It follows from the operations and from what `assume` says.  Each node is looked at once, however often somebody asks.
    """
    out = x if isinstance(x, Out) else as_symbol(x)
    if len(out.node.outs) != 1:
        return of_dtype(out.dtype)
    found: Facts | None = out.node.facts
    return _walk(out.node) if found is None else found


def _walk(node: Node) -> Facts:
    """Iterative, for graphs deeper than Python may recurse; what is known ends it."""
    todo = [node]
    while todo:
        top = todo[-1]
        if top.facts is None:
            carried = _carried(top)
            waiting = [i.node for i in top.inputs if i.node.facts is None] if carried else []
            if waiting:
                todo += waiting
                continue
            top.facts = _carry(top) if carried else _first(top)
        todo.pop()
    found: Facts = node.facts
    return found


def _carried(node: Node) -> bool:
    """Whether what is known of a node depends on what is known of its inputs; of complex numbers nothing is."""
    if node.op not in CARRIES and node.op is not assume or node.outs[0].dtype in COMPLEX:
        return False
    return not node.inputs or node.inputs[0].dtype not in COMPLEX


def _first(node: Node) -> Facts:
    """What is known of a node whatever is of its inputs."""
    if node.op is not CONSTANT:
        return of_dtype(node.outs[0].dtype)
    return (_of_number if len(node.param("data")) <= 16 else _of_constant)(node.params)


def _of_constant(params: Params) -> Facts:
    return of_array(CONSTANT.numpy(**dict(params)))


_of_number = lru_cache(MANY)(_of_constant)


def _carry(node: Node) -> Facts:
    given = [i.node.facts if len(i.node.outs) == 1 else of_dtype(i.dtype) for i in node.inputs]
    if node.op is assume:
        return assumed(node, given[0])
    return _with_words(node, given, _numbers(node, given))


def _numbers(node: Node, given: list[Facts]) -> Facts:
    """What a row says of the elements of its result; of an elementwise one that follows from dtypes and facts alone."""
    carry = CARRIES[node.op]
    if node.op.kind != "elementwise":
        return carry(node, given)
    key = carry, node.outs[0].dtype, node.inputs[0].dtype, *given
    found = _KEPT.get(key)
    if found is None:
        if len(_KEPT) > MANY:
            _KEPT.clear()
        found = _KEPT[key] = carry(node, given)
    return found


def assumed(node: Node, known: Facts) -> Facts:
    """What is known of an operand and assumed of it; where both contradict each other, as in code that no call reaches, the former."""
    told = facts(wanted(node), node.outs[0].dtype)
    return known if told is None else meet(known, told) or known


def wanted(node: Node) -> Wanted:
    """What an `assume` says."""
    return Wanted(**dict(node.params))


def _with_words(node: Node, given: list[Facts], found: Facts) -> Facts:
    """What a row says of its result, with words about order and matrices."""
    if node.op.kind == "elementwise":
        told = node.op in matrices.COMPARED or any(not f.holds <= ELEMENTS for f in given)
        more = matrices.elementwise(node, given) | movement.sequence(node, given, found) if told else NONE
    elif node.op in matrices.TABLE:
        more = matrices.TABLE[node.op](node, given)
    else:
        return found
    return found._replace(holds=found.holds | more) if more else found


class Known(NamedTuple):
    """A condition of rules: that this is known of what an argument has met."""
    name: str
    wanted: Wanted

    def __call__(self, match: Match) -> bool:
        """Whether it is."""
        out = match.bound[self.name]
        asked = facts(self.wanted, out.dtype)
        return asked is not None and implies(of(out), asked)

    def __str__(self) -> str:
        return f"{self.name} is {self.wanted}"


def known(name: str, *words: str, low: float | None = None, high: float | None = None,
          nan: bool = False) -> Callable[[Match], bool]:
    """The condition of a rule that something is known of the tensor that the argument `name` of its pattern has met.

    words, low, high, nan: as of `assume`.  It holds only where it follows from the operations and from what was assumed; with nan
    elements may be NaN too.  `eg.Rule(..., when=eg.facts.known("x", "positive"))`.  OptionError for a word that is none, UseError for a
    bound that is no number.
    """
    condition: Any = Known(name, checked("known", words, low, high, nan))
    return condition  # type: ignore[no-any-return]
