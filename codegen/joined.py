"""Joined kernels: several launches as one, whose work-items (on GPUs groups) are those of its parts one after the other.

The text has a function for each different kernel among the parts, and a dispatcher that finds the part of a work-item, picks its arguments
and calls the function.  So parts with equal kernels share one body, and who launches the kernel, or runs it as a job, sees one like others.
"""
from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from codegen.alike import Alike
from codegen.dialect import Dialect
from codegen.expressions import index_type
from codegen.jobs import job
from codegen.kernel import Kernel, Param, Traits
from codegen.naming import DIGITS, text_of
from codegen.opencl import body_source, parameter, pointer
from codegen.plan import About, Code, Joined, Launch
from exprgraph.dims import Dim, constant, maximum, product
from exprgraph.named import NamedTuple

INLINE = "static inline __attribute__((always_inline))"
"""A dispatcher that stands in its callers takes from memory only the arguments of the part that it finds."""


class Arguments(NamedTuple):
    """What a joined kernel takes: buffers by their names in the plan, then numbers by the text of their Dim."""
    buffers: dict[str, Param]
    numbers: dict[str, Dim]

    def names(self, part: Launch) -> list[str]:
        """The buffers of a part."""
        return [self.buffers[b].name for b in part.buffers]

    def integers(self, dims: Sequence[Dim]) -> list[str]:
        """Dims as the kernel spells them."""
        known = {text: f"n{k}" for k, text in enumerate(self.numbers)}
        return [known[d.text] if d.const is None else str(d.const) for d in dims]


def tree_of(launch: Launch) -> Kernel:
    """The kernel whose text a launch has."""
    kernel = launch.kernel.like if isinstance(launch.kernel, Alike) else launch.kernel
    assert isinstance(kernel, Kernel)
    return kernel


def count_of(launch: Launch) -> Dim:
    """The groups of a launch, or its work-items where these are no groups."""
    return product(launch.grid) // math.prod(launch.local)


def arguments(parts: Sequence[Launch]) -> Arguments:
    """The arguments of joined launches, each once; what several parts have in common they only read."""
    buffers: dict[str, Param] = {}
    for part in parts:
        for name, param in zip(part.buffers, tree_of(part).params):
            buffers.setdefault(name, param._replace(name=f"{'x' if param.access == 'r' else 'y'}{len(buffers)}"))
    numbers = {d.text: d for part in parts for d in (count_of(part), *part.grid[:-1], *part.dims) if d.const is None}
    return Arguments(buffers, numbers)


def joined(launches: Sequence[Launch]) -> Launch:
    """One launch for several that can run at once, on groups of one size."""
    first = {p.kernel.name: k for k, p in reversed(tuple(enumerate(launches)))}
    parts = tuple(sorted(launches, key=lambda p: first[p.kernel.name]))
    taken, local = arguments(parts), parts[0].local if math.prod(parts[0].local) > 1 else (1,)
    each = [(p.kernel.name, taken.names(p), taken.integers((count_of(p), *p.grid[:-1], *p.dims))) for p in parts]
    name = "k_" + hashlib.sha256(repr(each).encode()).hexdigest()[:DIGITS]
    total, work, flops, reach = (constant(0),) * 4
    for part in parts:
        total, work, flops = total + count_of(part), work + part.work, flops + part.about.flops
        reach = maximum(reach, part.about.reach)
    lines = tuple(sorted({line for p in parts for line in p.about.lines}))
    about = About(lines, flops, reach, tuple(w for p in parts for w in p.about.writes))
    return Launch(Joined(name, parts), tuple(taken.buffers), tuple(taken.numbers.values()), (total * math.prod(local),), local, work,
                  tuple(p.access for p in taken.buffers.values()), about, parts)


def code(made: Joined, spoken: Dialect) -> Code:
    """The text of a joined kernel."""
    trees = {p.kernel.name: tree_of(p) for p in made.parts}
    texts, taken = {n: text_of(t, spoken) for n, t in trees.items()}, arguments(made.parts)
    single, wide = all(traits.alone for _, traits in texts.values()), tree_of(made.parts[0]).wide
    text = _source(made, taken, texts, single and spoken.builtins == "pocl")
    integers = [index_type(tree_of(made.parts[0]))] * len(taken.numbers)
    entry = job(made.name, [pointer(p) for p in taken.buffers.values()], integers, 1) if single else ""
    inside = text if "EG_BODY" in text else ""
    return Code(made.name, text.replace("EG_BODY", "static"), inside, entry if inside else "", len(taken.buffers), False, wide,
                not single, any(traits.streamed for _, traits in texts.values()))


