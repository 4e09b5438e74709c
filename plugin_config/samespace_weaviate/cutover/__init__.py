"""Should readers be switched from one collection to another? Answers of both side by side, and a verdict.

Import from here: `compare` (compare_collections), `verdict` (pure: Decision, decide), `words` (comparison_page).
"""
