"""Where and how the notebooks run; the only wing that knows Colab, papermill, torchrun and dask.

Read `folder` (the files of a run), `colab` (Google Drive), `offer_download` (a file for the
person's computer), `settings` (what a notebook may be asked for), `prepare` (what a notebook
without a run gets), `training_choice` (what 03_train may change of a run), `cell_order` (cells run
out of order), `headless` (a notebook without a browser), `make_run` (all notebooks, one after the
other), `torchrun` (training in several processes), `sweep` (many runs). Then all in one step:
`whole_run` (what the notebooks do with their defaults), `play` (a folder, some minutes, and a page
that plays) and `gradio_page` (the same for others).
"""
