"""Errors, configuration, variants, events: what every layer stands on. No torch here."""
