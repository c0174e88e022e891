"""Write the corpus of data/phrasebook from its grammar: python scripts/generate_phrasebook.py OUT_DIR."""

from phrasebook.command import main

if __name__ == "__main__":
    main()
