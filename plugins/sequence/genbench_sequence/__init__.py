"""Sequence models for genbench, of texts: `rnn`, `transformer`, `seq2seq-vae` and `seqgan`."""
