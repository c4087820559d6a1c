"""Drivers under test: a manifest, a build for a kernel, a deployment in a machine, events in one form."""
