"""What Weaviate's processes have to be told, on every node alike, for collections that samespace pins.

The one place where it is written down: `samespace weaviate config` prints it, the template `weaviate.env` is its text,
and the embedded Weaviate is started with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, indent
from typing import Final, Literal
from urllib.parse import urlsplit

from samespace.errors import RequestInvalid

from ..pinning.spec import MODULE, ROUTES, shown
from .address import EMBEDDED_VERSION

Platform = Literal["docker", "env", "kubernetes", "embedded"]
SERVER: Final = "http://encoder:8080"
_WIDTH: Final = 118


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment, and what happens without it."""

    name: str
    value: str
    reason: str


def variables(server: str = SERVER, *, cohere: bool = False) -> tuple[Variable, ...]:
    """What a pinned collection needs, wherever Weaviate runs.

    Args:
        server: HTTP address of the encoder server, as Weaviate reaches it.
        cohere: whether collections of route cohere are wanted.

    Raises:
        RequestInvalid: not such an address.
    """
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RequestInvalid(field="server", reason=f"{shown(server)!r}; expected http://HOST:PORT")
    modules = [MODULE, ROUTES["cohere"]] if cohere else [MODULE]
    found = [
        Variable(
            "ENABLE_MODULES",
            ",".join(modules),
            "The module that sends texts to the encoder server. Others may be added, separated by commas.",
        ),
        Variable(
            "TRANSFORMERS_INFERENCE_API",
            server.rstrip("/"),
            "The module does not start without an address here. Pinned collections carry their own (inferenceUrl with "
            "the space id); this one is used only by collections that have none, and the encoder server refuses those: "
            "it has no space in it. Weaviate's own readiness waits for it, so it has to answer, or refuse, at once.",
        ),
        Variable(
            "TRANSFORMERS_WAIT_FOR_STARTUP",
            "false",
            "Off: Weaviate starts while the encoder is still loading. On (the default), it gives up for good after 120 "
            "seconds.",
        ),
        Variable("DEFAULT_VECTORIZER_MODULE", "none", "New collections get no vectorizer by accident."),
        Variable(
            "AUTOSCHEMA_ENABLED",
            "false",
            "Off: a property that is not in the schema is an error, and does not silently change what is stored.",
        ),
        Variable(
            "LOWERCASE_VECTORIZATION_INPUT",
            "false",
            "Has to stay off, on every node: it lower-cases the texts of objects, but not of queries, before they are "
            "encoded.",
        ),
        Variable(
            "MODULES_VALIDATE_BASE_URL", "false", "Has to stay off: it forbids encoder servers on private addresses."
        ),
        Variable(
            "MODULES_CLIENT_TIMEOUT",
            "50s",
            "How long Weaviate waits for one vector. A query is a few milliseconds; this is for the worst of days.",
        ),
    ]
    return (*found, _COHERE_KEY) if cohere else tuple(found)


_COHERE_KEY: Final = Variable(
    "COHERE_APIKEY",
    "unused",
    "text2vec-cohere does not work without a key, and sends it to the encoder server as a bearer token: any word, or a "
    "token of that server where it wants one.",
)
_OF_A_NODE: Final = (
    Variable("PERSISTENCE_DATA_PATH", "/var/lib/weaviate", ""),
    Variable("QUERY_DEFAULTS_LIMIT", "10", ""),
    Variable("CLUSTER_HOSTNAME", "node1", ""),
    Variable(
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED",
        "true",
        "Anybody who reaches the ports may do anything, also change a schema. Only for a machine of your own: "
        "elsewhere switch this off, and let no application have the right to update collections "
        "(docs/reference/weaviate-facts.md, fact 2).",
    ),
)


def render(platform: Platform, server: str = SERVER, *, cohere: bool = False) -> str:
    """The settings, as *platform* takes them; ends with a newline.

    docker      a compose service
    env         an environment file, for `env_file` and `docker run --env-file`
    kubernetes  a ConfigMap
    embedded    Python, for weaviate-client's embedded server
    """
    wanted = variables(server, cohere=cohere)
    match platform:
        case "docker":
            return _compose((*wanted, *_OF_A_NODE))
        case "env":
            return _env_file((*wanted, *_OF_A_NODE))
        case "kubernetes":
            return _config_map(wanted)
        case "embedded":
            return _python(wanted)


def template(name: str) -> str:
    """The text of a file of `templates`; beside this package in a clone, inside it where it is installed."""
    here = Path(__file__).resolve().parents[1]
    folder = here / "templates"
    return ((folder if folder.is_dir() else here.parent / "templates") / name).read_text(encoding="utf-8")


def _comment(reason: str, depth: int = 0) -> str:
    return fill(reason, _WIDTH, initial_indent=" " * depth + "# ", subsequent_indent=" " * depth + "# ")


def _env_file(wanted: Sequence[Variable]) -> str:
    blocks = [
        "# The environment that Weaviate needs for collections pinned by samespace. "
        "Each line says what happens without it."
    ]
    for each in wanted:
        line = f"{each.name}={each.value}"
        if each.reason:
            blocks.append(f"{_comment(each.reason)}\n{line}")
        elif blocks[-1].startswith("#"):
            blocks.append(line)
        else:
            blocks[-1] += f"\n{line}"
    return "\n\n".join(blocks) + "\n"


def _mapping(wanted: Sequence[Variable], depth: int) -> str:
    lines = []
    for each in wanted:
        if each.reason:
            lines.append(_comment(each.reason, depth))
        lines.append(f"{' ' * depth}{each.name}: {json.dumps(each.value)}")
    return "\n".join(lines)


def _compose(wanted: Sequence[Variable]) -> str:
    """The service of `templates/compose.yaml`, with the environment written out."""
    service = template("compose.yaml").partition("\n  weaviate:\n")[2].partition("\nvolumes:")[0]
    service = service.replace("    env_file: weaviate.env\n", f"    environment:\n{_mapping(wanted, 6)}\n")
    head = "# Weaviate for collections pinned by samespace; for the encoder beside it see templates/compose.yaml."
    return f"{head}\nservices:\n  weaviate:\n{service.rstrip()}\n\nvolumes:\n  weaviate:\n"


def _config_map(wanted: Sequence[Variable]) -> str:
    return f"""\
# What Weaviate needs for collections pinned by samespace, on every node:
#
#   kubectl -n weaviate apply -f FILE
#   kubectl -n weaviate set env statefulset/weaviate --from=configmap/weaviate-samespace
#
# Where Weaviate's Helm chart is used, write the same names and values below `env:` of its values instead, or the next
# upgrade takes them away. The image should be {EMBEDDED_VERSION} (docs/reference/weaviate-facts.md, fact 2).
apiVersion: v1
kind: ConfigMap
metadata:
  name: weaviate-samespace
data:
{_mapping(wanted, 2)}
"""


def _python(wanted: Sequence[Variable]) -> str:
    lines = "\n".join(
        [
            line
            for each in wanted
            for line in (_comment(each.reason), f"{json.dumps(each.name)}: {json.dumps(each.value)},")
        ]
    )
    return f"""\
import weaviate

client = weaviate.connect_to_embedded(
    version="{EMBEDDED_VERSION}",
    environment_variables={{
{indent(lines, " " * 8)}
    }},
)
"""
