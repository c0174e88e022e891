"""The same as `seq2seq train`, from a checkout."""

from seq2seq.commands.train import main

if __name__ == "__main__":
    main()
