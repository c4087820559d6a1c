"""Cells and scenarios: planned before anything runs, provisioned once, judged at the end."""
