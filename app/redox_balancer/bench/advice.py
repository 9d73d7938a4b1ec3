"""Advice on the size of a training: its speed, time and cost on hosts that can be rented, predicted by `scaling`."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from redox_balancer.bench import scaling
from redox_balancer.bench.scaling import HostModel, Prediction, Terms
from redox_balancer.cell.records import Positive, Record, packaged, pick, read_file, read_records
from redox_balancer.errors import RedoxError
from redox_balancer.impala.scale_up import ActorMemory

HOUR_S = 3_600.0
ENOUGH = 0.99  # of the highest speed: what more actors add is less than what is known of it
AS_CHEAP = 1.02  # times the lowest cost: the same, as predictions go
SAME = 0.95  # of a measured speed: the same within the noise of minutes
RESERVED_GIB = 2.0  # of a host, for the learner, Ray and the system (assumed)
CELL_GIB = 0.3  # for each further learner


class RentedHost(Record):
    """A host by its instance type: hyperthreads, memory, network in each direction, and price."""

    vcpus: int
    memory_gib: Positive
    network_gbit_s: Positive
    per_hour_usd: Positive
    source: str  # of the price
    read: date  # when the price was looked up

    @property
    def model(self) -> HostModel:
        """The host in the model of the throughput."""
        return HostModel(vcpus=self.vcpus, network_gbit_s=self.network_gbit_s)


@cache
def rented_hosts() -> Mapping[str, RentedHost]:
    """Return all hosts with a known price, by name."""
    return read_records(packaged("hosts.toml"), "host", RentedHost)


def pick_hosts(names: Sequence[str]) -> list[RentedHost]:
    """Return the hosts of these names, all where there is none; a RedoxError for an unknown one."""
    known = dict(rented_hosts())
    return [pick(known, name, "host") for name in names] or list(known.values())


@dataclass(frozen=True, kw_only=True)
class MeasuredTerms:
    """Terms of a task on a machine, `about`, by `machine.about`, and the seconds for which they were measured."""

    model: str
    terms: Terms
    about: Mapping[str, Any]

    @property
    def learner(self) -> Prediction:
        """Throughput of a learner that does not wait: that of the fewest actors that fill it, a core for each."""
        limits = scaling.predict(self.terms, HostModel(), 1).limits
        most = min(speed for limit, speed in limits.items() if limit != "actors")
        actors = math.ceil(most * self.terms.step_s)
        return scaling.predict(self.terms, HostModel(vcpus=4 * (actors + 2)), actors)


def read_terms(path: Path) -> list[MeasuredTerms]:
    """Read the terms that a benchmark of the throughput or an advice has written as JSON, one entry for each model.

    A RedoxError where the file has none, or others than this version.
    """
    refusal = RedoxError(f"{path} has no terms of a training that this version can read", hint="measure them again")
    try:
        found = json.loads(read_file(path, "terms", "terms"))
        entries = found.get("throughput", [found])
        read = [
            MeasuredTerms(
                model=str(each["model"]),
                terms=TypeAdapter(Terms).validate_python(each["terms"]),
                about=dict(found["about"]),
            )
            for each in entries
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise refusal from error
    if not read or not all(0 < value < math.inf for each in read for value in asdict(each.terms).values()):
        raise refusal
    return read


@dataclass(frozen=True, kw_only=True)
class TrainingSize:
    """A training of a length with actors on equal machines, predicted; the first machine has the learner.

    `limit` is what limits its speed as in `Prediction`, or "cores", "memory" or "max_actors" where actors do and the
    machines take no more of them. `useful` are the fewest actors with the speed that any number of them has there.
    """

    host: str
    machines: int
    cells: int
    actors: int
    steps_per_s: float
    limit: str
    useful: int
    hours: float
    usd: float


def room(terms: Terms, host: RentedHost, cells: int = 1) -> tuple[int, str]:
    """Return how many actors a machine takes at most, and by what: one for each hyperthread, within its memory."""
    free = max(host.memory_gib - RESERVED_GIB - CELL_GIB * (cells - 1), 0.0) * 2**30
    by_memory = math.floor(ActorMemory(math.inf, free).room(0, terms.actor_bytes))
    return (by_memory, "memory") if by_memory < host.vcpus else (host.vcpus, "cores")


def useful_actors(terms: Terms, host: HostModel, machines: int, most: int, cells: int = 1) -> int:
    """Return the fewest actors, of at most `most`, with the highest throughput on machines."""
    numbers = range(max(machines, cells), most + 1)
    speeds = [scaling.predict(terms, host, actors, machines, cells).steps_per_s for actors in numbers]
    enough = ENOUGH * max(speeds)
    return next(actors for actors, speed in zip(numbers, speeds, strict=True) if speed >= enough)


def sizes(
    terms: Terms,
    hosts: Iterable[RentedHost],
    *,
    timesteps: int,
    machines: Sequence[int] = (1,),
    actors: Sequence[int] = (),
    cells: int = 1,
    max_actors: int,
) -> list[TrainingSize]:
    """Return every size that fits: each host, number of machines and number of actors, the cheapest first.

    Without `actors` those that are useful on a host. Each machine has one of several `cells` at least.
    """
    found = []
    for host in hosts:
        for count in machines:
            each, why = room(terms, host, -(-cells // count))
            most, bound = (max_actors, "max_actors") if max_actors < each * count else (each * count, why)
            if most < max(count, cells) or 1 < cells < count:
                continue
            useful = useful_actors(terms, host.model, count, most, cells)
            for number in actors or (useful,):
                if max(count, cells) <= number <= most:
                    predicted = scaling.predict(terms, host.model, number, count, cells)
                    hours = timesteps / predicted.steps_per_s / HOUR_S
                    limit = bound if predicted.limit == "actors" and number >= useful else predicted.limit
                    found.append(
                        TrainingSize(
                            host=host.id,
                            machines=count,
                            cells=cells,
                            actors=number,
                            steps_per_s=predicted.steps_per_s,
                            limit=limit,
                            useful=useful,
                            hours=hours,
                            usd=hours * count * host.per_hour_usd,
                        )
                    )
    return sorted(found, key=lambda size: (size.usd, size.hours, size.actors))


def cheapest(found: Sequence[TrainingSize], within_hours: float = math.inf) -> TrainingSize | None:
    """Return the cheapest size that ends in time, of those that cost as much the fastest; None if none does."""
    in_time = [size for size in found if size.hours <= within_hours]
    lowest = min((size.usd for size in in_time), default=0.0)
    alike = (size for size in in_time if size.usd <= AS_CHEAP * lowest)
    return min(alike, key=lambda size: size.hours, default=None)


def enough_by_speed(speeds: Mapping[int, float]) -> int | None:
    """Return the fewest actors of a run that had the speed of its most, by its speeds with numbers of actors.

    None where every number of them was faster than the one before, or there was but one.
    """
    if len(speeds) < 2:
        return None
    fewest = min(actors for actors, speed in speeds.items() if speed >= SAME * speeds[max(speeds)])
    return fewest if fewest < max(speeds) else None
