"""Is the trained encoder better than its base? Scores on held-out queries, the record and the report of a training.

Import from here: `outcome` (scores with significance), `record` (versions for provenance), `report` (the HTML page).
"""
