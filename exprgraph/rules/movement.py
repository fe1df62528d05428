"""MOVEMENT: exact rules about sizes, axes and casts: what moves nothing disappears, what moves twice moves once."""
from __future__ import annotations

from collections.abc import Sequence

from exprgraph.dims import Dim
from exprgraph.dtypes import BFLOAT, has_gradient, is_complex
from exprgraph.node import Out, Params
from exprgraph.ops.rounding import cast
from exprgraph.ops.shape import broadcast_to, dim_node
from exprgraph.patterns import Rule, some, tagged
from exprgraph.rules.conditions import always, reduces_nothing
from exprgraph.types import broadcast_dims

WIDTH = {"bool": 1, "int8": 7, "int16": 15, "int32": 31, "int64": 63, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64,
         "float16": 11, "float32": 24, "float64": 53}
"""The bits in which a dtype holds every integer, sign apart."""


def known_size(x: Out, p: Params) -> Out | None:
    """The size of an axis computed from the sizes of the inputs, so that asking for a shape computes nothing else."""
    dim = x.type.shape[dict(p)["axis"]]
    if x.node.op.kind == "leaf" and dim.const is None:
        return None
    return dim_node(dim)


def pattern(*axes: int) -> Params:
    """The parameters of a dimshuffle."""
    return (("pattern", axes),)


def shuffle_twice(x: Out, p: Params, q: Params) -> Out:
    """One dimshuffle for two, q after p."""
    first, second = dict(p)["pattern"], dict(q)["pattern"]
    return some("dimshuffle", pattern(*(-1 if a < 0 else first[a] for a in second)), x)


def shuffle_nothing(x: Out, p: Params) -> Out | None:
    """x where every axis stays in its place."""
    return x if dict(p)["pattern"] == tuple(range(x.ndim)) else None


def reshape_little(x: Out, root: Out) -> Out | None:
    """A reshape that keeps the shape, or inserts and drops axes of length 1 only, without a reshape."""
    shape, target = x.type.shape, root.type.shape
    if shape == target:
        return x
    long, wanted = [i for i, d in enumerate(shape) if d.const != 1], [d for d in target if d.const != 1]
    if [shape[i] for i in long] != wanted:
        return None
    axes = iter(long)
    return some("dimshuffle", pattern(*(-1 if d.const == 1 else next(axes) for d in target)), x)


def same_shape(x: Out, root: Out) -> Out | None:
    """x where the root has its very shape."""
    return x if x.type.shape == root.type.shape else None


def sum_nothing(x: Out) -> Out:
    """A sum over no axis: like every sum of floats it begins with 0.0, so that -0.0 becomes 0.0."""
    total: Out = x + 0.0 if has_gradient(x.dtype) else x
    return total


def sum_decided(x: Out, root: Out) -> Out | None:
    """sum_to as a sum over axes, once it is known which axes it sums."""
    shape, target = x.type.shape, root.type.shape
    lead = x.ndim - root.ndim
    if any(a != b and b.const != 1 for a, b in zip(shape[lead:], target)):
        return None
    kept = tuple(i + lead for i, (a, b) in enumerate(zip(shape[lead:], target)) if a != b)
    if not kept:
        return some("sum", (("axis", tuple(range(lead))), ("keepdims", False)), x) if lead else sum_nothing(x)
    total = some("sum", (("axis", (*range(lead), *kept)), ("keepdims", True)), x)
    return some("dimshuffle", pattern(*range(lead, x.ndim)), total) if lead else total


def cast_nothing(x: Out, root: Out) -> Out | None:
    """x where it has the dtype already."""
    return x if x.dtype == root.dtype else None


def cast_twice(x: Out, p: Params, root: Out) -> Out | None:
    """One cast for two where the first loses nothing and the second means the same without it."""
    between = dict(p)["dtype"]
    if not holds(x.dtype, between) or (between.startswith("float") and root.dtype.startswith(("int", "uint"))
                                       and not x.dtype.startswith("float") and root.dtype != x.dtype):
        return None
    return x if root.dtype == x.dtype else cast(x, root.dtype)


def holds(small: str, large: str) -> bool:
    """Whether every value of one dtype is one of the other."""
    if is_complex(small) or is_complex(large) or BFLOAT in (small, large):
        return False
    if small.startswith("float"):
        return large.startswith("float") and WIDTH[small] <= WIDTH[large]
    if large.startswith(("uint", "bool")):
        return small.startswith(("uint", "bool")) and WIDTH[small] <= WIDTH[large]
    return WIDTH[small] <= WIDTH[large]


