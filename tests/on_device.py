"""A pytest plugin that lets the tests run on another device than PoCL: what they call "pocl" is then the device that the user names.

`EXPRGRAPH_TEST_DEVICE=gpu python -m pytest -p tests.on_device` names it as `device=` would.  With `EXPRGRAPH_TEST_DEVICE=rehearsal` it is
PoCL dressed as a GPU: the schedule and the dialect of one, and memory of its own.  Tests of PoCL itself are left out, and so are those
that force the schedule for CPUs.
"""
from __future__ import annotations

import dataclasses
import os
from typing import Any

import pytest

from runtime import device as devices

REHEARSAL = "rehearsal"
WANTED = os.environ.get("EXPRGRAPH_TEST_DEVICE", REHEARSAL)
OF_POCL = ("test_again", "test_bench", "test_choices", "test_crashes", "test_device", "test_device_arrays", "test_device_arrays_page",
           "test_devices_together", "test_direct_calls", "test_eight_kernels", "test_every_float32", "test_examples", "test_exchange",
           "test_failing_driver", "test_fused_products", "test_group_limits", "test_hardware", "test_imports", "test_interpret",
           "test_late_calls", "test_mathlib", "test_max_bytes", "test_memory", "test_memory_faults", "test_native", "test_no_float64",
           "test_opencl", "test_products", "test_rehearsal", "test_resident", "test_runtime", "test_runtime_faults", "test_runtime_plans",
           "test_short_rows", "test_stream_tile", "test_together", "test_vector_loops", "test_verdicts")
"""Files whose tests look at how things are done on a CPU."""
TESTS_OF_POCL = ("test_D13_exits", "test_F3_a_forked_child_says_so", "test_a_page_in_a_cycle_comes_back_with_the_collector",
                 "test_a_page_is_used_again_when_the_last_view_dies", "test_rows_of_a_table_are_copied",
                 "test_copies_whose_places_nest_deeply", "test_what_is_no_copy_stays_a_loop")
"""Tests in other files that look at that, or start a process of their own, which knows no device but those that there are."""


def _wrap_fits() -> None:
    fits = devices._fits

    def on_the_device(device: devices.Device, wanted: str) -> bool:
        if wanted == "pocl" and WANTED != REHEARSAL:
            return fits(device, WANTED)
        return fits(device, wanted)
    devices._fits = on_the_device


def _dress() -> None:
    """PoCL as a GPU: 20 units, groups of 1024, 48 KiB of local memory."""
    describe = devices._describe

    def dressed(*arguments: Any) -> devices.Device:
        found = describe(*arguments)
        target = found.target._replace(schedule="gpu", units=20, local_bytes=49152, max_group=1024, host_shared=False,
                                       dialect="portable", argument_bytes=4096, name="a GPU in rehearsal")
        return dataclasses.replace(found, sibling=None, target=target)
    devices._describe = dressed


def pytest_configure(config: pytest.Config) -> None:
    """Before any test lists the devices."""
    _wrap_fits()
    if WANTED == REHEARSAL:
        _dress()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is no test of the device."""
    out = [i for i in items if _left_out(i)]
    config.hook.pytest_deselected(items=out)
    items[:] = [i for i in items if i not in set(out)]


def _left_out(item: pytest.Item) -> bool:
    given = getattr(item, "callspec", None)
    values = list(given.params.values()) if given is not None else []
    own = item.path.stem in OF_POCL or item.name.partition("[")[0] in TESTS_OF_POCL
    return own or any(v == "cpu" for v in values if isinstance(v, str))
