"""What tests share: fakes, worlds, histories, and the programs that play a book's own."""
