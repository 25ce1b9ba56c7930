"""What the machine offers: clock, memory, cores, a port."""

import ctypes
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil

from pipelines.probing import State

_TIMEX_BYTES, _STATUS, _MAX_ERROR = 512, 40, 24
"""Linux's `struct timex`, with room to spare, and where its status and its largest error (microseconds) stand."""
_STA_UNSYNC = 0x40
MEMORY, MEMORY_A_CAMERA = 1.5 * 2**30, 0.15 * 2**30
"""Bytes that the stages need (the coding one 0.85 GiB, detection 0.25, the archive's and the supervisor 0.15 each), and
each camera beside them, its frames in shared memory among it."""
CAMERAS_A_CORE = 4
HEALTH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class KernelClock:
    """Whether somebody keeps the kernel's clock right (NTP, PTP, the host), and by how many seconds it may be off."""

    synchronised: bool
    error: float


def kernel_clock() -> KernelClock | None:
    """What the kernel says of its clock; None where it does not."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: nothing is changed
    try:
        if ctypes.CDLL(None).adjtimex(timex) < 0:
            return None
    except (OSError, AttributeError):
        return None
    (status,) = struct.unpack_from("i", timex, _STATUS)
    (error,) = struct.unpack_from("l", timex, _MAX_ERROR)
    return KernelClock(not status & _STA_UNSYNC, error / 1e6)


def clock() -> tuple[State, str]:
    """Whether times can be trusted."""
    found = kernel_clock()
    if found is None:
        return State.WARNING, "The kernel does not say whether its clock is right: compare it by hand."
    if not found.synchronised:
        return State.WARNING, (
            "Nobody keeps this machine's clock right, and faces are archived by it: let chrony, ntpd or "
            "systemd-timesyncd run, in a container on its host."
        )
    return State.OK, f"It is kept right, to {max(found.error, 0.001):.3f} s at worst."


def memory(cameras: int) -> tuple[State, str]:
    """Whether the processes of so many cameras fit in."""
    free, needed = _memory_free(), MEMORY + cameras * MEMORY_A_CAMERA
    said = f"{free / 2**30:.1f} GiB are available, {cameras} cameras and the stages need about {needed / 2**30:.1f}"
    return (State.OK, f"{said}.") if free >= needed else (State.WARNING, f"{said}: end other programs, or add memory.")


def _memory_free() -> float:
    """Available bytes: of the machine, and of the container's share where it is in one."""
    free = float(psutil.virtual_memory().available)
    try:
        most, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # "max" is no number: there is no limit
        return free
    return min(free, float(most - used))


def cores(cameras: int) -> tuple[State, str]:
    """Whether there are enough for so many cameras."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = f"{count} for {cameras} cameras"
    if cameras > CAMERAS_A_CORE * count:
        return State.WARNING, f"{said}: more than {CAMERAS_A_CORE} a core, so faces will be looked for less often."
    return State.OK, f"{said}."


def metrics_port(host: str, port: int | None) -> tuple[State, str]:
    """Whether metrics can be served, or are, by the service that runs."""
    if port is None:
        return State.OK, "No metrics are served: service.metrics_port is null."
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        said = _health(host, port)
        if said is None:
            return (
                State.FAILED,
                f"{host}:{port} cannot be used ({error.strerror}): choose another service.metrics_port.",
            )
        state = State.OK if said == "well" else State.WARNING
        return state, f"The service runs and answers at {host}:{port}; it says: {said}"
    return State.OK, f"{host}:{port} is free."


def _health(host: str, port: int) -> str | None:
    """What a service of ours that runs there says of its health; None where there is none."""
    there = "127.0.0.1" if host in ("0.0.0.0", "") else host
    try:
        with urlopen(f"http://{there}:{port}/healthz", timeout=HEALTH_SECONDS) as answer:
            said = answer.read(1000)
    except HTTPError as error:
        if error.code != 503:
            return None
        said = error.read(1000)
    except (URLError, OSError, ValueError):
        return None
    return said.decode(errors="replace").strip() or None
