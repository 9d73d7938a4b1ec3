"""The two stacks: storage, which is retained, and training, which can be destroyed and restored."""

from typing import Any

from aws_cdk import App, Environment, Stack, Tags, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.agent import Agent
from infra.guard import BudgetAndAlarms
from infra.host import HostNetwork, TrainingHost, Workers
from infra.names import AMI_ID, BUDGET_TAG, STORAGE, TRAINING
from infra.settings import FILE, Settings, SettingsError
from infra.storage import RedoxStorage
from infra.tables import AMI


class RedoxTraining(Stack):
    """The host and its resources; can be destroyed and deployed again at any time."""

    def __init__(
        self, scope: Construct, name: str, *, settings: Settings, storage: RedoxStorage, ami_id: str, **options: Any
    ) -> None:
        super().__init__(scope, name, description="redox_balancer: the training host", **options)
        network = HostNetwork(self, "Network", settings=settings)
        host = TrainingHost(self, "Host", settings=settings, network=network, storage=storage, ami_id=ami_id)
        Agent(self, "Agent")
        tag = self.node.try_get_context(BUDGET_TAG) or ""
        BudgetAndAlarms(self, "Guard", settings=settings, group=host.group, function=storage.function, budget_tag=tag)
        if settings.host.workers:
            Workers(
                self,
                "Workers",
                settings=settings,
                network=network,
                storage=storage,
                ami_id=ami_id,
                topic=storage.function.alerts,
            )


def build(app: App, settings: Settings) -> tuple[RedoxStorage, RedoxTraining]:
    """Add both stacks to an app, tagged, with cdk-nag's checks at synthesis.

    A SettingsError when the AMI id or the tag of the context is invalid.
    """
    tag = app.node.try_get_context(BUDGET_TAG)
    if tag and tag not in settings.tags:
        raise SettingsError([f"-c {BUDGET_TAG}={tag} is none of the tags of {FILE.name}"])
    ami_id = app.node.try_get_context(AMI_ID) or settings.host.ami_id
    if not AMI.fits(ami_id):
        raise SettingsError([f"-c {AMI_ID}={ami_id} is not {AMI.wanted}"])
    where = Environment(region=settings.aws.region)
    storage = RedoxStorage(app, STORAGE, settings=settings, env=where, termination_protection=True)
    training = RedoxTraining(app, TRAINING, settings=settings, storage=storage, ami_id=ami_id, env=where)
    for key, value in settings.tags.items():
        Tags.of(app).add(key, value)
    acknowledge(app, settings)
    Validations.of(app).add_plugins(AwsSolutionsChecks())
    return storage, training
