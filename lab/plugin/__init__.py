"""The pytest plugin: options, fixtures, verdicts, negative controls."""
