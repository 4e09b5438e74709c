"""What is wrong with training data, found before it is trained on.

from samespace.training.doctor import examine, report
from samespace.training.data.sources import load_data

diagnosis = examine(load_data("data/faq"))
Path("doctor.html").write_text(report(diagnosis))

Each check is a module with a pure function from `Material` to `Check`. The extra `train`; without torch.
"""

from ..data.written_splits import Resplit, write_splits
from .diagnosis import Check, DataFinding, Diagnosis, TextName
from .examine import Questions, examine, material_of
from .page import report, sentence
from .resplit import keep_options, resplit

__all__ = [
    "Check",
    "DataFinding",
    "Diagnosis",
    "Questions",
    "Resplit",
    "TextName",
    "examine",
    "keep_options",
    "material_of",
    "report",
    "resplit",
    "sentence",
    "write_splits",
]
