"""Which modules of a sentence-transformers folder a text passes through: modules.json, and a Router in it.

A Router has a list of modules for queries and one for documents; what stands before and after it in modules.json is
part of both, and so may be modules inside it. Only the two routes that `encode_query` and `encode_document` take by
their names are read: routes by modality, and mappings to other routes, are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...errors import ModelUnsupported
from ...text import ROLES, Role
from ..hub import read_json
from .keys import MODULES, ROUTER, ROUTER_PARAMETERS, check_keys

ROUTES: Final[Mapping[Role, str]] = {"query": "query", "passage": "document"}
"""Our roles, and the routes that sentence-transformers has for them."""

_ROUTERS: Final = ("Router", "Asym")  # its name before sentence-transformers 5
_REMEDY: Final = "samespace reads what Router.for_query_document makes: routes query and document, no mappings"


@dataclass(frozen=True, slots=True)
class ModuleEntry:
    """One module: its class by name, and the folder of its files."""

    type: str
    folder: Path

    @property
    def kind(self) -> str:
        """The class's own name, without its package."""
        return self.type.rpartition(".")[2]


def read_routes(folder: Path, source: str) -> Mapping[Role, tuple[ModuleEntry, ...]]:
    """The modules for queries and for passages, in order; the same for both where there is no Router.

    Raises:
        ModelUnsupported: a file cannot be understood, or a Router chooses in a way that roles do not.
    """
    listed = read_json(folder / "modules.json", source, kind=list)
    try:
        for module in listed:
            check_keys(module, MODULES, "modules.json", source)
        places = [int(module["idx"]) for module in listed]
        modules = [ModuleEntry(str(module["type"]), _inside(folder, module["path"], source)) for module in listed]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelUnsupported(
            model=source, reason=f"modules.json is not a list of modules: {error!r}", remedy="the folder is damaged"
        ) from error
    if places != sorted(places):
        raise ModelUnsupported(
            model=source,
            reason=f"modules.json numbers its modules (idx) {', '.join(map(str, places))}, and "
            "sentence-transformers takes them in the order of the file",
            remedy="put them into the order that was trained, in a copy of modules.json",
        )
    routers = [place for place, module in enumerate(modules) if _is_router(module)]
    if not routers:
        return dict.fromkeys(ROLES, tuple(modules))
    if len(routers) > 1:
        raise ModelUnsupported(model=source, reason=f"has {len(routers)} Routers", remedy=_REMEDY)
    place = routers[0]
    routes = _read_router(modules[place].folder, source)
    return {role: (*modules[:place], *routes[role], *modules[place + 1 :]) for role in ROLES}


def _is_router(module: ModuleEntry) -> bool:
    return module.type.startswith("sentence_transformers.") and module.kind in _ROUTERS


def _read_router(folder: Path, source: str) -> Mapping[Role, tuple[ModuleEntry, ...]]:
    named = folder / "router_config.json"
    config = read_json(named if named.exists() else folder / "config.json", source)
    check_keys(config, ROUTER, "router_config.json", source)
    check_keys(config.get("parameters") or {}, ROUTER_PARAMETERS, "router_config.json parameters", source)
    try:
        mappings: Mapping[str, Any] = config["parameters"].get("route_mappings") or {}
        routes: Mapping[str, list[str]] = config["structure"]
        if mappings:
            raise ModelUnsupported(
                model=source, reason=f"its Router maps {', '.join(sorted(mappings))} to routes", remedy=_REMEDY
            )
        if set(routes) != set(ROUTES.values()):
            raise ModelUnsupported(
                model=source, reason=f"its Router has the routes {', '.join(routes)}", remedy=_REMEDY
            )
        types = config["types"]
        return {
            role: tuple(ModuleEntry(str(types[name]), _inside(folder, name, source)) for name in routes[route])
            for role, route in ROUTES.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelUnsupported(
            model=source, reason=f"its Router's configuration is incomplete: {error!r}", remedy="the folder is damaged"
        ) from error


def _inside(folder: Path, name: str, source: str) -> Path:
    """The sub-folder *name*; one that leads out of the model's folder is refused."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise ModelUnsupported(
            model=source, reason=f"names a module outside its folder: {name}", remedy="do not trust this folder"
        )
    return folder / path
