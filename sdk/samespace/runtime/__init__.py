"""The one door to onnxruntime and OpenVINO: builds, devices, threads, probes at load."""

from . import openvino
from .composite import LoadedParts, each_build, load_artifact, parts_of
from .load import LoadedBuild, check_probes, load_build, open_session, probe_vectors, session_of
from .session import DEVICES, Device, Placement, Session

__all__ = [
    "DEVICES",
    "Device",
    "LoadedBuild",
    "LoadedParts",
    "Placement",
    "Session",
    "check_probes",
    "each_build",
    "load_artifact",
    "load_build",
    "open_session",
    "openvino",
    "parts_of",
    "probe_vectors",
    "session_of",
]
