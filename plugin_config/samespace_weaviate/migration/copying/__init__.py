"""Objects from one collection to another: which way, how fast, and pass by pass.

What it leaves to others: when a pass is made, and what follows (`runner`, `switch`).
"""
