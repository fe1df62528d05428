"""Patches of images as rows of a matrix, and back."""
from __future__ import annotations

from typing import Any

from exprgraph.dims import Dim, ceildiv, constant, product
from exprgraph.errors import RankError, ShapeError, UseError, at, here, shortly
from exprgraph.functions.padding import pad
from exprgraph.functions.shaping import sizes
from exprgraph.named import NamedTuple
from exprgraph.node import Out, as_symbol
from exprgraph.ops.arithmetic import mod
from exprgraph.ops.create import iota
from exprgraph.ops.index import place, take
from exprgraph.ops.shape import declared, dim_node, dimshuffle, reshape
from exprgraph.types import size_dims

MODES = ("valid", "half", "full", "ignore_borders", "wrap_centered")


class Side(NamedTuple):
    """One axis of the images: how long patches are, how far one lies from the next, and how many there are."""
    axis: int
    length: Dim
    step: Dim
    number: Dim


def _pair(name: str, value: Any) -> tuple[Dim, Dim]:
    found = size_dims(sizes(value))
    if len(found) != 2 or any(d.const is not None and d.const < 1 for d in found):
        raise ShapeError(f"images2neibs: {name} is two positive integers, not {shortly(value)}{at(here())}")
    return found[0], found[1]


def images2neibs(ten4: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid") -> Out:
    """The patches of images, one in each row: shape (images * channels * rows * columns of patches, height * width of a patch).

    ten4: images by number, channel, row and column.  neib_shape: height and width of patches; neib_step: how far one lies from the next,
    without which they lie edge to edge.  mode "valid": patches fit exactly, else ShapeError; "ignore_borders": what is left over is
    left out; "half" and "full": as "valid", with zeros around the images, half a patch or a patch less 1 wide; "wrap_centered": a patch
    of odd height and width around every step-th pixel, images going on at their other end.
    """
    out = as_symbol(ten4)
    if out.ndim != 4:
        raise RankError(f"images2neibs takes a tensor of 4 axes, not {out.ndim}{at(here())}")
    if not isinstance(mode, str) or mode not in MODES:
        raise UseError(f"images2neibs: mode must be one of {', '.join(map(repr, MODES))}, not {shortly(mode)}{at(here())}")
    lengths = _pair("neib_shape", neib_shape)
    steps = lengths if neib_step is None else _pair("neib_step", neib_step)
    if mode in ("half", "full"):
        width = [dim_node(d // 2 if mode == "half" else d - 1) for d in lengths]
        out = pad(out, [(0, 0), (0, 0), *[(w, w) for w in width]])
    sides = [_side(out.type.shape[axis], axis, d, s, mode) for axis, d, s in zip((2, 3), lengths, steps)]
    if mode in ("valid", "half", "full"):
        out = declared(out, {s.axis: ((s.number - 1) * s.step + s.length, f"images2neibs: patches of {s.length!r} every {s.step!r} do not "
                                      f"fit axis {s.axis}: they fill {{right}} of its {{left}} elements") for s in sides})
    return _rows(_taken(_taken(out, sides[1], mode), sides[0], mode))


def _side(size: Dim, axis: int, length: Dim, step: Dim, mode: str) -> Side:
    if mode != "wrap_centered":
        return Side(axis, length, step, (size - length) // step + 1)
    if length.const is not None and length.const % 2 == 0:
        raise ShapeError(f"images2neibs: patches of mode \"wrap_centered\" have odd sizes, not {length}{at(here())}")
    return Side(axis, length, step, ceildiv(size, step))


def _taken(x: Out, side: Side, mode: str) -> Out:
    """The axis replaced by two: patches, and places inside a patch."""
    starts: Any = dimshuffle(iota(dim_node(side.number)), pattern=[0, -1]) * dim_node(side.step)
    places = starts + dimshuffle(iota(dim_node(side.length)), pattern=[-1, 0])
    if mode == "wrap_centered":
        places = mod(places - dim_node(side.length // 2), dim_node(x.type.shape[side.axis]))
    return take(x, places, axis=side.axis)


def _rows(x: Out) -> Out:
    """Images, channels, rows of patches, rows in a patch, columns of patches, columns in a patch: as rows."""
    turned = dimshuffle(x, pattern=[0, 1, 2, 4, 3, 5])
    shape = turned.type.shape
    return reshape(turned, dim_node(product(shape[:4])), dim_node(product(shape[4:])))


def neibs2images(neibs: Any, neib_shape: Any, original_shape: Any, mode: str = "valid") -> Out:
    """The images that `images2neibs` made these patches of, edge to edge; with mode "ignore_borders" zeros where none lies."""
    out = as_symbol(neibs)
    lengths, shape = _pair("neib_shape", neib_shape), size_dims(sizes(original_shape))
    if mode not in ("valid", "ignore_borders"):
        raise UseError(f"neibs2images: mode must be 'valid' or 'ignore_borders', not {shortly(mode)}{at(here())}")
    if out.ndim != 2 or len(shape) != 4:
        raise RankError(f"neibs2images takes a matrix and a shape of 4 sizes, not {out.ndim} axes and {len(shape)} sizes{at(here())}")
    counts = [n // d for n, d in zip(shape[2:], lengths)]
    apart = reshape(out, *[dim_node(d) for d in (*shape[:2], *counts, *lengths)])
    whole = [n * d for n, d in zip(counts, lengths)]
    images = reshape(dimshuffle(apart, pattern=[0, 1, 2, 4, 3, 5]), *[dim_node(d) for d in (*shape[:2], *whole)])
    if mode == "ignore_borders":
        return place(images, *[dim_node(constant(n)) for n in (0, 1, 0, 1)], *[dim_node(d) for d in shape], axes=(2, 3))
    return declared(images, {k: (shape[k], f"neibs2images: patches fill {{left}} of the {{right}} elements of axis {k}") for k in (2, 3)})
