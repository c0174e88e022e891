"""The same as `seq2seq check-data`, from a checkout."""

from seq2seq.commands.check_data import main

if __name__ == "__main__":
    main()
