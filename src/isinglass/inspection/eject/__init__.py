"""Eject: a model as one readable Python file that needs torch alone.

What varies between models is our own source, cut out and filled in; what holds the parts together is written here for the reader.
"""

from isinglass.inspection.eject.file import eject

__all__ = ["eject"]
