"""The calendar: the recurring duties of an operations team, when each was done last, and when it is due.

Most are done by schedules, and what these leave in the ops database is the evidence; the others somebody does
and says so. Not here: the schedules themselves (``defs``), and whether what was found is good, which is told
by each duty's own alerts.
"""

from ops_platform.housekeeping.calendar.acknowledgement import acknowledge
from ops_platform.housekeeping.calendar.calendar_file import CalendarFile, load_calendar
from ops_platform.housekeeping.calendar.definition import BY_HAND, PERIODS, Calendar, Definition
from ops_platform.housekeeping.calendar.performance import record_performed
from ops_platform.housekeeping.calendar.standing import Standing, standings

__all__ = [
    "BY_HAND",
    "PERIODS",
    "Calendar",
    "CalendarFile",
    "Definition",
    "Standing",
    "acknowledge",
    "load_calendar",
    "record_performed",
    "standings",
]
