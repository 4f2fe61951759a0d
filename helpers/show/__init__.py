"""What a notebook shows: pictures, tables, players and panels.

Read in this order: `plots` (figures and tables), `audio_player` (one sound), `audit_page` (what
01_data says of a folder), `fixed_batch` (how training goes), `pack_names`, `instrument_files` and
`sample_pack` (sounds to take away), `panels` (buttons and sliders; the
only module that knows ipywidgets).
"""
