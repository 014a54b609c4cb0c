"""Every setting of the app: typed, read once from the environment, .env and .streamlit/secrets.toml, checked at start."""

from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class SettingsError(ValueError):
    """The settings cannot be used; the message names each variable and what it must be."""


def _web_address(url: str) -> str:
    if url and not ((parts := urlsplit(url)).scheme in ("http", "https") and parts.hostname):
        raise ValueError(f"must be an address like http://localhost:8000/v1, not {url!r}")
    return url


WebAddress = Annotated[str, AfterValidator(_web_address)]


class Settings(BaseSettings):
    """The environment wins over .env, and .env over .streamlit/secrets.toml; names are those of the environment."""

    model_config = SettingsConfigDict(env_file=".env", toml_file=".streamlit/secrets.toml", extra="ignore")

    data_dir: Path = Field(Path("data"), validation_alias="ATTUNE_DATA_DIR")
    database_url: str = Field("", validation_alias="DATABASE_URL")
    auth: Literal["off", "password", "oidc"] = Field("off", validation_alias="ATTUNE_AUTH")
    session_hours: int = Field(12, gt=0, validation_alias="ATTUNE_SESSION_HOURS")
    upload_mb: int = Field(256, gt=0, validation_alias="ATTUNE_UPLOAD_MB")
    store_memory_mb: int = Field(768, ge=256, validation_alias="ATTUNE_STORE_MEMORY_MB")
    """What DuckDB may use; a query that needs more is refused."""
    job_slots: int = Field(1, gt=0, validation_alias="ATTUNE_JOB_SLOTS")
    """How many jobs that compute (training, scoring, a local model) run at once; those that wait on a provider have their own slots."""
    reward_threshold: float = Field(4.0, ge=1, le=5, validation_alias="ATTUNE_REWARD_THRESHOLD")
    """A rating that makes an answer good; below it is poor."""
    reward_minimum: int = Field(50, gt=0, validation_alias="ATTUNE_REWARD_MINIMUM")
    """How many pairs or rated answers a reward model needs."""

    oidc_issuer: str = Field("", validation_alias="ATTUNE_OIDC_ISSUER")
    oidc_client_id: str = Field("", validation_alias="ATTUNE_OIDC_CLIENT_ID")
    oidc_client_secret: SecretStr | None = Field(None, validation_alias="ATTUNE_OIDC_CLIENT_SECRET")
    oidc_admins: str = Field("", validation_alias="ATTUNE_OIDC_ADMINS")
    """E-mail addresses, separated by commas, whose first sign-in makes them admin."""

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: WebAddress = Field("", validation_alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(None, validation_alias="ANTHROPIC_API_KEY")
    anthropic_base_url: WebAddress = Field("", validation_alias="ANTHROPIC_BASE_URL")
    groq_api_key: SecretStr | None = Field(None, validation_alias="GROQ_API_KEY")
    deepseek_api_key: SecretStr | None = Field(None, validation_alias="DEEPSEEK_API_KEY")
    together_api_key: SecretStr | None = Field(None, validation_alias="TOGETHER_API_KEY")
    vllm_base_url: WebAddress = Field("", validation_alias="VLLM_BASE_URL")
    ollama_base_url: WebAddress = Field("", validation_alias="OLLAMA_BASE_URL")
    provider_timeout: float = Field(60.0, gt=0, validation_alias="ATTUNE_PROVIDER_TIMEOUT")
    provider_retries: int = Field(4, ge=0, validation_alias="ATTUNE_PROVIDER_RETRIES")
    requests_per_minute: int = Field(0, ge=0, validation_alias="ATTUNE_REQUESTS_PER_MINUTE")

    def __init__(self, **values: object) -> None:
        """``values``, by field or by variable, win over every source; sources know the variables only."""
        super().__init__(**{_variable((name,)): value for name, value in values.items()})  # type: ignore[arg-type]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.database_url:
            self.database_url = f"duckdb:///{(self.data_dir / 'attune.duckdb').resolve()}"
        if self.database_url.removeprefix("duckdb:///") in (self.database_url, "", ":memory:"):
            raise ValueError(
                "DATABASE_URL must be duckdb:/// and the path of a file (this version keeps its store in a DuckDB file)"
            )
        if self.auth == "oidc" and not (self.oidc_issuer and self.oidc_client_id and self.oidc_client_secret):
            raise ValueError(
                "ATTUNE_AUTH=oidc needs ATTUNE_OIDC_ISSUER, ATTUNE_OIDC_CLIENT_ID and ATTUNE_OIDC_CLIENT_SECRET"
            )
        return self

    @property
    def runs_dir(self) -> Path:
        """Where jobs keep their run directories."""
        return self.data_dir / "runs"

    @property
    def models_dir(self) -> Path:
        """Where registered models keep their weights."""
        return self.data_dir / "models"

    @property
    def admin_emails(self) -> frozenset[str]:
        return frozenset(mail.strip().lower() for mail in self.oidc_admins.split(",") if mail.strip())


def load(**overrides: object) -> Settings:
    """Read the settings; raises SettingsError with a line for each variable that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [f"{_variable(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
        raise SettingsError(
            "These settings cannot be used:\n" + "\n".join(f"- {line}" for line in lines)
        ) from None
    except ValueError as error:
        raise SettingsError(f".env or .streamlit/secrets.toml cannot be read: {error}") from None


def _variable(loc: tuple[int | str, ...]) -> str:
    name = str(loc[0]) if loc else "settings"
    info = Settings.model_fields.get(name)
    alias = info.validation_alias if info else None
    return alias if isinstance(alias, str) else name


def check_address(auth: str, address: str | None) -> None:
    """Refuse to listen beyond this machine while sign-in is off; ``address`` is where the server listens.

    Raises SettingsError. None and the empty string mean every interface.
    """
    if auth == "off" and not is_loopback(address or ""):
        raise SettingsError(
            f"ATTUNE_AUTH is off, so Attune listens on this machine only, but the server address is "
            f"{address or 'every interface'}. Set ATTUNE_AUTH=password (or oidc) to serve a team, "
            f"or start it with --server.address=127.0.0.1."
        )


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """True for localhost and the loopback addresses, without a port."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
