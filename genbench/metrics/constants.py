"""The constants of the metrics, which are parameters of their recipes. Imports no torch."""

# A function's default and its recipe's parameter share one name, so they cannot differ.
INFINITY_SIZES = 15
INFINITY_SMALLEST_SHARE = 0.5
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000
SCORE_SPLITS = 10
MANIFOLD_K = 3
BALL_K = 5
COPYING_CELLS = 3
COPYING_LEAST = 20
GAP_PARTS = 2
GAP_HALVINGS = 4
FLOOR_SUBSETS = 32
CLASS_LEAST = 20
COVERED_SHARE = 0.1
UNIFORM_SHARE = 0.001
CAS_STEPS = 300
CAS_BATCH = 128
CAS_SIDE = 32
# Metrics whose cost grows with the pixels use fewer large images: as many as hold VALUES values, but at least LEAST.
DIVERSITY_PAIRS = 500
DIVERSITY_VALUES, DIVERSITY_LEAST = 2**21, 32
LEVEL_VALUES = 2**28
SPECTRUM_VALUES, SPECTRUM_LEAST = 2**21, 16
SIMILARITY_VALUES, SIMILARITY_LEAST = 2**20, 20
REAL_TEST = "one half of the held-out images against the other"
# For texts. ORACLE_CHAIN_SHARE: weight of a chain of symbols in the oracle, so that an impossible text has a finite
# cost.
ORACLE_CHAIN_SHARE = 0.001
NGRAM_ORDERS = (1, 2, 3, 4, 5)
BLEU_ORDERS = (2, 3, 4, 5)
BLEU_EPSILON = 0.1
BLEU_TEXTS = 5000  # per side, at most: both scores grow with the number of texts that a sample is compared with
DISTINCT_ORDERS = (1, 2, 3, 4)
DISTINCT_NGRAMS = 5000
MAUVE_TEXTS, MAUVE_LEAST, MAUVE_BUCKET_SHARE = 5000, 20, 0.1
MAUVE_VARIANCE, MAUVE_ITERATIONS, MAUVE_SEEDS = 0.9, 10, 5
FRONTIER_SCALE, FRONTIER_POINTS = 5, 25
# For sound clips. Anything quieter than SILENCE_DB relative to full scale is silence.
CLIP_VALUES, CLIP_LEAST = 2**23, 50
FRAME_S, SILENCE_DB, LOUDNESS_STEP_DB = 0.032, -60, 0.1
SPECTRUM_FLOOR_DB, SI_SDR_BOUND_DB = -80, 100
PITCH_LOWEST, PITCH_HIGHEST, PITCH_THRESHOLD, PITCH_STEP = 60, 1000, 0.1, 0.1
# For metrics measured only on request. The factors make the numbers readable and are those of the papers.
MIND_PROJECTIONS, MIND_FACTOR = 1000, 3
MMD_BANDWIDTH, MMD_FACTOR = 10, 1000
KAD_ITEMS, KAD_FACTOR = 2000, 100
VENDI_Q = 1
C2ST_LEAST, C2ST_ITEMS, C2ST_PENALTY = 8, 5000, 1
FLD_LEAST, FLD_ITEMS, FLD_FACTOR = 4, 10_000, 100
FLD_STEPS, FLD_RATE, FLD_ORIGIN = 50, 0.5, 0.9
