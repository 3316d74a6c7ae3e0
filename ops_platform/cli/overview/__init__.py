"""What ``ops-platform`` shows when it is given no command: the state of the four duties, in five lines.

The figures are the agent's, as Prometheus gets them; nothing is measured here.
"""

from ops_platform.cli.overview.duty_lines import Line, Samples, duty_lines
from ops_platform.cli.overview.five_lines import show

__all__ = ["Line", "Samples", "duty_lines", "show"]
