"""How good generated sounds are, judged by a classifier that was trained on the real recordings.

Read in this order: `picture` (what the judge sees), `network`, `grain` and `features` (what it
compares), `classifier` (the judge), `figures` (each measure by itself), `evaluation` (all measures
of a run's sounds, beside real sounds and noise), `noise` and `variety` (how widely they vary),
`compare_presets` (what each preset keeps of the recordings) and `directions` (where among the
latents a sound gets longer or brighter; these four without a judge), `faults` (what one hears at
once), `verdict` and `advice` (the measures in words).
"""
