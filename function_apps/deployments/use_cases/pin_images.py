"""Images by tag become images by digest, once, before a release is recorded."""

import asyncio
from collections.abc import Mapping, Sequence

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.plan_checks import image_at
from function_apps.deployments.ports import DeploymentsApp
from shared.contracts.components import Component
from shared.contracts.deployments import Deploy
from shared.images.image_rules import IMAGE_RULES, ImageRule, Signatures
from shared.images.port import ImageDenied, ImageMissing, ImageNotSupported
from shared.images.reference import ImageReference, parse_reference
from shared.images.signatures import signature_fault
from shared.kernel.errors import Unavailable, Violation


async def pin_images(command: Deploy, target: DeploymentTarget, app: DeploymentsApp) -> Deploy:
    """Return *command* with the digest that each image has now; the reference stays beside it.

    An image by digest is looked up too: what is promoted must be there still, and may go into the
    new environment by its rules. *command* has been planned, so its references can be read.

    Raises:
        CannotBePlanned: an image may not come from where it is, is not there, or is not signed.
        Unavailable: a registry that has to be asked is away.
    """
    environment = target.environment
    rule = app.rules.images.rule(command.environment_id, environment.stage if environment else None)
    places = _places(command.components)
    if rule is None:
        raise CannotBePlanned(_undecided(at, each) for each, at in places.items())
    taken = [rule.refusal(reference, at=at) for reference, at in places.items()]
    if refused := [*filter(None, taken)]:
        raise CannotBePlanned(refused)
    found = await _asked(places, rule, app)
    pinned: dict[ImageReference, ImageReference] = {}
    for reference, result in zip(places, found, strict=True):
        match result:
            case ImageReference():
                pinned[reference] = result
            case Violation():
                refused.append(result)
            case _:
                raise result
    if refused:
        raise CannotBePlanned(refused)
    components = tuple(_with_digest(each, pinned) for each in command.components)
    return command.model_copy(update={"components": components})


async def _asked(
    places: Mapping[ImageReference, str], rule: ImageRule, app: DeploymentsApp
) -> Sequence[ImageReference | Violation | BaseException]:
    """Return what each of *places* is by digest, or why it cannot be deployed. Raises Unavailable.

    The caller waits for it, so all questions together have one deadline.
    """
    within_s = app.rules.images_within.total_seconds()
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.gather(
                *(_pinned(reference, at, rule, app) for reference, at in places.items()),
                return_exceptions=True,  # or the others would go on, and nobody would hear of them
            )
    except TimeoutError:
        registries = ", ".join(sorted({each.registry for each in places}))
        raise Unavailable(
            f"{registries} did not say within {within_s:g} s what the images of the release are",
        ) from None


def _places(components: Sequence[Component]) -> Mapping[ImageReference, str]:
    """Return each image once, with the place in the command where it stands first."""
    places: dict[ImageReference, str] = {}
    for index, component in enumerate(components):
        if component.image is not None:
            places.setdefault(parse_reference(component.image), image_at(index))
    return places


def _with_digest(
    component: Component, pinned: Mapping[ImageReference, ImageReference]
) -> Component:
    if component.image is None:
        return component
    image = str(pinned[parse_reference(component.image)])
    return component.model_copy(update={"image": image})


async def _pinned(
    reference: ImageReference, at: str, rule: ImageRule, app: DeploymentsApp
) -> ImageReference | Violation:
    """Return *reference* by digest, or why it cannot be deployed. Raises Unavailable."""
    try:
        pinned = reference.pinned(await app.images.resolve(reference))
        if rule.signatures is Signatures.REQUIRED:
            return await signature_fault(app.images, pinned, rule.keys, at=at) or pinned
    except (ImageMissing, ImageDenied, ImageNotSupported) as refused:
        expected = "an image that its registry has"
        return Violation(refused.code, at, refused.message, expected, str(reference))
    return pinned


def _undecided(at: str, reference: ImageReference) -> Violation:
    return Violation(
        "EnvironmentUnknown",
        at,
        f"whether {reference} may be deployed depends on the environment's stage ({IMAGE_RULES}),"
        " and nothing is known of the environment yet: deploy when it is there",
        "an environment that is known",
        str(reference),
    )
