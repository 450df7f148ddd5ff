"""Quality of training pairs, scored by the team's own models, and which pairs are left out."""
