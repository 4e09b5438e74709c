"""What the CPU can do, as the kernel's files say it; and what follows for builds and threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from samespace.artifact import open_artifact
from samespace.artifact.manifest import Build, Manifest, Measured
from samespace.errors import ProbesFailed
from samespace.runtime import check_probes, load_build
from samespace.runtime.choice import candidates, order
from samespace.runtime.cpu import Cpu, streams_of, this_cpu
from samespace.vectors import normalise

VNNI = Cpu(flags=("avx512_vnni", "avx512_bf16", "avx2"), cores=2)
AVX2 = Cpu(flags=("avx2",), cores=2)
UNKNOWN = Cpu(flags=(), cores=2)


def machine(root: Path, *, flags: str, cpu_max: str | None = None) -> Path:
    """A folder with the kernel's files of a machine."""
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse2\n\nprocessor\t: 1\nflags\t\t: \n")
    if cpu_max is not None:
        (root / "sys/fs/cgroup").mkdir(parents=True)
        (root / "sys/fs/cgroup/cpu.max").write_text(cpu_max)
    return root


@pytest.mark.parametrize(
    ("flags", "int8", "bf16"),
    [
        ("avx2", None, None),
        ("avx2 avx_vnni", "avx_vnni", None),
        ("avx512f avx512_vnni avx512_bf16", "avx512_vnni", "avx512_bf16"),
        ("avx512_vnni amx_tile amx_int8 amx_bf16", "amx_int8", "amx_bf16"),
    ],
)
def test_instructions_are_read(tmp_path: Path, flags: str, int8: str | None, bf16: str | None) -> None:
    """The strongest instruction for int8 and bf16 is found among the kernel's flags, or none."""
    found = this_cpu(machine(tmp_path, flags=flags))
    assert (found.int8, found.bf16, found.known) == (int8, bf16, True)


def test_an_arm_cpu_lists_features(tmp_path: Path) -> None:
    """On ARM the line is called otherwise."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd asimddp bf16\n")
    assert (this_cpu(tmp_path).int8, this_cpu(tmp_path).bf16) == ("asimddp", "bf16")


def test_without_the_kernels_files_nothing_is_known(tmp_path: Path) -> None:
    """No file says nothing about instructions, and every processor counts as a core."""
    found = this_cpu(tmp_path)
    assert not found.known and found.cores >= 1


@pytest.mark.parametrize(("cpu_max", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("garbage", None)])
def test_a_containers_quota_counts(tmp_path: Path, cpu_max: str, cores: int | None) -> None:
    """Threads beyond the quota are throttled, so they are not started; a quota that cannot be read is none."""
    everything = this_cpu(tmp_path).cores
    assert this_cpu(machine(tmp_path, flags="avx2", cpu_max=cpu_max)).cores == (cores or everything)


def test_no_quota_is_no_limit(tmp_path: Path) -> None:
    """cgroup says "max" where nothing is limited."""
    everything = this_cpu(tmp_path).cores
    assert this_cpu(machine(tmp_path, flags="avx2", cpu_max="max 100000")).cores == everything


def test_hyper_threads_of_a_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four processors that are two cores keep two threads busy."""
    for cpu in range(4):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text("0\n")
        (folder / "core_id").write_text(f"{cpu // 2}\n")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert this_cpu(tmp_path).cores == 2


def test_streams_share_the_cores() -> None:
    """Two cores share a run; more than four runs there never are."""
    assert [streams_of(cores) for cores in (1, 2, 4, 6, 8, 64)] == [1, 1, 2, 3, 4, 4]


def test_int8_comes_first_only_where_the_cpu_multiplies_it() -> None:
    """With VNNI int8 leads, without it what is exact does; of an unknown CPU the probes are the judge."""
    assert order("cpu", VNNI)[0] == ("openvino", "int8")
    assert order("cpu", AVX2)[:3] == (("openvino", "bf16"), ("openvino", "fp32"), ("onnxruntime", "fp32"))
    assert order("cpu", UNKNOWN) == order("cpu", VNNI)
    assert set(order("cpu", AVX2)) == set(order("cpu", VNNI))


def test_what_is_chosen_says_why(tiny_artifact: Path) -> None:
    """Each candidate has its reason: the instruction, its absence, or that somebody asked for it."""
    manifest = with_int8(open_artifact(tiny_artifact).manifest)
    fast, *_ = candidates(manifest, cpu=VNNI)
    assert (fast.build.name, fast.measured.runtime) == ("int8", "openvino") and "avx512_vnni" in fast.why
    exact, *others = candidates(manifest, runtime="onnxruntime", cpu=AVX2)
    assert exact.build.name == "fp32" and "no instruction for int8" in exact.why
    assert others[-1].build.name == "int8"
    (asked,) = candidates(manifest, build="int8", runtime="onnxruntime", cpu=AVX2)
    assert asked.why == "asked for"


def test_nothing_that_was_not_measured_is_a_candidate(tiny_artifact: Path) -> None:
    """A build runs only with what its manifest entry names, and int8 not on a GPU."""
    manifest = with_int8(open_artifact(tiny_artifact).manifest)
    assert candidates(manifest, build="int8", device="cuda", cpu=VNNI) == []
    assert candidates(manifest, build="int4", cpu=VNNI) == []
    assert {each.measured.precision for each in candidates(manifest, device="cuda", cpu=VNNI)} == {"fp32"}


def with_int8(manifest: Manifest) -> Manifest:
    """*manifest* with an int8 build for both runtimes, which no test here runs."""
    measured = tuple(Measured(runtime, "int8", "1", 0.01, 0.02) for runtime in ("onnxruntime", "openvino"))
    return replace(manifest, builds=(*manifest.builds, Build("int8", "model.int8.onnx", 23, measured)))


def test_int8_that_saturates_is_caught_and_named(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU without int8 instructions, probes that come out wrong are refused with the likely cause."""
    artifact = open_artifact(tiny_artifact)
    text_encoder = artifact.text_encoder()

    class Saturated:
        """A session whose products went wrong: every vector is turned a little."""

        runtime, precision, version, streams = "openvino", "int8", "1", 1

        def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
            vectors = session(ids, mask)
            vectors[:, 0] += 0.5
            return normalise(vectors)

    session = load_build(artifact, build="fp32", runtime="onnxruntime", threads=1).session
    with pytest.raises(ProbesFailed, match="no instruction for int8") as caught:
        check_probes(artifact, Saturated(), text_encoder, "int8", bound=0.02, cpu=AVX2)
    assert caught.value.worst > 0.02
    with pytest.raises(ProbesFailed) as other:
        check_probes(artifact, Saturated(), text_encoder, "int8", bound=0.02, cpu=VNNI)
    assert other.value.cause == ""
