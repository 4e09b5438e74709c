"""Parts of samespace that a user may not have installed, asked for with a clear answer."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from .errors import ExtraMissing


def require_extra(extra: str, *, feature: str, modules: tuple[str, ...]) -> None:
    """Raise `ExtraMissing`, with the pip line, for the first of *modules* that is not installed; imports nothing."""
    for module in modules:
        if find_spec(module) is None:
            raise ExtraMissing(feature=feature, extra=extra, module=module)


ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
"""Packages that all install the one module `onnxruntime`."""


def check_install() -> str | None:
    """What is wrong with how onnxruntime was installed, in words; None for nothing.

    Two of its packages write the same files, and the later one wins: a GPU is then left unused, or nothing loads.
    """
    found = []
    for name in ONNXRUNTIMES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    if len(found) < 2:
        return None
    remove = " ".join(each.partition(" ")[0] for each in found)
    return (
        f"onnxruntime is installed {len(found)} times ({', '.join(found)}), and they overwrite each other's files: "
        f"pip uninstall {remove}, then pip install 'samespace[gpu]' or 'samespace[cpu]'"
    )
