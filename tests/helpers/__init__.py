"""What several test folders share. Found through pytest's `pythonpath = ["tests"]`."""

from beartype import BeartypeConf, beartype

# the checker of annotations in tests; an int may stand where a float is asked for, as PEP 484 says
check_types = beartype(conf=BeartypeConf(is_pep484_tower=True))
