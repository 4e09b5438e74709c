"""Which way is taken, by a clock that moves only while a way runs: a slower one never is."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samespace.artifact import open_artifact
from samespace.errors import BuildUnavailable
from samespace.runtime import Placement, load_build, openvino
from samespace.runtime.choice import candidates
from samespace.runtime.cpu import this_cpu
from samespace.runtime.load import open_session
from samespace.runtime.speeds import kept, measurement
from samespace.runtime.speeds.race import MARGIN, MOST_ROUNDS, RunWay, TimedLoad, WaySpeed, best, race, ranked, wanted

FP32 = RunWay("fp32", "onnxruntime", "fp32", 1)
FP32_OTHER = RunWay("fp32", "openvino", "fp32", 1)
BF16 = RunWay("bf16", "openvino", "bf16", 1)
INT8 = RunWay("int8", "openvino", "int8", 1)
WAYS = (FP32, FP32_OTHER, BF16, INT8)


@dataclass
class Machine:
    """Runs take what *ns* says for their way, times what the machine's mood makes of it."""

    ns: dict[RunWay, int]
    moods: Iterator[float] = field(default_factory=lambda: cycle([1.0]))
    now: int = 0
    runs: int = 0
    broken: tuple[RunWay, ...] = ()

    def now_ns(self) -> int:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += int(1e9 * seconds)

    def open_way(self, way: RunWay) -> Sequence[TimedLoad]:
        if way in self.broken:
            raise BuildUnavailable(wanted=way.build, available=(), reason="broken")

        def run() -> None:
            self.now += int(self.ns[way] * next(self.moods))
            self.runs += 1

        return [TimedLoad(run)] * 3

    def race(self, ways: Sequence[RunWay] = WAYS) -> list[WaySpeed]:
        return race(ways, self.open_way, self)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1_000_000, 50_000_000), min_size=4, max_size=4))
def test_a_slower_way_is_never_taken(times: list[int]) -> None:
    """No way that is as exact is faster than the one that is taken, and no less exact one is clearly faster."""
    ns = dict(zip(WAYS, times, strict=True))
    taken = best(Machine(ns).race()).way
    for way in WAYS:
        if way.exactness <= taken.exactness:
            assert ns[taken] <= ns[way] * 1.000001
        else:
            assert ns[taken] <= ns[way] * MARGIN * 1.000001


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1_000_000, 50_000_000), min_size=4, max_size=4), st.data())
def test_a_machine_that_slows_down_and_recovers_changes_nothing(times: list[int], data: st.DataObject) -> None:
    """What is slow for a round is slow for both, so ratios stay: the choice is that of a quiet machine."""
    quiet = best(Machine(dict(zip(WAYS, times, strict=True))).race())
    runs = data.draw(st.lists(st.sampled_from([1.0, 1.0, 3.0]), min_size=5, max_size=20))
    # A mood lasts for many runs, as other programs do.
    moods = cycle([mood for mood in runs for _ in range(400)])
    found = Machine(dict(zip(WAYS, times, strict=True)), moods=moods).race()
    busy = best(found)
    if all(each.settled for each in found) and busy.way != quiet.way:
        # Only where the two are as good as alike.
        alike = times[WAYS.index(quiet.way)] / times[WAYS.index(busy.way)]
        needed = wanted(min(quiet.way, busy.way, key=lambda way: way.exactness), busy.way)
        assert 0.8 < alike / needed < 1.25 or 0.8 < alike * needed < 1.25


def test_rounds_that_do_not_agree_win_nothing() -> None:
    """Where chance decides between two that are alike, the more exact one stays nearly always, after more rounds."""
    wins, unsettled = 0, 0
    for seed in range(40):
        draw = random.Random(seed)
        moods = (mood for _ in count() for mood in [draw.choice([1.0, 8.0])] * 3)  # another one each turn
        machine = Machine({FP32: 2_000_000, INT8: 2_000_000}, moods=moods)
        speed = machine.race([FP32, INT8])[1]
        wins += best([WaySpeed(FP32, 1.0, ()), speed]).way == INT8
        if not speed.settled:
            unsettled += 1
            assert speed.speed <= 1.0 and machine.runs > 2 * 3 * MOST_ROUNDS
    assert wins <= 2 and unsettled


