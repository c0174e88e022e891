"""`python -m seq2seq COMMAND …`."""

from seq2seq.commands import main

main()
