"""Devices: how they are found, ranked, chosen and described, and what happens where there are none."""
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import exprgraph as eg
from exprgraph.errors import DeviceError
from runtime import device, driver, pocl
from runtime.device import choose, describe, devices, session

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def record(name, platform, kind, number):
    """A device that exists only for ranking."""
    target = choose().target._replace(name=name)
    return device.Device(f"0:{number}", name, "maker", platform, kind, target, 1 << 30, 1 << 28, None)


def test_all_devices_are_listed_once_and_best_first():
    found = devices()
    assert found and found is devices()
    assert [d.rank for d in found] == sorted(d.rank for d in found)
    assert len({d.spec for d in found}) == len(found)


@pytest.mark.parametrize("spec", ["auto", "AUTO", "", None, "pocl", "cpu", "portable"])
def test_choose_finds_a_device(spec):
    assert choose(spec) in devices()


def test_choose_by_number_and_by_name():
    for found in devices():
        assert choose(found.spec) is found
        assert choose(found.name.upper()).name == found.name


@pytest.mark.parametrize("spec, words", [
    ("pocll", ["'pocll'", "did you mean 'pocl'?", "0:0"]), ("7:3", ["'7:3'", "0:0"]), ("tpu", ["'tpu'", "float64"])])
def test_d2_an_unknown_device_is_an_error_that_lists_all(spec, words):
    with pytest.raises(DeviceError) as error:
        choose(spec)
    assert all(word in str(error.value) for word in words)


def test_quotients_are_rounded_as_numpys_where_the_compiler_has_to_be_told(monkeypatch):
    """OpenCL allows float32 quotients and roots to be off by some units unless an option is given, which not every device knows."""
    monkeypatch.setattr(driver, "cl", SimpleNamespace(device_fp_config=SimpleNamespace(CORRECTLY_ROUNDED_DIVIDE_SQRT=128)))
    told = [device._options(SimpleNamespace(**known)) for known in ({"single_fp_config": 191}, {"single_fp_config": 63}, {})]
    assert told == [("-cl-fp32-correctly-rounded-divide-sqrt",), (), ()]


def test_options_of_a_device_reach_its_compiler(monkeypatch):
    """One that spoils all kernels does so."""
    found = choose("pocl")
    asked = device.Device(**{**found.__dict__, "spec": "told", "sibling": None, "options": ("-Drestrict=nonsense",)})
    monkeypatch.setattr("runtime.function.choose", lambda spec: asked)
    x = eg.vector("x")
    with pytest.raises(DeviceError, match="could not build"):
        eg.compile([x], x * 12345.75, device="pocl")


def test_ranking_prefers_gpu_then_vendor_cpu_then_threads_and_takes_oclgrind_by_name_only(monkeypatch):
    pocl_name = "Portable Computing Language"
    made = [record("Oclgrind Simulator", "Oclgrind", "oclgrind", 0), record("basic-x", pocl_name, "cpu", 1),
            record("pthread-x", pocl_name, "cpu", 2), record("Xeon", "Intel(R) OpenCL", "cpu", 3), record("Arc", "Intel", "gpu", 4)]
    ranked = tuple(sorted(made, key=lambda d: d.rank))
    monkeypatch.setattr(device, "devices", lambda: ranked)
    assert [d.name for d in ranked] == ["Arc", "Xeon", "pthread-x", "basic-x", "Oclgrind Simulator"]
    assert (choose("auto").name, choose("cpu").name, choose("pocl").name) == ("Arc", "Xeon", "pthread-x")
    assert choose("oclgrind").name == "Oclgrind Simulator"
    monkeypatch.setattr(device, "devices", lambda: ranked[-1:])
    with pytest.raises(DeviceError):
        choose("auto")


def test_describe_is_a_table_with_a_line_per_device():
    lines = describe().splitlines()
    assert len(lines) == 1 + len(devices()) + 1 and lines[-1].startswith("numpy")
    assert lines[0].split()[:2] == ["device", "kind"]
    assert all(line.startswith(d.spec) for line, d in zip(lines[1:], devices()))


