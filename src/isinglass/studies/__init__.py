"""Experiments that write documents."""
