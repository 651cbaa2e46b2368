"""An artifact is kept under its content, checked before it is kept, and seen by its own tenant."""

import hashlib
import io
import json
import zipfile

import pytest

from function_apps.deployments.errors import ArtifactMissing, CannotBePlanned
from function_apps.deployments.use_cases.deploy import deploy
from function_apps.deployments.use_cases.upload_artifact import find_artifact, upload_artifact
from shared.kernel.context import Scope
from shared.kernel.errors import Invalid
from shared.kernel.ids import TenantId
from shared.persistence.store import Partition, Query
from shared.surfaces.errors import BadArtifact
from shared.surfaces.spec import artifact_blob
from tests.deployments.driven import archive, driven
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

OTHER = Scope(TenantId("globex"), "user:bob")


def test_it_is_named_by_its_content_and_the_same_bytes_are_the_same_artifact() -> None:
    async def main() -> None:
        world = driven()
        ctx, app = world.ctx, world.app
        content = archive("one")

        first, was_known = await upload_artifact(content, ctx, app)
        second, is_known = await upload_artifact(content, ctx, app)

        assert first == second
        assert (was_known, is_known) == (False, True)
        assert first.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert await app.blobs.size(artifact_blob(first.digest)) == len(content)
        assert await find_artifact(first.digest, ctx, app) == first

    run_virtual(main())


def test_an_upload_stores_its_audit_record_and_no_document() -> None:
    async def main() -> None:
        world = driven()
        await world.upload("one")
        page = await world.app.service.store.query(Partition(TENANT, "-"), Query())

        assert [each.body["type"] for each in page.documents] == ["outbox"]
        assert "UploadArtifact" in json.dumps(page.documents[0].body)

    run_virtual(main())


def test_another_tenant_neither_sees_nor_deploys_it() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        component = await world.component("one")

        with pytest.raises(ArtifactMissing):
            await find_artifact(component["artifactDigest"], world.bench.ctx(OTHER), world.app)
        with pytest.raises(CannotBePlanned, match="has not been uploaded"):
            await deploy(await world.command(component), world.bench.ctx(OTHER), world.app)

    run_virtual(main())


def test_a_name_that_is_no_digest_names_nothing() -> None:
    async def main() -> None:
        world = driven()
        with pytest.raises(ArtifactMissing):
            await find_artifact("sha256:../../etc", world.ctx, world.app)

    run_virtual(main())


def zipped(*names: str, mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            opened.writestr(entry, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"not a zip", id="no-zip"),
        pytest.param(archive("one")[:-30], id="cut-off"),
        pytest.param(zipped(), id="no-files"),
        pytest.param(zipped("../out"), id="a-path-that-leads-out"),
        pytest.param(zipped("/etc/passwd"), id="an-absolute-path"),
        pytest.param(zipped("a\\b"), id="a-backslash"),
        pytest.param(zipped("link", mode=0o120777), id="a-link"),
    ],
)
def test_what_would_not_be_unpacked_safely_is_not_kept(content: bytes) -> None:
    async def main() -> None:
        world = driven()
        ctx, app = world.ctx, world.app

        with pytest.raises(BadArtifact):
            await upload_artifact(content, ctx, app)

        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert await app.blobs.size(artifact_blob(digest)) is None

    run_virtual(main())


def test_an_empty_body_is_no_artifact() -> None:
    async def main() -> None:
        world = driven()
        with pytest.raises(Invalid, match="empty"):
            await upload_artifact(b"", world.ctx, world.app)

    run_virtual(main())
