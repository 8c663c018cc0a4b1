"""The small markets of the kernel's tests serve here, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "kernel"))
