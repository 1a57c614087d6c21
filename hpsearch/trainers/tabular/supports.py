"""What the contract of trainers asks and the tabular trainer answers without torch."""

from __future__ import annotations

ASSESS = "hpsearch.trainers.tabular.assess"
KEEPS_BEST = False
SPEED = "hpsearch.trainers.tabular.speed"
missing_pretrained = None
