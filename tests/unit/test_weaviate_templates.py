"""plugin_config/templates: what users copy agrees with what the code writes."""

from __future__ import annotations

import re
from pathlib import Path

from samespace_weaviate.discover import EMBEDDED_VERSION
from samespace_weaviate.spec import MODULE

TEMPLATES = Path(__file__).resolve().parents[2] / "plugin_config" / "templates"
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
