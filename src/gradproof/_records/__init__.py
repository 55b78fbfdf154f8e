"""The frozen records that pass between rooms.

The decision behind them: rooms exchange small immutable records and never each other's objects, so that each room can
be tested with hand-made input. ``work`` holds what is asked of a problem and what comes back, ``report`` what people
keep, ``evidence`` what was measured on the way.
"""

from gradproof._records.evidence import Elements, Evidence, Points, Source, Trace
from gradproof._records.formats import BFloat16, format_of, in_format, spacing
from gradproof._records.plan import Expense, Plan
from gradproof._records.region import Box, Pattern, Region
from gradproof._records.report import (
    STATUSES,
    ChecklistItem,
    Component,
    Components,
    Difference,
    Finding,
    Origin,
    Place,
    Power,
    Report,
    TensorReport,
    Verdict,
    overall,
)
from gradproof._records.stages import Regime, StageFinding, StagesReport
from gradproof._records.work import (
    Direction,
    Estimate,
    Noise,
    Part,
    Ray,
    Samples,
    Stats,
    Tensor,
    Weighting,
)

__all__ = [
    "STATUSES",
    "BFloat16",
    "Box",
    "ChecklistItem",
    "Component",
    "Components",
    "Difference",
    "Direction",
    "Elements",
    "Estimate",
    "Evidence",
    "Expense",
    "Finding",
    "Noise",
    "Origin",
    "Part",
    "Pattern",
    "Place",
    "Plan",
    "Points",
    "Power",
    "Ray",
    "Regime",
    "Region",
    "Report",
    "Samples",
    "Source",
    "StageFinding",
    "StagesReport",
    "Stats",
    "Tensor",
    "TensorReport",
    "Trace",
    "Verdict",
    "Weighting",
    "format_of",
    "in_format",
    "overall",
    "spacing",
]
