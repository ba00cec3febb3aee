"""Files and Hub data sets -> documents and articles. Imports neither torch nor transformers."""
