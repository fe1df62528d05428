"""A bar chart of best peer/ours as SVG, written without a library so that any machine can draw it."""
from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from tests.bench.report import Verdict, verdict

Found = dict[str, Any]
LINE, LEFT, WIDTH, TOP = 20, 300, 420, 56
LOW, HIGH = 0.25, 8.0


def place(ratio: float) -> float:
    """Where a ratio lies on the logarithmic axis."""
    return LEFT + WIDTH * math.log(min(HIGH, max(LOW, ratio)) / LOW) / math.log(HIGH / LOW)


def bar(y: int, record: Found, found: Verdict) -> str:
    """One row: a bar from 1 to its ratio, to the right where we are ahead."""
    title = escape(f"{record['title']}, {'x'.join(map(str, record['size']))}"[:46])
    start, end = sorted((place(1), place(found.ratio)))
    colour = "#2a7f62" if found.ratio >= 1 else "#c2703d"
    return (f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{title}</text>'
            f'<rect x="{start:.1f}" y="{y + 3}" width="{max(1.0, end - start):.1f}" height="{LINE - 7}" fill="{colour}"/>'
            f'<text x="{LEFT + WIDTH + 8}" y="{y + 13}">{found.ratio:.2f} ({escape(found.peer)})</text>')


def axis(bottom: int) -> str:
    """Lines at the powers of two."""
    ticks = [2.0**n for n in range(-2, 4)]
    return "".join(f'<line x1="{place(t):.1f}" x2="{place(t):.1f}" y1="{TOP}" y2="{bottom}" stroke="{"#444" if t == 1 else "#ddd"}"/>'
                   f'<text x="{place(t):.1f}" y="{TOP - 6}" text-anchor="middle">{t:g}</text>' for t in ticks)


def svg(records: Sequence[Found]) -> str:
    """The picture: one bar for each row that was timed, with the result dropped."""
    timed = [(r, v) for r in records if (v := verdict(r, "dropped"))]
    bottom = TOP + LINE * len(timed)
    bars = "".join(bar(TOP + LINE * i, r, v) for i, (r, v) in enumerate(timed))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 150}" height="{bottom + 12}" font-family="sans-serif" '
            f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
            f'<text x="{LEFT}" y="20">time of the best peer / time of exprgraph (right of 1: exprgraph is faster)</text>'
            f"{axis(bottom)}{bars}</svg>\n")
