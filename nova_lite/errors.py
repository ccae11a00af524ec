# SPDX-License-Identifier: Apache-2.0
"""Every deliberate error of nova_lite, with its HTTP status and public text.

NovaLiteError
├─ BadRequest 400        InvalidField, InvalidMarker, InvalidImage, WrongStatus
├─ Unauthorized 401      InvalidToken
├─ Forbidden 403         OverQuota, PolicyForbids
├─ NotFound 404          one class per resource that a caller distinguishes
├─ NotAcceptable 406     BadVersion
├─ Conflict 409          WrongState, AlreadyExists, InUse, NoCapacity
├─ Gone 410
├─ TooLarge 413          OverVolumeQuota; UnsupportedMedia 415
├─ NotImplementedHere 501
├─ Unavailable 503       ServiceDown, TooBusy, TooOld
├─ WrongPasteFile, WrongKeyFile, OlderDatabase, NewerDatabase, StateInUse, WrongHost: a process does not start
└─ WorkerError 500       StaleRequest, NoValidHost, HypervisorFailed, NetworkFailed, ImageFailed,
                         NoValidBackend, VolumeFailed
"""

from __future__ import annotations


class NovaLiteError(Exception):
    """Base of the tree: `text` is for the user; details belong in the log.

    Fields are given by keyword and fill `message`. oslo.messaging rebuilds a remote error as
    `cls(*args, **kwargs)`, so the rendered text is accepted as the one positional argument.
    """

    http_status = 500
    message = "Something went wrong inside the service; the operator's log has the request id"

    def __init__(self, text: str | None = None, **fields: object) -> None:
        self.kwargs = {name: str(value) for name, value in fields.items()}
        self.text = text if text is not None else self.message.format(**fields)
        super().__init__(self.text)


class BadRequest(NovaLiteError):
    http_status = 400
    message = "{reason}"


class InvalidField(BadRequest):
    message = "Invalid input for field/attribute {field}. {reason}"


class InvalidMarker(BadRequest):
    message = "marker [{marker}] not found"


class InvalidImage(BadRequest):
    message = "Image {id} is unacceptable: {reason}"


class WrongStatus(BadRequest):
    """Block storage refuses by 400 what compute refuses by 409."""

    message = "Cannot {action} {what} {id} while its status is {status}: it must be one of: {allowed}."


class Unauthorized(NovaLiteError):
    http_status = 401
    message = "The request you have made requires authentication."


class InvalidToken(Unauthorized):
    message = "The token is not valid: {reason}"


class Forbidden(NovaLiteError):
    http_status = 403
    message = "{reason}"


class OverQuota(Forbidden):
    message = "Quota exceeded for {resource}: requested {requested}, but already used {used} of {limit} {resource}"


class PolicyForbids(Forbidden):
    message = "Policy doesn't allow {rule} to be performed."


class NotFound(NovaLiteError):
    http_status = 404
    message = "{what} {id} could not be found."


class NotAcceptable(NovaLiteError):
    http_status = 406
    message = "{reason}"


class BadVersion(NotAcceptable):
    message = "Version {version} is not supported by the API. Minimum is {minimum} and maximum is {maximum}."


class Conflict(NovaLiteError):
    http_status = 409
    message = "{reason}"


class WrongState(Conflict):
    message = "Cannot '{action}' server {id} while it is in {attribute} {state}"


class ServerLocked(Conflict):
    message = "Server {id} is locked"


class AlreadyExists(Conflict):
    message = "{what} {id} already exists."


class InUse(Conflict):
    message = "{what} {id} is in use: {reason}"


class NoCapacity(Conflict):
    message = "No more {what} available in {where}"


class Gone(NovaLiteError):
    http_status = 410
    message = "{reason}"


class TooLarge(NovaLiteError):
    http_status = 413
    message = "Request is too large: the limit is {limit} bytes."


class OverVolumeQuota(NovaLiteError):
    """Block storage answers 413 `overLimit` where compute answers 403."""

    http_status = 413
    message = "{what} quota exceeded: {requested} requested, {used} of {limit} used."


class UnsupportedMedia(NovaLiteError):
    http_status = 415
    message = "Unsupported Content-Type {type}: send application/json"


class NotImplementedHere(NovaLiteError):
    http_status = 501
    message = "{reason}"


class Unavailable(NovaLiteError):
    http_status = 503
    message = "{reason}"


class ServiceDown(Unavailable):
    message = "{service} on {host} does not answer: {reason}"


class TooBusy(Unavailable):
    """A limit of this process is reached; the same request may pass shortly."""


class TooOld(Unavailable):
    """A daemon of an earlier release was sent what it does not know; passes with its upgrade."""

    message = "{service} on {host} is of an earlier release and does not know {method}: it is to be upgraded"


class WrongPasteFile(NovaLiteError):
    """An operator's file names factories that have moved."""

    message = "paste file {path} names {factory}, which this release does not have; replace the file by {packaged}"


class WrongKeyFile(NovaLiteError):
    """[rpc] secret_file is of no use to this daemon."""

    message = "key file {path}: {reason}"


class OlderDatabase(NovaLiteError):
    message = "the database is at revision {revision}, and this release needs {head}: {remedy}"


class NewerDatabase(NovaLiteError):
    message = "the database is at revision {revision}, and this release knows {head} at most: {remedy}"


class WrongHost(NovaLiteError):
    """A worker's state is another host's, or its own by another name."""

    message = "{directory} is in use by host {known}, and this host is called {host}: set [DEFAULT] host = {known}"


class StateInUse(NovaLiteError):
    """Another process of the same host has the worker's state."""

    message = "{directory} is in use by process {pid}: stop it first, or give this host a name and a state_path of its own"


class NameInUse(NovaLiteError):
    """Another worker serves the requests of a host of this name."""

    message = (
        "another {binary} serves host {host}: that is worker {known}, this is worker {worker}. Give each host a [DEFAULT] host of its own; "
        "if the other is no more, start this one when nothing was heard of it for service_down_time ({seconds} s)")


class WorkerError(NovaLiteError):
    """A worker could not carry out a request; becomes the server's fault."""

    message = "{reason}"


class StaleRequest(WorkerError):
    """A request older than what was already carried out: a late duplicate, to be dropped."""

    message = "server {id}: request {fence} is older than {known}, which was already carried out"


class NoValidHost(WorkerError):
    message = "No valid host was found. {reason}"


class HypervisorFailed(WorkerError):
    message = "host {host}: the hypervisor refused to {action}: {reason}"


class NetworkFailed(WorkerError):
    message = "host {host}: could not {action}: {reason}"


class NoValidBackend(WorkerError):
    message = "No valid backend was found. {reason}"


class VolumeFailed(WorkerError):
    message = "host {host}: could not {action}: {reason}"


class ImageFailed(WorkerError):
    message = "host {host}: image {id} could not be used: {reason}"