def bare(root: Out) -> Out | None:
    """An elementwise node without the broadcasts of its operands, broadcast itself where the others do not give its shape."""
    node = root.node
    stripped = [i.node.inputs[0] if i.node.op is broadcast_to else i for i in node.inputs]
    changed = [s is not i for s, i in zip(stripped, node.inputs)]
    if not any(changed):
        return None
    if _gives(stripped, root.type.shape) or all(c or _one(i) for c, i in zip(changed, node.inputs)):
        made = node.op.apply(tuple(stripped), node.params, node.sources)
        return made if _gives(stripped, made.type.shape) else None  # what has the shape of one operand alone, as an assertion
    kept = list(node.inputs)
    for i, operand in enumerate(stripped):
        trial = [*kept[:i], operand, *kept[i + 1:]]
        kept = trial if _gives(trial, root.type.shape) else kept
    found = None if all(a is b for a, b in zip(kept, node.inputs)) else node.op.apply(tuple(kept), node.params, node.sources)
    return found if found is not None and _gives(kept, found.type.shape) else None


def _gives(operands: Sequence[Out], shape: tuple[Dim, ...]) -> bool:
    return broadcast_dims([o.type.shape for o in operands]) == shape


def _one(x: Out) -> bool:
    """Whether a tensor is one constant number."""
    return x.node.op.name == "constant" and all(d.const == 1 for d in x.type.shape)


REDUCTIONS = ("prod", "max", "min", "any", "all")
SIZES = tagged("movement sizes", (
    Rule("size", lambda x, p: some("size", p, x), lambda x, p: known_size(x, p), kinds="fiub"),
))
VIEWS = tagged("movement views", (
    Rule("dimshuffle of dimshuffle", lambda x, p, q: some("dimshuffle", q, some("dimshuffle", p, x)),
         lambda x, p, q: shuffle_twice(x, p, q), kinds="fiub"),
    Rule("dimshuffle of nothing", lambda x, p: some("dimshuffle", p, x), lambda x, p: shuffle_nothing(x, p), kinds="fiub"),
    Rule("reshape of little", lambda x, p, rest: some("reshape", p, x, rest), lambda x, root: reshape_little(x, root), kinds="fiub"),
    Rule("reshape of reshape", lambda x, p, rest, more: some("reshape", p, some("reshape", p, x, rest), more),
         lambda x, more: some("reshape", (), x, *more), kinds="fiub"),
    Rule("broadcast_to of broadcast_to", lambda x, p, rest, more: some("broadcast_to", p, some("broadcast_to", p, x, rest), more),
         lambda x, more: some("broadcast_to", (), x, *more), kinds="fiub"),
    Rule("broadcast_to of nothing", lambda x, p, rest: some("broadcast_to", p, x, rest), lambda x, root: same_shape(x, root), kinds="fiub"),
    Rule("specify_shape of nothing", lambda x, p, rest: some("specify_shape", p, x, rest), lambda x, root: same_shape(x, root),
         kinds="fiub"),
))
SUMS = tagged("movement reductions", (
    Rule("sum_to decided", lambda x, p, rest: some("sum_to", p, x, rest), lambda x, root: sum_decided(x, root), kinds="fiub"),
))
CASTS = tagged("movement casts", (
    Rule("cast of nothing", lambda x, p: some("cast", p, x), lambda x, root: cast_nothing(x, root), kinds="fiub"),
    Rule("cast of cast", lambda x, p, q: some("cast", q, some("cast", p, x)), lambda x, p, root: cast_twice(x, p, root), kinds="fiub"),
))
FOLDS = tagged("movement reductions", (
    Rule("sum over no axis", lambda x, p: some("sum", p, x), lambda x: sum_nothing(x), reduces_nothing, kinds="fiub"),
    *(Rule(f"{name} over no axis", lambda x, p, name=name: some(name, p, x), lambda x: x, reduces_nothing, kinds="fiub")
      for name in REDUCTIONS),
))
CHECKS = tagged("movement checks", (
    Rule("assert of what holds", lambda x, p, c: some("assert", p, x, c), lambda x: x, always, kinds="fiub"),
))
BROADCASTS = tagged("movement broadcasts", (
    Rule("broadcast operands", None, bare, kinds="fiub", asks=("broadcast_to",)),
))
MOVEMENT: tuple[Rule, ...] = (*SIZES, *VIEWS, *SUMS, *CASTS, *FOLDS, *CHECKS, *BROADCASTS)
"""All movement rules, in the order in which they are tried."""
