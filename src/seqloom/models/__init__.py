"""The networks. All implement `seq2seq.Seq2Seq`; `catalogue` builds, saves and loads them by name."""
