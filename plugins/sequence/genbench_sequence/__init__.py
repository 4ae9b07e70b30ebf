"""Sequence models of texts for genbench: `rnn`, `transformer`, `seq2seq-vae` and `seqgan`."""
