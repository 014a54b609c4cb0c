"""Settings: where they come from, which wins, what is refused and how that is said."""

from pathlib import Path

import pytest

from core.roles import ROLES, Identity, allows
from core.settings import Settings, SettingsError, check_address, load


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without .env and secrets.toml, and no variable of ours in the environment."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    return tmp_path


def secrets(text: str) -> None:
    Path(".streamlit").mkdir()
    Path(".streamlit/secrets.toml").write_text(text)


def test_defaults(elsewhere: Path) -> None:
    settings = load()
    assert (settings.auth, settings.data_dir, settings.session_hours) == ("off", Path("data"), 12)
    assert settings.database_url == f"duckdb:///{elsewhere}/data/attune.duckdb"
    assert settings.runs_dir == Path("data/runs")


def test_the_environment_wins_over_env_and_env_over_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets('OPENAI_API_KEY = "toml"\nGROQ_API_KEY = "toml"\nANTHROPIC_API_KEY = "toml"\n')
    Path(".env").write_text("OPENAI_API_KEY=dotenv\nGROQ_API_KEY=dotenv\n")
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    keys = (load().openai_api_key, load().groq_api_key, load().anthropic_api_key)
    assert [key and key.get_secret_value() for key in keys] == ["s3cret", "dotenv", "toml"]
    assert load(openai_api_key="given").openai_api_key == load(OPENAI_API_KEY="given").openai_api_key
    assert "s3cret" not in repr(load()) + str(load())


def test_only_our_own_variables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit keeps an [auth] table in secrets.toml, and other programs have an AUTH or DATA_DIR of their own."""
    secrets('data_dir = "elsewhere"\n[auth]\nredirect_uri = "https://example.org"\n')
    monkeypatch.setenv("AUTH", "something")
    monkeypatch.setenv("DATA_DIR", "elsewhere")
    assert (load().auth, load().data_dir) == ("off", Path("data"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ATTUNE_AUTH", "on"),
        ("ATTUNE_AUTH", ""),
        ("ATTUNE_SESSION_HOURS", "0"),
        ("ATTUNE_SESSION_HOURS", "soon"),
        ("ATTUNE_UPLOAD_MB", "-1"),
        ("ATTUNE_PROVIDER_TIMEOUT", "0"),
        ("ATTUNE_PROVIDER_RETRIES", "-1"),
        ("ATTUNE_REQUESTS_PER_MINUTE", "many"),
        ("OLLAMA_BASE_URL", "localhost:11434/v1"),
        ("VLLM_BASE_URL", "http://[::1"),
        ("OPENAI_BASE_URL", "https://"),
        ("DATABASE_URL", "postgresql://host/db"),
        ("DATABASE_URL", "attune.duckdb"),
        ("DATABASE_URL", "duckdb:///"),
        ("DATABASE_URL", "duckdb:///:memory:"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load()


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_AUTH", "on")
    monkeypatch.setenv("ATTUNE_UPLOAD_MB", "big")
    with pytest.raises(SettingsError, match=r"(?s)ATTUNE_AUTH.*\n.*ATTUNE_UPLOAD_MB"):
        load()


def test_oidc_needs_its_three_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_AUTH", "oidc")
    for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET"):
        with pytest.raises(SettingsError, match=f"ATTUNE_OIDC_{name}"):
            load()
        monkeypatch.setenv(f"ATTUNE_OIDC_{name}", "x")
    monkeypatch.setenv("ATTUNE_OIDC_ADMINS", "Ann@Example.org, ,bob@example.org")
    assert load().admin_emails == {"ann@example.org", "bob@example.org"}


@pytest.mark.parametrize("broken", ["no equals sign", 'key = "open'])
def test_a_broken_secrets_file_is_said_so(broken: str) -> None:
    secrets(broken)
    with pytest.raises(SettingsError, match=r"secrets\.toml cannot be read"):
        load()


def test_a_broken_env_file_is_said_so() -> None:
    Path(".env").write_bytes(b"OPENAI_API_KEY=\xff\xfe\xfa")
    with pytest.raises(SettingsError, match=r"\.env"):
        load()


LOOPBACK = ["127.0.0.1", "127.8.9.10", "localhost", "::1", "[::1]"]
BEYOND = [None, "", "0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "example.org", "127.0.0.1.example.org", "localhost.example.org"]  # fmt: skip


@pytest.mark.parametrize("address", LOOPBACK)
def test_without_sign_in_this_machine_is_served(address: str) -> None:
    check_address("off", address)


@pytest.mark.parametrize("address", BEYOND)
def test_without_sign_in_nothing_else_is(address: str | None) -> None:
    with pytest.raises(SettingsError, match="ATTUNE_AUTH is off"):
        check_address("off", address)


@pytest.mark.parametrize("auth", ["password", "oidc"])
@pytest.mark.parametrize("address", [*LOOPBACK, *BEYOND])
def test_with_sign_in_any_address_is_served(auth: str, address: str | None) -> None:
    check_address(auth, address)


def test_roles_are_a_ladder() -> None:
    for i, role in enumerate(ROLES):
        assert [allows(role, needed) for needed in ROLES] == [j <= i for j in range(4)]
        assert Identity("u", "Ann", role).may("annotator")
    assert not allows("owner", "annotator")
