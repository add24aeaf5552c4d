"""``python -m luma_widgets``."""

import sys

from .cli import main

sys.exit(main())
