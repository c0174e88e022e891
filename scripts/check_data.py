"""`seq2seq check-data`, in a checkout."""

from seq2seq.commands import run

if __name__ == "__main__":
    run("check-data")
