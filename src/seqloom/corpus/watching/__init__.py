"""Asks sources, cheaply, whether they have something new. It fetches no corpus and changes no setting."""
