"""`python -m isinglass`: the same as the command `isinglass`."""

import sys

from isinglass.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
