"""docs/questions.md shows what the commands print."""
import questions


def test_the_page_shows_what_the_commands_print(database, state_dir):
    assert len(questions.QUESTIONS) >= 20
    with questions.answers(database, state_dir) as ask:
        assert questions.PAGE.read_text() == questions.page(ask), "docs/questions.md is stale: run test/http/questions.py"
