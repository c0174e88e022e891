"""python scripts/pack_model.py RUN DIRECTORY: a copy of a run's best/, with weights in fp16."""

import sys
from pathlib import Path

from seq2seq.runs.checkpoint import pack
from seq2seq.runs.layout import BEST

if __name__ == "__main__":
    pack(Path(sys.argv[1], BEST), Path(sys.argv[2]))
