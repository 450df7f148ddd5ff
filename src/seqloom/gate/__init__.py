"""Whether a new version takes the champion's place: both on one test set, rule by rule. It knows no registry."""
