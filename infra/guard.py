"""Alarms and budget actions: e-mail alerts, a budget that stops the host, recovery from broken hardware."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.names import METRICS
from infra.settings import Settings

IDLE_CPU_PERCENT, IDLE_HOURS = 5, 2
WARN_AT_PERCENT = 80  # of the budget
NEVER_S = 10**9  # age assumed when a running host reports none
# What an automation is authorised on; the last is the older name of the first.
AUTOMATION = ("document/AWS-StopEC2Instance", "automation-execution/*", "automation-definition/AWS-StopEC2Instance:*")


class BudgetAndAlarms(Construct):
    """Alarms and budget of one host; all alerts go to one e-mail address.

    The budget counts what has the tag `budget_tag`, empty for the whole account. The bill knows a tag only once it is
    active as a cost-allocation tag: a budget of an inactive one would count nothing.
    """

    def __init__(
        self, scope: Construct, name: str, *, settings: Settings, instance_id: str, budget_tag: str = ""
    ) -> None:
        super().__init__(scope, name)
        self._settings, self._instance_id = settings, instance_id
        self.topic = sns.Topic(self, "Alerts", enforce_ssl=True)
        self.topic.add_subscription(subscriptions.EmailSubscription(settings.guard.alert_email))
        self._let_publish("cloudwatch", f"{settings.aws.region}:{Aws.ACCOUNT_ID}:alarm:*")
        self._let_publish("budgets", f":{Aws.ACCOUNT_ID}:*")
        self._alarms()
        self._budget({"TagKeyValue": [f"user:{budget_tag}${settings.tags[budget_tag]}"]} if budget_tag else None)

    def _let_publish(self, service: str, source: str) -> None:
        """Let a service publish for this account: `enforce_ssl` replaces the policy that a topic has by default.

        The group of workers needs no statement, it publishes with a role of this account.
        """
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {"aws:SourceArn": f"arn:{Aws.PARTITION}:{service}:{source}"},
                },
            )
        )

    def _alarms(self) -> None:
        guard, backup = self._settings.guard, self._settings.backup
        memory = self._metric(METRICS, "mem_used_percent", Duration.minutes(1))
        self._alarm("MemoryHigh", memory, guard.memory_alarm_percent, 5, "Memory of the host is nearly used up")
        cpu = self._metric("AWS/EC2", "CPUUtilization", Duration.hours(1))
        self._alarm(
            "IdleCpu",
            cpu,
            IDLE_CPU_PERCENT,
            IDLE_HOURS,
            f"The host costs {self._settings.price.per_hour_usd} USD an hour and does nothing",
            below=True,
        )
        age = self._metric(METRICS, "checkpoint_age_s", Duration.hours(1), "Maximum")
        stale = cloudwatch.MathExpression(
            # While the host runs, a sync that reports nothing is as bad as an old checkpoint.
            expression=f"IF(cpu >= 0, FILL(age, {NEVER_S}), 0)",
            using_metrics={"cpu": cpu, "age": age},
            period=Duration.hours(1),
            label="age of the newest checkpoint in the bucket, s",
        )
        self._alarm(
            "StaleBackup", stale, backup.stale_hours * 3_600, 2, "No new checkpoint of a training reaches the bucket"
        )
        broken = self._metric("AWS/EC2", "StatusCheckFailed_System", Duration.minutes(1), "Maximum")
        alarm = self._alarm(
            "BrokenHardware", broken, 0, 2, "The machine under the host is broken; it moves to another"
        )
        if not self._settings.host.spot:  # spot instances cannot be recovered
            alarm.add_alarm_action(actions.Ec2Action(actions.Ec2InstanceAction.RECOVER))
        stuck = self._metric("AWS/EC2", "StatusCheckFailed_Instance", Duration.minutes(1), "Maximum")
        self._alarm("StuckSystem", stuck, 0, 10, "The host's operating system does not answer")

    def _metric(self, namespace: str, name: str, period: Duration, statistic: str = "Average") -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=namespace,
            metric_name=name,
            dimensions_map={"InstanceId": self._instance_id},
            period=period,
            statistic=statistic,
        )

    def _alarm(
        self, name: str, metric: cloudwatch.IMetric, limit: float, periods: int, text: str, *, below: bool = False
    ) -> cloudwatch.Alarm:
        operators = cloudwatch.ComparisonOperator
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=limit,
            evaluation_periods=periods,
            comparison_operator=operators.LESS_THAN_THRESHOLD if below else operators.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # a stopped host reports nothing
            alarm_description=text,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        return alarm

    def _budget(self, filters: dict[str, list[str]] | None) -> None:
        guard, stack = self._settings.guard, Stack.of(self)
        mail = budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=guard.alert_email)
        budget = budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=f"{stack.stack_name}-monthly",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=guard.monthly_budget_usd, unit="USD"),
                cost_filters=filters,
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type=kind,
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[mail],
                )
                for kind, percent in (("ACTUAL", WARN_AT_PERCENT), ("ACTUAL", 100), ("FORECASTED", 100))
            ],
        )
        if not self._settings.host.spot:  # cannot be stopped; the host's watch ends it at its budget
            self._stop_at(budget, guard.alert_email)

    def _stop_at(self, budget: budgets.CfnBudget, address: str) -> None:
        """Stop the host when AWS's bill reaches the budget, hours after the host's watch should have done so."""
        stack = Stack.of(self)
        instance = stack.format_arn(service="ec2", resource="instance", resource_name=self._instance_id)
        automation = [f"arn:{stack.partition}:ssm:{stack.region}:*:{what}" for what in AUTOMATION]
        role = iam.Role(self, "BudgetRole", assumed_by=iam.ServicePrincipal("budgets.amazonaws.com"))
        for what, resources in (
            (["ec2:StopInstances"], [instance]),
            (["ssm:StartAutomationExecution"], automation),
            (["ec2:DescribeInstanceStatus"], ["*"]),  # supports no resource
        ):
            role.add_to_policy(iam.PolicyStatement(actions=what, resources=resources))
        action = budgets.CfnBudgetsAction(
            self,
            "BudgetStop",
            budget_name=budget.ref,
            action_type="RUN_SSM_DOCUMENTS",
            approval_model="AUTOMATIC",
            notification_type="ACTUAL",
            action_threshold=budgets.CfnBudgetsAction.ActionThresholdProperty(type="PERCENTAGE", value=100),
            definition=budgets.CfnBudgetsAction.DefinitionProperty(
                ssm_action_definition=budgets.CfnBudgetsAction.SsmActionDefinitionProperty(
                    instance_ids=[self._instance_id], region=stack.region, subtype="STOP_EC2_INSTANCES"
                )
            ),
            execution_role_arn=role.role_arn,
            subscribers=[budgets.CfnBudgetsAction.SubscriberProperty(type="EMAIL", address=address)],
        )
        action.node.add_dependency(role.node.find_child("DefaultPolicy"))  # checked when the action is made
