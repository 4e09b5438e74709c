"""Training without a configuration: what the data decide, and that what is told was not chosen on."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from click.testing import CliRunner  # noqa: E402 - after the skip

from fakes.models.encoders import save_tiny_cross_encoder  # noqa: E402
from samespace.cli import cli  # noqa: E402
from samespace.errors import DataInvalid, TrainingFailed  # noqa: E402
from samespace.training.choosing.choice import choose_keys  # noqa: E402
from samespace.training.choosing.search import RATES, SHARES, Room, affordable  # noqa: E402
from samespace.training.choosing.splits import with_splits  # noqa: E402
from samespace.training.choosing.traits import Traits, template_share, traits_of  # noqa: E402
from samespace.training.data.sources import load_data  # noqa: E402

PLAIN = Traits(3000, 2900, 2900, 3000, False, 0.02, 0.01, 18, 90)


def pairs(file: Path, count: int, seed: int = 1) -> Path:
    """Pairs whose query is some words of its passage."""
    random, letters = Random(seed), "abcdefghijklmnop"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        for _ in range(count):
            words = ["".join(random.choices(letters, k=5)) for _ in range(9)]
            stream.write(json.dumps({"query": " ".join(random.sample(words, 3)), "passage": " ".join(words)}) + "\n")
    return file


def keys(traits: Traits, limit: int = 256) -> dict[str, object]:
    return {each.key: each.value for each in choose_keys(traits, limit)}


def test_size_lengths_and_templates_decide() -> None:
    """Small sets have small batches and several epochs; templates are masked by equality; limits hold."""
    assert keys(PLAIN) == {
        "batch_size": 64, "epochs": 1, "query_max_tokens": 32, "passage_max_tokens": 96, "drop_leaks": True,
        "mask": "near", "symmetric": True,
    }  # fmt: skip
    hundred = Traits(100, 100, 100, 100, False, 0.0, 0.0, 80, 600)
    small = {"batch_size": 12, "epochs": 3, "query_max_tokens": 64, "passage_max_tokens": 128}
    assert keys(hundred).items() >= small.items()
    assert keys(hundred, 32)["passage_max_tokens"] == 32
    assert keys(Traits(3000, 2900, 700, 700, False, 0.6, 0.2, 18, 90))["mask"] == "equal"
    assert keys(Traits(3000, 2900, 700, 700, False, 0.0, 0.2, 18, 90))["symmetric"] is False
    assert keys(Traits(3000, 2900, 700, 700, True, 0.0, 0.2, 18, 90))["loss"] == "cosine_mse"
    assert all(each.why for each in choose_keys(PLAIN, 256))


def test_templates_are_frames_around_names() -> None:
    """What is asked of every disease is a template; questions that share only small words are none."""
    random = Random(2)
    names = ["".join(random.choices("abcdefgh", k=7)) for _ in range(200)]
    framed = [f"What are the symptoms of {name}?" for name in names]
    assert template_share(framed) == 1
    assert template_share([f"{name} {names[-row]} {names[row // 2]}" for row, name in enumerate(names)]) == 0
    assert template_share([*framed[:100], *(f"{name} {name[::-1]}" for name in names[:100])]) == pytest.approx(0.5)


def test_a_set_without_parts_is_divided(tmp_path: Path) -> None:
    """dev and test come out of train, and share no text with it; a set that has all stays where it is."""
    source = pairs(tmp_path / "set" / "train.jsonl", 100).parent
    divided, told = with_splits(source, tmp_path / "divided")
    splits = load_data(divided).splits
    assert "dev and test" in told and set(splits) == {"train", "dev", "test"}
    assert sum(map(len, splits.values())) == 100
    assert not set(splits["train"].queries) & {*splits["dev"].queries, *splits["test"].queries}
    assert with_splits(divided, tmp_path / "again") == (divided, "")
    with pytest.raises(DataInvalid, match="20 queries to train on"):
        with_splits(pairs(tmp_path / "few" / "train.jsonl", 20).parent, tmp_path / "no")


def test_traits_are_counted(tmp_path: Path) -> None:
    """Distinct texts, near-duplicates and lengths of the training part."""
    file = pairs(tmp_path / "set" / "train.jsonl", 60)
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text(
        "\n".join([*lines, *(line.replace('"passage": "', '"passage": "a ') for line in lines[:30])]) + "\n"
    )
    data = load_data(file.parent)
    found = traits_of(data, data.splits["train"])
    assert (found.pairs, found.queries, found.passages) == (90, 60, 90)
    assert found.copies == pytest.approx(2 * 30 / 90, abs=0.1)


def test_a_hundred_pairs_are_trained_without_a_configuration(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Each choice is printed with its reason; dev chose, so that only the test part has a p-value."""
    source = pairs(tmp_path / "set" / "train.jsonl", 120).parent
    rate = ["--set", "learning_rate=0.003"]  # a random encoder learns nothing at the rates of trained ones
    settings = ["--set", f"base={tiny_checkpoint}", "--set", "precision=fp32", "--budget", "10m", "--no-doctor"]
    found = CliRunner().invoke(cli, ["train", str(source), "--out", str(tmp_path / "out"), *settings, *rate])
    assert found.exit_code == 0, (found.output, found.exception)
    told = " ".join(found.output.split())
    for said in (
        "batch_size = 9: 78 pairs", "epochs = 3", "learning_rate = 0.003", "blend = ", "untouched", "keep = 'best'",
        "ema = ", "seeds = 3", "temperature = 0.02: development nDCG@10", "mask = 'equal': development", "kept: ",
    ):  # fmt: skip
        assert said in told
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert [each["rate"] for each in record["rate_probe"]["trials"]] == [0.003]
    kept = record["kept"]
    assert len(kept["runs"]) == 3 and kept["score"] >= max(kept["runs"])
    assert record["data"]["folder"] == "set" and set(record["scores"]) == {"dev", "test"}
    rows = {line.split()[0] + line.split()[1]: line.split()[-1] for line in found.output.splitlines() if ": " in line}
    assert rows["dev:base"] == "chose" and 0 < float(rows["test:base"]) <= 1


