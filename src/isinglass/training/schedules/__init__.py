"""Schedules: how the learning rate moves over a run; one file per shape."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.training.schedule:Schedule")
