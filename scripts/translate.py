"""The same as `seq2seq translate`, from a checkout."""

from seq2seq.commands.translate import main

if __name__ == "__main__":
    main()
