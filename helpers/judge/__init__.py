"""How good generated sounds are, judged by a classifier that was trained on the real recordings.

Read in this order: `classifier` (the judge), `figures` (each measure by itself), `evaluation` (all
measures of a run's sounds, beside real sounds and noise), `variety` (how widely they vary, without
a judge), `advice` (the measures in words).
"""
