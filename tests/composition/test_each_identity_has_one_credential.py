"""Who the triggers of a host are to Azure's services."""

import pytest
from azure.identity import aio

from shared.composition.identity import Identities


async def test_all_that_connect_as_one_identity_share_its_credential() -> None:
    identities = Identities()
    credential = identities.of("client", takes_sign_in=False)()

    assert identities.of("client", takes_sign_in=False)() is credential
    assert identities.of("another", takes_sign_in=False)() is not credential
    assert identities.of("client", takes_sign_in=True)() is not credential
    await identities.close()
    assert identities.of("client", takes_sign_in=False)() is not credential
    await identities.close()


@pytest.mark.parametrize(
    ("takes_sign_in", "kind"),
    [
        pytest.param(False, aio.ManagedIdentityCredential, id="production"),
        pytest.param(True, aio.DefaultAzureCredential, id="local"),
    ],
)
async def test_only_the_local_profile_takes_whatever_credential_there_is(
    *, takes_sign_in: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE", raising=False)
    identities = Identities()

    assert isinstance(identities.of(None, takes_sign_in=takes_sign_in)(), kind)
    await identities.close()
