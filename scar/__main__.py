"""`python -m scar` is `scar`."""

import sys

from scar.cli import main

sys.exit(main())
