from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]


def test_x(sample):
    at = AppTest.from_file(str(ROOT / "pages" / "_shell.py"), default_timeout=20).run()
    print(at)
    at.text_input[0].set_value("Ada").run()
    at.button[0].click().run()
    assert not at.exception
    print(at)
