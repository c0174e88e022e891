"""The same as `seq2seq translate`, from a checkout."""

from seq2seq.commands import run

if __name__ == "__main__":
    run("translate")
