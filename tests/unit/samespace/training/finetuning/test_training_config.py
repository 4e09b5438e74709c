"""The training configuration."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from samespace.errors import ConfigInvalid
from samespace.training.finetuning.config import KEYS, TrainingConfig, make_config, parse_override, read_config

NEEDED: dict[str, Any] = {"data": "d", "out": "o"}
ROOT = Path(__file__).resolve().parents[5]


def test_every_key_is_documented() -> None:
    """Each key of the configuration has its paragraph in the docstring."""
    assert TrainingConfig.__doc__ is not None
    documented = {
        name.strip()
        for line in re.findall(r"^ {4,8}([a-z_]+(?:, [a-z_]+)*): ", TrainingConfig.__doc__, re.MULTILINE)
        for name in line.split(",")
    }
    assert documented == set(KEYS)


def test_every_key_is_in_the_documentation() -> None:
    """docs/reference/training-keys.md says of each key what the docstring says."""
    page = (ROOT / "docs" / "reference" / "training-keys.md").read_text(encoding="utf-8")
    listed = page.partition("<!-- keys: begin -->")[2].partition("<!-- keys: end -->")[0]
    assert set(
        re.findall(r"`([a-z_]+)`", "".join(line.split("|")[1] for line in listed.splitlines() if "`" in line))
    ) == set(KEYS)


def test_a_file_is_read_with_paths_beside_it(tmp_path: Path) -> None:
    """Relative paths of the file are relative to it; numbers keep their type."""
    file = tmp_path / "train.toml"
    file.write_text('data = "set"\nout = "/elsewhere"\nlearning_rate = 1\nheld_out_splits = ["dev"]\n')
    config = read_config(file)
    assert config.data == tmp_path / "set"
    assert config.out == Path("/elsewhere")
    assert config.learning_rate == 1.0
    assert isinstance(config.learning_rate, float)
    assert config.held_out_splits == ("dev",)


def test_what_is_said_later_wins(tmp_path: Path) -> None:
    """Overrides beat the file, --out beats both, and their paths are relative to where one stands."""
    file = tmp_path / "train.toml"
    file.write_text('data = "set"\nout = "a"\nepochs = 1\n')
    config = read_config(file, ["epochs=3", "data=other", "out=b", "symmetric=false", "query_prompt=query: "], "c")
    assert (config.epochs, config.data, config.out, config.symmetric) == (3, Path("other"), Path("c"), False)
    assert config.query_prompt == "query: "


def test_a_mistyped_key_names_the_nearest() -> None:
    """`epoch` is answered with `epochs`, in the file and in an override."""
    with pytest.raises(ConfigInvalid, match="epoch: no such key; did you mean 'epochs'"):
        make_config(NEEDED | {"epoch": 2})
    with pytest.raises(ConfigInvalid, match="did you mean 'learning_rate'"):
        parse_override("learning_rat=1")
    with pytest.raises(ConfigInvalid, match="no such key; known: data, out"):
        make_config(NEEDED | {"zzz": 2})


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("epochs", "two", "'two' is str; expected a whole number"),
        ("epochs", 1.5, "1.5 is float; expected a whole number"),
        ("epochs", True, "True is bool; expected a whole number"),
        ("epochs", 0, "0; expected 1 to 1000"),
        ("learning_rate", True, "True is bool; expected a number"),
        ("learning_rate", 0, "0.0; expected 1e-09 to 1"),
        ("learning_rate", float("nan"), "nan; expected"),
        ("symmetric", 1, "1 is int; expected true or false"),
        ("base", 7, "7 is int; expected a string"),
        ("data", 7, "7 is int; expected a path"),
        ("held_out_splits", "dev", "'dev' is str; expected a list of strings"),
        ("precision", "bf61", "'bf61'; expected one of auto, fp32, bf16; did you mean 'bf16'"),
        ("allow_leakage", "some", "'some'; expected one of none, passages, all"),
        ("temperature", 0, "expected 0.001 to 10"),
        ("query_max_tokens", 3, r"3; expected 0 \(the base's limit\), or 8 or more"),
        ("passage_max_tokens", -1, "-1; expected 0"),
        ("train_split", "dev", "'dev' is held out"),
        ("train_split", "", "is empty"),
    ],
)
def test_a_wrong_value_is_named(key: str, value: Any, reason: str) -> None:
    """The error has the key, the value and what was expected."""
    with pytest.raises(ConfigInvalid, match=reason) as caught:
        make_config(NEEDED | {key: value})
    assert caught.value.key == key


@pytest.mark.parametrize("missing", ["data", "out"])
def test_a_missing_path_is_asked_for(missing: str) -> None:
    """Without data or out there is nothing to do."""
    with pytest.raises(ConfigInvalid, match=f"{missing}: is missing"):
        make_config({key: value for key, value in NEEDED.items() if key != missing})


def test_an_override_without_a_value_is_refused() -> None:
    """`--set epochs` says what the form is."""
    with pytest.raises(ConfigInvalid, match="expected KEY=VALUE"):
        parse_override("epochs")


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path) -> None:
    """Both are errors of ours with the file's name."""
    with pytest.raises(ConfigInvalid, match=r"none\.toml: cannot be read"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("epochs = = 1")
    with pytest.raises(ConfigInvalid, match=r"bad\.toml: is not TOML"):
        read_config(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    "file",
    [
        *sorted((ROOT / "recipes").glob("*.toml")),
        ROOT / "sdk" / "samespace" / "demo" / "quickstart.toml",
    ],
)
def test_the_shipped_files_are_valid(file: Path) -> None:
    """Every recipe is read without an error."""
    config = read_config(file, ["data=d"], "o")
    assert dataclasses.is_dataclass(config)
    assert set(config.to_json()) == set(KEYS)
