"""The command line of the benchmark; `python -m tests.bench --help` lists its options."""
from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import bandwidth, chart, drawn, report
from tests.bench.engines import OURS, PEERS, installed
from tests.bench.machine import machine
from tests.bench.pool import Worker, environment
from tests.bench.rounds import Plan, prepare_only, run
from tests.bench.row import Row
from tests.bench.rows import GROUPS, rows_in


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="exprgraph beside what a user could pick instead")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; 'none' for ours alone (default: %(default)s)")
    parser.add_argument("--only", default="", help="rows whose label contains one of these comma-separated words")
    parser.add_argument("--set", default="named", dest="sets", help=f"comma-separated of {', '.join(GROUPS)}, or all (default: named)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.02, help="length of a batch (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=drawn.DEFAULT_SEED, help="of the inputs and of the random rows")
    parser.add_argument("--device", help="the device of exprgraph")
    parser.add_argument("--trust", action="store_true", help="set trust_input on exprgraph's functions")
    parser.add_argument("--cold", action="store_true", help="give every compiler an empty cache, for the times of compiling")
    parser.add_argument("--warm", action="store_true", help="compile and check only, to fill the caches before a timed run")
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--chart", type=Path, help="draw the named rows there (.svg)")
    parser.add_argument("--merge", type=Path, nargs="+", help="report on these JSON files instead of running")
    parser.add_argument("--list", action="store_true", help="print the rows and stop")
    parser.add_argument("--bandwidth", action="store_true", help="compare with plain C loops at 1.6e7 elements instead")
    parser.add_argument("--verbose", action="store_true", help="show what the engines print")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[Row]:
    """The rows that the options name."""
    groups = GROUPS if options.sets == "all" else options.sets.split(",")
    return [r for g in groups for r in rows_in(g, options.seed) if any(word in r.label for word in options.only.split(","))]


def timed(options: argparse.Namespace) -> dict[str, Any]:
    """Run the rows and return everything that is known about the run."""
    wanted = [] if options.peers == "none" else options.peers.split(",")
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        raise SystemExit(f"unknown peers: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    peers = [name for name in wanted if installed(name)]
    missing = [name for name in PEERS if name not in peers]
    if missing:
        print(f"not installed or not asked: {', '.join(missing)}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="exprgraph-cold-") as folder:
        space = environment(folder if options.cold else None, options.device, options.trust)
        workers = [Worker(name, space, options.verbose) for name in (OURS, *peers)]
        try:
            how = Plan(options.rounds, options.seconds, options.seed)
            rows = (prepare_only if options.warm else run)(chosen(options), workers, how)
        finally:
            for worker in workers:
                worker.close()
    return {"date": datetime.date.today().isoformat(), "machine": machine(), "missing": missing, "rows": rows,
            "options": {name: str(value) for name, value in vars(options).items() if value}}


def main() -> None:
    """Run or merge, print the tables, and write the files asked for."""
    options = arguments()
    if options.list:
        print("\n".join(f"{r.group:7} {r.label:32} {r.workload.title}" for r in chosen(options)))
        return
    if options.bandwidth:
        print(bandwidth.report())
        return
    found = report.merged([json.loads(p.read_text()) for p in options.merge]) if options.merge else timed(options)
    print(report.markdown(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if options.chart:
        options.chart.write_text(chart.svg([r for r in found["rows"] if r["group"] == "named"] or found["rows"]))


if __name__ == "__main__":
    main()
