"""What stands before a training: the doctor looks at the data, and errors end it."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import DataInvalid
from ..data.examples import TrainingData
from .diagnosis import Diagnosis
from .examine import Questions, examine

Show = Callable[[Diagnosis], None]


def checkup(data: TrainingData, asked: Questions, show: Show = lambda _: None) -> Diagnosis:
    """The diagnosis of *data*; *show* gets it first, whatever it says.

    Raises:
        DataInvalid: the doctor found an error.
    """
    diagnosis = examine(data, asked)
    show(diagnosis)
    errors = diagnosis.findings("error")
    if errors:
        more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
        raise DataInvalid(
            path=diagnosis.data,
            reason=f"{errors[0].says}{more} {errors[0].advice}. samespace doctor data tells more; --no-doctor (in "
            "Python doctor=False) trains all the same",
        )
    return diagnosis
