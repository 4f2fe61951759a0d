"""Recordings and what becomes of them, up to the batches that networks see.

Read `drum_kit` (the built-in sounds), `known_datasets` and `archives` (downloads), `layouts` (the
files of a folder), `name_patterns`, `label_tables` and `labelling` (which file has which class),
`source_names` (what a person pasted), `sources` (all of these behind one call), `audit` (a row for
each file), `disk_space`, `cut_clips`, `recording` and `make_clips` (from files to log-mels),
`clips` (the cache of them), `dataset` (training examples), then `learn_inversion` (the way back to
sound, from the same clips).
"""
