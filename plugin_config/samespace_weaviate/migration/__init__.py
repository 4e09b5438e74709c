"""Carries a collection to another space, without a moment in which queries fail or spaces mix.

What each module is for: `plan` (what will be done, from the schemas), `cost` (what that takes), `progress` (the state
machine), `journal` (what was done, on disk), `compare` (which objects differ), `route` and `transfer` (carry them),
`verification` (looks at what is there before and after), `runner` (drives it), `session` (a command, from plan to
end), `refusals` (what only people can decide), `moving` (the same space elsewhere, without encoding), `named_vector`
and `backfill` (the other strategy), `bridge` and `linear_map` (approximate vectors). `plan`, `cost`, `progress` and
`compare` are pure. Which Weaviate: `access.client.Store`, or any other `access.database`.
"""

from .backfill import backfill
from .copying.route import CopyPace
from .cost import Cost, EncodingTrial, estimate
from .journal import MigrationJournal
from .plan import Migration, Wanted, new_schema, plan_migration, references_from_others, sentences, target_schema
from .progress import MigrationProgress, MigrationState
from .runner import Migrator, Terms
from .verification import Verification, survey

__all__ = [
    "CopyPace", "Cost", "EncodingTrial", "Migration", "MigrationJournal", "MigrationProgress", "MigrationState",
    "Migrator", "Terms", "Verification", "Wanted", "backfill", "estimate", "new_schema", "plan_migration",
    "references_from_others", "sentences", "survey", "target_schema",
]  # fmt: skip