@pytest.mark.parametrize(
    ("times", "way"),
    [
        ({FP32: 10, INT8: 9}, FP32),  # 1.11 times: not clearly
        ({FP32: 10, INT8: 8}, INT8),
        ({FP32: 10, FP32_OTHER: 9}, FP32_OTHER),
        ({FP32: 10, BF16: 13, INT8: 12}, FP32),  # the list of old took bf16
    ],
)
def test_less_exact_has_to_be_clearly_faster(times: dict[RunWay, int], way: RunWay) -> None:
    """One that is as exact has to be faster, one that is less exact by a margin."""
    machine = Machine({each: 1_000_000 * ms for each, ms in times.items()})
    assert best(machine.race(list(times))).way == way


def test_what_cannot_be_run_is_not_in_the_race() -> None:
    """A way that does not open is left out; the rest are ranked, the best first."""
    machine = Machine({FP32: 10_000_000, FP32_OTHER: 5_000_000, INT8: 4_000_000, BF16: 1}, broken=(BF16,))
    order = [each.way for each in ranked(machine.race())]
    assert order == [INT8, FP32_OTHER, FP32]


def test_what_there_is_no_time_for_is_measured_the_next_time() -> None:
    """A race that is cut short goes on from what is known, and ends as if it had never been cut."""
    ns = {FP32: 40_000_000, FP32_OTHER: 20_000_000, BF16: 15_000_000, INT8: 10_000_000}
    machine = Machine(ns)
    first = race(WAYS, machine.open_way, machine, until_ns=1)
    assert [each.way for each in first] == [FP32]
    second = race(WAYS[1:3], machine.open_way, machine, before=first)
    rest = race(WAYS[3:], machine.open_way, machine, before=second)
    assert best(rest).way == INT8 and best(rest).speed == pytest.approx(best(machine.race()).speed)


def test_several_runs_at_once_share_their_time() -> None:
    """Two runs that take 15 ms together are faster than two of 10 ms one after the other."""
    narrow = replace(FP32, streams=2)
    machine = Machine({FP32: 10_000_000, narrow: 15_000_000})

    def open_way(way: RunWay) -> Sequence[TimedLoad]:
        first, *_ = machine.open_way(way)
        return [TimedLoad(first.run, way.streams)]

    assert best(race([FP32, narrow], open_way, machine)).way == narrow


# -- what is kept

SPEEDS = [WaySpeed(FP32, 1.0, (1.0, 2.0, 0.5)), WaySpeed(INT8, 2.0, (0.5, 1.0, 0.25))]
HERE = {"cpu": ["one"], "cores": 2}


def test_speeds_are_kept(tmp_path: Path) -> None:
    """What was written is read again, in the same circumstances."""
    assert kept.keep(HERE, SPEEDS, home=tmp_path)
    assert kept.recall(HERE, WAYS, home=tmp_path) == SPEEDS
    assert kept.recall({"cpu": ["other"], "cores": 2}, WAYS, home=tmp_path) is None
    assert kept.recall(HERE, [FP32], home=tmp_path) is None  # speaks of a way that is not there


