"""samespace_weaviate.access.environment and plugin_config/templates: what users copy is what the code writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from samespace.errors import RequestInvalid
from samespace_weaviate.access.address import EMBEDDED_VERSION
from samespace_weaviate.access.environment import Platform, render, variables
from samespace_weaviate.pinning.spec import MODULE

TEMPLATES = Path(__file__).resolve().parents[4] / "plugin_config" / "templates"
COMPOSE = (TEMPLATES / "compose.yaml").read_text(encoding="utf-8")


def environment() -> dict[str, str]:
    """The variables of weaviate.env."""
    lines = (TEMPLATES / "weaviate.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_environment_enables_the_module_and_changes_no_text() -> None:
    """The module of the spec is on; what would change texts or forbid the encoder's address is off."""
    variables = environment()
    assert MODULE in variables["ENABLE_MODULES"].split(",")
    assert variables["LOWERCASE_VECTORIZATION_INPUT"] == variables["MODULES_VALIDATE_BASE_URL"] == "false"
    assert variables["TRANSFORMERS_WAIT_FOR_STARTUP"] == "false"


def test_addresses_and_versions_agree() -> None:
    """The encoder's name and port are the compose service's; the image is the version that is known to keep a pin."""
    host, port = environment()["TRANSFORMERS_INFERENCE_API"].removeprefix("http://").split(":")
    assert re.search(rf"^  {host}:$", COMPOSE, re.M)
    assert f'"--http-port", "{port}"' in COMPOSE
    assert f"weaviate:{EMBEDDED_VERSION}" in COMPOSE
    assert "env_file: weaviate.env" in COMPOSE
    assert "weaviate:" + environment()["PERSISTENCE_DATA_PATH"] in COMPOSE


def test_the_environment_file_is_what_the_command_prints() -> None:
    """Each setting is written down once: `samespace weaviate config --for env` is the file."""
    assert (TEMPLATES / "weaviate.env").read_text(encoding="utf-8") == render("env")


def test_every_platform_is_told_the_same() -> None:
    """Compose, Kubernetes and the embedded server get the variables of the environment file."""
    wanted = {each.name: each.value for each in variables("http://here:1")}
    service: Any = yaml.safe_load(render("docker", "http://here:1"))["services"]["weaviate"]
    assert wanted.items() <= service["environment"].items()
    assert service["image"].endswith(EMBEDDED_VERSION)
    config_map: Any = yaml.safe_load(render("kubernetes", "http://here:1"))
    assert (config_map["kind"], config_map["data"]) == ("ConfigMap", wanted)
    python = render("embedded", "http://here:1")
    compile(python, "embedded", "exec")
    for name, value in wanted.items():
        assert f'"{name}": "{value}",' in python


def test_route_cohere_needs_its_module_and_a_key() -> None:
    """The module refuses to work without a key; any word will do where the encoder wants no token."""
    names = {each.name: each.value for each in variables(cohere=True)}
    assert names["ENABLE_MODULES"] == "text2vec-transformers,text2vec-cohere"
    assert names["COHERE_APIKEY"]
    assert "COHERE_APIKEY" not in {each.name for each in variables()}


@pytest.mark.parametrize("platform", ["docker", "env", "kubernetes", "embedded"])
def test_an_address_that_is_none_is_refused(platform: Platform) -> None:
    """It would be printed into a file that somebody uses."""
    with pytest.raises(RequestInvalid, match="HOST:PORT"):
        render(platform, "encoder:8080")
