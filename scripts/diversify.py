"""`seq2seq diversify`, in a checkout."""

from seq2seq.commands import run

if __name__ == "__main__":
    run("diversify")
