"""``python -m shortlist`` is the command ``shortlist``."""

import sys

from shortlist.cli.main import main

sys.exit(main())
