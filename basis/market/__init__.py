"""Market: what was known when. Files, their defects and their gaps end here; above are aligned arrays.

May import `basis.errors`, `basis.kernel` and numpy; pyarrow only while reading.
"""

from basis.market.panel import Panel, Settlements, Stop
from basis.market.provider import DataProvider

__all__ = ["DataProvider", "Panel", "Settlements", "Stop"]
