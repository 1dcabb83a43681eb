"""What is kept for good, in buckets of the acting region: of a re-protection by epoch, and the reports of runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from handlers.core.environment import Variables
from handlers.core.errors import Misconfigured
from handlers.core.old_cluster import OldCluster
from handlers.gateways.aws import client, code_of, named_errors

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PAGE, DATA = "report.html", "report.json"
OLD_CLUSTER = "old-cluster.json"
SALVAGE_SUMMARY = "salvage.json"


class ArchiveVariables(Variables):
    """The bucket of this region."""

    salvage_bucket: str


class Folder:
    """The folder ``folder`` of ``bucket``."""

    def __init__(self, client: S3Client, bucket: str, folder: str) -> None:
        self._client = client
        self._bucket = bucket
        self._folder = folder

    def address(self, name: str) -> str:
        """Returns where people find it."""
        return f"s3://{self._bucket}/{self._folder}/{name}"

    def keep(self, name: str, text: str, content_type: str = "text/plain") -> str:
        """Writes an object and returns its address; a second time, it writes the same again."""
        with named_errors(f"writing {self.address(name)}"):
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"{self._folder}/{name}",
                Body=text.encode(),
                ContentType=content_type,
                ChecksumAlgorithm="SHA256",  # S3 demands a checksum of what it locks (S3 API reference, PutObject)
            )
        return self.address(name)

    def read(self, name: str) -> str | None:
        """Returns the text of an object; None when there is none."""
        with named_errors(f"reading {self.address(name)}"):
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=f"{self._folder}/{name}")
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    return None
                raise
            return found["Body"].read().decode()

    def keep_json(self, name: str, data: dict[str, Any]) -> str:
        """Does what `keep` does, for JSON data."""
        return self.keep(name, json.dumps(data, indent=2, sort_keys=True, default=str))

    def read_json(self, name: str) -> object | None:
        """Does what `read` does, for JSON data; raises `Misconfigured` when it is not JSON."""
        text = self.read(name)
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise Misconfigured(
                f"{self.address(name)} is not JSON ({error}); restore an earlier version of it"
            ) from error


def report_folder(client: S3Client, bucket: str, run: str) -> Folder:
    """Returns the folder of a run's report."""
    return Folder(client, bucket, f"runs/{run}")


class Archive(Folder):
    """The folder of ``epoch`` in ``bucket``: what a re-protection keeps."""

    def __init__(self, client: S3Client, bucket: str, epoch: int) -> None:
        super().__init__(client, bucket, f"epoch-{epoch}")

    @classmethod
    def of(cls, environment: ArchiveVariables, epoch: int) -> Archive:
        """Returns the folder of that epoch in this region's bucket."""
        return cls(client("s3", environment.aws_region), environment.salvage_bucket, epoch)

    def old_cluster(self) -> OldCluster | None:
        """Returns what is kept of the old cluster; None when nothing has been kept yet."""
        data = self.read_json(OLD_CLUSTER)
        return None if data is None else OldCluster.read(data)

    def the_old_cluster(self) -> OldCluster:
        """Returns what `old_cluster` returns, which the steps before this one have kept."""
        found = self.old_cluster()
        if found is None:
            raise Misconfigured(
                f"{self.address(OLD_CLUSTER)} is missing; restore it from the bucket's versions, because without "
                "it the standby cannot be recreated as it was"
            )
        return found

    def keep_old_cluster(self, cluster: OldCluster) -> str:
        """Keeps it, in place of what was kept before."""
        return self.keep_json(OLD_CLUSTER, cluster.kept())
