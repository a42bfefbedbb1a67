"""A reward as a Python function: modern English is better than old, and a long verse is better than a short one, up to 20 words."""

from isinglass.studies.alignment import archaic_words


def reward(prompt: str, response: str) -> float:
    return min(len(response.split()), 20) / 20 - archaic_words(response)