def test_nothing_better_than_the_base_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A rate that changes nothing helps nowhere: that is said, and nothing is written."""
    source = pairs(tmp_path / "set" / "train.jsonl", 120).parent
    settings = ["--set", f"base={tiny_checkpoint}", "--set", "precision=fp32", "--set", "learning_rate=1e-9"]
    found = CliRunner().invoke(cli, ["train", str(source), "--out", str(tmp_path / "out"), *settings, "--no-doctor"])
    assert isinstance(found.exception, TrainingFailed) and "keep the base" in str(found.exception)
    assert not (tmp_path / "out").exists()


def test_what_is_set_is_not_chosen(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Keys that are given stay as they are, and are not tried: blend, max_steps, temperature, keep and all."""
    source = pairs(tmp_path / "set" / "train.jsonl", 120).parent
    given = {
        "base": str(tiny_checkpoint), "precision": "fp32", "learning_rate": 0.003, "blend": 0.9, "max_steps": 7,
        "temperature": 0.07, "mask": "none", "mine": "none", "keep": "last", "ema": 0.0, "seeds": 1,
    }  # fmt: skip
    settings = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    found = CliRunner().invoke(cli, ["train", str(source), "--out", str(tmp_path / "out"), *settings, "--no-doctor"])
    assert found.exit_code == 0, (found.output, found.exception)
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert {key: record["config"][key] for key in given} == given
    assert record["steps"] == 7 and record["kept"] is None
    assert "temperature = 0.02" not in found.output and "blend 0.5" not in found.output


