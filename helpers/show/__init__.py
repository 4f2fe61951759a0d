"""What a notebook shows: pictures, tables, players, panels and pads.

Read in this order: `plots` (figures and tables), `audio_player` (one sound), `audit_page` (what
01_data says of a folder), `fixed_batch` (how training goes), `panels` (buttons and sliders; the
only module that knows ipywidgets), `takes` (sounds of each class for a browser), `pads` (play them
in a notebook; the only module that knows anywidget) and `page` (play them without Python).
`pads.js` is what the browser does for both.
"""
