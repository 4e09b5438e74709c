"""What this CPU can do, as far as the choice of a build and the number of threads depend on it.

Read from Linux's own files; where they are missing (macOS, Windows) nothing is known, and nothing is concluded. A
container's CPU quota counts: a runtime that starts a thread for each of the host's cores and is then allowed two of
them is throttled in the middle of its runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Multiply 8-bit numbers into 32 bits in one step. Without them, pairs of products are added in 16 bits first: slower,
# and they saturate where both factors are large, so that int8 vectors come out wrong.
_INT8: Final = ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp")
_BF16: Final = ("amx_bf16", "avx512_bf16", "bf16")
_OTHERS: Final = ("avx512f", "avx2", "asimd")
_NAMES: Final = ("vendor_id", "model name", "cpu family", "model", "stepping", "CPU implementer", "CPU part")


@dataclass(frozen=True, slots=True)
class Cpu:
    """One machine's processors, as this process may use them.

    Attributes:
        flags: what the kernel lists of the instructions that matter here, the strongest first; empty if unknown.
        cores: physical cores that this process may keep busy, quota included; at least 1.
        model: its name, family, model and stepping, as far as the kernel says them; "" if unknown.
    """

    flags: tuple[str, ...]
    cores: int
    model: str = ""

    @property
    def int8(self) -> str | None:
        """The instruction that makes int8 fast and exact, or None."""
        return next((flag for flag in self.flags if flag in _INT8), None)

    @property
    def bf16(self) -> str | None:
        """The instruction that multiplies bf16, or None."""
        return next((flag for flag in self.flags if flag in _BF16), None)

    @property
    def known(self) -> bool:
        """Whether the absence of a flag says anything."""
        return bool(self.flags)


def this_cpu(root: Path = Path("/")) -> Cpu:
    """The CPU of this machine; *root* is where /proc and /sys are looked for."""
    lines = _first_processor(root / "proc/cpuinfo")
    return Cpu(_flags(lines), _cores(root), _model(lines))


def _first_processor(file: Path) -> dict[str, str]:
    """What the kernel says of it; all have the same, or the kernel would not move processes between them."""
    lines: dict[str, str] = {}
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if not line.strip() and lines:
                    break
                name, _, value = line.partition(":")
                lines[name.strip()] = value.strip()
    except OSError:
        return {}
    return lines


def _flags(lines: Mapping[str, str]) -> tuple[str, ...]:
    found = set(lines.get("flags", lines.get("Features", "")).split())
    return tuple(flag for flag in (*_INT8, *_BF16, *_OTHERS) if flag in found)


def _model(lines: Mapping[str, str]) -> str:
    return " / ".join(lines[name] for name in _NAMES if lines.get(name))


def _cores(root: Path) -> int:
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = _physical(root / "sys/devices/system/cpu", allowed)
    quota = _quota(root / "sys/fs/cgroup")
    return max(1, cores if quota is None else min(cores, quota))


def _physical(folder: Path, allowed: Iterable[int]) -> int:
    """Two hyper-threads of a core share its multipliers, so they count once."""
    cores = set()
    for cpu in allowed:
        topology = folder / f"cpu{cpu}" / "topology"
        try:
            cores.add(tuple((topology / name).read_text().strip() for name in ("physical_package_id", "core_id")))
        except OSError:
            cores.add((str(cpu),))
    return len(cores)


def _quota(folder: Path) -> int | None:
    """Whole cores that the container may use at once, rounded up; None where nothing limits it."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]  # cgroup v2: "200000 100000", or "max 100000"
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu/cpu.cfs_quota_us").read_text()
            period = (folder / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        granted, each = int(quota), int(period)
    except ValueError:  # "max"
        return None
    return -(-granted // each) if granted > 0 and each > 0 else None


def streams_of(cores: int) -> int:
    """How many runs at once *cores* should share.

    Two cores for one run: measured on two cores (benchmarks/LOG.md), a lonely request then takes little more than
    half as long as with one core for each of two runs, and under load OpenVINO does as much, onnxruntime a tenth less.
    (Where other processes take cores away, threads of one run wait for each other, and more runs do more.) Above eight
    cores the runs share them, because each run at work has buffers of its own.
    """
    return min(4, max(1, cores // 2))
