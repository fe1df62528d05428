"""The devices for people: what `eg.devices()` and `python -m exprgraph devices` show."""
from __future__ import annotations

import sys
from collections.abc import Sequence

from exprgraph.errors import NoDeviceError
from exprgraph.hardware import DeviceInfo, brief
from runtime import verdicts
from runtime.device import Device, devices, table


def listed() -> tuple[DeviceInfo, ...]:
    """All devices, best first; none where there is no OpenCL."""
    try:
        return tuple(info(d) for d in devices())
    except NoDeviceError:
        return ()


def info(device: Device) -> DeviceInfo:
    """What a user sees of a device."""
    return DeviceInfo(device.spec, device.name, device.kind, device.memory, device.target.fp64, device.fp16,
                      f"{device.platform} {device.driver}".strip(), verdicts.recalled(device) or verdicts.UNTESTED)


def main(arguments: Sequence[str]) -> int:
    """Print them; 1 where there is none, 2 for arguments that mean nothing."""
    if arguments:
        print(f"exprgraph devices takes no arguments, not {' '.join(arguments)}", file=sys.stderr)
        return 2
    try:
        found = devices()
    except NoDeviceError as error:
        print(f"{error}\n`python -m exprgraph doctor` says more", file=sys.stderr)
        return 1
    print(table(found))
    for one in map(info, found):
        print(f"{one.spec}  driver {one.driver}; float16 arithmetic: {'yes' if one.fp16 else 'no'}; self-test: {brief(one.verdict)}")
    return 0
