"""The one door to onnxruntime and OpenVINO: builds, providers, threads, probes at load."""

from . import openvino
from .load import LoadedBuild, check_probes, load_build, open_session, probe_vectors, session_of
from .session import Session

__all__ = [
    "LoadedBuild",
    "Session",
    "check_probes",
    "load_build",
    "open_session",
    "openvino",
    "probe_vectors",
    "session_of",
]
