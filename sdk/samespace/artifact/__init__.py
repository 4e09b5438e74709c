"""The artifact: a folder that holds an exported encoder, named by its space id."""

from .composite import Composite
from .fingerprint import Identity
from .layout import Artifact, open_artifact, verify_files, write_artifact
from .manifest import Build, FileEntry, Manifest, Measured
from .probes import Probes, probe_texts

__all__ = [
    "Artifact", "Build", "Composite", "FileEntry", "Identity", "Manifest", "Measured", "Probes", "open_artifact",
    "probe_texts", "verify_files", "write_artifact",
]  # fmt: skip
