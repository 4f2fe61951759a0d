"""What a notebook shows: pictures, tables, sound cards, panels, pads and packs.

Read in this order: `plots` (figures and tables), `thumbnail` (a small spectrogram), `sound_cards`
(sounds to see and to click; its script and style are in files of its name), `audit_page` (what
01_data says of a folder), `fixed_batch` (how training goes), `verdict_table` (how good the sounds
are), `panels` (buttons and sliders; the only module that knows ipywidgets). Then what one plays and
takes away: `takes` (sounds of each class for a browser), `pads` (play them in a notebook), `page`
(play them without Python; `pads.js` is what the browser does for both), `steer` (go from sound to
sound by hand; with `pads` the only module that knows anywidget; `steer.js`), `widget_script` (puts
`widget_parts.js` before both scripts), `pack_names`, `instrument_files` and `sample_pack` (files
for a sampler).
"""
