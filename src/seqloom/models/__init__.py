"""The networks, behind one contract (`seq2seq.py`) and one dict of names (`catalogue.py`). Knows no training."""
