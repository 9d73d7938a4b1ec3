"""Alarms and budget: e-mail alerts, and an end of the host by AWS where the host does not end itself."""

from typing import cast

from aws_cdk import Duration, Stack
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from infra.function import GuardFunction
from infra.names import HOST_GROUP, METRICS
from infra.settings import Settings

IDLE_CPU_PERCENT, IDLE_HOURS = 5, 2
WARN_AT_PERCENT = 80  # of the budget
STOPPING = ("ACTUAL", 100)  # the notification at which the host ends
EVENTS = ("LAUNCH", "LAUNCH_ERROR", "TERMINATE", "TERMINATE_ERROR")
NEVER_S = 10**9  # age assumed when a running host reports none
UNUSED_CORES = 0.5  # a host that uses less does not train


class BudgetAndAlarms(Construct):
    """Alarms and budget of the host's group; all alerts go to one e-mail address.

    The budget counts what has the tag `budget_tag`, empty for the whole account. The bill knows a tag only once it is
    active as a cost-allocation tag: a budget of an inactive one would count nothing.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        settings: Settings,
        group: autoscaling.AutoScalingGroup,
        function: GuardFunction,
        budget_tag: str = "",
    ) -> None:
        super().__init__(scope, name)
        self._settings, self._group, self._function = settings, group, function
        resource = cast("autoscaling.CfnAutoScalingGroup", group.node.default_child)
        resource.notification_configurations = [  # a host that was launched, ended, or could not be launched
            autoscaling.CfnAutoScalingGroup.NotificationConfigurationProperty(
                topic_arn=function.alerts.topic_arn,
                notification_types=[f"autoscaling:EC2_INSTANCE_{event}" for event in EVENTS],
            )
        ]
        self._alarms()
        self._budget({"TagKeyValue": [f"user:{budget_tag}${settings.tags[budget_tag]}"]} if budget_tag else None)

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
        if minutes := self._settings.host.idle_minutes:
            unused = self._alarm(
                "Unused",
                cpu,
                100 * UNUSED_CORES / self._settings.host.instance.vcpus,
                IDLE_HOURS + minutes // 60,
                "The host does nothing and did not end itself: its group is set to 0",
                below=True,
            )
            action = autoscaling.StepScalingAction(
                self,
                "ToZero",
                auto_scaling_group=self._group,
                adjustment_type=autoscaling.AdjustmentType.EXACT_CAPACITY,
            )
            action.add_adjustment(adjustment=0, upper_bound=0)
            unused.add_alarm_action(actions.AutoScalingAction(action))
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

    def _metric(self, namespace: str, name: str, period: Duration, statistic: str = "Average") -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=namespace,
            metric_name=name,
            dimensions_map={"AutoScalingGroupName": HOST_GROUP},
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
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,  # without a host nothing is reported
            alarm_description=text,
        )
        alarm.add_alarm_action(actions.SnsAction(self._function.alerts))
        return alarm

    def _budget(self, filters: dict[str, list[str]] | None) -> None:
        guard, stack = self._settings.guard, Stack.of(self)
        mail = budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=guard.alert_email)
        # A budget's own action ends listed instances only, and a group would replace them.
        topic = self._function.spent.topic_arn
        spent = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic)
        budgets.CfnBudget(
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
                    subscribers=[mail, spent] if (kind, percent) == STOPPING else [mail],
                )
                for kind, percent in (("ACTUAL", WARN_AT_PERCENT), STOPPING, ("FORECASTED", 100))
            ],
        )
