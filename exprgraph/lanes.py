"""Functions over batches: `vmap`, one axis of each argument; `vectorize`, any leading axes, which broadcast; the same for a graph."""
from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exprgraph import dtypes, nested
from exprgraph.batch import Lane, batched, lanes
from exprgraph.batch_rules import each
from exprgraph.dims import Dim, constant
from exprgraph.errors import CallError, DTypeError, RankError, UseError, at, here, shortly
from exprgraph.graph import depends, symbol_of
from exprgraph.named import NamedTuple
from exprgraph.node import Out, as_symbol, make_constant
from exprgraph.ops.shape import broadcast_to, declared, dim_node, dimshuffle
from exprgraph.replace import stand_in
from exprgraph.types import broadcast_dims

Function = Callable[..., Any]


class Argument(NamedTuple):
    """A tensor given to a function, and what messages call it."""
    label: str
    out: Out

    def __str__(self) -> str:
        return f"{self.label} ({self.out.name})" if self.out.name else self.label


def vmap(fn: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """The function over a batch: vmap(fn)(xs, ys) is the stack of fn(xs[i], ys[i]) for all i, computed at once, without a loop.

    fn takes and gives symbols, also in tuples, lists and dicts.  in_axes: for each argument the axis along which it is mapped, None where
    all lanes have the same; one for all, or a tuple of one for each, which may be containers like the arguments.  out_axes: where the
    results have the batch axis; None for a result that no mapped argument reaches.  Symbols and shared variables that fn captures are the
    same in every lane.  Keyword arguments are passed on as they are.

        per_example = eg.vmap(lambda x, y: eg.grad(loss(w, x, y), w))(X, Y)     # one gradient for each row

    The mapped axes must have one size: ShapeError at once, or when a call brings the sizes.  GraphError, with the line in fn, where lanes
    would have tensors of different sizes: what x[x > 0] or arange(n) with a mapped n give.
    """
    def mapped(*args: Any, **keywords: Any) -> Any:
        """The function over a batch."""
        return _mapped(fn, args, keywords, in_axes, out_axes)
    return functools.update_wrapper(mapped, fn, updated=()) if hasattr(fn, "__name__") else mapped


def _mapped(fn: Function, args: tuple[Any, ...], keywords: Mapping[str, Any], in_axes: Any, out_axes: Any) -> Any:
    for name, value in keywords.items():
        if any(isinstance(leaf, Out) for _, leaf in nested.flat(value)):
            raise UseError(f"vmap: the keyword argument {name} holds a symbol: give it by position, with its place in in_axes{at(here())}")
    axes = nested.spread(tuple(in_axes) if isinstance(in_axes, list) else in_axes, args, "vmap: in_axes")
    given = [v if axis is None or v is None else _front(where, v, axis) for (where, v), axis in zip(nested.flat(args), axes)]
    fronts = [g for g in given if isinstance(g, Argument)]
    if not fronts:
        raise UseError(f"vmap: no argument is mapped, so that nothing says how many lanes there are{at(here())}")
    size = _known([a.out.type.shape[0] for a in fronts])
    agreeing = _agreeing(fronts)
    symbols = [stand_in(x, 1) for x in agreeing]
    whole = iter(zip(agreeing, symbols))
    leaves = iter([next(whole)[1] if isinstance(g, Argument) else g for g in given])
    found = fn(*nested.each(args, lambda _: next(leaves)), **keywords)
    results = [(where, None if v is None else as_symbol(v)) for where, v in nested.flat(found)]
    lengths = dim_node(size)
    turned = iter(lanes([r for _, r in results if r is not None], {s: Lane(x, True) for s, x in zip(symbols, agreeing)}, lengths))
    places = nested.spread(out_axes, found, "vmap: out_axes")
    made = iter([None if r is None else _placed(where, next(turned), axis, lengths) for (where, r), axis in zip(results, places)])
    return nested.each(found, lambda _: next(made))


def _front(where: str, value: Any, axis: Any) -> Argument:
    """A mapped argument, its batch axis in front."""
    label = f"argument {where[1:].replace(']', '', 1)}"
    if dtypes.is_weak(value):
        raise UseError(f"vmap: {label} is the number {shortly(value)}, which has no axis to map: give it None in in_axes{at(here())}")
    out, axis = as_symbol(value), _axis("in_axes", axis, label)
    if not -out.ndim <= axis < out.ndim:
        raise RankError(f"vmap: {Argument(label, out)} has {out.ndim} axes, it cannot be mapped along axis {axis}{at(here())}")
    axis %= out.ndim
    moved = dimshuffle(out, pattern=[axis, *(i for i in range(out.ndim) if i != axis)]) if axis else out
    return Argument(f"axis {axis} of {Argument(label, out)}", Out(moved.node, moved.index, out.name))


def _axis(setting: str, value: Any, label: str) -> int:
    """An axis, any integer; UseError for anything else."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise UseError(f"vmap: {setting} has {shortly(value)} for {label}; an axis or None is needed{at(here())}")


def _known(dims: Sequence[Dim]) -> Dim:
    """The first of sizes that must agree, one that is known where there is one."""
    return next((d for d in dims if d.const is not None), dims[0])


def _agreeing(fronts: Sequence[Argument]) -> list[Out]:
    """The tensors, the first axis of each declared to have the size that all have."""
    size = _known([a.out.type.shape[0] for a in fronts])
    first = next(a for a in fronts if a.out.type.shape[0] == size)
    return [declared(a.out, {0: (size, f"vmap: {_escaped(a.label)} has {{left}} elements, {_escaped(first.label)} has {{right}}")})
            for a in fronts]


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _placed(where: str, result: Lane, axis: Any, size: Out) -> Out:
    """A result, its batch axis where it is wanted."""
    name = f"the result{where}"
    if axis is None:
        if result.mapped:
            raise UseError(f"vmap: out_axes has None for {name}, which depends on a mapped argument{at(here())}")
        return result.out
    axis = _axis("out_axes", axis, name)
    out = result.out if result.mapped else each(result.out, size)
    if not -out.ndim <= axis < out.ndim:
        raise RankError(f"vmap: {name} has {out.ndim} axes with that of the batch, which cannot be axis {axis}{at(here())}")
    order = list(range(1, out.ndim))
    order.insert(axis % out.ndim, 0)
    return dimshuffle(out, pattern=order) if axis % out.ndim else out


def vectorize_graph(outputs: Any, replace: Mapping[Any, Any]) -> Any:
    """The outputs, one or several, with tensors replaced by others that may have further axes in front, which broadcast as in NumPy.

    replace: by symbol, or by the name of an input, what takes its place.

    The results have these axes in front too, except those that depend on nothing that is replaced, which stay as they are.  A replacement
    has the dtype of what it replaces.  PyTensor's name.
    """
    listed = [as_symbol(o) for _, o in nested.flat(outputs)]
    pairs = dict[Out, Out]()
    for key, value in replace.items():
        old = symbol_of(key, listed)
        new = make_constant(value, old.dtype) if dtypes.is_weak(value) else as_symbol(value)
        if new.dtype != old.dtype:
            raise DTypeError(f"vectorize_graph: {old!r} cannot be replaced by {new!r}: the dtypes must agree{at(here())}")
        if new.ndim < old.ndim:
            raise RankError(f"vectorize_graph: {old!r} cannot be replaced by {new!r}, which has fewer axes{at(here())}")
        pairs[old] = new
    reached = depends(listed, [x.node for x in pairs])
    changed = iter(_spread([o for o in listed if o.node in reached], pairs))
    made = iter([next(changed) if o.node in reached else o for o in listed])
    return nested.each(outputs, lambda _: next(made))


def _spread(outputs: Sequence[Out], new: Mapping[Out, Out]) -> list[Out]:
    """One batch axis after the other, the first of all outermost."""
    rank = max((y.ndim - x.ndim for x, y in new.items()), default=0)
    if rank == 0:
        return [y.out for y in lanes(outputs, {x: Lane(y, False) for x, y in new.items()}, make_constant(1, "int64"))]
    wide = {x: y for x, y in new.items() if y.ndim - x.ndim == rank}
    common, = broadcast_dims([y.type.shape[:1] for y in wide.values()])
    inner, whole = dict(new), dict[Out, Out]()
    for x, y in wide.items():
        length, *rest = y.type.shape
        if length.const == 1 and common.const != 1:
            inner[x] = dimshuffle(y, pattern=list(range(1, y.ndim)))
            continue
        front = y if length == common else broadcast_to(y, *map(dim_node, (common, *rest)))
        inner[x] = stand_in(Out(front.node, front.index, y.name), 1)
        whole[inner[x]] = front
    return batched(_spread(outputs, inner), whole, dim_node(common))


class Signature(NamedTuple):
    """The core axes of the arguments and of the results, each by a name or as a number."""
    inputs: tuple[tuple[str, ...], ...]
    outputs: tuple[tuple[str, ...], ...]


def _signature(text: str) -> Signature:
    sides = re.sub(r"\s", "", text).split("->")
    one = r"\((?:\w+(?:,\w+)*)?\)"
    if len(sides) != 2 or not all(re.fullmatch(f"{one}(?:,{one})*", s) for s in sides):
        raise UseError(f'vectorize: the signature {shortly(text)} is not of the form "(n),(n,m)->(m)"{at(here())}')
    left, right = (tuple(tuple(re.findall(r"\w+", c)) for c in re.findall(r"\([^)]*\)", s)) for s in sides)
    return Signature(left, right)


def vectorize(fn: Function | None = None, signature: str | None = None) -> Function:
    """The function over any number of leading axes of its arguments, which broadcast against each other as in NumPy.

    signature: the axes that fn itself takes and gives, as in "(n),(m,n)->(m)"; axes of one name have one size.  Without it fn takes
    scalars.  Python numbers are passed to fn as they are.  Without fn, a decorator.

        norms = eg.vectorize(lambda v: eg.sqrt((v**2).sum()), signature="(n)->()")

    CallError for another number of arguments or results than the signature has, RankError where one has fewer axes.
    """
    if fn is None:
        return functools.partial(vectorize, signature=signature)
    form = None if signature is None else _signature(signature)

    def spread(*args: Any) -> Any:
        """The function over leading axes."""
        return _vectorized(fn, form, args)
    return functools.update_wrapper(spread, fn, updated=()) if hasattr(fn, "__name__") else spread


def _vectorized(fn: Function, form: Signature | None, args: tuple[Any, ...]) -> Any:
    cores = form.inputs if form else ((),) * len(args)
    if len(args) != len(cores):
        raise CallError(f"vectorize: the signature has {len(cores)} arguments, {len(args)} given{at(here())}")
    sizes: dict[str, tuple[Dim, str]] = {}
    inner, new = list[Any](), dict[Out, Out]()
    for k, (value, core) in enumerate(zip(args, cores)):
        if dtypes.is_weak(value) and not core:
            inner.append(value)
            continue
        x = _core(Argument(f"argument {k}", as_symbol(value)), core, sizes)
        inner.append(stand_in(x, x.ndim - len(core)))
        new[inner[-1]] = x
    found = fn(*inner)
    if form is not None:
        found = _checked(found, form.outputs, sizes)
    made = iter(_spread([as_symbol(v) for _, v in nested.flat(found)], new))
    return nested.each(found, lambda _: next(made))


def _core(x: Argument, core: Sequence[str], sizes: dict[str, tuple[Dim, str]]) -> Out:
    """An argument, or a result, whose last axes have the sizes that their names stand for."""
    lead = x.out.ndim - len(core)
    if lead < 0:
        raise RankError(f"vectorize: {x} has {x.out.ndim} axes, the signature ({','.join(core)}) needs {len(core)}{at(here())}")
    wanted = {}
    for k, name in enumerate(core):
        where = f"axis {lead + k} of {x}"
        if name.isdigit():
            sizes[name] = constant(int(name)), "written in the signature"
        size, other = sizes.setdefault(name, (x.out.type.shape[lead + k], where))
        wanted[lead + k] = size, f"vectorize: {name} is {{left}} as {_escaped(where)}, {{right}} as {_escaped(other)}"
    return declared(x.out, wanted)


def _checked(found: Any, cores: Sequence[Sequence[str]], sizes: dict[str, tuple[Dim, str]]) -> Any:
    """The results, if they are what the signature says."""
    results = [as_symbol(v) for _, v in nested.flat(found)]
    if len(results) != len(cores):
        raise CallError(f"vectorize: the signature has {len(cores)} results, the function gives {len(results)}{at(here())}")
    for k, (x, core) in enumerate(zip(results, cores)):
        if x.ndim != len(core):
            raise RankError(f"vectorize: result {k} has {x.ndim} axes, the signature has ({','.join(core)}) for it{at(here())}")
    made = iter([_core(Argument(f"result {k}", x), core, sizes) for k, (x, core) in enumerate(zip(results, cores))])
    return nested.each(found, lambda _: next(made))