def test_pocl_threads_and_caller_share_a_context_and_know_each_other():
    threads = choose("pthread")
    caller = choose("basic")
    assert threads.sibling == caller.spec and caller.sibling is None
    assert session(threads).context is session(caller).context
    assert session(threads) is session(threads)
    assert threads.target.host_shared and threads.target.dialect in ("pocl", "pocl_avx512")


@pytest.mark.parametrize("odd, expected", [
    ({"max_compute_units": 0}, {"units": 1}), ({"local_mem_size": 0}, {"local_bytes": 16384}),
    ({"max_work_group_size": 0}, {"max_group": 64}), ({"max_parameter_size": 0}, {"argument_bytes": 1024}),
    ({"double_fp_config": 0}, {"fp64": False}), ({"local_mem_size": 1 << 40}, {"local_bytes": 1 << 20})])
def test_d15_odd_answers_of_a_device_give_safe_defaults(odd, expected):
    sane = {"max_compute_units": 4, "local_mem_size": 32768, "max_work_group_size": 256, "max_parameter_size": 1024,
            "double_fp_config": 63, "extensions": ""}
    target = device._target(SimpleNamespace(**{**sane, **odd}), "gpu", False, "odd")
    assert {k: getattr(target, k) for k in expected} == expected
    assert target.dialect == "portable" and target.schedule == "gpu" and not target.host_shared


def fresh(monkeypatch):
    monkeypatch.setattr(device, "_found", device._Found())


def test_d1_without_pyopencl_the_cure_is_named(monkeypatch):
    fresh(monkeypatch)
    monkeypatch.setattr(driver, "missing", "pyopencl cannot be imported (No module named 'pyopencl')")
    with pytest.raises(DeviceError, match="pip install pyopencl pocl-binary-distribution"):
        choose("auto")


def failing():
    raise driver.failure("clGetPlatformIDs failed: PLATFORM_NOT_FOUND_KHR")


@pytest.mark.parametrize("platforms", [failing, list])
def test_d1_without_a_platform_the_cure_is_named(monkeypatch, platforms):
    fresh(monkeypatch)
    monkeypatch.setattr(driver, "cl", SimpleNamespace(get_platforms=platforms))
    with pytest.raises(DeviceError, match="pip install pyopencl pocl-binary-distribution"):
        choose("auto")


def test_d1_a_missing_pyopencl_does_not_break_the_import():
    code = ("import sys; sys.modules['pyopencl'] = None\n"
            "from runtime.device import choose\nimport runtime.executable\n"
            "try:\n    choose()\nexcept RuntimeError as error:\n    print(error)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "pip install pyopencl" in done.stdout, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_f3_a_forked_child_gets_an_error_and_does_not_hang():
    code = ("import os\nfrom runtime.device import choose, session, check_process\nfound = choose(); session(found)\npid = os.fork()\n"
            "if pid == 0:\n    for use in (choose, lambda: session(found), check_process):\n"
            "        try:\n            use()\n        except RuntimeError as error:\n            print(str(error)[:34], flush=True)\n"
            "    os._exit(0)\nos.waitpid(pid, 0)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["this process was forked after Open"] * 3, done.stderr


def test_the_user_environment_wins():
    code = "from runtime.device import devices\nprint([d.name.split('-')[0] for d in devices() if d.pocl])"
    env = {**os.environ, "POCL_DEVICES": "basic"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, env=env)
    assert done.stdout.strip() == "['basic']", done.stderr


def test_the_cpu_level_is_one_that_compilers_know():
    assert pocl.level() in ("x86-64", "x86-64-v2", "x86-64-v3")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_after_listing_no_driver_record_names_an_unknown_cpu():
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        assert pocl._read(memory, 4096, 8) == b""  # an address that is not there is no crash
        assert [pocl._find(memory, d.handle.int_ptr) for d in devices() if d.pocl] == [None] * sum(d.pocl for d in devices())
    finally:
        os.close(memory)
