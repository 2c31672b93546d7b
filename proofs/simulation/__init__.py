"""Deterministic simulation of the production lifecycle: one seed is one run, with its faults, every time the same."""
