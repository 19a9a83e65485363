"""Publish and consume events by name, through a Wharfe gateway. One file, no dependencies.

    import wharfe_events as w

    gateway = w.Gateway("http://127.0.0.1:8090", token="secret")
    gateway.publish([w.event("mfp.FoodEntryCreated", "/producers/diary", {"name": "apple"})])
    for event in gateway.consume("mfp/FoodEntryCreated", "earliest"):
        print(event["data"])
"""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid


class Refused(Exception):
    """What the gateway does not take: `status`, and `answer` as it said it."""

    def __init__(self, status, answer):
        self.status, self.answer = status, answer
        super().__init__(_said(status, answer))


class Unreachable(Exception):
    """No gateway, or one that cannot store at the moment."""


def event(event_type, source, data, **attributes):
    """A CloudEvent with an id of its own, under which it may be published again."""
    return {"specversion": "1.0", "id": str(uuid.uuid4()), "source": source, "type": event_type,
            "data": data, **attributes}


def verify(secret, headers, body, tolerance_s=300):
    """Whether a call-back is the gateway's: `headers` with lower-case names, `body` as bytes."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    stamp = headers["webhook-timestamp"]
    if abs(time.time() - int(stamp)) > tolerance_s:
        return False
    signed = b"%s.%s.%s" % (headers["webhook-id"].encode(), stamp.encode(), body)
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [part.split(",", 1)[1] for part in headers["webhook-signature"].split(" ") if part.startswith("v1,")]
    return any(hmac.compare_digest(expected, one) for one in given)


class Gateway:
    def __init__(self, url="http://127.0.0.1:8090", token=None, timeout_s=30):
        self.url, self.token, self.timeout_s = url.rstrip("/"), token, timeout_s

    def resolve(self, name):
        """Where an event is published and consumed."""
        return self._asked("GET", "/topology/events/" + name)

    def publish(self, events, attempts=5):
        """Publishes events in their order; the result of each. Tried again, under the same ids, while the
        gateway cannot store them. Raises Refused if any is refused."""
        pause = 0.1
        for attempt in range(1, attempts + 1):
            try:
                status, answer = self._send("POST", "/produce", events, "application/cloudevents-batch+json")
            except OSError as error:
                status, answer = 503, {"error": {"message": str(error)}}
            if status not in (429, 503):
                break
            if attempt == attempts:
                raise Unreachable(_said(status, answer))
            time.sleep(pause)
            pause *= 2
        if status != 202:
            raise Refused(status, answer)
        return answer["items"]

    def consume(self, name, start="latest"):
        """Events as they come, from `earliest`, `latest` or a token: `event["token"]` is where to go on
        behind it. Goes on by itself when the connection is lost."""
        token, pause = start, 0.1
        while True:
            try:
                for found in self._stream(name, token):
                    token, pause = found["token"], 0.1
                    yield found
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503):
                    raise Refused(error.code, _json(error.read())) from None
            except OSError:
                pass
            if token == "latest":
                # What came meanwhile would be missed: where it began is not known.
                token = self._asked("GET", f"/events/{name}?from=latest&wait=0")["next"]
            time.sleep(pause)
            pause = min(pause * 2, 5)

    def _stream(self, name, token):
        path = f"/events/{name}?from={urllib.parse.quote(token)}"
        request = self._request("GET", path, headers={"accept": "text/event-stream"})
        with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
            fields = {}
            for line in response:
                line = line.decode().rstrip("\r\n")
                if not line and "data" in fields:
                    if fields.get("event") == "error":
                        raise OSError(fields["data"])
                    yield {**json.loads(fields["data"]), "token": fields.get("id", token)}
                    fields = {}
                elif ": " in line and not line.startswith(":"):
                    key, _, value = line.partition(": ")
                    fields[key] = value

    def _asked(self, method, path, body=None):
        status, answer = self._send(method, path, body, "application/json")
        if not 200 <= status < 300:
            raise Refused(status, answer)
        return answer

    def _send(self, method, path, body, media_type):
        data = None if body is None else json.dumps(body).encode()
        request = self._request(method, path, data, {"content-type": media_type})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                return response.status, _json(response.read())
        except urllib.error.HTTPError as error:
            return error.code, _json(error.read())

    def _request(self, method, path, data=None, headers=None):
        headers = dict(headers or {})
        if self.token:
            headers["authorization"] = "Bearer " + self.token
        return urllib.request.Request(self.url + path, data=data, headers=headers, method=method)


def _json(body):
    try:
        return json.loads(body)
    except ValueError:
        return {"error": {"message": body.decode(errors="replace")}}


def _said(status, answer):
    errors = [answer["error"]] if "error" in answer else [i["error"] for i in answer.get("items", []) if "error" in i]
    texts = [f"{e['path']}: {e['message']}" if "path" in e else e.get("message", "") for e in errors]
    return f"{status}: " + ("; ".join(texts) or "no reason given")