def test_a_small_budget_buys_fewer_trials() -> None:
    """Nine looks and eighteen steps were made whatever they cost: 220 s of a budget of 158."""
    assert affordable(RATES, SHARES, 450.0, 20.0, 3.0) == (RATES[0], SHARES[0])
    for room in (52.0, 79.0, 86.0, 120.0, 200.0):
        rates, shares = affordable(RATES, SHARES, room, 20.0, 3.0) or ((), ())
        assert rates and len(rates) * (20.0 + len(shares) * 3.0) <= room
    assert affordable(RATES, SHARES, 50.0, 20.0, 3.0) is None
    assert affordable(((1e-3,),), ((0.9,),), 24.0, 20.0, 3.0) == ((1e-3,), (0.9,))


def test_a_small_budget_makes_small_looks(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The pool of a look follows the budget; where a run takes all of it, nothing is tried before.

    Trials and a run that was broken off did worse than the plain script in the same time: -.7 points on stackfaq.
    """
    source = pairs(tmp_path / "set" / "train.jsonl", 900).parent
    settings = ["--set", f"base={tiny_checkpoint}", "--set", "precision=fp32", "--budget", "1s", "--no-doctor"]
    calm = ["--set", "on_collapse=warn"]  # a random encoder learns nothing at such rates
    found = CliRunner().invoke(cli, ["train", str(source), "--out", str(tmp_path / "out"), *settings, *calm])
    assert found.exit_code == 0, (found.output, found.exception)
    told = " ".join(found.output.split())
    assert "look_passages = 300: a look at" in told
    assert "learning_rate = 3e-05, blend = 1: the budget has no room for trials beside the run" in told
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["config"]["look_passages"] == 300


def test_a_run_fits_into_what_is_left() -> None:
    """Steps, looks and seeds together cost no more than is left, but for the few steps that are made in any case."""
    for left in (30.0, 120, 600, 7200):
        for step, look in ((0.2, 1.0), (1.5, 12.0), (0.01, 0.2)):
            room = Room(left, step, look)
            steps = room.steps(400)
            seeds = room.seeds(steps)
            assert steps == 6 or seeds * room.run_s(steps) <= left
            assert 1 <= room.looks(steps) <= 8 and 1 <= seeds <= 3
    assert Room(7200, 0.2, 1.0).seeds(24) == 3 and Room(10, 0.2, 1.0).seeds(24) == 1
    assert Room(1, 1.0, 1.0).steps(3) == 3


def test_a_teacher_is_one_option(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """--teacher learns the order of mined candidates; its loss on the fixed sample has something to learn from."""
    source = pairs(tmp_path / "set" / "train.jsonl", 120).parent
    teacher = save_tiny_cross_encoder(tmp_path / "cross", seed=3)
    toml = tmp_path / "c.toml"
    toml.write_text(
        f'data = "{source}"\nbase = "{tiny_checkpoint}"\nprecision = "fp32"\nmax_steps = 4\nlearning_rate = 0.003\n'
        'score_splits = []\ncheckpoint_every = 0\non_collapse = "warn"\n'
    )
    runner = CliRunner(env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    out = tmp_path / "out"
    found = runner.invoke(cli, ["train", str(toml), "--out", str(out), "--no-doctor", "--teacher", str(teacher)])
    assert found.exit_code == 0, (found.output, found.exception)
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert (record["config"]["loss"], record["config"]["negatives"]) == ("listwise", 7)
    looks = record["sentinel"]["train"]
    assert looks[0]["loss"] > 0 and looks[0]["trivial"] > 0
    assert len(list((tmp_path / "cache" / "samespace" / "teacher").iterdir())) == 1


def test_data_needs_a_target(tmp_path: Path) -> None:
    """Without a configuration the folder is named on the command line."""
    source = pairs(tmp_path / "set" / "train.jsonl", 60).parent
    found = CliRunner().invoke(cli, ["train", str(source)])
    assert found.exit_code == 2 and "--out" in found.output