def _source(made: Joined, taken: Arguments, texts: Mapping[str, tuple[str, Traits]], function: bool) -> str:
    """All functions; `function`: the dispatcher is one too, for `codegen.jobs`."""
    index, local, lines = index_type(tree_of(made.parts[0])), (*made.parts[0].local, 1, 1)[:3], list[str]()
    qualifier, dispatch = "EG_BODY" if function else "static", list[str]()
    for number, (_, same) in enumerate(groupby(made.parts, lambda p: p.kernel.name)):
        parts, name = list(same), f"{made.name}_{number}"
        lines.append(body_source(tree_of(parts[0]), name, *texts[parts[0].kernel.name], qualifier).rstrip())
        dispatch += _calls(name, parts, taken, index)
    declared = [*map(parameter, taken.buffers.values()), *(f"const {index} n{k}" for k in range(len(taken.numbers)))]
    given = ", ".join([*(p.name for p in taken.buffers.values()), *(f"n{k}" for k in range(len(taken.numbers)))])
    fixed = f"__attribute__((reqd_work_group_size{local}))\n" if max(local) > 1 else ""
    head, item = f"{fixed}__kernel void {made.name}({', '.join(declared)}) {{", f"get_g{'roup' if fixed else 'lobal'}_id(0)"
    if function:
        lines.append(f"{INLINE} void {made.name}_body({', '.join([*declared, f'const {index} eg_id0'])}) {{")
        return "\n".join([*lines, f"    {index} at = eg_id0;", *dispatch, "}", f"{head} {made.name}_body({given}, {item}); }}", ""])
    return "\n".join([*lines, head, f"    {index} at = {item};", *dispatch, "}", ""])


def _calls(name: str, parts: Sequence[Launch], taken: Arguments, index: str) -> Iterator[str]:
    """The call of one function for the parts that have it: it returns where `at` is in one of them, else `at` is less their counts."""
    counts = taken.integers([count_of(p) for p in parts])
    if len(parts) == 1:
        yield f"    if (at < {counts[0]}) {{ {name}({_spelled(taken.names(parts[0]), taken, parts[0])}); return; }}"
        yield f"    at -= {counts[0]};"
        return
    rows = [(*taken.names(p), *taken.integers((*p.dims, *p.grid[:-1]))) for p in parts]
    kinds = [pointer(p) for p in tree_of(parts[0]).params]
    kinds += [f"{index} "] * (len(rows[0]) - len(kinds))
    picked = [k for k, column in enumerate(zip(*rows)) if len(set(column)) > 1]
    yield "    {"
    yield f"        {' '.join(f'{kinds[k]}p{k};' for k in picked)} int here = 1;"
    for number, row in enumerate(rows):
        at = f"(at -= {counts[number - 1]})" if number else "at"
        yield f"        {'else ' * bool(number)}if ({at} < {counts[number]}) {{ {' '.join(f'p{k} = {row[k]};' for k in picked)} }}"
    yield f"        else {{ at -= {counts[-1]}; here = 0; }}"
    given = [f"p{k}" if k in picked else text for k, text in enumerate(rows[0])]
    last = len(given) - len(parts[0].grid) + 1
    yield f"        if (here) {{ {name}({', '.join([*given[:last], *_ids(given[last:])])}); return; }}"
    yield "    }"


def _spelled(names: list[str], taken: Arguments, part: Launch) -> str:
    """The arguments of the function of a part: buffers, Dims and the ids of a work-item."""
    return ", ".join([*names, *taken.integers(part.dims), *_ids(taken.integers(part.grid[:-1]))])


def _ids(widths: Sequence[str]) -> list[str]:
    """The ids of work-item `at` of a grid whose axes but the last have these widths."""
    found, rest = [], "at"
    for width in widths:
        found.append(f"{rest} % {width}")
        rest = f"{rest} / {width}"
    return [*found, rest]
