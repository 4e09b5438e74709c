"""Servers that tests start, what attacks and measures them, and stand-ins for their parts."""
