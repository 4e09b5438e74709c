"""Whether a pinned provider is still the model that was pinned, asked again and again while it is used.

A provider's model can change under its name at any time, and what another model gives would be taken for vectors of the
pinned space. So nothing is given away before the probes were asked for, they are asked for again every ten minutes of
use, and a job asks once more at its end (`Encoder.confirm`). A request of many texts has a probe in it besides, so that
a model that is swapped and swapped back in between is met.

What it gives up: single texts, such as queries, that another model answers for less than ten minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from ..errors import SamespaceError, ServerUnavailable, VectorsDisagree
from .door import ProviderDoor
from .manifest import ProviderManifest
from .pin import PROBES, ProviderCheck, check_provider

DRIFTED: Final = 3
"""Exit code of every command whose provider is not the pinned one any more; failures and outages are 1."""
EVERY_S: Final = 600.0
FEW: Final = len(PROBES)
"""So few vectors are not worth asking again for all the probes when an encoder is closed."""


class ProviderDrifted(VectorsDisagree):
    """A hosted encoder gives other vectors than when it was pinned."""

    exit_code: Final = DRIFTED

    def __init__(self, *, manifest: ProviderManifest, found: ProviderCheck, doubtful: int) -> None:
        self.space, self.worst, self.bound, self.doubtful = manifest.space_id, found.worst, found.bound, doubtful
        self.first, self.second = f"{manifest.name} when it was pinned", f"{manifest.name} now"
        since = "Nothing that it gives is used. "
        if doubtful:
            texts = (
                "text that it encoded since it was last asked is"
                if doubtful == 1
                else ("texts that it encoded since it was last asked are")
            )
            since = (
                f"The vectors of {doubtful:,} {texts} not to be trusted, nor is what was written or found with them. "
            )
        SamespaceError.__init__(
            self,
            f"{manifest.name} DRIFTED: at {manifest.base_url} it is not what was pinned at {manifest.pinned_at}. It "
            f"gives {found.told(manifest)}. {since}See `samespace provider check`; if it stays so, pin it anew into "
            "another folder, and migrate the collections that it wrote",
        )


class ProviderWatch:
    """Asks a provider for its probes when it is time. For any number of threads.

    Args:
        clock: seconds.
    """

    def __init__(
        self, manifest: ProviderManifest, door: ProviderDoor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._manifest, self._door, self._clock = manifest, door, clock
        self._turn = threading.Lock()
        self._asked_at: float | None = None
        self.unconfirmed = 0
        """Texts that were encoded since the probes were asked for."""
        self.confirmations = 0
        """How often the probes were asked for, and it was the pinned model."""

    def before_use(self) -> None:
        """Ask where nobody asked yet, or not for `EVERY_S`.

        Raises:
            ProviderDrifted: it is not the pinned model.
            ServerUnavailable: it stayed away, which is no drift.
        """
        with self._turn:
            if self._asked_at is None or self._clock() - self._asked_at > EVERY_S:
                self._ask()

    def used(self, texts: int) -> None:
        """So many texts were encoded."""
        with self._turn:
            self.unconfirmed += texts

    def confirm(self, *, unless_few: bool = False) -> None:
        """Ask again, if anything was encoded since; raises as `before_use`."""
        with self._turn:
            if self.unconfirmed > (FEW if unless_few else 0):
                self._ask()

    def met_another(self, text: str, far: float) -> None:
        """A probe that went with other texts came back *far* (1 - cos) from its pinned vector: `ProviderDrifted`."""
        found = ProviderCheck(far, self._manifest.bound, (text,), self._manifest.dims, 1)
        with self._turn:
            self._asked_at = None  # whoever goes on asks first
            raise ProviderDrifted(manifest=self._manifest, found=found, doubtful=self.unconfirmed)

    def _ask(self) -> None:
        try:
            found = check_provider(self._manifest, self._door)
        except ServerUnavailable as error:
            if not self.unconfirmed:
                raise
            raise ServerUnavailable(
                address=error.address,
                reason=f"{error.reason}, so that it could not be asked whether it still is what was pinned",
                remedy=f"the vectors of the last {self.unconfirmed:,} texts are not confirmed: try again later, and "
                "run `samespace provider check` before they are used",
            ) from error
        if not found.same:
            raise ProviderDrifted(manifest=self._manifest, found=found, doubtful=self.unconfirmed)
        self._asked_at, self.unconfirmed = self._clock(), 0
        self.confirmations += 1