def _kept_file(home: Path) -> Path:
    kept.keep(HERE, SPEEDS, home=home)
    (file,) = (home / ".cache/samespace/speeds").rglob("*.json")
    return file


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: "",
        lambda data: "[]",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace("2.0", "-2.0"),
        lambda data: data.replace("2.0", "NaN"),
        lambda data: data.replace('"streams": 1', '"streams": 100000'),
        lambda data: data.replace('"cores": 2', '"cores": 4'),
        lambda data: data.replace('"settled": true', '"settled": 1'),
        lambda data: "[" * 100_000,
    ],
)
def test_a_broken_file_is_no_file(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    """Half a file, other circumstances, numbers that are none: as if nothing had been kept, and written anew."""
    file = _kept_file(tmp_path)
    file.write_text(spoil(file.read_text()))
    assert kept.recall(HERE, WAYS, home=tmp_path) is None
    assert kept.keep(HERE, SPEEDS, home=tmp_path)
    assert kept.recall(HERE, WAYS, home=tmp_path) == SPEEDS
    assert [each.name for each in file.parent.iterdir()] == [file.name]  # nothing half-written is left


def test_what_others_can_write_is_not_believed(tmp_path: Path) -> None:
    """A folder that others may write to is not read, and a home that is a file is no error."""
    file = _kept_file(tmp_path)
    file.parent.chmod(0o777)
    assert kept.recall(HERE, WAYS, home=tmp_path) is None
    assert not kept.keep(HERE, SPEEDS, home=tmp_path)
    (tmp_path / "plain").write_text("")
    assert not kept.keep(HERE, SPEEDS, home=tmp_path / "plain")


# -- on a real artifact


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_pinned_build_and_runtime_are_not_raced(cache: Path, tiny_artifact: Path) -> None:
    """Whoever names both gets both, and nothing is measured."""
    loaded = load_build(open_artifact(tiny_artifact), build="fp32", runtime="onnxruntime", kept=True)
    assert (loaded.build_name, loaded.session.runtime, loaded.measurement) == ("fp32", "onnxruntime", None)
    assert not list(cache.rglob("*.json"))


@pytest.mark.skipif(not openvino.installed(), reason="needs OpenVINO")
def test_auto_goes_by_what_was_measured(cache: Path, tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ways of a real artifact are measured, kept, and not measured again; the fastest of them is loaded."""
    artifact = open_artifact(tiny_artifact)
    real = measurement.race

    def settled(*arguments: object, **named: object) -> list[WaySpeed]:  # on a busy machine too
        return [replace(each, settled=True) for each in real(*arguments, **named)]  # type: ignore[arg-type]

    monkeypatch.setattr(measurement, "race", settled)
    first = load_build(artifact, kept=True, streams=0)
    assert first.measurement is not None and not first.measurement.kept
    again = load_build(artifact, kept=True, streams=0)
    assert again.measurement is not None and again.measurement.kept and not first.measurement.kept
    assert again.measurement.speeds == first.measurement.speeds
    taken = best(first.measurement.speeds).way
    for loaded in (first, again):
        assert (loaded.build_name, loaded.session.runtime, loaded.session.streams) == (
            taken.build, taken.runtime, taken.streams,
        )  # fmt: skip
        assert loaded.why.startswith("measured here")
    pinned = load_build(artifact, build="fp32", kept=True)
    assert pinned.build_name == "fp32"


@pytest.mark.skipif(not openvino.installed(), reason="needs OpenVINO")
def test_a_kept_speed_does_not_excuse_the_probes(cache: Path, tiny_artifact: Path) -> None:
    """Whatever a kept file praises, a build whose probes fail is not used."""
    artifact = open_artifact(tiny_artifact)
    cpu, place = this_cpu(), Placement(streams=1, longest=artifact.recipe.token_limit)
    found = [each for each in candidates(artifact.manifest, cpu=cpu) if each.build.name in ("fp32", "bf16")]
    measured = measurement.measure(
        artifact, found, place, cpu, lambda each, at: open_session(artifact, each.build, each.measured, place=at)
    )
    bf16 = [each for each in measured.speeds if each.way.precision == "bf16"]
    if not bf16:
        pytest.skip("this CPU has no bf16")
    praised = [replace(each, speed=100.0 if each in bf16 else 1.0, settled=True) for each in measured.speeds]
    ways = [each.way for each in praised]
    circumstances = measurement._circumstances(artifact, sorted(ways, key=lambda way: way.exactness), place, cpu)
    kept.keep(circumstances, praised)
    strict = [
        replace(build, measured=tuple(replace(each, bound=1e-12) for each in build.measured)) if build.name == "bf16"
        else build for build in artifact.manifest.builds
    ]  # fmt: skip
    strict_artifact = replace(artifact, manifest=replace(artifact.manifest, builds=tuple(strict)))
    loaded = load_build(strict_artifact, kept=True)
    assert loaded.build_name == "fp32" and any("bf16" in each for each in loaded.refused)


def test_the_file_says_what_it_is_for(cache: Path) -> None:
    """A person can read what was measured and where."""
    kept.keep(HERE, SPEEDS)
    (file,) = cache.rglob("*.json")
    assert json.loads(file.read_text())["circumstances"] == HERE
