"""What a notebook shows: pictures, tables, sound cards and panels.

Read in this order: `plots` (figures and tables), `thumbnail` (a small spectrogram), `sound_cards`
(sounds to see and to click; its script and style are in files of its name), `audit_page` (what
01_data says of a folder), `fixed_batch` (how training goes), `panels` (buttons and sliders; the
only module that knows ipywidgets).
"""
