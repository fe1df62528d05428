"""What the times mean: ratios, targets, the geometric mean, and tables in Markdown."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

from tests.bench.engines import BESIDE, OURS, PEERS
from tests.bench.rows import GROUPS

Found = dict[str, Any]
MODES = ("dropped", "kept")
SMALL_US, SMALL_LEAD_US = 20.0, 2.0  # a call that a peer makes in less than 20 us may take 2 us longer
CHEAP_FROM, CHEAP_TO, CHEAP_RATIO, PRODUCT_RATIO, MEAN_TARGET = 1e5, 1e6, 0.5, 0.95, 1.3


class Verdict(NamedTuple):
    """A row in one mode: the times in microseconds, best peer/ours, what is asked and whether it is met."""

    ours: float
    peer: str
    best: float
    target: str
    met: bool

    @property
    def ratio(self) -> float:
        """How many times as long as ours the best peer takes."""
        return self.best / self.ours


def time_of(record: Found, engine: str, mode: str, which: str = "median") -> float | None:
    """Microseconds of a call, or None where the engine was not timed."""
    found = record["engines"].get(engine, {}).get(mode)
    return None if found is None else float(found[which])


def verdict(record: Found, mode: str, which: str = "median", every: bool = False) -> Verdict | None:
    """The verdict on a row, or None where we or all peers were not timed; every: against those of BESIDE too."""
    ours = time_of(record, OURS, mode, which)
    peers = {name: t for name in PEERS if (every or name not in BESIDE) and (t := time_of(record, name, mode, which)) is not None}
    if ours is None or not peers:
        return None
    peer = min(peers, key=lambda name: peers[name])
    return Verdict(ours, peer, peers[peer], *target(record["kind"], record["elements"], ours, peers[peer]))


def target(kind: str, elements: float, ours: float, best: float) -> tuple[str, bool]:
    """What is asked of a row, and whether it is met."""
    ratio, lead = best / ours, ours - best
    cheap = kind == "cheap" and CHEAP_FROM <= elements <= CHEAP_TO
    if best < SMALL_US:
        met = lead <= SMALL_LEAD_US or (cheap and ratio >= CHEAP_RATIO)
        return f"best + {SMALL_LEAD_US:g} us" + (f" or >= {CHEAP_RATIO:g}" if cheap else ""), met
    if cheap:
        return f">= {CHEAP_RATIO:g}", ratio >= CHEAP_RATIO
    if kind == "product":
        return f">= {PRODUCT_RATIO:g}", ratio >= PRODUCT_RATIO
    return "> 1", ratio > 1


def geometric_mean(numbers: Iterable[float]) -> float:
    """The geometric mean; NaN of nothing."""
    logs = [math.log(n) for n in numbers]
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


def engines_in(records: Sequence[Found]) -> list[str]:
    """The engines that have a time or a wrong result in at least one row, ours first."""
    known = {name for r in records for name, e in r["engines"].items() if "dropped" in e or e["status"] == "wrong"}
    return [name for name in (OURS, *PEERS) if name in known]


def figure(number: float | None) -> str:
    """Three significant digits without an exponent; a dash for nothing."""
    if number is None:
        return "-"
    digits = max(0, 2 - math.floor(math.log10(number))) if number > 0 else 0
    return f"{round(number, 2 - math.floor(math.log10(number))) if number > 0 else 0:.{digits}f}"


def cell(record: Found, engine: str) -> str:
    """The time of an engine with the result dropped, or why there is none."""
    status = record["engines"].get(engine, {}).get("status", "")
    return "WRONG" if status == "wrong" else figure(time_of(record, engine, "dropped"))


def met(first: Verdict, second: Verdict) -> str:
    """In which of the two modes the target is met."""
    return {(True, True): "yes", (True, False): "dropped only", (False, True): "kept only"}.get((first.met, second.met), "NO")


def line(record: Found, engines: Sequence[str]) -> list[str]:
    """The cells of a row of the table."""
    size = " x ".join(map(str, record["size"]))
    head = [f"{record['title']}, {size}".replace("|", "\\|"), *(cell(record, name) for name in engines)]
    both = [verdict(record, mode) for mode in MODES]
    if both[0] is None or both[1] is None:
        return [*head, "", "", "", "", "", "not timed"]
    first, second = both
    return [*head, first.peer, f"{first.ratio:.2f}", f"{second.ratio:.2f}", f"{first.ours - first.best:+.1f}", first.target,
            met(first, second)]


def table(records: Sequence[Found]) -> str:
    """The rows as a Markdown table."""
    engines = engines_in(records)
    heads = ["row", *(f"{name}, us" for name in engines), "best peer", "best/ours, dropped", "kept", "ours - best, us", "target", "met"]
    lines = [heads, ["---"] * len(heads), *(line(r, engines) for r in records)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def totals(records: Sequence[Found]) -> str:
    """The mean, the rows ahead and the targets met."""
    parts = []
    for which, every, mode in product(("median", "min"), (False, True), MODES):
        verdicts = [v for r in records if (v := verdict(r, mode, which, every))]
        ahead, good = sum(v.ratio > 1 for v in verdicts), sum(v.met for v in verdicts)
        name = mode + ", shortest calls" * (which == "min") + f", with {' and '.join(BESIDE)}" * every
        parts.append(f"{name}: geometric mean of best peer/ours {geometric_mean(v.ratio for v in verdicts):.2f}, "
                     f"ahead in {ahead} of {len(verdicts)} rows, {good} targets met")
    return "\n".join(f"* {text}" for text in parts)


def untimed(records: Sequence[Found]) -> list[str]:
    """Which engines were not timed, why, and in which rows."""
    found: dict[str, list[str]] = {}
    for r in records:
        for name, e in r["engines"].items():
            if "dropped" not in e:
                found.setdefault(f"{name} {e['status']} ({e.get('why', 'not timed')})", []).append(r["row"])
    return [f"{why}: {', '.join(rows)}" for why, rows in found.items()]


def compiles(records: Sequence[Found]) -> str:
    """A Markdown table of the seconds until the first result."""
    engines = engines_in(records)
    lines = [["row", *engines], ["---"] * (1 + len(engines))]
    for r in records:
        times = [r["engines"].get(name, {}).get("compile_s") for name in engines]
        lines.append([r["row"], *("-" if t is None else f"{t:.3f}" for t in times)])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def markdown(run: Found) -> str:
    """The whole report."""
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = [f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; {versions}; {run['date']}.",
             f"Not installed or not asked: {', '.join(run['missing']) or 'none'}."]
    for group in dict.fromkeys(r["group"] for r in run["rows"]):
        records = [r for r in run["rows"] if r["group"] == group]
        goal = f" (target, by median calls: {MEAN_TARGET})" if group == "named" else ""
        parts += [f"### Rows: {group}", table(records), f"Geometric means{goal}:", totals(records),
                  "Seconds to compile and run once:", compiles(records)]
        parts += ["Not timed:\n" + "\n".join(f"* {text}" for text in untimed(records))] if untimed(records) else []
    return "\n\n".join(parts)


def merged(runs: Sequence[Found]) -> Found:
    """One run out of several: a row is taken whole from the last that has it, since times of two runs must not be mixed."""
    rows = {(r["group"], r["row"]): r for run in runs for r in run["rows"]}
    order = {name: k for k, name in enumerate(GROUPS)}
    missing = sorted(set.intersection(*(set(run["missing"]) for run in runs)))
    return {**runs[-1], "rows": sorted(rows.values(), key=lambda r: order.get(r["group"], 3)), "missing": missing}
