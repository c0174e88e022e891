"""The same as `seq2seq evaluate`, from a checkout."""

from seq2seq.commands.evaluate import main

if __name__ == "__main__":
    main()
