"""Dims as people read them: in terms of the shapes and values of the inputs."""
from __future__ import annotations

from exprgraph.dims import Call, Dim, Size, Stride


def readable(dim: Dim) -> str:
    """A Dim in terms of the shapes and values of the inputs."""
    parts = []
    for monomial, coefficient in dim.terms:
        factors = [str(coefficient)] * (coefficient != 1 or not monomial) + [_atom(a) for a in monomial]
        parts.append(" * ".join(factors))
    return " + ".join(parts) or "0"


def _atom(atom: object) -> str:
    if isinstance(atom, Call):
        return f"{atom.kind}({readable(atom.left)}, {readable(atom.right)})"
    name = getattr(atom, "source").name or "input"  # noqa: B009  (every leaf atom has a source)
    if isinstance(atom, Size):
        return f"{name}.shape[{atom.axis}]"
    return f"{name}.strides[{atom.axis}]" if isinstance(atom, Stride) else str(name)
